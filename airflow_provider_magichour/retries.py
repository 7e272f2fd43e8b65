"""When Airflow retries a failed task (Airflow 3.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_magichour.exceptions import MagicHourApiError

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryDecision, RetryPolicy

LONGEST_ASKED = timedelta(hours=1)
RATE_LIMIT = timedelta(minutes=1)
PERSON = timedelta(minutes=10)
OUTAGE = timedelta(minutes=2)
LONGEST_OUTAGE = timedelta(minutes=16)


def magichour_retry_policy() -> RetryPolicy | None:
    """Return a ``retry_policy`` whose delay depends on the error; None before Airflow 3.3, which has no such policies.

    - Rate limit (429): what the API asked for, at most an hour; one minute if it asked for nothing.
    - Key refused, or not enough credits on a read: 10 minutes, as a person has to act.
    - Network, a gateway's page of any status, the API's own errors (5xx): 2, 4, 8, then 16 minutes, or longer if the
      API asks.
    - Anything else: the task's own ``retry_delay``.

    ``retries`` still sets the number of retries, and errors that Airflow never retries stay so. Put the policy into
    ``default_args``: Airflow before 3.3 ignores it there, but refuses it as an argument of a task.
    """
    try:
        from airflow.sdk import ExceptionRetryPolicy, RetryDecision
    except ImportError:
        return None

    class MagicHourRetryPolicy(ExceptionRetryPolicy):
        """Rules are not enough: a rule has one delay for a class of errors, and cannot read ``retry_after``."""

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
        ) -> RetryDecision:
            if (found := retry_delay(exception, try_number)) is None:
                return super().evaluate(exception, try_number, max_tries, context)
            delay, why = found
            return RetryDecision.retry(delay, reason=f"Magic Hour: {why}; the next attempt is due in {delay}")

    return MagicHourRetryPolicy(rules=[])


def retry_delay(error: BaseException, try_number: int) -> tuple[timedelta, str] | None:
    """Return how long to wait after an error, and why; None for the task's own delay.

    :param error: that ended the attempt.
    :param try_number: of that attempt, from 1.
    """
    if not isinstance(error, MagicHourApiError):
        return None
    status: int | None = error.status_code
    asked = timedelta(seconds=min(error.retry_after or 0.0, LONGEST_ASKED.total_seconds()))
    if status == 429:
        return asked or RATE_LIMIT, "too many requests"
    if status == 401:
        return PERSON, "the key was refused"
    if error.code == "insufficient_credits":
        return PERSON, "not enough credits"
    if status is None or status >= 500 or not error.from_api:
        pause = min(OUTAGE * 2 ** min(try_number - 1, 10), LONGEST_OUTAGE)
        return max(asked, pause), "the API or the network failed"
    return None
