"""When to poll a project again, and how a wait ends. Pure: nothing here sleeps, sends or reads a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from airflow_provider_magichour.api.answers import is_unknown
from airflow_provider_magichour.api.gate import LONGEST_PAUSE
from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.waiting.schedule import (
    EXPECTED_RENDER,
    FIRST_LOOK,
    INTERVALS,
    LEAST_INTERVAL,
    learned_delay,
)

REFUSAL_PATIENCE = 120.0
"""Seconds for which the API may refuse polls with the same key (one being rotated) before the wait ends."""

SILENCE = 600.0
"""Seconds without a log line, after which a wait logs its state again."""


End = Literal["finished", "timeout", "unreachable"]


@discreet
@dataclass(frozen=True, slots=True)
class Watch:
    """The state of a wait for one project.

    :param started_at: when the wait began, in seconds since the epoch.
    :param deadline: when it ends at the latest, in seconds since the epoch.
    :param interval: seconds between polls; None for the schedule that starts with the expected render time.
    :param status: the last status word.
    :param credits_charged: the last figure.
    :param trouble: the trouble logged last, so that it is not logged each time.
    :param told_at: when this process last logged a line, in seconds since the epoch.
    :param has_told_word: whether an unknown status word was warned of.
    :param refused_since: when the API began to refuse polls, in seconds since the epoch.
    :param refused_key: digest of the key that it refuses.
    :param looks: polls by this process.
    :param rate_limited: how many of those were answered with 429.
    :param seconds_behind: how late polls were at most, because of the connection's rate.
    :param kind: of the project.
    :param expected_render: seconds that such a render usually takes.
    """

    project_id: str
    started_at: float
    deadline: float
    interval: float | None = None
    status: str | None = None
    credits_charged: int | None = None
    trouble: str | None = None
    told_at: float = 0.0
    has_told_word: bool = False
    refused_since: float | None = None
    refused_key: str | None = None
    looks: int = 0
    rate_limited: int = 0
    seconds_behind: float = 0.0
    kind: Kind = "video"
    expected_render: float = EXPECTED_RENDER

    def first_delay(self, now: float) -> float:
        """Return the seconds until the first poll of a wait that begins, or resumes after a restart, at ``now``."""
        if self.interval is not None:
            return self._until_deadline(max(self.interval, LEAST_INTERVAL), now)
        quiet = FIRST_LOOK * self.expected_render
        # A clock that was set back must not lengthen this delay.
        return self._until_deadline(min(max(quiet - (now - self.started_at), 0.0), quiet), now)

    def next_delay(self, now: float, at_least: float = 0.0, *, renders: Sequence[float] = ()) -> float:
        """Return the seconds until the next poll; the last one is on the deadline."""
        wanted = self.interval
        if wanted is None:
            wanted = learned_delay(renders, now - self.started_at) or INTERVALS[self.kind]
        return self._until_deadline(max(wanted, at_least, LEAST_INTERVAL), now)

    def _until_deadline(self, wanted: float, now: float) -> float:
        return max(0.0, min(wanted, self.deadline - now))


@discreet
@dataclass(frozen=True, slots=True)
class Step:
    """What to do after a poll: ``end`` says how the wait ended, or ``delay`` when to poll again.

    :param watch: the wait's state from now on.
    :param end: ``finished`` (``project`` says how), ``timeout``, ``unreachable`` (``error`` says why), or None.
    :param delay: seconds until the next poll, while ``end`` is None.
    :param note: a line to log, or None if nothing changed for less than :data:`SILENCE`.
    :param warns: whether that line is a warning though there was no error.
    """

    watch: Watch
    end: End | None = None
    delay: float = 0.0
    project: Project | None = None
    error: MagicHourApiError | None = None
    note: str | None = None
    warns: bool = False


def next_step(
    watch: Watch, seen: Project | MagicHourApiError, now: float, *, key: str = "", renders: Sequence[float] = ()
) -> Step:
    """Decide what a wait does after one poll: the one decision behind poke, sync wait and trigger.

    :param seen: the project, or the error of the poll.
    :param now: seconds since the epoch.
    :param key: digest of the API key that was used.
    :param renders: how long the last renders of this kind took, in seconds, if known.
    """
    is_limited = isinstance(seen, MagicHourApiError) and seen.status_code == 429
    watch = replace(watch, looks=watch.looks + 1, rate_limited=watch.rate_limited + is_limited)
    is_silent = now - max(watch.told_at, watch.started_at) >= SILENCE
    if isinstance(seen, Project):
        step = _after_project(watch, seen, now, renders, is_silent)
    else:
        step = _after_error(watch, seen, now, key, is_silent)
    if step.note:
        step = replace(step, watch=replace(step.watch, told_at=now))
    if step.end is None and now >= watch.deadline:
        return replace(step, end="timeout")
    return step


def _after_project(watch: Watch, project: Project, now: float, renders: Sequence[float], is_silent: bool) -> Step:
    note, warns = None, False
    if is_silent or project.status != watch.status:
        note = f"Magic Hour {project.noun} {project.id} is {project.status} after {now - watch.started_at:.0f} s"
        if project.is_unknown and not watch.has_told_word:
            warns = True
            note += ": a status that this version does not know. It counts as unfinished until the deadline"
    watch = replace(
        watch,
        status=project.status,
        credits_charged=watch.credits_charged if project.credits_charged is None else project.credits_charged,
        trouble=None,
        has_told_word=watch.has_told_word or warns,
        refused_since=None,
        refused_key=None,
    )
    if project.is_deleted:
        gone = MagicHourApiError(
            f"Magic Hour project {project.id} was deleted; its result is gone", status_code=404, from_api=True
        )
        return Step(watch, end="unreachable", project=project, error=gone, note=note)
    if project.is_finished:
        return Step(watch, end="finished", project=project, note=note)
    return Step(watch, delay=watch.next_delay(now, renders=renders), project=project, note=note, warns=warns)


def _after_error(watch: Watch, error: MagicHourApiError, now: float, key: str, is_silent: bool) -> Step:
    if is_unknown(error, watch.started_at, now):
        return Step(watch, end="unreachable", error=error)
    since, refused_key = watch.refused_since, watch.refused_key
    if _is_refusal(error) and (since is None or refused_key != key):
        since, refused_key = now, key
    is_news = is_silent or error.message != watch.trouble
    note = f"{error.message.rstrip('.')}. Polling continues until the deadline" if is_news else None
    watch = replace(watch, trouble=error.message, refused_since=since, refused_key=refused_key)
    if _is_refusal(error) and since is not None and now - since >= REFUSAL_PATIENCE:
        return Step(watch, end="unreachable", error=error, note=note)
    pause = min(error.retry_after or 0.0, LONGEST_PAUSE)
    return Step(watch, delay=watch.next_delay(now, pause), error=error, note=note)


def _is_refusal(error: MagicHourApiError) -> bool:
    """Whether the API itself refuses the poll; a gateway's page of the same status is transient trouble."""
    status = error.status_code or 0
    return 400 <= status < 500 and status not in (404, 408, 429) and error.from_api


def deadline(now: float, timeout: float, *, task_started: float | None, execution_timeout: float | None) -> float:
    """Return when an attempt's wait ends, in seconds since the epoch.

    Airflow does not count ``execution_timeout`` while a task is deferred (3.3.2), so it is counted here.

    :param now: when this attempt's wait begins, in seconds since the epoch.
    :param timeout: seconds.
    :param task_started: when the attempt began, in seconds since the epoch.
    :param execution_timeout: seconds, or None.
    """
    end = now + timeout
    if task_started is not None and execution_timeout is not None:
        end = min(end, task_started + execution_timeout)
    return end
