"""What a submission may cost: looked at before anything is sent, and never in the way of what was paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourInvalidRequestError
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator

KLING = {"model": "kling-3.0", "resolution": "720p"}  # 240 credits for 5 s

pytestmark = pytest.mark.usefixtures("clock")


def operator(**arguments: Any) -> MagicHourImageToVideoOperator:
    return MagicHourImageToVideoOperator(
        **{"task_id": "submit", "image": "https://example.com/cat.jpg", "end_seconds": 5, **KLING, **arguments}
    )


def routes(sandbox: Any) -> list[str]:
    return [request.route for request in sandbox.requests]


def leave(sandbox: Any, credits: int) -> None:
    """Let the account have so many credits left."""
    sandbox.settings.update({"credits": sandbox.settings.credits - sandbox.jobs.balance + credits})


def test_estimate_above_the_limit_is_refused_with_both_and_the_sum(
    sandbox: Any, context: Any, store: Any, photo: Path
) -> None:
    with pytest.raises(MagicHourInvalidRequestError) as refused:
        operator(image=str(photo), max_credits=239).execute(context(store))
    assert "240 credits (5 s of kling-3.0 at 720p, 48 credits a second" in str(refused.value)
    assert "max_credits=239" in str(refused.value)
    assert routes(sandbox) == []
    assert store.record is None


@pytest.mark.parametrize("limit", [240, "240", 1e9])
def test_estimate_within_the_limit_is_submitted(sandbox: Any, context: Any, store: Any, limit: Any) -> None:
    operator(max_credits=limit).execute(context(store))
    assert routes(sandbox) == ["create"]


@pytest.mark.parametrize(
    ("arguments", "estimate"),
    [
        pytest.param({"audio": "true"}, 360, id="audio"),
        pytest.param({"resolution": None}, 240, id="720p-by-default"),
        pytest.param({"resolution": None, "extra_body": {"style": {"high_quality": True}}}, 360, id="high-quality"),
        pytest.param({"resolution": None, "extra_body": {"style": {"quality_mode": "studio"}}}, 360, id="studio"),
        pytest.param({"resolution": None, "extra_body": {"resolution": "4k"}}, 1200, id="extra-body"),
    ],
)
def test_all_that_decides_the_price_counts(
    sandbox: Any, context: Any, store: Any, arguments: dict[str, Any], estimate: int
) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match=f"estimate of {estimate} credits"):
        operator(max_credits=estimate - 1, **arguments).execute(context(store))
    operator(max_credits=estimate, **arguments).execute(context(store))
    assert routes(sandbox) == ["create"]


@pytest.mark.parametrize("model", [None, "default", "ltx-2.5"])
def test_what_has_no_known_price_is_refused_under_a_limit(
    sandbox: Any, context: Any, store: Any, model: str | None
) -> None:
    named = f"(?s)no price is known.*model={model or 'default'} at 720p.*kling-3.0"
    with pytest.raises(MagicHourInvalidRequestError, match=named):
        operator(model=model, max_credits=100_000).execute(context(store))
    assert routes(sandbox) == []


@pytest.mark.parametrize("limit", ["many", "-1", -5, True, "nan", "inf", [5]])
def test_limit_that_is_no_number_of_credits_is_refused(sandbox: Any, context: Any, store: Any, limit: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="max_credits="):
        operator(max_credits=limit).execute(context(store))
    assert routes(sandbox) == []


def test_limit_is_a_template(sandbox: Any, context: Any, store: Any) -> None:
    with DAG("d", schedule=None):
        task = operator(max_credits="{{ params.limit }}")
    task.render_template_fields({"params": {"limit": 100}})
    with pytest.raises(MagicHourInvalidRequestError, match="max_credits=100"):
        task.execute(context(store))


@pytest.mark.parametrize("waits", [False, True])
def test_limit_and_balance_do_not_stand_in_the_way_of_what_was_paid_for(
    sandbox: Any, context: Any, store: Any, waits: bool
) -> None:
    project_id = operator().execute(context(store))
    leave(sandbox, 0)
    again = operator(max_credits=1, check_balance=True, wait_for_completion=waits).execute(context(store, try_number=2))
    assert (again["project_id"] if waits else again) == project_id
    assert sandbox.requests.to("account") == []
    assert len(sandbox.requests.to("create")) == 1


# The balance


def test_balance_is_not_asked_for_unless_wanted(sandbox: Any, context: Any, store: Any) -> None:
    operator().execute(context(store))
    assert routes(sandbox) == ["create"]


def test_balance_that_covers_the_estimate_is_looked_at_once_before_the_submit(
    sandbox: Any, context: Any, store: Any, photo: Path
) -> None:
    leave(sandbox, 240)
    operator(image=str(photo), check_balance=True).execute(context(store))
    assert routes(sandbox) == ["account", "upload-urls", "upload", "create"]


@pytest.mark.parametrize(
    ("model", "balance", "told"),
    [
        ("kling-3.0", 239, "239 credits left, and about 240 are needed"),
        ("ltx-2.5", 0, "0 credits left, and some are needed"),
    ],
)
def test_too_few_credits_fail_the_try_with_nothing_sent_and_a_refilled_account_heals_it(
    sandbox: Any, context: Any, store: Any, photo: Path, model: str, balance: int, told: str
) -> None:
    leave(sandbox, balance)
    arguments = {"image": str(photo), "model": model, "check_balance": True}
    with pytest.raises(MagicHourApiError, match=told) as failed:
        operator(**arguments).execute(context(store))
    assert (type(failed.value), failed.value.code) == (MagicHourApiError, "insufficient_credits")
    assert routes(sandbox) == ["account"]
    assert store.record is None
    leave(sandbox, 1_000)
    operator(**arguments).execute(context(store, try_number=2))
    assert len(sandbox.requests.to("create")) == 1


def test_unknown_price_needs_some_credits_only(sandbox: Any, context: Any, store: Any) -> None:
    leave(sandbox, 100)
    operator(model="ltx-2.5", end_seconds=1, check_balance=True).execute(context(store))
    assert routes(sandbox) == ["account", "create"]


def test_balance_that_the_api_does_not_say_lets_the_submit_pass(
    sandbox: Any, context: Any, store: Any, logged: Any
) -> None:
    sandbox.faults.add("account", drop=["credits"])
    operator(check_balance=True).execute(context(store))
    assert routes(sandbox) == ["account", "create"]
    assert "does not say how many credits are left" in logged()


def test_balance_that_cannot_be_asked_for_fails_the_try_with_nothing_sent(
    sandbox: Any, context: Any, store: Any
) -> None:
    sandbox.faults.add("account", status=503, times=None)
    with pytest.raises(MagicHourApiError, match="HTTP 503"):
        operator(check_balance=True).execute(context(store))
    assert set(routes(sandbox)) == {"account"}
    assert store.record is None


def test_one_bad_answer_to_the_balance_is_asked_again(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("account", status=503)
    operator(check_balance=True).execute(context(store))
    assert routes(sandbox) == ["account", "account", "create"]
