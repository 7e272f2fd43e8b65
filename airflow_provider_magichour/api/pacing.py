"""When to send a call, and a failed one again. Pure: nothing here sleeps, sends or reads a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime

CREATE_PATIENCE = 120.0
"""Seconds that a create may be repeated in place, all attempts together."""

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
    :param next_at: when the next one may leave, on any clock that never goes back.
    :param paused_until: before this none may leave: the API said that there were too many.
    """

    rate: float
    next_at: float = -math.inf
    paused_until: float = -math.inf

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may leave; 0 when it may."""
        return max(0.0, self.next_at - now, self.paused_until - now)

    def taken(self, now: float) -> Pace:
        """Return the pace after a request left."""
        return replace(self, next_at=now + MARGIN / self.rate)

    def paused(self, now: float, retry_after: float | None) -> Pace:
        """Return the pace after a 429; one pause never shortens another.

        :param retry_after: seconds the API asked to wait, None when it did not say.
        """
        pause = USUAL_PAUSE if retry_after is None else min(retry_after, LONGEST_PAUSE)
        return replace(self, paused_until=max(self.paused_until, now + pause))


@dataclass(frozen=True)
class Failure:
    """One attempt that brought no usable answer.

    :param reason: what happened, for a person; holds no URL and no key.
    :param sent: whether the request may have reached the API.
    :param status: HTTP status, or None when no answer came.
    :param code: the API's machine code.
    :param from_api: whether the answer was the API's own JSON, not a gateway's page.
    :param retry_after: seconds the API asked to wait.
    """

    reason: str
    sent: bool = True
    status: int | None = None
    code: str | None = None
    from_api: bool = False
    retry_after: float | None = None

    @property
    def made_nothing(self) -> bool:
        """Whether it is sure that a create made no project.

        502 and 503 stand here on one sentence of the vendor (quick start, 2026-08-22): a 502 before an id means
        that no job was made.
        """
        return not self.sent or self.status in (429, 502, 503) or self.is_refusal

    @property
    def is_refusal(self) -> bool:
        """Whether repeating cannot help: a redirect (never followed) or a 4xx other than 408 and 429."""
        return self.status is not None and 300 <= self.status < 500 and self.status not in (408, 429)


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


def retry_after_seconds(value: str | None, *, date: str | None, now: float) -> float | None:
    """Read a ``Retry-After`` header: seconds, or an HTTP date counted from the answer's own ``Date``.

    :param value: the header, or None.
    :param date: the answer's ``Date`` header: with it a wrong clock here does no harm.
    :param now: seconds since the epoch, used where ``Date`` is missing.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = _http_date(value)
        if until is None:
            return None
        sent_at = _http_date(date)
        seconds = until - (now if sent_at is None else sent_at)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _http_date(value: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
