"""The worker is killed at each line of the way to a paid project: what its next runs do, and what is paid.

What must come of it follows from what the dead worker has left behind: nothing, an intent, the project's id, the note
that it has returned.
"""

from __future__ import annotations

import linecache
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourUnsureSubmissionError
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.sandbox import Sandbox
from airflow_provider_magichour.submission.record import KEY
from tests.conftest import PACKAGE
from tests.operators.test_image_to_video import wait_in_triggerer
from tests.scenes.killing import Killed, Killer, Life, Point, Scene, at_each_point

OPERATOR = ("operators.image_to_video", "operators.tool", "tasks")
RECORDED = ("submission.submit", "submission.record")
SUBMISSION = (*RECORDED, "submission.uploads")
CLIENT = ("hooks", "api.client", "api.repeats")
ALL = (*OPERATOR, *SUBMISSION, "submission.decision", "submission.fingerprint", *CLIENT)
BETWEEN_INTENT_AND_ID = {
    "submit": {"begin", "_counted", "_create", "_submit", "made_nothing", "_forget_intent", "end_without_project"},
    "record": {"write", "try_write", "to_json", "timestamp"},
    "hooks": {"create", "_send", "_calling"},
    "client": None,
    "repeats": None,
}
"""Functions in which a dead worker may leave an intent without a project; None for all of the file."""

pytestmark = pytest.mark.usefixtures("needs_store")


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    """One of its own: what is made here costs more than the session's has."""
    with Sandbox(render_seconds=0, render=False, credits=10**9) as sandbox:
        sandbox.studio.sample("video").result(60)
        yield sandbox


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What the package warns of; the test empties it."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    texts: list[str] = []
    handler, logger = Handler(logging.WARNING), logging.getLogger(f"{PACKAGE}.submission")
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)


class Stage(Scene):
    """A submission; see :class:`Scene`.

    :param faults: of the sandbox, anew each time.
    :param arguments: of the operator.
    """

    paid_before = 0
    """How many projects are made before the run that is killed."""

    def __init__(
        self, sandbox: Any, clock: Any, modules: Iterable[str], faults: Sequence[dict[str, Any]] = (), **arguments: Any
    ) -> None:
        super().__init__(modules)
        self.arguments = {"task_id": "submit", "image": "https://example.com/cat.jpg", "end_seconds": 5, **arguments}
        self._sandbox = sandbox
        self._clock = clock
        self._faults = faults

    @property
    def posts(self) -> int:
        return len(self._sandbox.requests.to("create"))

    @property
    def jobs(self) -> list[Any]:
        """The sandbox's jobs of this life."""
        return list(self._sandbox.jobs)[self._jobs_before :]

    @property
    def made(self) -> list[str]:
        """The projects that the run which is killed has made, and those after it."""
        return [job.id for job in self.jobs][self.paid_before :]

    def new_life(self) -> Life:
        self._jobs_before = len(list(self._sandbox.jobs))
        self._clock.sleeps.clear()
        self._sandbox.requests.clear()
        self._sandbox.faults.clear()
        for fault in self._faults:
            self._sandbox.faults.add(**fault)
        return Life(lambda: MagicHourImageToVideoOperator(**self.arguments), wait_in_triggerer)

    def killed_at(self, point: Point) -> Life:
        left: list[Any] = []
        life = self.new_life()
        self.begin(life, Killer(self.files, point, lambda: left.extend([dict(life.store.values), self.posts])))
        assert isinstance(life.error, Killed), f"it came through alive: {life.error!r}"
        assert left == [life.store.values, self.posts], "something was done by the dead"
        return life


class ClearedStage(Stage):
    """It succeeds and is cleared, which asks for one more."""

    paid_before = 1

    def begin(self, life: Life, killer: Killer) -> None:
        assert life.run() == "success"
        life.clear(killer)


class FailedStage(Stage):
    """Its project ends as an error, which asks for another one."""

    paid_before = 1

    def begin(self, life: Life, killer: Killer) -> None:
        self._sandbox.faults.add("create", job={"outcome": "error"})
        assert life.run() == "up_for_retry"
        life.run(killer)


class ChangedStage(Stage):
    """It has paid, without success; then it asks for something else."""

    paid_before = 1

    def begin(self, life: Life, killer: Killer) -> None:
        self.arguments["prompt"], life.refuses = "a cat", True
        assert life.run() == "up_for_retry"
        self.arguments["prompt"], life.refuses = "a dog", False
        life.run(killer)


def project_of(life: Life) -> Any:
    return life.result["project_id"] if isinstance(life.result, dict) else life.result


def left_behind(stage: Stage, life: Life) -> str:
    """Say what the dead worker has left behind: of projects, those that were made before it do not count."""
    record = life.store.record or {}
    is_noted = record.get("returned", {}).get("project_id") in stage.made
    if life.state == "success":
        return "taken and noted" if is_noted else "taken by Airflow"
    assert not is_noted, "noted too early"
    if "project_id" not in record:
        return "unsure" if "intent_at" in record else "nothing"
    return "paid" if record["project_id"] in stage.made else "nothing"


def check_outcome(stage: Stage, warnings: list[str], point: Point, life: Life) -> str:
    """Let the dead worker's task go on, to the one project that is wanted, and let its success be cleared."""
    outcome = left_behind(stage, life)
    is_pause = "time.sleep(" in linecache.getline(point.file, point.line)
    assert not (is_pause and outcome == "unsure"), "in a pause it is known that nothing was made"
    if outcome == "unsure":
        end_unsure(stage, point, life)
    elif outcome != "taken and noted":
        assert len(stage.made) == (outcome != "nothing"), "projects made by the dead worker"
        (life.run if life.state == "up_for_retry" else life.clear)()
        assert life.state == "success", f"{life.state}: {life.error}"
    if outcome != "taken and noted":
        assert [project_of(life)] == stage.made, "exactly one project, which is returned"
        assert life.store.record["returned"]["project_id"] == stage.made[0]

    warnings.clear()
    assert life.clear() == "success"
    assert len(stage.made) == 2, "a cleared success"
    assert project_of(life) == stage.made[1]
    assert any(f"had returned project {stage.made[0]}" in text for text in warnings), warnings
    return outcome


def end_unsure(stage: Stage, point: Point, life: Life) -> None:
    """Do what the message says; until then nothing is sent, whatever is tried."""
    functions = BETWEEN_INTENT_AND_ID.get(Path(point.file).stem, set())
    assert functions is None or point.function in functions, "unsure where it is known"
    posts = stage.posts
    for go_on in (life.run, life.clear):
        assert go_on() == "failed"
        assert isinstance(life.error, MagicHourUnsureSubmissionError)
        assert stage.posts == posts, "sent though it is unsure"
    job = next((job for job in stage.jobs if job.name == life.store.record["name"]), None)
    if job is None:
        life.store.delete(KEY)
    else:
        life.store.set(KEY, {"project_id": job.id})
    assert life.clear() == "success", f"{life.state}: {life.error}"


WAITS = {"wait_for_completion": True, "deferrable": False}
DEFERS = {"wait_for_completion": True, "deferrable": True}
TWO_LOOKS = {"route": "get", "times": 2, "patch": {"status": "rendering", "downloads": []}}
TOO_MANY = {"route": "create", "status": 429, "headers": {"Retry-After": "7"}}
SCENES: dict[str, tuple[tuple[str, ...], list[dict[str, Any]], dict[str, Any]]] = {
    "submit": (ALL, [], {}),
    "submit_a_file": (SUBMISSION, [], {"image": "the photo"}),
    "submit_after_a_429": ((*SUBMISSION, *CLIENT), [TOO_MANY], {}),
    "submit_after_a_502": ((*SUBMISSION, *CLIENT), [{"route": "create", "status": 502}], {}),
    "wait": (OPERATOR, [TWO_LOOKS], WAITS),
    "wait_in_the_triggerer": ((*OPERATOR, "submission.record"), [TWO_LOOKS], DEFERS),
    "finished_at_once": (OPERATOR, [], DEFERS),
}


@pytest.mark.parametrize("scene", SCENES)
def test_one_clip_is_paid_once_wherever_the_worker_is_killed(
    scene: str, sandbox: Any, clock: Any, warnings: list[str], photo: Path
) -> None:
    modules, faults, arguments = SCENES[scene]
    if "image" in arguments:
        arguments = {**arguments, "image": str(photo)}
    stage = Stage(sandbox, clock, modules, faults, **arguments)
    outcomes = at_each_point(stage, lambda point, life: check_outcome(stage, warnings, point, life))
    taken = {"taken by Airflow"} if modules == OPERATOR else {"taken by Airflow", "taken and noted"}
    assert set(outcomes) == {"nothing", "paid", *taken, *(() if modules == OPERATOR else ("unsure",))}


def test_a_cleared_success_pays_for_one_more_wherever_the_worker_is_killed(
    sandbox: Any, clock: Any, warnings: list[str]
) -> None:
    stage = ClearedStage(sandbox, clock, RECORDED)
    outcomes = at_each_point(stage, lambda point, life: check_outcome(stage, warnings, point, life))
    assert set(outcomes) == {"nothing", "unsure", "paid", "taken by Airflow", "taken and noted"}


def test_another_project_is_paid_once_for_one_that_failed_wherever_the_worker_is_killed(
    sandbox: Any, clock: Any, warnings: list[str]
) -> None:
    stage = FailedStage(sandbox, clock, RECORDED, **WAITS)
    outcomes = at_each_point(stage, lambda point, life: check_outcome(stage, warnings, point, life))
    assert set(outcomes) == {"nothing", "unsure", "paid", "taken by Airflow", "taken and noted"}


def test_going_back_to_what_was_paid_for_pays_nothing_wherever_the_worker_is_killed(sandbox: Any, clock: Any) -> None:
    stage = ChangedStage(sandbox, clock, RECORDED)

    def check(point: Point, life: Life) -> str:
        outcome, posts = left_behind(stage, life), stage.posts
        stage.arguments["prompt"] = "a cat"
        (life.run if life.state == "up_for_retry" else life.clear)()
        assert stage.posts == posts
        if outcome == "unsure":
            assert isinstance(life.error, MagicHourUnsureSubmissionError)
        else:
            assert life.state == "success", life.error
            assert project_of(life) == stage.jobs[0].id
        return outcome

    outcomes = at_each_point(stage, check)
    assert set(outcomes) == {"nothing", "unsure", "paid", "taken by Airflow", "taken and noted"}


def test_a_gateway_is_believed_once_over_all_tries_wherever_the_worker_is_killed(sandbox: Any, clock: Any) -> None:
    stage = Stage(
        sandbox, clock, (*SUBMISSION, *CLIENT), [{"route": "create", "status": 502, "after": True, "times": None}]
    )

    def check(point: Point, life: Life) -> str:
        tries = 1
        while life.state == "up_for_retry":
            life.run()
            tries += 1
        assert isinstance(life.error, MagicHourUnsureSubmissionError), life.error
        assert stage.posts <= 2, f"{stage.posts} creates"
        return f"{stage.posts} creates, {tries} tries"

    assert set(at_each_point(stage, check)) == {f"{number} creates, 2 tries" for number in (0, 1, 2)}
