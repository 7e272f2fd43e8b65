"""TCP connections that can be cut, which the ASGI interface does not offer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

AT_ONCE = struct.pack("ii", 1, 0)


class SandboxConnection(H11Protocol):
    """A connection that the application finds as ``scope["state"]["connection"]``.

    ``number`` counts connections from 1, ``answered`` the answers begun on this one.
    """

    number = 0
    answered = 0
    next_number: Callable[[], int]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.number = type(self).next_number()
        self._gone = asyncio.Event()
        self.app_state = {**self.app_state, "connection": self}

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone.set()

    @property
    def is_gone(self) -> bool:
        return self._gone.is_set()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for another request."""
        return self.cycle is None or self.cycle.response_complete

    async def wait_gone(self, seconds: float | None) -> None:
        """Wait until the connection has ended, or for so many seconds; None waits forever."""
        try:
            await asyncio.wait_for(self._gone.wait(), seconds)
        except TimeoutError:
            return

    async def cut(self, *, reset: bool = False) -> None:
        """Close the connection, even within an answer.

        :param reset: by a TCP reset; otherwise what was sent still arrives.
        """
        if reset:
            self.reset()
        else:
            self.transport.close()
        await self._gone.wait()

    def reset(self) -> None:
        """End the connection at once; the other side sees a reset."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()
