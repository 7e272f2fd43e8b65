"""How often a job is looked at, and how late its end is noticed, on a simulated clock. Pure."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.waiting.schedule import SAMPLES
from airflow_provider_magichour.waiting.watch import Watch, next_step

TAIL = 3.3
"""p95 of the render time over its median."""

KNOWN_SPREAD = 0.35
"""Standard deviation of the logarithm of render times of one type, length and height."""

Looks = Callable[[float], Iterator[float]]
"""Yields the seconds after the start at which a job is looked at that ends after the seconds given."""


@dataclass(frozen=True)
class Cost:
    """Means over many jobs.

    :param looks: for each job.
    :param notice: seconds from done to noticed.
    """

    looks: float
    notice: float

    @property
    def product(self) -> float:
        return self.looks * self.notice


def render_times(median: float, count: int, *, seed: int = 6, sigma: float | None = None) -> list[float]:
    """Draw log-normal render times, one from each of ``count`` equally likely slices, so that few draws suffice."""
    chance, normal = random.Random(seed), NormalDist()
    spread = math.log(TAIL) / normal.inv_cdf(0.95) if sigma is None else sigma
    return [median * math.exp(spread * normal.inv_cdf((at + chance.random()) / count)) for at in range(count)]


def learned(median: float, count: int, *, histories: int = 40) -> Cost:
    """Return what the product's schedule costs when the last 20 of a kind are known, whose spread is 0.35."""
    found = []
    for seed in range(histories):
        known = render_times(median, SAMPLES, seed=1000 + seed, sigma=KNOWN_SPREAD)
        times = render_times(median, max(1, count // histories), seed=seed, sigma=KNOWN_SPREAD)
        found.append(cost(functools.partial(ours, renders=known), times))
    return Cost(fmean(each.looks for each in found), fmean(each.notice for each in found))


def cost(looks: Looks, times: list[float]) -> Cost:
    """Return what a schedule costs when jobs take these seconds and an answer takes none."""
    counts, delays = [], []
    for end in times:
        for count, moment in enumerate(looks(end), 1):  # noqa: B007 -- the last ones count
            pass
        counts.append(count)
        delays.append(moment - end)
    return Cost(fmean(counts), fmean(delays))


def ours(end: float, renders: Sequence[float] = ()) -> Iterator[float]:
    """Drive the product's own decisions: the same two calls as its trigger.

    :param renders: how long the last projects of this kind took.
    """
    start = 1e9
    watch = Watch("p1", started_at=start, deadline=start + 86400.0)
    now = start + watch.first_delay(start)
    while True:
        yield now - start
        step = next_step(watch, COMPLETE if now - start >= end else RENDERING, now, renders=renders)
        if step.end:
            return
        watch, now = step.watch, now + step.delay


def fixed(interval: float) -> Looks:
    """Look at once and then every ``interval`` seconds."""
    return backing_off(interval, 1.0, interval)


def backing_off(first: float, factor: float, longest: float) -> Looks:
    """Look at once, after ``first`` seconds, and then ``factor`` times later each time, up to ``longest`` seconds."""

    def looks(end: float) -> Iterator[float]:
        moment, pause = 0.0, first
        yield moment
        while moment < end:
            moment += pause
            pause = min(pause * factor, longest)
            yield moment

    return looks


RENDERING = Project(id="p1", status="rendering")
COMPLETE = Project.model_validate(
    {"id": "p1", "status": "complete", "downloads": [{"url": "https://example.com/p1.mp4"}]}
)

SCHEDULES: dict[str, Looks] = {
    "ours, by default": ours,
    "every 5 s": fixed(5.0),
    "every 60 s": fixed(60.0),
    "exponential, 1 s x 1.5 up to 30 s": backing_off(1.0, 1.5, 30.0),
}
