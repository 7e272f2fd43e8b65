"""A batch's worker is killed at each line: each item is made once, or is named and can be resolved.

What a thread has sent when the worker dies is made, and its answer is lost: of the dead, nothing reaches the store.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PACKAGE, Store
from tests.scenes.batches import Night, items
from tests.scenes.killing import Killed, Killer, Point

pytest_plugins = ["tests.scenes.batches"]

MODULES = ("operators.batch", "tasks", *(f"batch.{name}" for name in "begin entries ledger leg night policy".split()))
AT_ONCE = 2
COUNT = 3

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


class Scene:
    """A batch that is played as often as there are points to be killed at; a subclass says how it begins.

    :param make: a batch, with the operator's arguments.
    """

    wanted = 1
    """How often each item is made in the end."""

    def __init__(self, make: Callable[..., Night], sandbox: Any) -> None:
        self._make = make
        self.sandbox = sandbox
        self.arguments: dict[str, Any] = {}
        self._files = [str(importlib.import_module(f"{PACKAGE}.{name}").__file__) for name in MODULES]

    def new(self) -> Night:
        self.sandbox.faults.clear()
        self.sandbox.requests.clear()
        task = self._make(items=items(COUNT), submit_at_once=AT_ONCE, in_flight=AT_ONCE, **self.arguments)
        task.store = Mortal()
        return task

    def begin(self, task: Night, killer: Killer) -> None:
        """Let the task get to the try that is killed, and through it."""
        task.run(killer)

    def points(self) -> list[Point]:
        for _ in range(2):  # what is imported and remembered once is not part of it
            killer = Killer(self._files)
            self.begin(self.new(), killer)
        return killer.points()

    def killed_at(self, point: Point) -> Night:
        task = self.new()
        killer = Killer(self._files, point, lambda: setattr(task.store, "is_dead", True))
        self.begin(task, killer)
        assert not killer.has_killed or isinstance(task.error, Killed), f"it came through alive: {task.error!r}"
        task.store.is_dead = False
        return task

    def check(self, task: Night) -> str:
        """Let the dead worker's task go on as Airflow and a person do, and hold it to what must come of it."""
        outcome = "taken" if task.state == "success" else f"{sum(task.made.values())} made"
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


class Retried(Scene):
    """Its first try ran out of credits after one item."""

    def begin(self, task: Night, killer: Killer) -> None:
        self.sandbox.faults.add("create", delay=0.0)
        self.sandbox.faults.add("create", status=402, times=None)
        assert task.run() == "up_for_retry"
        self.sandbox.faults.clear()
        task.run(killer)


class MadeAnew(Scene):
    """It has succeeded, and a person has all of it made anew."""

    wanted = 2

    def begin(self, task: Night, killer: Killer) -> None:
        assert task.run() == "success"
        task.clear(killer, redo="all")


class Limited(Scene):
    """Its limit is enough for two of three."""

    def new(self) -> Night:
        self.arguments = {"max_credits": 2 * self.price}
        return super().new()

    @property
    def price(self) -> int:
        return int(next(iter(self.sandbox.jobs)).price)

    def check_money(self, task: Night) -> None:
        super().check_money(task)
        assert sum(job.price for job in task.jobs) <= 2 * self.price

    def check_end(self, task: Night) -> None:
        assert task.state == "failed"
        assert Counter(task.statuses.values()) == {"complete": 2, "not_submitted": 1}


class Failing(Scene):
    """A project of the first item fails, and is made once more."""

    def begin(self, task: Night, killer: Killer) -> None:
        self.sandbox.faults.add("create", job={"outcome": "error"})
        task.run(killer)

    def check_money(self, task: Night) -> None:
        good = [job for job in task.jobs if job.status != "error"]
        assert max(Counter(job.name.split()[2] for job in good).values(), default=0) <= 1

    def check_end(self, task: Night) -> None:
        assert task.state == "success", f"{task.state}: {task.error}"
        assert sum(job.status == "error" for job in task.jobs) == 1


SCENES = {"first_try": Scene, "retried": Retried, "made_anew": MadeAnew, "limited": Limited, "failing": Failing}


@pytest.mark.parametrize("name", SCENES)
def test_each_item_is_made_once_wherever_the_worker_is_killed(
    name: str, night: Callable[..., Night], sandbox: Any, request: pytest.FixtureRequest
) -> None:
    night(items=items(1)).run()
    scene = SCENES[name](night, sandbox)
    points = scene.points()[:: 1 if request.config.getoption("each_line") else STRIDE]
    outcomes: Counter[str] = Counter()
    wrong = []
    for point in points:
        try:
            outcomes[scene.check(scene.killed_at(point))] += 1
        except AssertionError as error:
            wrong.append(f"{point}: {error}")
    assert not wrong, f"{len(wrong)} of {len(points)} points:\n" + "\n".join(wrong[:20])
    print(f"{len(points)} points: {dict(outcomes)}")
