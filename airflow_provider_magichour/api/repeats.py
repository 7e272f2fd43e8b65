"""Which failed call may be sent again, and when. Pure: nothing here sleeps, sends or reads a clock."""

from __future__ import annotations

from airflow_provider_magichour.api.answers import Failure

CREATE_PATIENCE = 120.0
"""Seconds that a create may be repeated in place, all attempts together."""


def repeat_delay(
    failure: Failure, *, attempt: int, waited: float, patience: float, creates: bool, chance: float
) -> float | None:
    """Return the seconds to wait before repeating a call in place, or None when this failure is final.

    :param attempt: how many attempts were made, from 1.
    :param waited: seconds since the first attempt began.
    :param patience: seconds in which repeats may begin.
    :param creates: whether the call makes a project, so that a lost answer must not be repeated.
    :param chance: a random number from 0 to 1, for the jitter.
    """
    if failure.is_refusal or (creates and not failure.made_nothing):
        return None
    pause = backoff(attempt, chance)
    delay = pause if failure.retry_after is None else max(failure.retry_after, pause / 4)
    return delay if waited + delay <= patience else None


def backoff(attempt: int, chance: float) -> float:
    """Return seconds to wait after so many failures: 1, 2, 4 and so on to 16, a quarter more or less.

    :param attempt: how many failed, from 1.
    :param chance: a random number from 0 to 1.
    """
    return min(2.0 ** (attempt - 1), 16.0) * (0.75 + chance / 2)
