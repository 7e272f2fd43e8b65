"""A batch in trouble: faulty answers, an API that is away, storage that refuses, timeouts, the end of the worker."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.compat import TaskDeferred
from airflow_provider_magichour.exceptions import (
    MagicHourBatchError,
    MagicHourInvalidRequestError,
    MagicHourStorageError,
)
from tests.scenes.batches import batch, items

pytest_plugins = ["tests.scenes.batches"]


class Ended(BaseException):
    """What Airflow raises in the main thread once a task has run too long."""


def resolve(task: Any) -> None:
    """Do what a person does about unsure items: look each up in the library."""
    found = {job.name: job.id for job in task.jobs}
    unsure = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    task.adopt(**{item_id: found.get(task.chunks[item_id]["name"]) for item_id in unsure})
    assert task.clear() == "success", task.error


FAULTS = (
    {"status": 429, "headers": {"Retry-After": "2"}},
    {"cut": True},
    {"cut": True, "after": True},
    {"half_body": True},
    {"status": 502, "text": "<html>Bad Gateway</html>"},
    {"drop": ["id"]},
    {"reset": True, "cut": True},
)


def test_faulty_answers_leave_each_item_made_once_or_named(night: Any, sandbox: Any) -> None:
    task = night(items=items(60))
    for nth, fault in zip(range(5, 60, 7), itertools.cycle(FAULTS)):
        sandbox.faults.add("create", nth=nth, **fault)
    for nth, fault in zip(range(3, 90, 11), itertools.cycle([FAULTS[0], FAULTS[1], FAULTS[3], FAULTS[4]])):
        sandbox.faults.add("get", nth=nth, **fault)
        sandbox.faults.add("download", nth=nth, cut=True)

    assert task.run() == "failed"
    assert isinstance(task.error, MagicHourBatchError)
    assert set(task.statuses.values()) == {"complete", "unsure"}
    resolve(task)

    assert set(task.made.values()) == {1}
    assert len(task.made) == 60
    assert all(Path(file).stat().st_size for line in task.lines for file in line["files"])


@pytest.mark.parametrize("seconds", [60, 600])
def test_an_api_that_is_away_costs_nothing_twice(night: Any, sandbox: Any, clock: Any, seconds: float) -> None:
    task = night(items=items(9), in_flight=3)

    def leave() -> None:
        if task.legs == 1:
            sandbox.stop()
            clock.at(clock.passed + seconds, sandbox.start)

    task.between = leave

    while task.run() == "up_for_retry":
        clock.move(300)

    assert task.state == "success", task.error
    assert task.made == {f"i{number}": 1 for number in range(9)}


def test_a_storm_of_429_is_waited_out(night: Any, sandbox: Any) -> None:
    task = night(items=items(8))
    sandbox.faults.add("create", status=429, headers={"Retry-After": "3"}, times=12)

    assert task.run() == "success"
    assert set(task.made.values()) == {1}


def test_a_destination_that_cannot_be_written_ends_retryable_and_pays_once(night: Any, tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file in the folder's place")
    task = night(items=items(3), results=str(tmp_path / "results.jsonl"))

    assert task.run() == "up_for_retry"
    assert "overdue" in (tmp_path / "results.jsonl").read_text()
    (tmp_path / "clips").unlink()
    assert task.run() == "success"

    assert len(task.jobs) == 3


def test_results_that_cannot_be_written_end_retryable_and_pay_once(night: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    task = night(items=items(3), results=str(tmp_path / "taken" / "results.jsonl"))

    assert task.run() == "up_for_retry"
    assert isinstance(task.error, MagicHourStorageError)
    assert task.run(results=None) == "success"

    assert len(task.jobs) == 3


def test_an_input_that_cannot_be_read_stops_no_other(night: Any, photo: Path) -> None:
    missing = photo.with_name("missing.jpg")
    task = night(items=[*items(3), {"id": "file", "image": str(missing)}])

    assert task.run() == "up_for_retry"
    assert task.statuses["file"] == "not_submitted"
    assert "missing.jpg" in str(task.error)
    missing.write_bytes(photo.read_bytes())
    assert task.run() == "success"

    assert set(task.made.values()) == {1}


@pytest.mark.parametrize("event", [None, {}, "rubbish", {"ended": "all"}, {"ended": [None]}, {"ended": ["unknown"]}])
def test_an_event_that_cannot_be_read_loses_nothing(night: Any, event: Any) -> None:
    task = night(items=items(9), in_flight=3)

    def spoil() -> None:
        if task.legs == 1:
            task.events[-1] = event

    task.between = spoil

    assert task.run() == "success"
    assert task.made == {f"i{number}": 1 for number in range(9)}


def test_a_wait_that_airflow_ends_goes_on_from_the_worker(night: Any) -> None:
    task = night(items=items(3))
    assert task.run() == "success"
    task = night(items=items(3))
    task.context = {"ti": task.ti, "task_state_store": task.store}
    with pytest.raises(TaskDeferred) as waiting:
        task.task().execute(task.context)

    told = task.task().resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)

    assert waiting.value.timeout is not None
    assert told["counts"]["complete"] == 3
    assert len(task.jobs) == 3


def test_what_is_overdue_is_waited_for_again_and_not_paid(night: Any, sandbox: Any) -> None:
    task = night(items=items(4), item_timeout=60)
    sandbox.faults.add("create", nth=2, job={"render_seconds": 1e6})

    assert task.run() == "up_for_retry"
    (late,) = [item_id for item_id, status in task.statuses.items() if status == "overdue"]
    assert late in str(task.error)
    sandbox.jobs.change(task.chunks[late]["project_id"], render_seconds=0)
    assert task.run() == "success", task.error

    assert len(task.jobs) == 4


def test_on_kill_lets_what_is_sent_be_recorded_and_sends_nothing_more(night: Any, sandbox: Any) -> None:
    task = night(items=items(30), submit_at_once=4)
    operator = task.task()
    writes = itertools.count(1)

    def at_the_fourth(value: Any) -> bool:
        if next(writes) == 4:
            operator.on_kill()
        return False

    task.store.broken = at_the_fourth
    task.task = lambda: operator

    assert task.run() == "up_for_retry"
    made = len(task.jobs)
    assert 1 <= made < 30
    assert len(task.lines) == 30
    assert sorted({job.name.split()[2] for job in task.jobs}) == sorted(
        item_id for item_id, entry in task.chunks.items() if entry.get("project_id")
    )
    del task.task
    task.store.broken = lambda value: False
    assert task.run() == "success"
    assert set(task.made.values()) == {1}


@pytest.mark.parametrize("at", range(1, 14))
def test_a_timeout_of_airflow_anywhere_hangs_no_thread_and_loses_no_answer(night: Any, at: int) -> None:
    task = night(items=items(12), submit_at_once=4)
    writes = itertools.count(1)

    def end(value: Any) -> bool:
        if next(writes) == at:
            raise Ended
        return False

    task.store.broken = end
    with pytest.raises(Ended):
        task.run()
    made = len(task.jobs)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("submit", "fetch"))]
    task.store.broken = lambda value: False
    task.run()

    unsure = [item_id for item_id, status in task.statuses.items() if status == "unsure"]
    assert unsure == [], f"{made} were made"
    assert task.state == "success", task.error
    assert task.made == {f"i{number}": 1 for number in range(12)}


def test_a_worker_may_wait_itself(night: Any) -> None:
    task = night(items=items(9), in_flight=3, deferrable=False)

    assert task.run() == "success"
    assert task.triggers == []
    assert task.made == {f"i{number}": 1 for number in range(9)}


def test_without_a_store_a_batch_is_refused_unless_it_may_pay_again(
    sandbox: Any, clock: Any, context: Any, tmp_path: Path
) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="durable=False"):
        batch(tmp_path).execute(context())
    assert len(sandbox.requests) == 0

    told = batch(tmp_path, durable=False).execute(context())

    assert told["counts"]["complete"] == 12
