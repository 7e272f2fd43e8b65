"""Which failed call may be sent again, and when. Pure: nothing here sleeps, sends or reads a clock."""

from __future__ import annotations

from airflow_provider_magichour.api.answers import Failure

CREATE_PATIENCE = 120.0
"""Seconds during which a create request may be repeated in place, all attempts together."""


GATEWAY_PAUSE = 30.0
"""Least seconds between a gateway's 502 or 503 to a create request and its one repeat (quick start, 2026-08-22: 30 to
60 s)."""

GATEWAYS_BELIEVED = 1
"""How many 502 and 503 of a gateway are trusted to have created nothing: each may hide a project."""


class Attempts:
    """The attempts at a create request: counts a gateway's failures; subclasses take notes in the hooks below.

    :param gateway_failures: how many 502 and 503 earlier create requests of this submission got.
    :param first_delay: seconds to wait before the first attempt.
    """

    def __init__(self, gateway_failures: int = 0, first_delay: float = 0.0) -> None:
        self.gateway_failures = gateway_failures
        self.first_delay = first_delay

    @property
    def believes_gateway(self) -> bool:
        """Whether the request may be repeated after a gateway's last answer."""
        return self.gateway_failures <= GATEWAYS_BELIEVED

    def begin(self) -> None:
        """Called before each attempt; if it raises, the call ends with nothing sent."""

    def made_nothing(self, seconds: float) -> None:
        """Called before a pause of so many seconds, once it is known that an attempt created nothing."""


def repeat_delay(
    failure: Failure, *, attempt: int, waited: float, patience: float, chance: float, create: Attempts | None = None
) -> float | None:
    """Return the seconds to wait before repeating a call in place, or None if this failure is final.

    :param attempt: how many attempts were made, from 1.
    :param waited: seconds since the first attempt began.
    :param patience: seconds during which repeats may begin.
    :param chance: a random number from 0 to 1, for the jitter.
    :param create: the attempts so far, including this one, of a create request; it must not be repeated after a lost
        answer.
    """
    if failure.is_refusal:
        return None
    if create and not failure.made_nothing:
        delay = gateway_delay(failure, chance) if failure.is_gateways and create.believes_gateway else None
    else:
        pause = backoff(attempt, chance)
        delay = pause if failure.retry_after is None else max(failure.retry_after, pause / 4)
    return delay if delay is not None and waited + delay <= patience else None


def gateway_delay(failure: Failure, chance: float) -> float:
    """Return the seconds between a gateway's answer to a create request and its repeat.

    :param chance: a random number from 0 to 1, for the jitter.
    """
    return max(failure.retry_after or 0.0, GATEWAY_PAUSE * (1 + chance))


def backoff(attempt: int, chance: float) -> float:
    """Return the seconds to wait after so many failures: 1, 2, 4 and so on to 16, a quarter more or less.

    :param attempt: how many failed, from 1.
    :param chance: a random number from 0 to 1.
    """
    return min(2.0 ** (attempt - 1), 16.0) * (0.75 + chance / 2)
