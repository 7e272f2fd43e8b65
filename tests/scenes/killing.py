"""A worker that is killed at a chosen line, and the little of Airflow that decides what is run after that."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self

from airflow_provider_magichour.compat import AirflowFailException, TaskDeferred
from tests.conftest import PACKAGE, Store, TaskInstance


class Killed(BaseException):
    """The worker is gone; nothing in the package may catch it."""


class Point(NamedTuple):
    """A line that is about to be run, which is the moment after the one before it."""

    file: str
    line: int
    function: str
    nth: int

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}:{self.line} {self.function} ({self.nth})"


class Killer:
    """Follows this thread through some files, and kills it at a point.

    :param files: paths of the files.
    :param point: where to kill; None to come through alive.
    :param note: called in the moment of the kill.
    """

    def __init__(
        self, files: Iterable[str], point: Point | None = None, note: Callable[[], None] = lambda: None
    ) -> None:
        self.seen: Counter[tuple[str, int, str]] = Counter()
        self.has_killed = False
        self._files = frozenset(files)
        self._point = point
        self._note = note

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._enter_function)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        sys.settrace(self._before)

    def _enter_function(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        return self._step if code.co_filename in self._files and code.co_name != "<module>" else None

    def _step(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line" and not self.has_killed:
            here = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
            self.seen[here] += 1
            if self._point == Point(*here, self.seen[here]):
                self.has_killed = True
                self._note()
                raise Killed
        return self._step

    def points(self) -> list[Point]:
        """Return each line that was run, the first and the last time, in the order of the first."""
        return [Point(*here, nth) for here, times in self.seen.items() for nth in sorted({1, times})]


class Scene:
    """Plays one scene as often as there are points to be killed at; a subclass says what a life is, and how it begins.

    :param modules: of the package, in which it is killed.
    """

    def __init__(self, modules: Iterable[str]) -> None:
        self.files = [str(importlib.import_module(f"{PACKAGE}.{name}").__file__) for name in modules]

    def new_life(self) -> Any:
        """Return a task instance that was not run yet."""
        raise NotImplementedError

    def begin(self, life: Any, killer: Killer) -> None:
        """Let the task get to the run that is killed."""
        life.run(killer)

    def killed_at(self, point: Point) -> Any:
        """Return a task that was killed there."""
        raise NotImplementedError

    def points(self) -> list[Point]:
        for _ in range(2):  # what is imported and remembered once is not part of it
            killer = Killer(self.files)
            self.begin(self.new_life(), killer)
        return killer.points()


def at_each_point(scene: Scene, check: Callable[[Point, Any], str], *, stride: int = 1) -> Counter[str]:
    """Return how often each came of it; what went wrong is told with its point, and all points are tried.

    :param check: a task that was killed, and says what came of it.
    :param stride: of so many points one is tried.
    """
    outcomes: Counter[str] = Counter()
    wrong = []
    for point in scene.points()[::stride]:
        try:
            outcomes[check(point, scene.killed_at(point))] += 1
        except AssertionError as error:
            wrong.append(f"{point}: {error}")
    assert not wrong, f"{len(wrong)} points:\n" + "\n".join(wrong[:20])
    print(f"{sum(outcomes.values())} points: {dict(outcomes)}")
    return outcomes


class Life:
    """A task instance, from its first try on.

    :param make: makes the operator: each try has one of its own, and what is resumed as well.
    :param trigger: waits as the triggerer does, and returns the event.
    :param retries: of the task.

    While ``refuses`` is set, each try fails after it has returned, as one whose result XCom does not take.
    """

    def __init__(
        self, make: Callable[[], Any], trigger: Callable[[TaskDeferred], dict[str, Any]], *, retries: int = 2
    ) -> None:
        self.store = Store()
        self.state = "none"
        self.result: Any = None
        self.error: BaseException | None = None
        self.refuses = False
        self._make = make
        self._trigger = trigger
        self._retries = self._max_tries = retries
        self._tries = 0

    def run(self, killer: Killer | None = None) -> str:
        """Run the next try, and return the state in which Airflow has the task then."""
        self._tries += 1
        context = {
            "ti": TaskInstance(try_number=self._tries, max_tries=self._max_tries),
            "task_state_store": self.store,
        }
        self.state, self.result, self.error = "running", None, None
        try:
            self._run(context, killer or nullcontext())
        except (Killed, Exception) as error:
            self.error = error
            if self.state == "running":  # else Airflow has the success already
                is_over = isinstance(error, AirflowFailException) or self._tries > self._max_tries
                self.state = "failed" if is_over else "up_for_retry"
        return self.state

    def clear(self, killer: Killer | None = None) -> str:
        """Run it again, as Airflow does after a clear."""
        self._max_tries = self._tries + self._retries
        return self.run(killer)

    def _run(self, context: Any, killer: Any) -> None:
        task = self._make()
        try:
            with killer:
                self.result = task.execute(context)
        except TaskDeferred as deferred:
            event = self._trigger(deferred)
            task = self._make()
            with killer:
                self.result = task.resume_execution(deferred.method_name, {"event": event}, context)
        if self.refuses:
            raise ValueError("XCom takes no such value")
        self.state = "success"
        with killer:
            for callback in task.on_success_callback:
                callback(context)
