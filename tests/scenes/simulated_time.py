"""An event loop in which hours pass at once: its clock jumps to the next timer whenever nothing is left to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST = 30 * 24 * 3600.0
"""Simulated seconds after which what waits is waiting for nothing: as no time passes, a test would never end."""

MOST_IDLE = 6000
"""Hundredths of a second in which a thread may have something to say."""


class _Jumping(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.idle = 0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:  # it waits for a thread, which takes its own time
            self.idle += 1
            if self.idle > MOST_IDLE:
                raise TimeoutError("nothing happens any more")
            return super().select(0.01)
        self.idle = 0
        self.now += timeout
        if self.now > LONGEST:
            raise TimeoutError("it has not ended after a month")
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """For code that sleeps and waits for its own tasks alone; input and output take no time in it."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run_simulated(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in simulated time.

    :raises TimeoutError: when it has not ended after a month, or waits for nothing.
    """

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)
