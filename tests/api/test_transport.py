"""Kept connections against a server that answers as it is told, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import httpx
import pytest

from airflow_provider_magichour.api.transport import IDLE, KeptConnections, transport_for
from tests.scenes.certificates import self_signed
from tests.scenes.simulated_time import SimulatedLoop

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


Scene = Callable[[KeptConnections, Server], Awaitable[None]]


def play(scene: Scene, *answers: bytes | None) -> Server:
    async def run() -> Server:
        transport = KeptConnections(ssl.create_default_context())
        async with Server(*answers) as server:
            await scene(transport, server)
            await transport.aclose()
        return server

    return asyncio.run(run())


async def get(transport: httpx.AsyncBaseTransport, url: str, seconds: float = 5) -> httpx.Response:
    timeouts = {"connect": seconds, "read": seconds}
    return await transport.handle_async_request(httpx.Request("GET", f"{url}/v1/x", extensions={"timeout": timeouts}))


def test_one_connection_serves_many_requests_one_after_the_other():
    async def scene(transport: KeptConnections, server: Server) -> None:
        for _ in range(20):
            assert (await get(transport, server.url)).json() == {}

    server = play(scene)
    assert (server.connections, len(server.requests)) == (1, 20)


def test_as_many_connections_as_requests_at_a_time():
    async def scene(transport: KeptConnections, server: Server) -> None:
        for _ in range(3):
            await asyncio.gather(*(get(transport, server.url) for _ in range(5)))

    assert play(scene).connections == 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    ],
    ids=["chunked", "closes after it", "without length", "after a 100"],
)
def test_an_answer_is_read_in_whatever_form_and_the_next_one_too(answer):
    async def scene(transport: KeptConnections, server: Server) -> None:
        assert (await get(transport, server.url)).content == b"abcde"
        assert (await get(transport, server.url)).content == b"{}"

    play(scene, answer)


def test_a_kept_connection_that_the_server_closed_is_replaced_without_a_word():
    async def scene(transport: KeptConnections, server: Server) -> None:
        for _ in range(2):
            assert (await get(transport, server.url)).status_code == 200

    server = play(scene, OK, None, OK)
    assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhalf", httpx.RemoteProtocolError),
        (b"Connection: close, this is no HTTP\r\n\r\n", httpx.RemoteProtocolError),
    ],
    ids=["no answer", "half an answer", "no HTTP"],
)
def test_a_lost_answer_is_httpx_s_own_error_and_the_next_request_goes_through(answer, error):
    async def scene(transport: KeptConnections, server: Server) -> None:
        with pytest.raises(error):
            await get(transport, server.url)
        assert (await get(transport, server.url)).status_code == 200

    play(scene, answer)


def test_an_answer_that_does_not_come_ends_as_a_read_timeout_and_its_connection_is_not_used_again():
    async def scene(transport: KeptConnections, server: Server) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await get(transport, server.url, seconds=0.05)
        assert (await get(transport, server.url)).status_code == 200

    assert play(scene, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").connections == 2


def test_a_request_that_is_given_up_leaves_no_connection_behind():
    async def scene(transport: KeptConnections, server: Server) -> None:
        task = asyncio.create_task(get(transport, server.url))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await get(transport, server.url)).content == b"{}"

    assert play(scene, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").connections == 2


def test_a_port_where_nobody_listens_is_a_connect_error():
    async def scene(transport: KeptConnections, server: Server) -> None:
        with pytest.raises(httpx.ConnectError):
            await get(transport, "http://127.0.0.1:1")

    play(scene)


def test_a_connection_that_was_unused_for_long_is_closed_and_not_used():
    async def run() -> tuple[int, int]:
        transport = KeptConnections(ssl.create_default_context())
        async with Server() as server:
            await get(transport, server.url, seconds=1e9)
            await asyncio.sleep(IDLE + 1)
            await get(transport, server.url, seconds=1e9)
            kept = len(transport._idle)
            await transport.aclose()
            return server.connections, kept

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        assert runner.run(run()) == (2, 1)


def test_a_certificate_that_cannot_be_verified_is_a_connect_error(tmp_path):
    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(tmp_path))
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await get(KeptConnections(ssl.create_default_context()), url)
        server.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("environment", "is_ours"),
    [
        ({}, True),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, False),
        ({"ALL_PROXY": "http://127.0.0.1:3128"}, False),
        ({"HTTP_PROXY": "http://127.0.0.1:3128"}, True),
        ({"HTTPS_PROXY": "127.0.0.1:3128"}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128", "NO_PROXY": "api.magichour.ai"}, True),
    ],
)
def test_behind_a_proxy_httpx_s_own_transport_is_used(environment, is_ours, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelling in (name, name.lower()):
            monkeypatch.delenv(spelling, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    transport = transport_for("https://api.magichour.ai", ssl.create_default_context(), 8)
    assert isinstance(transport, KeptConnections) == is_ours
