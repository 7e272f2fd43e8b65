"""What a batch may cost, and what it does once the account or the API lets it pay for nothing more."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_magichour.exceptions import (
    MagicHourBatchError,
    MagicHourBatchFailedError,
    MagicHourInvalidRequestError,
)
from tests.scenes.batches import IMAGE, items

pytest_plugins = ["tests.scenes.batches"]

COST = 240
"""Credits of one item in the sandbox."""


def test_the_limit_is_reached_exactly_and_never_passed_over_all_tries(night: Any, sandbox: Any) -> None:
    task = night(items=items(9), max_credits=5 * COST)

    assert task.run() == "failed"
    assert isinstance(task.error, MagicHourBatchFailedError)
    assert f"max_credits={5 * COST}" in str(task.error)
    assert sorted(task.statuses.values()) == ["complete"] * 5 + ["not_submitted"] * 4
    assert task.clear() == "failed"
    assert len(task.jobs) == 5

    assert task.clear(max_credits=7 * COST - 1) == "failed"
    assert len(task.jobs) == 6
    assert task.clear(max_credits=9 * COST) == "success"
    assert task.made == {f"i{number}": 1 for number in range(9)}


def test_a_refund_may_be_spent_again(night: Any, sandbox: Any) -> None:
    task = night(items=items(4), max_credits=4 * COST, item_attempts=2)
    sandbox.faults.add("create", nth=2, job={"outcome": "error"})

    assert task.run() == "success"

    assert len(task.jobs) == 5
    assert task.result["credits_charged"] == 4 * COST


def test_an_unsure_item_counts_as_much_as_it_may_have_cost(night: Any, sandbox: Any) -> None:
    task = night(items=items(6), max_credits=4 * COST)
    sandbox.faults.add("create", nth=2, cut=True, after=True)

    task.run()

    assert len(task.jobs) == 4
    assert sorted(task.statuses.values()) == ["complete"] * 3 + ["not_submitted"] * 2 + ["unsure"]
    assert sum(line["credits_charged"] for line in task.lines) == 4 * COST


@pytest.mark.parametrize("limit", [0, COST - 1, "0"])
def test_a_limit_below_the_first_item_lets_nothing_be_sent(night: Any, limit: Any) -> None:
    task = night(items=items(6), max_credits=limit)

    assert task.run() == "failed"
    assert task.jobs == []
    assert set(task.statuses.values()) == {"not_submitted"}


def test_a_limit_refuses_what_has_no_known_price_before_anything_is_sent(night: Any, sandbox: Any) -> None:
    task = night(items=[*items(3), {"id": "new", "image": IMAGE, "model": "default"}], max_credits=10_000)

    assert task.run() == "failed"
    assert isinstance(task.error, MagicHourInvalidRequestError)
    assert "item 4 (id new)" in str(task.error)
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("limit", [-1, "many", [], float("nan"), float("inf"), True])
def test_a_limit_that_is_none_is_refused(night: Any, sandbox: Any, limit: Any) -> None:
    task = night(items=items(2), max_credits=limit)

    assert task.run() == "failed"
    assert isinstance(task.error, MagicHourInvalidRequestError)
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refusal_of_the_account_lets_what_flies_end_and_a_retry_go_on(night: Any, sandbox: Any, status: int) -> None:
    task = night(items=items(12), in_flight=6)
    for nth in range(6, 12):
        sandbox.faults.add("create", nth=nth, status=status)

    assert task.run() == "up_for_retry"
    assert isinstance(task.error, MagicHourBatchError)
    complete = len(task.jobs)
    assert 1 <= complete <= 9
    assert f"{complete} of 12 items are complete" in str(task.error)
    assert sorted(task.statuses.values()) == ["complete"] * complete + ["not_submitted"] * (12 - complete)
    sandbox.faults.clear()
    assert task.run() == "success"

    assert task.made == {f"i{number}": 1 for number in range(12)}


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_ends_the_try_and_a_retry_with_another_goes_on(
    night: Any, sandbox: Any, status: int
) -> None:
    task = night(items=items(6), in_flight=3)
    sandbox.faults.add("get", status=status, times=None)

    assert task.run() == "up_for_retry"
    assert sorted(task.statuses.values()) == ["not_submitted"] * 3 + ["overdue"] * 3
    assert task.legs <= 3
    sandbox.faults.clear()
    assert task.run() == "success"

    assert task.made == {f"i{number}": 1 for number in range(6)}


def test_too_small_a_balance_lets_nothing_more_be_submitted(night: Any, sandbox: Any) -> None:
    sandbox.settings.credits += 3 * COST + 10 - sandbox.jobs.balance
    task = night(items=items(6), check_balance=True)

    assert task.run() == "up_for_retry"
    assert len(task.jobs) == 3
    assert sorted(task.statuses.values()) == ["complete"] * 3 + ["not_submitted"] * 3
    sandbox.settings.credits += 3 * COST
    assert task.run() == "success"

    assert task.made == {f"i{number}": 1 for number in range(6)}


def test_a_balance_that_cannot_be_asked_for_lets_what_flies_be_fetched(night: Any, sandbox: Any) -> None:
    task = night(items=items(6), in_flight=3, check_balance=True)
    task.between = lambda: sandbox.faults.add("account", status=500, times=None)

    assert task.run() == "up_for_retry"
    assert sorted(task.statuses.values()) == ["complete"] * 3 + ["not_submitted"] * 3


def test_where_all_of_the_first_are_refused_no_more_are_sent(night: Any, sandbox: Any) -> None:
    task = night(items=items(50), submit_at_once=4)
    sandbox.faults.add("create", status=422, times=None)

    assert task.run() == "failed"

    assert isinstance(task.error, MagicHourBatchFailedError)
    assert len(sandbox.requests.to("create")) == 4
    assert "all of the first 4 items were refused" in str(task.error)
    sandbox.faults.clear()
    assert task.clear() == "success"
    assert len(task.jobs) == 50


def test_one_that_is_taken_among_the_first_lets_the_others_be_sent(night: Any, sandbox: Any) -> None:
    task = night(items=items(20), submit_at_once=4, tolerated_failures="20%")
    for nth in (1, 2, 4):
        sandbox.faults.add("create", nth=nth, status=422)

    assert task.run() == "success"
    assert sorted(task.statuses.values()) == ["complete"] * 17 + ["rejected"] * 3
    assert task.run(tolerated_failures=2) == "failed"


@pytest.mark.parametrize("tolerated", [0, "100%"])
def test_answers_that_are_all_lost_end_no_batch_as_a_success(night: Any, sandbox: Any, tolerated: Any) -> None:
    task = night(items=items(20), on_unsure_submission="resubmit", tolerated_failures=tolerated)
    sandbox.faults.add("create", cut=True, times=None)

    assert task.run() == "up_for_retry"
    assert len(sandbox.requests.to("create")) <= 8
    sandbox.faults.clear()
    assert task.run() == "success"


def test_a_key_that_is_replaced_in_the_middle_costs_nothing_twice(
    night: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = night(items=items(9), in_flight=3)

    def replace() -> None:
        sandbox.api_key = f"mhk_new_{task.legs}"
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection)

    task.between = replace

    assert task.run() == "success"
    assert task.made == {f"i{number}": 1 for number in range(9)}
