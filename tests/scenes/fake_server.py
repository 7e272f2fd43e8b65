"""A server that says scripted bytes: what no proper HTTP server can be made to answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType

LONGEST_HEAD = 1 << 16


class FakeServer:
    """Answer each connection on 127.0.0.1 with the next of some byte strings, then close it; the last one repeats.

    :param answers: whole answers, status line and head included.
    """

    def __init__(self, *answers: bytes) -> None:
        self.heads: list[str] = []
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # Closing alone does not wake a thread that is in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def say(self, *answers: bytes) -> None:
        """Answer with these from now on."""
        self._answers = list(answers)

    def _serve(self) -> None:
        for connection in self._connections():
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                self.heads.append(self._head(connection))
                connection.sendall(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
                connection.shutdown(socket.SHUT_WR)

    def _connections(self) -> Iterator[socket.socket]:
        with contextlib.suppress(OSError):
            while True:
                yield self._listener.accept()[0]

    def _head(self, connection: socket.socket) -> str:
        received = b""
        while b"\r\n\r\n" not in received and len(received) < LONGEST_HEAD:
            piece = connection.recv(4096)
            if not piece:
                break
            received += piece
        return received.decode("latin-1")


class EndlessServer(FakeServer):
    """Say a head, then the same piece again and again until nobody listens any more.

    :param head: what is said once.
    :param piece: what is repeated.
    :param pause: seconds between two pieces.
    """

    def __init__(self, head: bytes, piece: bytes, pause: float = 0.0) -> None:
        super().__init__(head)
        self._piece, self._pause = piece, pause

    def _serve(self) -> None:
        for connection in self._connections():
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                self.heads.append(self._head(connection))
                connection.sendall(self._answers[0])
                while True:
                    connection.sendall(self._piece)
                    time.sleep(self._pause)


def answer(body: bytes, status: str = "200 OK", **headers: object) -> bytes:
    """Return an answer with a Content-Length; names of headers are written with ``_`` for ``-``."""
    headers = {"Content_Length": len(body), "Connection": "close"} | headers
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
