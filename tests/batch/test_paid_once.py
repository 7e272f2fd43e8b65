"""Each item of a batch is paid for once: over retries, clears, changed items, a lost record and a person's word."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import (
    MagicHourBatchError,
    MagicHourBatchFailedError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.hooks import MagicHourHook
from tests.scenes.batches import IMAGE, items

pytest_plugins = ["tests.scenes.batches"]


def fail_the_store(night: Any, when: Any) -> None:
    night.store.broken = when


def has_intent(value: Any) -> bool:
    return any("intent_at" in each for each in value.values() if isinstance(each, dict))


def has_project(value: Any) -> bool:
    return any("project_id" in each for each in value.values() if isinstance(each, dict))


@pytest.mark.parametrize("count", [1, 4, 5, 6, 12])
def test_items_that_all_may_be_in_flight_are_each_made_once(night: Any, count: int) -> None:
    task = night(items=items(count))

    assert task.run() == "success"
    assert task.clear() == "success"

    assert task.made == {f"i{number}": 1 for number in range(count)}


def test_a_retry_makes_nothing_that_is_there(night: Any, sandbox: Any) -> None:
    task = night(items=items(6))
    sandbox.faults.add("create", body={"end_seconds": 7}, status=422, times=None)
    mixed = [*items(5), {"id": "bad", "image": IMAGE, "end_seconds": 7}]

    assert task.run(items=mixed) == "failed"
    assert task.clear() == "failed"

    assert task.made == {f"i{number}": 1 for number in range(5)}
    assert task.statuses["bad"] == "rejected"
    assert isinstance(task.error, MagicHourBatchFailedError)


def test_redo_all_pays_once_more_for_each_after_a_success_alone(night: Any) -> None:
    task = night(items=items(6), redo="all")

    assert task.run() == "success"
    assert task.clear() == "success"
    assert task.clear(redo="failed") == "success"

    assert task.made == {f"i{number}": 2 for number in range(6)}


@pytest.mark.parametrize("at", range(1, 12))
def test_a_retry_in_the_middle_of_redo_all_pays_nothing_twice(night: Any, at: int) -> None:
    task = night(items=items(6), redo="all", submit_at_once=1)
    assert task.run() == "success"

    writes = itertools.count(1)
    fail_the_store(task, lambda value: next(writes) > at)
    task.clear()
    fail_the_store(task, lambda value: False)
    task.run()
    while task.state == "failed" and (unsure := [id for id, said in task.statuses.items() if said == "unsure"]):
        found = {job.name.split()[2]: job.id for job in task.jobs[6:]}
        task.adopt(**{item_id: found.get(item_id) for item_id in unsure})
        task.clear()

    assert task.state == "success", task.error
    assert task.made == {f"i{number}": 2 for number in range(6)}


def test_items_that_change_while_a_try_runs_pay_for_nothing_again(night: Any, sandbox: Any) -> None:
    """A template that reads the clock is rendered anew for each leg."""
    task = night(items=items(6), in_flight=2, prompt="at leg 0")
    legs = itertools.count(1)
    task.between = lambda: task.arguments.update(prompt=f"at leg {next(legs)}")

    assert task.run() == "success"

    assert task.made == {f"i{number}": 1 for number in range(6)}


def test_a_record_that_is_cleared_while_the_batch_waits_is_not_paid_for_again(night: Any) -> None:
    task = night(items=items(6), in_flight=2)
    task.between = task.store.values.clear

    assert task.run() == "failed"

    assert isinstance(task.error, MagicHourUnsureSubmissionError)
    assert sum(task.made.values()) == 2


def test_a_chunk_that_is_deleted_while_the_batch_waits_is_not_paid_for_again(night: Any) -> None:
    task = night(items=items(6), in_flight=2)
    task.between = lambda: task.store.delete("magichour_batch_0000")

    assert task.run() == "failed"

    assert isinstance(task.error, MagicHourUnsureSubmissionError)
    assert sum(task.made.values()) == 2


@pytest.mark.parametrize("left", [None, "rubbish", 7, {"version": 2}, "deleted"])
def test_a_header_that_is_lost_or_unreadable_costs_nothing(night: Any, left: Any) -> None:
    task = night(items=items(150), in_flight=100)
    assert task.run() == "success"

    task.store.delete("magichour_batch") if left == "deleted" else task.store.set("magichour_batch", left)
    assert task.clear() == "success"

    assert set(task.made.values()) == {1}


@pytest.mark.parametrize("left", [None, "rubbish", 7, []])
def test_a_chunk_that_is_lost_or_unreadable_is_unsure(night: Any, left: Any) -> None:
    task = night(items=items(6))
    assert task.run() == "success"

    task.store.set("magichour_batch_0000", left)
    assert task.clear() == "failed"

    assert isinstance(task.error, MagicHourUnsureSubmissionError)
    assert "magichour_batch_0000" in str(task.error)
    assert len(task.jobs) == 6


def test_an_entry_that_was_edited_to_nonsense_is_unsure_and_the_others_go_on(night: Any) -> None:
    task = night(items=items(4))
    assert task.run() == "success"

    for item_id, change in {"i1": "rubbish", "i2": None, "i3": {"project_id": 7}}.items():
        task.edit(item_id, lambda entry, change=change: change)
    assert task.clear() == "failed"

    assert task.statuses == {"i0": "complete", "i1": "unsure", "i2": "unsure", "i3": "unsure"}
    assert len(task.jobs) == 4


def test_all_of_a_record_that_a_person_clears_is_made_anew(night: Any) -> None:
    task = night(items=items(3))
    assert task.run() == "success"

    task.store.values.clear()
    assert task.clear() == "success"

    assert task.made == {"i0": 2, "i1": 2, "i2": 2}


def test_only_items_whose_answer_is_unknown_are_unsure_and_the_others_go_on(night: Any, sandbox: Any) -> None:
    task = night(items=items(8))
    sandbox.faults.add("create", nth=3, cut=True, after=True)
    sandbox.faults.add("create", nth=6, cut=True)

    assert task.run() == "failed"
    assert sorted(task.statuses.values()) == ["complete"] * 6 + ["unsure"] * 2
    unsure = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    names = {item_id: task.chunks[item_id]["name"] for item_id in unsure}
    assert all(f"{item_id}: {name}" in str(task.error) for item_id, name in names.items())
    assert task.clear() == "failed"

    found = {job.name: job.id for job in task.jobs}
    task.adopt(**{item_id: found.get(name) for item_id, name in names.items()})
    assert task.clear() == "success", task.error
    assert task.made == {f"i{number}": 1 for number in range(8)}
    assert "magichour_batch_adopt" not in task.store.values


def test_the_word_on_unsure_items_may_be_a_text_and_what_cannot_be_stays_in_the_key(night: Any, sandbox: Any) -> None:
    task = night(items=items(4))
    sandbox.faults.add("create", nth=2, cut=True, after=True)
    task.run()
    (unsure,) = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    (found,) = [job.id for job in task.jobs if f" {unsure} " in job.name]
    known = next(item_id for item_id in task.statuses if item_id != unsure)
    nonsense = {"unknown": found, known: "another", "": None}

    task.store.set("magichour_batch_adopt", json.dumps({unsure: found, **nonsense}))
    assert task.clear() == "success"

    assert len(task.jobs) == 4
    assert task.store.get("magichour_batch_adopt") == nonsense


@pytest.mark.parametrize("word", ["", " ", 7, True, [], {"project_id": "x"}, "a/b", "../x", "x" * 5000])
def test_a_word_that_is_no_id_pays_nothing_and_can_be_mended(night: Any, sandbox: Any, word: Any) -> None:
    task = night(items=items(4))
    sandbox.faults.add("create", nth=2, cut=True, after=True)
    task.run()
    (unsure,) = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    (found,) = [job.id for job in task.jobs if f" {unsure} " in job.name]

    task.adopt(**{unsure: word})
    assert task.clear() == "failed"
    task.adopt(**{unsure: found})
    assert task.clear() == "success", task.error

    assert len(task.jobs) == 4


@pytest.mark.parametrize("nonsense", ["rubbish", 7, [], None])
def test_a_key_of_adoptions_that_cannot_be_read_stops_nothing(night: Any, nonsense: Any) -> None:
    task = night(items=items(2))
    task.store.set("magichour_batch_adopt", nonsense)

    assert task.run() == "success"


@pytest.mark.parametrize("second", ["right", None])
def test_an_adopted_id_that_is_wrong_can_be_mended(night: Any, sandbox: Any, second: Any) -> None:
    task = night(items=items(4))
    sandbox.faults.add("create", nth=2, cut=True, after=True)
    task.run()
    (unsure,) = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    (found,) = [job.id for job in task.jobs if f" {unsure} " in job.name]

    task.adopt(**{unsure: "nobody-has-this-one"})
    assert task.clear() == "failed"
    assert "magichour_batch_adopt" in str(task.error)
    assert len(task.jobs) == 4
    task.adopt(**{unsure: found if second else None})
    assert task.clear() == "success", task.error

    assert len(task.jobs) == (4 if second else 5)


def test_an_adopted_project_that_failed_is_not_made_anew_until_a_person_says_so(night: Any, sandbox: Any) -> None:
    task = night(items=items(4))
    sandbox.faults.add("create", nth=2, cut=True, after=True, job={"outcome": "error"})
    task.run()
    (unsure,) = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    (found,) = [job.id for job in task.jobs if f" {unsure} " in job.name]

    task.adopt(**{unsure: found})
    assert task.clear() == "failed"
    assert task.clear() == "failed"
    assert len(task.jobs) == 4
    assert "magichour_batch_adopt" in str(task.error)
    task.adopt(**{unsure: None})
    assert task.clear() == "success", task.error

    assert len(task.jobs) == 5


def test_one_project_is_not_adopted_for_two_items(night: Any, sandbox: Any) -> None:
    task = night(items=items(4))
    sandbox.faults.add("create", nth=2, cut=True, after=True)
    task.run()
    (unsure,) = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    other = next(job.id for job in task.jobs if f" {unsure} " not in job.name)

    task.adopt(**{unsure: other})
    assert task.clear() == "failed"

    assert task.statuses[unsure] == "unsure"


def test_a_store_that_refuses_intents_lets_nothing_be_sent(night: Any) -> None:
    task = night(items=items(6))
    fail_the_store(task, has_intent)

    assert task.run() == "up_for_retry"
    assert task.jobs == []
    fail_the_store(task, lambda value: False)
    assert task.run() == "success"

    assert task.made == {f"i{number}": 1 for number in range(6)}


def test_a_store_that_refuses_answers_makes_those_in_flight_unsure_and_no_more(night: Any) -> None:
    task = night(items=items(12))
    fail_the_store(task, has_project)

    assert task.run() == "up_for_retry"
    made = len(task.jobs)
    assert made <= 4
    fail_the_store(task, lambda value: False)
    assert task.run() == "failed"

    unsure = {item_id for item_id, status in task.statuses.items() if status == "unsure"}
    assert unsure == {job.name.split()[2] for job in task.jobs[:made]}
    assert set(task.made.values()) == {1}


def test_a_store_that_refuses_the_header_lets_nothing_be_sent(night: Any) -> None:
    task = night(items=items(6))
    fail_the_store(task, lambda value: "chunks" in value)

    assert task.run() == "up_for_retry"
    assert task.jobs == []


def test_a_changed_item_is_made_anew_and_the_old_project_is_named(night: Any, logged: Any) -> None:
    task = night(items=items(3))
    assert task.run() == "success"

    (old,) = [job.id for job in task.jobs if " i2 " in job.name]
    changed = [*items(2), {"id": "i2", "image": IMAGE, "prompt": "anew"}]
    assert task.clear(items=changed) == "success"

    assert task.made == {"i0": 1, "i1": 1, "i2": 2}
    assert old in logged()


def test_a_reordered_list_pays_nothing_and_new_items_are_made(night: Any, logged: Any) -> None:
    task = night(items=items(5))
    assert task.run() == "success"

    assert task.clear(items=[{"id": "new", "image": IMAGE}, *reversed(items(4))]) == "success"

    assert task.made == {**{f"i{number}": 1 for number in range(5)}, "new": 1}
    assert [line["id"] for line in task.lines] == ["new", "i3", "i2", "i1", "i0"]
    assert "1 items of earlier attempts are no longer in the manifest" in logged()


def test_what_is_removed_while_in_flight_is_left_alone(night: Any, sandbox: Any) -> None:
    task = night(items=items(3), item_timeout=60)
    sandbox.faults.add("create", nth=2, job={"outcome": "never"})
    assert task.run() == "up_for_retry"
    (left,) = [item_id for item_id, status in task.statuses.items() if status == "overdue"]
    sent = len(sandbox.requests)

    assert task.run(items=[each for each in items(3) if each["id"] != left]) == "success"

    assert len(sandbox.requests) == sent
    task.clear(items=items(3))
    assert task.statuses[left] == "overdue"
    assert len(task.jobs) == 3


@pytest.mark.parametrize("how", ["disabled", "missing"])
def test_a_project_that_is_gone_is_unsure_on_a_retry_and_made_anew_on_a_clear(
    night: Any, sandbox: Any, clock: Any, how: str
) -> None:
    sandbox.settings.deleted = how
    task = night(items=items(3), item_timeout=60)
    sandbox.faults.add("create", nth=2, job={"outcome": "never"})
    assert task.run() == "up_for_retry"
    (gone,) = [item_id for item_id, status in task.statuses.items() if status == "overdue"]
    MagicHourHook().delete_project(task.chunks[gone]["project_id"])
    clock.move(100)

    assert task.run() == "failed"
    assert task.statuses[gone] == "unsure"
    assert len(task.jobs) == 3
    assert task.clear() == "success"

    assert task.made[gone] == 2


def test_a_file_that_is_gone_is_fetched_again_and_not_paid(night: Any) -> None:
    task = night(items=items(4))
    assert task.run() == "success"
    file = Path(task.lines[1]["files"][0])
    bytes_before = file.read_bytes()

    file.unlink()
    assert task.clear() == "success"

    assert file.read_bytes() == bytes_before
    assert len(task.jobs) == 4


def test_a_project_that_fails_is_made_again_as_often_as_is_allowed(night: Any, sandbox: Any) -> None:
    task = night(items=items(4), item_attempts=3)
    sandbox.faults.add("create", body={"style": {"prompt": "x"}}, job={"outcome": "error"}, times=None)
    task.arguments["items"][1]["prompt"] = "x"

    assert task.run() == "up_for_retry"

    assert isinstance(task.error, MagicHourBatchError)
    assert task.made == {"i0": 1, "i1": 3, "i2": 1, "i3": 1}
    assert task.lines[1]["attempts"] == 3
    assert task.lines[1]["credits_charged"] == 0
    sandbox.faults.clear()
    assert task.run() == "success"
    assert task.made["i1"] == 4


@pytest.mark.parametrize(
    "job", [{"outcome": "canceled"}, {"outcome": "error", "code": "no_source_face"}], ids=["canceled", "incurable"]
)
def test_what_cannot_heal_is_made_again_after_a_clear_alone(night: Any, sandbox: Any, job: Any) -> None:
    task = night(items=items(4))
    sandbox.faults.add("create", nth=2, job=job)

    assert task.run() == "failed"
    assert len(task.jobs) == 4
    assert task.run() == "failed"
    assert len(task.jobs) == 4
    assert task.clear() == "success"

    assert len(task.jobs) == 5


def test_a_resubmitted_item_counts_what_may_have_been_paid_for_it_before(night: Any, sandbox: Any) -> None:
    task = night(items=items(4), on_unsure_submission="resubmit", max_credits=10_000)
    sandbox.faults.add("create", nth=2, cut=True, after=True)

    assert task.run() == "success", task.error

    assert len(task.jobs) == 5
    assert task.result["credits_charged"] == sum(job.credits_charged for job in task.jobs)
