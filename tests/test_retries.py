from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourStorageError, MagicHourTimeoutError
from airflow_provider_magichour.retries import magichour_retry_policy, retry_delay

MINUTE = timedelta(minutes=1)


def failed(
    status: int | None = None, code: str | None = None, retry_after: float | None = None, *, from_api: bool = True
) -> MagicHourApiError:
    return MagicHourApiError("it failed", status_code=status, code=code, retry_after=retry_after, from_api=from_api)


@pytest.mark.parametrize(
    ("error", "try_number", "delay"),
    [
        pytest.param(failed(429, retry_after=90), 1, 1.5 * MINUTE, id="429-as-asked"),
        pytest.param(failed(429), 3, MINUTE, id="429-without-a-word"),
        pytest.param(failed(429, retry_after=86_400), 1, 60 * MINUTE, id="429-at-most-an-hour"),
        pytest.param(failed(503), 1, 2 * MINUTE, id="503"),
        pytest.param(failed(503, retry_after=1800), 1, 30 * MINUTE, id="503-as-asked"),
        pytest.param(failed(503, retry_after=1), 1, 2 * MINUTE, id="503-no-sooner"),
        pytest.param(failed(500), 2, 4 * MINUTE, id="500-second-try"),
        pytest.param(failed(None), 3, 8 * MINUTE, id="network-third-try"),
        pytest.param(failed(502), 9_999, 16 * MINUTE, id="never-longer"),
        pytest.param(failed(403, from_api=False), 1, 2 * MINUTE, id="page-of-a-gateway"),
        pytest.param(failed(200, from_api=False), 2, 4 * MINUTE, id="half-an-answer"),
        pytest.param(failed(401), 1, 10 * MINUTE, id="key"),
        pytest.param(failed(code="insufficient_credits"), 1, 10 * MINUTE, id="credits"),
    ],
)
def test_the_delay_fits_what_went_wrong(error: MagicHourApiError, try_number: int, delay: timedelta) -> None:
    found = retry_delay(error, try_number)
    assert found is not None
    assert found[0] == delay


@pytest.mark.parametrize(
    "error", [failed(404), failed(403), MagicHourTimeoutError("x"), MagicHourStorageError("x"), ValueError("x")]
)
def test_all_else_keeps_the_tasks_own_delay(error: Exception) -> None:
    assert retry_delay(error, 1) is None


def test_the_policy_is_airflows_and_says_why() -> None:
    sdk = pytest.importorskip("airflow.sdk")
    policy = magichour_retry_policy()
    if not hasattr(sdk, "RetryPolicy"):
        assert policy is None
        return
    assert isinstance(policy, sdk.ExceptionRetryPolicy)
    decision = policy.evaluate(failed(429, retry_after=90), 1, 3)
    assert (decision.action, decision.retry_delay) == (sdk.RetryAction.RETRY, 1.5 * MINUTE)
    assert "too many requests" in decision.reason
    assert policy.evaluate(ValueError("x"), 1, 3) == sdk.RetryDecision.default()
