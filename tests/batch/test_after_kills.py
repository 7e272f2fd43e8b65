"""What earlier tries left unsure keeps no other item from being made, and proves nothing about the others."""

from __future__ import annotations

from typing import Any

pytest_plugins = ["tests.scenes.batches"]

LOST = {"cut": True, "after": True, "times": 2}
EMPTY = {"status": 402, "times": None}


def left_unsure(night: Any, sandbox: Any, tries: int) -> Any:
    """Return a batch of which so many tries lost two answers each, and made nothing else."""
    task = night(submit_at_once=2)
    for _ in range(tries):
        sandbox.faults.add("create", **LOST)
        sandbox.faults.add("create", **EMPTY)
        assert task.run() == "up_for_retry"
        sandbox.faults.clear()
    assert list(task.statuses.values()).count("unsure") == 2 * tries
    return task


def test_unsure_items_of_several_kills_do_not_stop_the_others(night: Any, sandbox: Any) -> None:
    task = left_unsure(night, sandbox, tries=2)

    assert task.run() == "failed"

    assert task.statuses == {f"i{number}": "unsure" if number < 4 else "complete" for number in range(12)}
    assert set(task.made.values()) == {1}


def test_the_first_items_go_alone_also_after_a_try_that_left_all_of_its_own_unsure(night: Any, sandbox: Any) -> None:
    task = left_unsure(night, sandbox, tries=1)
    before = len(sandbox.requests.to("create"))
    sandbox.faults.add("create", status=422, times=None)

    assert task.run() == "failed"

    assert len(sandbox.requests.to("create")) - before == 2
    assert "all of the first 2 items were refused" in str(task.error)
