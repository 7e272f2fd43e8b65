"""The network between this machine and a store, which breaks where a test says so."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
from types import TracebackType

PIECE = 1 << 16
RESET = struct.pack("ii", 1, 0)


class Way:
    """A port of 127.0.0.1 that leads to another one.

    :param port: where it leads.
    :ivar up: bytes that went to the store.
    :ivar cuts_up: the next connection over which so many bytes go to the store is reset there; then the next one.
    :ivar cuts_down: the same for what comes from it.
    :ivar silent_at: after so many bytes in all nothing goes either way, and nothing is closed.
    """

    def __init__(self, port: int) -> None:
        self.up = 0
        self.cuts_up: list[int] = []
        self.cuts_down: list[int] = []
        self.silent_at = math.inf
        self._carried = 0
        self._mended = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._turn = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Way:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._listener.close()

    def mend(self) -> None:
        self.cuts_up, self.cuts_down, self.silent_at = [], [], math.inf
        self.up = self._carried = 0
        self._mended += 1  # a connection of before is nobody's
        self._flowing.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                for ends in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        carried, mended = 0, self._mended
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                self._carried += len(piece)
                if self._carried >= self.silent_at:
                    self._flowing.clear()
                self._flowing.wait()
                target.sendall(piece)
                carried += len(piece)
                with self._turn:
                    self.up += len(piece) * is_up
                    cuts = self.cuts_up if is_up else self.cuts_down
                    is_cut = bool(cuts) and carried >= cuts[0] and mended == self._mended
                    if is_cut:
                        del cuts[0]
                if is_cut:
                    for end in (source, target):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread of the other direction, which close alone does not
            end.close()
