"""Which failed call may be sent again, and when. Pure: nothing here sleeps, sends or reads a clock."""

from __future__ import annotations

from airflow_provider_magichour.api.answers import Failure

CREATE_PATIENCE = 120.0
"""Seconds that a create may be repeated in place, all attempts together."""


GATEWAY_PAUSE = 30.0
"""Seconds, at least, between a gateway's 502 or 503 to a create and the one create that may follow it (quick start,
2026-08-22: 30 to 60 s)."""

GATEWAYS_BELIEVED = 1
"""How often a gateway is believed that a create made nothing: the next one may have made a project each time."""


class Attempts:
    """The attempts at a create: how often a gateway failed, and what has to be noted meanwhile; here nothing.

    :param gateway_failures: how many 502 and 503 earlier creates of this submission were answered with.
    :param first_delay: seconds to wait before the first attempt.
    """

    def __init__(self, gateway_failures: int = 0, first_delay: float = 0.0) -> None:
        self.gateway_failures = gateway_failures
        self.first_delay = first_delay

    @property
    def believes_gateway(self) -> bool:
        """Whether another create may follow the last answer, if that was a gateway's."""
        return self.gateway_failures <= GATEWAYS_BELIEVED

    def begin(self) -> None:
        """Called before each attempt; what it raises ends the call, with nothing sent."""

    def made_nothing(self, seconds: float) -> None:
        """Called before a pause of so many seconds, as soon as it is known that an attempt made nothing."""


def repeat_delay(
    failure: Failure, *, attempt: int, waited: float, patience: float, chance: float, create: Attempts | None = None
) -> float | None:
    """Return the seconds to wait before repeating a call in place, or None when this failure is final.

    :param attempt: how many attempts were made, from 1.
    :param waited: seconds since the first attempt began.
    :param patience: seconds in which repeats may begin.
    :param chance: a random number from 0 to 1, for the jitter.
    :param create: the attempts so far, this one included, of a call that makes a project; a lost answer must not be
        repeated then.
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
    """Return the seconds between a gateway's answer to a create and the next one.

    :param chance: a random number from 0 to 1, for the jitter.
    """
    return max(failure.retry_after or 0.0, GATEWAY_PAUSE * (1 + chance))


def backoff(attempt: int, chance: float) -> float:
    """Return seconds to wait after so many failures: 1, 2, 4 and so on to 16, a quarter more or less.

    :param attempt: how many failed, from 1.
    :param chance: a random number from 0 to 1.
    """
    return min(2.0 ** (attempt - 1), 16.0) * (0.75 + chance / 2)
