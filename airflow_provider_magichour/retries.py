"""When Airflow tries a failed task again (Airflow 3.3)."""

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
    """Return a ``retry_policy`` that fits the delay to what went wrong; None before Airflow 3.3, which has none.

    - Rate limit (429): what the API asked for, at most an hour; one minute where it said nothing.
    - Key refused on a read, too few credits: 10 minutes, as a person has to act.
    - Network, a gateway's page of any status, the API's own trouble (5xx): 2, 4, 8, then 16 minutes, or longer if the
      API asks.
    - All else: the task's own ``retry_delay``.

    How often is still for ``retries`` to say; Airflow never asks about errors that it does not retry. Put it into
    ``default_args``: Airflow before 3.3 ignores it there, and refuses it as an argument of a task.
    """
    try:
        from airflow.sdk import ExceptionRetryPolicy, RetryDecision
    except ImportError:
        return None

    class MagicHourRetryPolicy(ExceptionRetryPolicy):
        """Rules alone do not do: a rule has one delay for a class of errors, and cannot read ``retry_after``."""

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
        ) -> RetryDecision:
            if (found := retry_delay(exception, try_number)) is None:
                return super().evaluate(exception, try_number, max_tries, context)
            delay, why = found
            return RetryDecision.retry(delay, reason=f"Magic Hour: {why}; the next try is due in {delay}")

    return MagicHourRetryPolicy(rules=[])


def retry_delay(error: BaseException, try_number: int) -> tuple[timedelta, str] | None:
    """Return how long to wait after an error, and why; None for the task's own delay.

    :param error: that ended the try.
    :param try_number: of that try, from 1.
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
        return PERSON, "too few credits"
    if status is None or status >= 500 or not error.from_api:
        pause = min(OUTAGE * 2 ** min(try_number - 1, 10), LONGEST_OUTAGE)
        return max(asked, pause), "the API, or the way to it, failed"
    return None
