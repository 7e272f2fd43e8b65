"""When to send a call, and a failed one again. Pure: nothing here sleeps, sends or reads a clock."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from types import TracebackType

LONGEST_PAUSE = 60.0
"""Seconds: after a longer ``Retry-After`` the API is asked again nevertheless."""


USUAL_PAUSE = 5.0
"""Seconds without requests after a 429 that does not say how long."""


MARGIN = 1.05
"""Requests leave this much further apart than their rate says: on the way some come closer together."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When the next request of a connection may leave: evenly spaced, so there are no bursts, also at the start.

    :param rate: requests per second.
    :param last_at: when the last one left, on any clock that never goes back.
    :param paused_until: before this none may leave: the API said that there were too many.
    """

    rate: float
    last_at: float = -math.inf
    paused_until: float = -math.inf

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may leave; 0 when it may."""
        return max(0.0, self.last_at + MARGIN / self.rate - now, self.paused_until - now)

    def taken(self, now: float) -> Pace:
        """Return the pace after a request left."""
        return replace(self, last_at=now)

    def paused(self, now: float, retry_after: float | None) -> Pace:
        """Return the pace after a 429; one pause never shortens another.

        :param retry_after: seconds the API asked to wait, None when it did not say.
        """
        pause = USUAL_PAUSE if retry_after is None else min(retry_after, LONGEST_PAUSE)
        return replace(self, paused_until=max(self.paused_until, now + pause))


class Gate:
    """Let requests through one after the other, in order of arrival; used in one event loop: ``async with gate``.

    A place is taken before a turn: those that wait for a slow API have had no turn, so none leave in a burst when it
    answers again.

    :param requests_per_second: how many may leave.
    :param places: how many may be under way at a time.
    """

    def __init__(self, requests_per_second: float, places: int) -> None:
        self._pace = Pace(requests_per_second)
        self._places = places
        self._under_way = 0
        self._place_freed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._nap: asyncio.Future[None] | None = None
        self._queue = 0

    def allow(self, requests_per_second: float, places: int) -> None:
        """Let other numbers hold from now on, also for those that wait; what is under way, and a pause, goes on."""
        self._pace = replace(self._pace, rate=requests_per_second)
        self._places = places
        self._place_freed.set()
        if self._nap is not None:
            self._nap.cancel()

    @property
    def seconds_behind(self) -> float:
        """How long a request that comes now waits, as far as the rate decides it."""
        return self._queue / self._pace.rate

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._queue += 1
        try:
            async with self._turn:
                while self._under_way >= self._places:
                    self._place_freed.clear()
                    await self._place_freed.wait()
                while delay := self._pace.delay(loop.time()):  # a 429 may come meanwhile
                    await self._sleep(delay)
                self._pace = self._pace.taken(loop.time())
                self._under_way += 1
        finally:
            self._queue -= 1

    async def _sleep(self, seconds: float) -> None:
        """Sleep, until another rate holds at most."""
        self._nap = nap = asyncio.ensure_future(asyncio.sleep(seconds))
        try:
            await asyncio.wait({nap})
        finally:
            nap.cancel()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._under_way -= 1
        self._place_freed.set()

    def pause(self, retry_after: float | None) -> None:
        """Let nothing through for a while: the API has answered 429.

        :param retry_after: seconds it asked to wait, None when it did not say.
        """
        self._pace = self._pace.paused(asyncio.get_running_loop().time(), retry_after)
