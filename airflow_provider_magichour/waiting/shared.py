"""One client for all waits on one connection in one event loop: its gate sees all of their requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from airflow_provider_magichour.api.client import AsyncMagicHourClient
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.waiting.lines import Lines
from airflow_provider_magichour.waiting.schedule import RenderTimes

RESOLVED_FOR = 60.0
"""Seconds after which a connection is resolved again, so that a change reaches those that wait."""


RENEWAL = 10.0
"""Seconds that this may take while all others wait; then they use the old settings, or poll again later."""


QUEUE_TOLD_EVERY = 60.0
"""Seconds between two lines, of whichever waits, that say that polls are late."""


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedClient]] = WeakKeyDictionary()


class SharedClient:
    """A client and the render times learned with it: created with the first wait, closed with the last."""

    def __init__(self) -> None:
        self._users = 0
        self._client: AsyncMagicHourClient | None = None
        self._good_until = 0.0
        self._resolving = asyncio.Lock()
        self._failure: Exception | None = None
        self.renders = RenderTimes()
        self.lines = Lines()
        self._queue_told_at: float | None = None

    @classmethod
    def join(cls, conn_id: str) -> SharedClient:
        """Return the running loop's client of a connection; each call needs its :meth:`leave`."""
        clients = _shared.setdefault(asyncio.get_running_loop(), {})
        if conn_id not in clients:
            clients[conn_id] = cls()
        clients[conn_id]._users += 1
        return clients[conn_id]

    async def leave(self) -> None:
        self._users -= 1
        if self._users:
            return
        clients = _shared[asyncio.get_running_loop()]
        for conn_id in [conn_id for conn_id, shared in clients.items() if shared is self]:
            del clients[conn_id]
        if self._client is not None:
            await self._client.aclose()

    async def current(self, resolve: Callable[[], Awaitable[ClientSettings]]) -> AsyncMagicHourClient:
        """Return the client, with settings not older than a minute.

        :param resolve: asks Airflow for the connection; if there are no settings yet, its error is raised to all that
            have waited for it.
        :raises TimeoutError: it took too long, and there are no settings yet.
        """
        now = asyncio.get_running_loop().time()
        if self._client is None or now >= self._good_until:
            before = self._failure
            async with self._resolving:
                if self._client is None and self._failure is not None and self._failure is not before:
                    raise self._failure.with_traceback(None)
                if self._client is None or now >= self._good_until:
                    self._client = await self._renewed(self._client, resolve)
                    self._good_until = now + RESOLVED_FOR
        return self._client

    async def _renewed(
        self, client: AsyncMagicHourClient | None, resolve: Callable[[], Awaitable[ClientSettings]]
    ) -> AsyncMagicHourClient:
        try:
            async with asyncio.timeout(RENEWAL):
                # Shielded: a cancelled request to Airflow's supervisor leaves its answer to the next one, and that ends
                # the whole triggerer (3.1.8: "Response read out of order").
                settings = await asyncio.shield(resolve())
            if client is None:
                return AsyncMagicHourClient(settings)
            client.renew(settings)
        except Exception as error:
            if client is None:
                hung = isinstance(error, TimeoutError) and not str(error)
                self._failure = TimeoutError(f"no answer within {RENEWAL:g} s") if hung else error
                raise self._failure from None
            # A connection that was there a minute ago may come back; the API says when its key is no longer good.
        return client

    def may_tell_queue(self) -> bool:
        """Say whether it is time for a line about late polls, which is as true of all others that wait."""
        now = asyncio.get_running_loop().time()
        if self._queue_told_at is not None and now < self._queue_told_at + QUEUE_TOLD_EVERY:
            return False
        self._queue_told_at = now
        return True

    def doubt(self) -> None:
        """Resolve the connection again before the next request: the API has refused its key."""
        self._good_until = 0.0
