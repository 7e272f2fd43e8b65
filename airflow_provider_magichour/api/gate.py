"""When the next request of a connection may leave: at an even rate, and not during a pause after a 429."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from types import TracebackType

LONGEST_PAUSE = 60.0
"""Seconds: a longer ``Retry-After`` is not waited out."""


USUAL_PAUSE = 5.0
"""Seconds without requests after a 429 without ``Retry-After``."""


MARGIN = 1.05
"""Requests leave this much further apart than the rate says, as the network moves some closer together."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When the next request of a connection may leave: evenly spaced, so that there is no burst, not even at the start.

    :param rate: requests per second.
    :param last_at: when the last one left, on any monotonic clock.
    :param paused_until: no request may leave before this, because of a 429.
    """

    rate: float
    last_at: float = -math.inf
    paused_until: float = -math.inf

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may leave; 0 for now."""
        return max(0.0, self.last_at + MARGIN / self.rate - now, self.paused_until - now)

    def taken(self, now: float) -> Pace:
        """Return the pace after a request left."""
        return replace(self, last_at=now)

    def paused(self, now: float, retry_after: float | None) -> Pace:
        """Return the pace after a 429; one pause never shortens another.

        :param retry_after: seconds that the API asked to wait, None if it did not say.
        """
        pause = USUAL_PAUSE if retry_after is None else min(retry_after, LONGEST_PAUSE)
        return replace(self, paused_until=max(self.paused_until, now + pause))


class Gate:
    """Let requests through one by one, in order of arrival; used in one event loop: ``async with gate``.

    A request takes a place before its turn: while a slow API holds all places nobody has a turn, so no burst leaves
    when it answers again.

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
        """Use other limits from now on, also for requests that wait; a pause stays in force."""
        self._pace = replace(self._pace, rate=requests_per_second)
        self._places = places
        self._place_freed.set()
        if self._nap is not None:
            self._nap.cancel()

    @property
    def seconds_behind(self) -> float:
        """Seconds that a request which comes now waits because of the rate."""
        return self._queue / self._pace.rate

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._queue += 1
        try:
            async with self._turn:
                while self._under_way >= self._places:
                    self._place_freed.clear()
                    await self._place_freed.wait()
                while delay := self._pace.delay(loop.time()):  # a 429 may come in the meantime
                    await self._sleep(delay)
                self._pace = self._pace.taken(loop.time())
                self._under_way += 1
        finally:
            self._queue -= 1

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the rate changes."""
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
