"""Reads over kept-alive connections, for many waits in one event loop: HTTP/1.1 by hand, parsed in C.

httpx's own pool walks all its connections for each request: with 1,000 waiting projects a poll costs several times the
CPU that it costs here, and more once requests queue up, without recovering (httpx 0.28, httpcore 1.0.9).
aiohttp was measured too: docs/measurements.md.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httptools
import httpx

from airflow_provider_magichour.api.answers import Failure, why_no_connection
from airflow_provider_magichour.api.bodies import LONGEST
from airflow_provider_magichour.api.proxies import proxy_for

IDLE = 60.0
"""Seconds that an unused connection is kept: longer than the time between polls."""

LONGEST_HEAD = 1 << 18
"""Most bytes of an answer's headers: gateways send long ones, but none like that."""

NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


def lost(error: httpx.RequestError | httpx.InvalidURL, seconds: float) -> Failure:
    """Say what went wrong without httpx's text, which may contain addresses.

    :param seconds: that were allowed.
    """
    if isinstance(error, NEVER_SENT):
        return Failure(f"no connection ({why_no_connection(error)})", sent=False)
    if isinstance(error, httpx.TimeoutException):
        return Failure(f"no answer within {seconds:g} s ({type(error).__name__})")
    return Failure(f"the connection was lost ({type(error).__name__})")


class Answer(NamedTuple):
    """What a server said.

    :param headers: by name in lower case.
    :param body: as sent, cut after 1 MiB and one byte.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reader:
    """Send GET requests over as few connections as are needed at a time; the caller limits how many.

    If the environment names a proxy, httpx's own pool is used. For use in one event loop.

    :param tls: how to verify servers.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._idle: list[_Connection] = []
        self._closed = False
        self._proxied: dict[str, httpx.AsyncHTTPTransport | None] = {}

    async def get(self, url: str, headers: Mapping[str, str], *, seconds: float) -> Answer | Failure:
        """Return the answer to a request, or why there is none.

        :param seconds: to connect in, and then for all of the exchange.
        """
        origin = "/".join(url.split("/", 3)[:3])
        try:
            if (proxied := self._transport(origin)) is not None:
                async with asyncio.timeout(2 * seconds):
                    return await _through(proxied, url, headers, seconds)
            return await self._direct(_place(origin), url[len(origin) :], headers, seconds)
        except TimeoutError as error:
            return Failure(f"no answer within {seconds:g} s ({type(error).__name__})")
        except (httpx.RequestError, httpx.InvalidURL) as error:
            return lost(error, seconds)

    def _transport(self, origin: str) -> httpx.AsyncHTTPTransport | None:
        if origin not in self._proxied:
            try:
                proxy = proxy_for(origin)
                limits = httpx.Limits(max_connections=None, keepalive_expiry=IDLE)
                made = httpx.AsyncHTTPTransport(verify=self._tls, proxy=proxy, limits=limits) if proxy else None
            except Exception as error:  # an unknown kind of URL or proxy, a missing package for proxies
                raise httpx.ConnectError(str(error)) from error
            self._proxied[origin] = made
        return self._proxied[origin]

    async def _direct(self, place: _Place, target: str, headers: Mapping[str, str], seconds: float) -> Answer:
        head = _head(place, target, headers)
        if (kept := self._kept(place)) is not None:
            try:
                return await self._exchange(kept, head, seconds)
            except _Stale:
                pass  # the server had closed it in the meantime, without an answer
        try:
            return await self._exchange(await self._connect(place, seconds), head, seconds)
        except _Stale as error:
            raise httpx.RemoteProtocolError(str(error)) from None

    async def _connect(self, place: _Place, seconds: float) -> _Connection:
        tls = self._tls if place.tls else None
        try:
            async with asyncio.timeout(seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(place), place.host, place.port, ssl=tls, happy_eyeballs_delay=0.25
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: an empty or too long label in the host name
            raise httpx.ConnectError(str(error)) from error
        return connection

    async def _exchange(self, connection: _Connection, head: bytes, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                return await connection.exchange(head)
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error)) from error
        finally:
            if connection.is_reusable and not self._closed:
                connection.idle_since = asyncio.get_running_loop().time()
                self._idle.append(connection)
            else:
                connection.close()

    def _kept(self, place: _Place) -> _Connection | None:
        """Take the connection used last, so that surplus ones grow old and are closed."""
        now = asyncio.get_running_loop().time()
        while self._idle and (self._idle[0].is_closed or now - self._idle[0].idle_since > IDLE):
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.place == place and not connection.is_closed:
                return connection
            connection.close()
        return None

    async def aclose(self) -> None:
        """Close unused connections now, and the others after their answers."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        for transport in self._proxied.values():
            if transport is not None:
                await transport.aclose()


async def _through(transport: httpx.AsyncHTTPTransport, url: str, headers: Mapping[str, str], seconds: float) -> Answer:
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    request = httpx.Request("GET", url, headers=headers, extensions={"timeout": timeouts})
    response = await transport.handle_async_request(request)
    try:
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > LONGEST:
                break
    finally:
        await response.aclose()
    return Answer(response.status_code, response.headers, bytes(body[: LONGEST + 1]))


class _Place(NamedTuple):
    host: str
    port: int
    tls: bool
    name: str
    """As in the header ``Host``."""


@functools.lru_cache(64)
def _place(origin: str) -> _Place:
    try:
        parts = urlsplit(origin)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except ValueError as error:
        raise httpx.InvalidURL("it has no host, or an invalid port") from error
    if parts.scheme not in ("http", "https") or not host or " " in host:
        raise httpx.InvalidURL("it has no host, or neither http nor https")
    name = f"[{host}]" if ":" in host else host
    usual = 443 if parts.scheme == "https" else 80
    return _Place(host, port or usual, parts.scheme == "https", f"{name}:{port}" if port not in (None, usual) else name)


def _head(place: _Place, target: str, headers: Mapping[str, str]) -> bytes:
    path = (target or "/") if target.isascii() else quote(target, safe="/%?&=:@!$'()*+,;~")
    lines = (f"GET {path} HTTP/1.1", f"Host: {place.name}", *(f"{name}: {value}" for name, value in headers.items()))
    if any("\r" in line or "\n" in line or not line.isascii() for line in lines):
        raise httpx.LocalProtocolError("a header has characters that are not allowed")
    return "\r\n".join((*lines, "", "")).encode()


class _Stale(Exception):
    """Closed before the first byte of an answer."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time; the parser calls it back."""

    def __init__(self, place: _Place) -> None:
        self.place = place
        self.idle_since = 0.0
        self.is_closed = False
        self._answer: asyncio.Future[Answer] | None = None

    @property
    def is_reusable(self) -> bool:
        """Whether the last answer was read in full and the server keeps the connection."""
        return not self.is_closed and self._answer is None

    async def exchange(self, head: bytes) -> Answer:
        self._parser = httptools.HttpResponseParser(self)
        self._began = self._has_head = False
        self._size = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._answer = answer = asyncio.Future[Answer]()
        self._transport.write(head)
        return await answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nothing was asked
            return
        self._began = True
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._finish(httpx.RemoteProtocolError(str(error)))
            self.close()
            return
        if len(self._body) > LONGEST:
            self._finish(self._said())
            self.close()
        elif not self._has_head and self._size > LONGEST_HEAD:
            self._finish(httpx.RemoteProtocolError("endless headers"))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._headers.clear()  # informational: the real answer follows
            return
        if self._answer is None or not self._parser.should_keep_alive():
            self.close()  # in the first case it sent more than was asked for
        self._finish(self._said())

    def _said(self) -> Answer:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}
        return Answer(self._parser.get_status_code(), headers, bytes(self._body[: LONGEST + 1]))

    @property
    def _is_unbounded(self) -> bool:
        """Whether the answer ends with the connection: only then is its end no error."""
        return {name.lower() for name, _ in self._headers}.isdisjoint({b"content-length", b"transfer-encoding"})

    def _finish(self, outcome: Answer | Exception) -> None:
        answer, self._answer = self._answer, None
        if answer and not answer.done():
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._answer is None:
            return
        if not self._began:
            self._finish(_Stale("the server closed the connection without an answer"))
        elif self._has_head and self._is_unbounded:
            self._finish(self._said())  # an answer without length ends here
        else:
            self._finish(httpx.RemoteProtocolError("the server closed the connection in the middle of an answer"))

    def close(self) -> None:
        self.is_closed = True
        self._transport.close()
