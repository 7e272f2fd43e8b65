"""Kept-alive connections for many small requests: a transport under httpx's interface.

httpx's own pool walks all its connections for each request: with 1,000 waiting projects a look costs several times the
CPU that it costs here, and more again once requests queue up, without recovering (httpx 0.28, httpcore 1.0.9).
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.request import getproxies, proxy_bypass

import h11
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
                    lambda: _Connection(_origin(url)), url.host, port, ssl=tls
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except OSError as error:
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
    """One connection, one request at a time."""

    def __init__(self, origin: tuple[str, str, int | None]) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.is_closed = False
        self._http = h11.Connection(h11.CLIENT)
        self._answer: asyncio.Future[httpx.Response] | None = None
        self._head: h11.Response | None = None
        self._body: list[bytes] = []

    @property
    def is_reusable(self) -> bool:
        return not self.is_closed and self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE

    async def exchange(self, request: httpx.Request, body: bytes) -> httpx.Response:
        self._answer = asyncio.get_running_loop().create_future()
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            out = self._http.send(head) or b""
            out += (self._http.send(h11.Data(data=body)) or b"") if body else b""
            out += self._http.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        self._transport.write(out)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            self._read()
        except h11.RemoteProtocolError as error:
            self._fail(httpx.RemoteProtocolError(str(error)))
            self.close()

    def _read(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._finish()
                return
            elif not isinstance(event, h11.InformationalResponse):
                return

    def _finish(self) -> None:
        assert self._head is not None
        response = httpx.Response(
            self._head.status_code, headers=self._head.headers.raw_items(), content=b"".join(self._body)
        )
        self._head, self._body = None, []
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        if self._answer and not self._answer.done():
            self._answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._head is not None:
            self.data_received(b"")  # an answer without length ends here
        self._fail(_Stale("the server closed the connection without an answer"))

    def _fail(self, error: Exception) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)

    def close(self) -> None:
        self.is_closed = True
        self._transport.close()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _timeout(request: httpx.Request, phase: str) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get(phase)
    return seconds
