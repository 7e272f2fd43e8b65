"""The waits' reads against a server that answers as it is told, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest

from airflow_provider_magichour.api.answers import Failure
from airflow_provider_magichour.api.transport import Answer, Reader
from tests.scenes.certificates import self_signed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Say the next of some answers to each request; None closes the connection instead."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await self._head(reader):
            self.requests.append(head)
            self.asked.set()
            answer = self.answers.pop(0) if self.answers else OK
            if answer is None:
                break
            writer.write(answer)
            if b"onnection: close" in answer or (b"Content-Length" not in answer and b"chunked" not in answer):
                await writer.drain()
                break
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""


Scene = Callable[[Reader, Server], Awaitable[None]]


def play(scene: Scene, *answers: bytes | None) -> Server:
    async def run() -> Server:
        reader = Reader(ssl.create_default_context())
        async with Server(*answers) as server:
            await scene(reader, server)
            await reader.aclose()
        return server

    return asyncio.run(run())


async def get(reader: Reader, url: str, seconds: float = 5) -> Answer:
    answer = await reader.get(f"{url}/v1/x", {"Accept-Encoding": "identity"}, seconds=seconds)
    assert isinstance(answer, Answer), answer
    return answer


async def failure(reader: Reader, url: str, seconds: float = 5) -> Failure:
    answer = await reader.get(f"{url}/v1/x", {}, seconds=seconds)
    assert isinstance(answer, Failure), answer
    return answer


def test_one_connection_serves_many_requests_one_after_the_other():
    async def scene(reader: Reader, server: Server) -> None:
        for _ in range(20):
            assert (await get(reader, server.url)).body == b"{}"

    server = play(scene)
    assert (server.connections, len(server.requests)) == (1, 20)


def test_as_many_connections_as_requests_at_a_time():
    async def scene(reader: Reader, server: Server) -> None:
        for _ in range(3):
            await asyncio.gather(*(get(reader, server.url) for _ in range(5)))

    assert play(scene).connections == 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nX-Long: %s\r\nContent-Length: 5\r\n\r\nabcde" % (b"x" * 20_000),
    ],
    ids=["chunked", "closes after it", "without length", "after a 100", "a header of 20 KB"],
)
def test_an_answer_is_read_in_whatever_form_and_the_next_one_too(answer):
    async def scene(reader: Reader, server: Server) -> None:
        assert (await get(reader, server.url)).body == b"abcde"
        assert (await get(reader, server.url)).body == b"{}"

    play(scene, answer)


def test_a_kept_connection_that_the_server_closed_is_replaced_without_a_word():
    async def scene(reader: Reader, server: Server) -> None:
        for _ in range(2):
            assert (await get(reader, server.url)).status == 200

    server = play(scene, OK, None, OK)
    assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhalf",
        b"Connection: close, this is no HTTP\r\n\r\n",
    ],
    ids=["no answer", "half an answer", "no HTTP"],
)
def test_a_lost_answer_is_a_failure_and_the_next_request_goes_through(answer):
    async def scene(reader: Reader, server: Server) -> None:
        lost = await failure(reader, server.url)
        assert "connection was lost" in lost.reason
        assert lost.sent
        assert (await get(reader, server.url)).status == 200

    play(scene, answer)


def test_an_answer_that_does_not_come_ends_in_time_and_its_connection_is_not_used_again():
    async def scene(reader: Reader, server: Server) -> None:
        assert "no answer within 0.05 s" in (await failure(reader, server.url, seconds=0.05)).reason
        assert (await get(reader, server.url)).status == 200

    assert play(scene, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").connections == 2


def test_a_request_that_is_given_up_leaves_no_connection_behind():
    async def scene(reader: Reader, server: Server) -> None:
        task = asyncio.create_task(get(reader, server.url))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await get(reader, server.url)).body == b"{}"

    assert play(scene, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").connections == 2


def test_cookies_are_not_kept():
    async def scene(reader: Reader, server: Server) -> None:
        for _ in range(2):
            await get(reader, server.url)

    server = play(scene, b"HTTP/1.1 200 OK\r\nSet-Cookie: __cf_bm=x; path=/\r\nContent-Length: 2\r\n\r\n{}")
    assert b"cookie" not in server.requests[1].lower()


def test_a_port_where_nobody_listens_is_a_request_never_sent():
    async def scene(reader: Reader, server: Server) -> None:
        refused = await failure(reader, "http://127.0.0.1:1")
        assert refused == Failure("no connection (refused: nothing is listening there)", sent=False)

    play(scene)


def test_a_certificate_that_cannot_be_verified_is_named_and_the_request_never_sent(tmp_path):
    async def run() -> Failure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(tmp_path))
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reader = Reader(ssl.create_default_context())
        refused = await failure(reader, url)
        await reader.aclose()
        server.close()
        return refused

    refused = asyncio.run(run())
    assert "certificate is not trusted" in refused.reason
    assert not refused.sent


def test_a_proxy_that_refuses_is_named_without_its_login(monkeypatch):
    async def scene(reader: Reader, proxy: Server) -> None:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:secret@"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        refused = await failure(reader, "https://api.magichour.ai")
        assert "no connection (ProxyError: 407" in refused.reason
        assert "secret" not in refused.reason
        assert not refused.sent

    play(scene, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
