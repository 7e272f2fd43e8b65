"""A batch's worker is killed at each line: each item is made once, or is named and can be resolved.

What a thread has sent when the worker dies is made, and its answer is lost: of the dead, nothing reaches the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Store
from tests.scenes.batches import Night, items
from tests.scenes.killing import Killed, Killer, Point, Scene, at_each_point

pytest_plugins = ["tests.scenes.batches"]

MODULES = ("operators.batch", "tasks", *(f"batch.{name}" for name in "begin entries ledger leg night policy".split()))
AT_ONCE = 2
COUNT = 3

NOT_REACHED = "not reached"
STRIDE = 24
"""Of so many lines one is tried without ``--each-line``."""


class Mortal(Store):
    """A store to which the dead do not write."""

    is_dead = False

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if self.is_dead:
            raise RuntimeError("written by the dead")
        super().set(key, value, retention=retention)

    def delete(self, key: str) -> None:
        if self.is_dead:
            raise RuntimeError("written by the dead")
        super().delete(key)


class Batch(Scene):
    """A batch; see :class:`Scene`.

    :param make: a batch, with the operator's arguments.
    """

    wanted = 1
    """How often each item is made in the end."""

    def __init__(self, make: Callable[..., Night], sandbox: Any) -> None:
        super().__init__(MODULES)
        self._make = make
        self.sandbox = sandbox
        self.arguments: dict[str, Any] = {}

    def new_life(self) -> Night:
        self.sandbox.faults.clear()
        self.sandbox.requests.clear()
        task = self._make(items=items(COUNT), submit_at_once=AT_ONCE, in_flight=AT_ONCE, **self.arguments)
        task.store = Mortal()
        return task

    def killed_at(self, point: Point) -> Night:
        task = self.new_life()
        killer = Killer(self.files, point, lambda: setattr(task.store, "is_dead", True))
        self.begin(task, killer)
        assert not killer.has_killed or isinstance(task.error, Killed), f"it came through alive: {task.error!r}"
        task.store.is_dead = False
        return task

    def check(self, task: Night) -> str:
        """Let the dead worker's task go on as Airflow and a person do, and hold it to what must come of it."""
        outcome = "taken" if task.state == "success" else f"{sum(task.made.values())} made"
        if not isinstance(task.error, Killed):
            outcome = NOT_REACHED  # what threads do first differs from run to run
        while task.state == "up_for_retry":
            task.run()
            self.check_money(task)
        unsure = {item_id for item_id, status in task.statuses.items() if status == "unsure"}
        assert len(unsure) <= AT_ONCE
        if unsure:
            assert task.state == "failed"
            outcome += f", {len(unsure)} unsure"
            made = {job.name.split()[2]: job.id for job in task.jobs}
            counts = task.made
            assert all(item_id in str(task.error) for item_id in unsure)
            task.adopt(**{i: made[i] if counts[i] >= self.wanted else None for i in unsure})
            task.clear()
            self.check_money(task)
        self.check_end(task)
        return outcome

    def check_money(self, task: Night) -> None:
        assert max(task.made.values(), default=0) <= self.wanted, f"paid twice: {task.made}"

    def check_end(self, task: Night) -> None:
        assert task.state == "success", f"{task.state}: {task.error}"
        assert task.made == Counter({f"i{number}": self.wanted for number in range(COUNT)})
        projects = {job.id for job in task.jobs}
        for line in task.lines:
            assert line["status"] == "complete"
            assert line["project_id"] in projects
            assert all(Path(file).stat().st_size for file in line["files"])
        task.clear(redo="failed")
        assert (task.state, sum(task.made.values())) == ("success", COUNT * self.wanted), "a clear paid again"


class Retried(Batch):
    """Its first try ran out of credits after one item."""

    def begin(self, life: Night, killer: Killer) -> None:
        self.sandbox.faults.add("create", delay=0.0)
        self.sandbox.faults.add("create", status=402, times=None)
        assert life.run() == "up_for_retry"
        self.sandbox.faults.clear()
        life.run(killer)


class MadeAnew(Batch):
    """It has succeeded, and a person has all of it made anew."""

    wanted = 2

    def begin(self, life: Night, killer: Killer) -> None:
        assert life.run() == "success"
        life.clear(killer, redo="all")


class Limited(Batch):
    """Its limit is enough for two of three."""

    def new_life(self) -> Night:
        self.arguments = {"max_credits": 2 * self.price}
        return super().new_life()

    @property
    def price(self) -> int:
        return int(next(iter(self.sandbox.jobs)).price)

    def check_money(self, task: Night) -> None:
        super().check_money(task)
        assert sum(job.price for job in task.jobs) <= 2 * self.price

    def check_end(self, task: Night) -> None:
        assert task.state == "failed"
        assert Counter(task.statuses.values()) == {"complete": 2, "not_submitted": 1}


class Failing(Batch):
    """A project of the first item fails, and is made once more."""

    def begin(self, life: Night, killer: Killer) -> None:
        self.sandbox.faults.add("create", job={"outcome": "error"})
        life.run(killer)

    def check_money(self, task: Night) -> None:
        good = [job for job in task.jobs if job.status != "error"]
        assert max(Counter(job.name.split()[2] for job in good).values(), default=0) <= 1

    def check_end(self, task: Night) -> None:
        assert task.state == "success", f"{task.state}: {task.error}"
        assert sum(job.status == "error" for job in task.jobs) == 1


SCENES = {"first_try": Batch, "retried": Retried, "made_anew": MadeAnew, "limited": Limited, "failing": Failing}


@pytest.mark.parametrize("name", SCENES)
def test_each_item_is_made_once_wherever_the_worker_is_killed(
    name: str, night: Callable[..., Night], sandbox: Any, request: pytest.FixtureRequest
) -> None:
    night(items=items(1)).run()
    scene = SCENES[name](night, sandbox)
    stride = 1 if request.config.getoption("each_line") else STRIDE
    outcomes = at_each_point(scene, lambda _, task: scene.check(task), stride=stride)
    assert outcomes[NOT_REACHED] < outcomes.total() / 2
