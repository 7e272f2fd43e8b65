"""A fast local API for the bench: TLS, keep-alive, one canned pending answer, and counters of what the clients did.

It runs in a process of its own. Commands come as JSON lines on stdin, each answered by one line on stdout:
``reset`` (with ``latency`` in seconds, and ``refuse_after``: the number of requests before one 429), ``stats``.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any

BODY_SIZE = 301
RETRY_AFTER = 7


def padded(body: dict[str, Any]) -> bytes:
    """Encode a body and fill it up, so that every client reads the same number of bytes."""
    short = json.dumps({**body, "name": ""}, separators=(",", ":"))
    return json.dumps({**body, "name": "x" * (BODY_SIZE - len(short))}, separators=(",", ":")).encode()


# The vendor's own client parses strictly: deprecated fields must be there.
PROJECT = padded(
    {
        "id": "cuid-bench",
        "status": "rendering",
        "created_at": "2026-11-20T10:00:00.000Z",
        "type": "IMAGE_TO_VIDEO",
        "width": 512,
        "height": 960,
        "fps": 30.0,
        "start_seconds": 0.0,
        "end_seconds": 5.0,
        "credits_charged": 450,
        "total_frame_cost": 450,
        "enabled": True,
        "download": None,
        "downloads": [],
        "error": None,
    }
)
DBT_RUN = padded({"status": {"code": 200, "is_success": True}, "data": {"id": 1, "status": 3, "in_progress": True}})
REFUSAL = padded({"message": "Too many requests"})

# As many as an answer through Vercel and Cloudflare carries.
HEADERS = (
    b"Date: Fri, 20 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Connection: keep-alive\r\nCache-Control: public, max-age=0, must-revalidate\r\n"
    b"Strict-Transport-Security: max-age=63072000; includeSubDomains\r\nVary: Accept-Encoding\r\n"
    b'ETag: W/"12d-Zx3k1v0p9QmT8b2n5c7r4w6y1u0"\r\nServer: cloudflare\r\nCF-Cache-Status: DYNAMIC\r\n'
    b"CF-Ray: 8f2d6c1b7a9e4d3c-FRA\r\nX-Vercel-Cache: MISS\r\n"
    b"X-Vercel-Id: fra1::iad1::k7x2p-1732096800000-1a2b3c4d5e6f\r\n"
)


def answer(status: bytes, body: bytes, extra: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n%s\r\n" % (status, HEADERS, len(body), extra)
    return head + body


PENDING = answer(b"200 OK", PROJECT)
ANSWERS = {b"v1": PENDING, b"api": answer(b"200 OK", DBT_RUN), b"absent": answer(b"404 Not Found", PROJECT)}
TOO_MANY = answer(b"429 Too Many Requests", REFUSAL, b"Retry-After: %d\r\n" % RETRY_AFTER)


class Counters:
    """What was seen since the last reset."""

    def __init__(self) -> None:
        self.open = 0
        self.reset()

    def reset(self, latency: float = 0.1, refuse_after: int | None = None) -> None:
        self.latency, self.refuse_after = latency, refuse_after
        self.handshakes, self.peak = 0, self.open
        self.arrivals: list[float] = []
        self.paths: list[str] = []
        self.refused_at: float | None = None


class Responder(asyncio.Protocol):
    """Answers each request after the latency; reads no more of it than its first line."""

    def __init__(self, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        self.counters, self.loop, self.buffer = counters, loop, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.counters.open += 1
        self.counters.handshakes += 1
        self.counters.peak = max(self.counters.peak, self.counters.open)

    def connection_lost(self, exc: Exception | None) -> None:
        self.counters.open -= 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            self.asked(head.split(b" ", 2)[1])

    def asked(self, path: bytes) -> None:
        counters = self.counters
        counters.arrivals.append(time.monotonic())
        counters.paths.append(path.decode())
        if len(counters.arrivals) == counters.refuse_after:
            counters.refused_at = time.monotonic()
            self.transport.write(TOO_MANY)
            return
        self.loop.call_later(counters.latency, self.reply, ANSWERS[path.split(b"/", 2)[1]])

    def reply(self, content: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(content)


def control(counters: Counters) -> None:
    """Do what one line of stdin asks for; the end of stdin ends the server."""
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    command = json.loads(line)
    if command.pop("do") == "reset":
        counters.reset(**command)
    print(
        json.dumps(
            {
                "requests": len(counters.arrivals),
                "handshakes": counters.handshakes,
                "open": counters.open,
                "peak": counters.peak,
                "refused_at": counters.refused_at,
                **({"arrivals": counters.arrivals, "paths": counters.paths} if command.get("all") else {}),
            }
        ),
        flush=True,
    )


async def serve(certificate: str) -> None:
    loop, counters = asyncio.get_running_loop(), Counters()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await loop.create_server(
        lambda: Responder(counters, loop), "127.0.0.1", 0, ssl=context, backlog=4096, ssl_handshake_timeout=120
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin.fileno(), control, counters)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    assert len(PROJECT) == BODY_SIZE, len(PROJECT)
    uvloop.run(serve(sys.argv[1]))
