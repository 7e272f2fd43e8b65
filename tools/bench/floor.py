"""The floor: what polling over keep-alive costs at least on asyncio, written by hand for this one kind of answer."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any


class Connection(asyncio.Protocol):
    """One connection that carries one request at a time."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiter: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or self.waiter is None:
            return
        length = self.buffer.index(b"Content-Length: ", 0, end) + 16
        size = int(self.buffer[length : self.buffer.index(b"\r\n", length)])
        if len(self.buffer) < end + 4 + size:
            return
        waiter, body = self.waiter, self.buffer[end + 4 : end + 4 + size]
        self.waiter, self.buffer = None, b""
        waiter.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiter and not self.waiter.done():
            self.waiter.set_exception(exc or ConnectionResetError())


class Pool:
    """Idle connections, the last used first; as many as are needed at once, up to a bound.

    Without the bound a stall of the machine would open one for each job, and the floor would cost handshakes.
    """

    def __init__(self, host: str, port: int, most: int) -> None:
        self.host, self.port = host, port
        self.places = asyncio.Semaphore(most)
        self.context = ssl.create_default_context()
        self.idle: list[Connection] = []

    async def get(self, path: str) -> Any:
        async with self.places:
            return json.loads(await self.body(path))

    async def body(self, path: str) -> bytes:
        loop = asyncio.get_running_loop()
        if self.idle:
            connection = self.idle.pop()
        else:
            _, connection = await loop.create_connection(Connection, self.host, self.port, ssl=self.context)
        connection.waiter = loop.create_future()
        connection.transport.write(
            f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: */*\r\n"
            "Authorization: Bearer mhk_bench\r\nUser-Agent: floor\r\n\r\n".encode()
        )
        body = await connection.waiter
        self.idle.append(connection)
        return body
