"""Wait for many projects at a time, until some of them have ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, ValidationError

from airflow_provider_magichour.api.schemas import Discreet
from airflow_provider_magichour.exceptions import MagicHourError
from airflow_provider_magichour.waiting.lookout import AsyncLookout
from airflow_provider_magichour.waiting.watch import SILENCE, Step, Watch

log = logging.getLogger(__name__)

ENOUGH = 3
"""One of so many projects that has ended is worth a round of the task: 0.5 s of Airflow's CPU (docs/benchmarks.md)."""

PATIENCE = 60.0
"""Most seconds that a project which has ended waits for others."""


class BatchEvent(Discreet):
    """Which projects have ended, as the trigger reports it: only ids, as Airflow logs and stores events."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    ended: tuple[str, ...]
    waiting: int = 0
    trouble: str | None = None
    seconds: float = 0.0


def ended_in(event: Any) -> tuple[str, ...] | None:
    """Return the ids in a trigger's event; None if it cannot be read, and all have to be polled."""
    try:
        return BatchEvent.model_validate(event).ended
    except ValidationError:
        log.warning("The trigger's event cannot be read: polling all projects instead")
        return None


def seconds_left(ended: int, waiting: int, first_ended: float | None, now: float, earliest: float) -> float | None:
    """Return the seconds until a wait for many ends; None if that is not known yet. Pure.

    :param ended: how many have ended.
    :param waiting: how many have not.
    :param first_ended: when the first of them ended.
    :param now: on the same clock.
    :param earliest: before this it ends only if none is left.
    """
    if not waiting:
        return 0.0
    if ended * ENOUGH >= ended + waiting:
        return max(0.0, earliest - now)
    return None if first_ended is None else max(0.0, max(first_ended + PATIENCE, earliest) - now)


async def until_some_end(lookout: AsyncLookout, watches: Sequence[Watch], at_least: float = 0.0) -> BatchEvent:
    """Poll projects until enough of them have ended.

    :param lookout: that does not log single projects.
    :param watches: the state of each wait.
    :param at_least: seconds for which it keeps polling, even if enough have ended, unless all have.
    """
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[Step] = asyncio.Queue()
    ended: list[str] = []
    began, trouble, first = loop.time(), None, None
    earliest, told_at = began + at_least, began
    tasks = [asyncio.create_task(_follow(lookout, watch, steps)) for watch in watches]
    try:
        while (left := seconds_left(len(ended), len(watches) - len(ended), first, loop.time(), earliest)) != 0.0:
            try:
                # Nothing has ended where the time left is not known.
                async with asyncio.timeout(told_at + SILENCE - loop.time() if left is None else left):
                    step = await steps.get()
            except TimeoutError:
                if left is not None:
                    break
                told_at = loop.time()
                log.info("None of the %d projects in flight has ended after %.0f s", len(watches), told_at - began)
                continue
            if step.error is not None and str(step.error) != trouble:
                trouble, told_at = str(step.error), loop.time()
                log.warning("%s. Polling continues until the deadline", trouble.rstrip("."))
            if step.end is not None:
                ended.append(step.watch.project_id)
                first = loop.time() if first is None else first
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return BatchEvent(
        ended=tuple(ended), waiting=len(watches) - len(ended), trouble=trouble, seconds=round(loop.time() - began, 1)
    )


async def _follow(lookout: AsyncLookout, watch: Watch, steps: asyncio.Queue[Step]) -> None:
    """Poll one project until it has ended; its trouble and its end are put into ``steps``."""
    delay = watch.first_delay(time.time())
    while True:
        await asyncio.sleep(delay)
        try:
            step = await lookout.look(watch)
        except MagicHourError:  # an invalid id: the worker says so
            step = Step(watch, end="unreachable")
        if step.end is not None or (step.error is not None and step.note is not None):
            steps.put_nowait(step)
        if step.end is not None:
            return
        watch, delay = step.watch, step.delay
