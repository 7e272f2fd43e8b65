"""When to poll a project next: by the vendor's figures, or as learned from the last render times. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.tools import Kind

EXPECTED_RENDER = 74.0
"""Seconds, if the tool is not known: the vendor's median for image-to-video, 30 days to 2026-07-20 (processing times
page)."""


EXPECTED: Mapping[Kind, float] = {"video": EXPECTED_RENDER, "image": 9.0, "audio": 21.0}
"""The same by kind: the median of the vendor's medians of such tools."""


FIRST_LOOK = 0.3
"""Share of the expected render time before which hardly any project is finished."""


LOOK_INTERVAL = 5.0
"""Seconds between polls of a video: the vendor's advice (development and testing page, 2026-08-22)."""


INTERVALS: Mapping[Kind, float] = {"video": LOOK_INTERVAL, "image": 2.0, "audio": 2.0}
"""The same by kind."""


LEAST_INTERVAL = 1.0
"""Seconds: polls are never closer together, whatever interval was asked for."""


SAMPLES = 20
"""How many render times are needed, and kept, of each kind of project."""


KINDS_KEPT = 200
"""Most kinds of projects whose render times are kept: the oldest is dropped."""


LOOK_PRICE = 0.15
"""Seconds of delay that one poll less is worth: some 18 polls a job and 2.5 s at a median of 120 s."""


LONGEST_SILENCE = 30.0
"""Seconds: renders may have become quicker than all that were seen."""


LEAST_SPREAD = 0.1


def learned_delay(renders: Sequence[float], elapsed: float) -> float | None:
    """Return the seconds until the next poll, or None if too few renders are known.

    The best density of polls at a moment is the root of h / 2c (h: the chance that the render, unfinished so far, ends
    just now; c: the price of a poll), Keller 1974, doi:10.1287/mnsc.21.3.256. The next poll is due where its sum since
    the last one reaches 1. Render times are taken as log-normal.

    :param renders: how long the last ones took, in seconds.
    :param elapsed: seconds that this one has taken so far.
    """
    if len(renders) < SAMPLES:
        return None
    logs = [math.log(max(seconds, 1.0)) for seconds in renders]
    middle = sum(logs) / len(logs)
    # Not statistics.stdev: its exact arithmetic costs as much as the rest of a poll.
    spread = max(math.dist(logs, [middle] * len(logs)) / math.sqrt(len(logs) - 1), LEAST_SPREAD)
    due, delay = 0.0, 0.0
    while due < 1 and delay < LONGEST_SILENCE:
        due += math.sqrt(_hazard(max(elapsed + delay, 0.0) + 0.5, middle, spread) / (2 * LOOK_PRICE))
        delay += 1
    return delay


def _hazard(seconds: float, middle: float, spread: float) -> float:
    """Return the hazard rate of a log-normal distribution."""
    z = (math.log(seconds) - middle) / spread
    left = math.erfc(z / math.sqrt(2)) / 2
    if left < 1e-9:
        return z / (spread * seconds)
    return math.exp(-z * z / 2) / (seconds * spread * math.sqrt(2 * math.pi)) / left


class RenderTimes:
    """The last render times of each kind of project: same type, length and height. Kept in memory only."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str | None, float | None, int | None], deque[float]] = {}

    def of(self, project: Project) -> Sequence[float]:
        return self._seconds.get(_kind(project), ())

    def add(self, project: Project, seconds: float) -> None:
        """Add a render that one wait has seen both unfinished and finished: no other has a known end."""
        if _kind(project) not in self._seconds and len(self._seconds) >= KINDS_KEPT:
            del self._seconds[next(iter(self._seconds))]
        self._seconds.setdefault(_kind(project), deque(maxlen=SAMPLES)).append(seconds)


def _kind(project: Project) -> tuple[str | None, float | None, int | None]:
    return project.type, project.end_seconds, project.height
