"""Kept-alive connections for many small requests: a transport under httpx's interface.

httpx's own pool walks all its connections for each request: with 1,000 waiting projects a look costs several times the
CPU that it costs here, and more again once requests queue up, without recovering (httpx 0.28, httpcore 1.0.9).
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.request import getproxies, proxy_bypass

import httptools
import httpx

IDLE = 60.0
"""Seconds that an unused connection is kept: longer than looks lie apart."""


def transport_for(base_url: str, verify: ssl.SSLContext, connections: int) -> httpx.AsyncBaseTransport:
    """Return what sends requests to an API: httpx's own transport where the environment names a proxy for it.

    :param base_url: of the API.
    :param verify: how to verify the server.
    :param connections: open at a time; behind a proxy alone, as otherwise the caller bounds them.
    """
    url = httpx.URL(base_url)
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and not proxy_bypass(url.host):
        # As curl, requests and httpx's client read it.
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        limits = httpx.Limits(max_connections=connections, keepalive_expiry=IDLE)
        return httpx.AsyncHTTPTransport(verify=verify, proxy=proxy, limits=limits)
    return KeptConnections(verify)


class KeptConnections(httpx.AsyncBaseTransport):
    """Send small requests over as few connections as are needed at a time; the caller bounds how many.

    HTTP/1.1, no proxies; bodies are read whole. To be used in one event loop.

    :param verify: how to verify servers.
    """

    def __init__(self, verify: ssl.SSLContext) -> None:
        self._verify = verify
        self._idle: list[_Connection] = []
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, read in full.

        :raises httpx.TransportError: when there is none; its class says whether the request may have arrived.
        """
        body = await request.aread()
        kept = self._kept(request.url)
        if kept is not None:
            try:
                return await self._exchange(kept, request, body)
            except _Stale:
                pass  # the server had closed it meanwhile, and said nothing
        try:
            return await self._exchange(await self._connect(request), request, body)
        except _Stale as error:
            raise httpx.RemoteProtocolError(str(error)) from None

    async def _connect(self, request: httpx.Request) -> _Connection:
        url = request.url
        tls = self._verify if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        try:
            async with asyncio.timeout(_timeout(request, "connect")):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(_origin(url)), url.host, port, ssl=tls, happy_eyeballs_delay=0.25
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:  # a label of the name that is empty or too long is the latter
            raise httpx.ConnectError(str(error)) from error
        return connection

    async def _exchange(self, connection: _Connection, request: httpx.Request, body: bytes) -> httpx.Response:
        try:
            async with asyncio.timeout(_timeout(request, "read")):
                response = await connection.exchange(request, body)
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error)) from error
        finally:
            if connection.is_reusable and not self._closed:
                connection.idle_since = asyncio.get_running_loop().time()
                self._idle.append(connection)
            else:
                connection.close()
        return response

    def _kept(self, url: httpx.URL) -> _Connection | None:
        """Take the connection used last, so that those too many grow old and are closed."""
        now, origin = asyncio.get_running_loop().time(), _origin(url)
        while self._idle and (self._idle[0].is_closed or now - self._idle[0].idle_since > IDLE):
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.origin == origin and not connection.is_closed:
                return connection
            connection.close()
        return None

    async def aclose(self) -> None:
        """Close what is unused now, and the rest after their answers."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class _Stale(Exception):
    """Closed before the first byte of an answer."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time; it is also what the parser calls back."""

    def __init__(self, origin: tuple[str, str, int | None]) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.is_closed = False
        self._answer: asyncio.Future[httpx.Response] | None = None

    @property
    def is_reusable(self) -> bool:
        """Whether the last answer was read in full and the server keeps the connection."""
        return not self.is_closed and self._answer is None

    async def exchange(self, request: httpx.Request, body: bytes) -> httpx.Response:
        lines = [b"%s: %s\r\n" % header for header in request.headers.raw]
        if any(line.count(b"\n") > 1 or line.count(b"\r") > 1 for line in lines):
            raise httpx.LocalProtocolError("a header holds a line break")
        self._parser = httptools.HttpResponseParser(self)
        self._began = self._has_head = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._answer = answer = asyncio.Future[httpx.Response]()
        first = b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
        self._transport.write(b"".join((first, *lines, b"\r\n", body)))
        return await answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nothing was asked
            return
        self._began = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._finish(httpx.RemoteProtocolError(str(error)))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._headers.clear()  # informational: the answer comes after it
            return
        if not self._parser.should_keep_alive():
            self.close()
        self._finish(httpx.Response(status, headers=self._headers, content=b"".join(self._body)))

    @property
    def _is_unbounded(self) -> bool:
        """Whether the answer ends with the connection: only then is its end no error."""
        return {name.lower() for name, _ in self._headers}.isdisjoint({b"content-length", b"transfer-encoding"})

    def _finish(self, outcome: httpx.Response | Exception) -> None:
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
            self.on_message_complete()  # an answer without length ends here
        else:
            self._finish(httpx.RemoteProtocolError("the server closed the connection within an answer"))

    def close(self) -> None:
        self.is_closed = True
        self._transport.close()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _timeout(request: httpx.Request, phase: str) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get(phase)
    return seconds
