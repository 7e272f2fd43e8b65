"""Paying once, proven by killing things: the rows that need an Airflow for themselves."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.submission.record import KEY
from tests_crash.conftest import SETTINGS
from tests_crash.scene import TASK, WAITING, Scene
from tools.airflow.local import LocalAirflow
from tools.airflow.rest import TERMINAL_RUN_STATES, TaskInstance

TWENTY = "image=[f'https://example.com/{number}.jpg' for number in range(20)]"
MAPPED = {"image": None, "expand": TWENTY}
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def airflow(dag_folder: Path, database: str) -> Iterator[LocalAirflow]:
    with LocalAirflow(dag_folder, env=SETTINGS, parallelism=6, sql_alchemy_conn=database) as running:
        yield running


@pytest.fixture
def scene(request: pytest.FixtureRequest, dag_folder: Path, airflow: LocalAirflow) -> Iterator[Scene]:
    name, sandbox, task = request.param
    made = Scene(f"{name}_{next(NUMBERS)}", dag_folder, sandbox=sandbox, **task)
    if "expand" in task:
        made.task.pop("image")
        made.write_dag()
    made.connect(airflow)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.long_only
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("scene", [("row_12", {"render_seconds": 40.0}, {**WAITING, "timeout": 300})], indirect=True)
def test_triggerer_killed_while_waiting(scene: Scene, signum: int) -> None:
    scene.start()
    scene.until("deferred")
    scene.logged("is rendering")
    deadline = trigger_deadline(scene)
    scene.airflow.kill("triggerer", signum)
    scene.airflow.restart("triggerer")
    scene.logged("starting", count=2)
    assert trigger_deadline(scene) == deadline
    assert scene.ended() == "success"
    assert scene.task_instance().try_number == 1
    assert (scene.posts, len(scene.jobs)) == (1, 1)


def trigger_deadline(scene: Scene) -> str:
    trigger = scene.task_instance().raw["trigger"]
    return str(trigger["kwargs"])


@pytest.mark.parametrize("scene", [("row_19", {}, {**MAPPED, "retries": 60, "retry_delay": 0})], indirect=True)
def test_twenty_submissions_with_tasks_killed_at_random(scene: Scene) -> None:
    chance = random.Random(19)
    # So that many of the kills fall between intent and answer; a create whose sender is dead still makes its project.
    scene.sandbox.faults.add("create", times=None, delay=0.7)
    scene.start()
    killed, end = 0, time.monotonic() + 300
    while unfinished(scene) and time.monotonic() < end:
        killed += kill_one(scene, chance)
        pause_until(time.monotonic() + 1)
    assert not unfinished(scene)
    unsure = settle_unsure(scene)
    print(f"{killed} tasks killed, {unsure} of 20 submissions unsure")
    assert killed >= 5
    found = instances(scene)
    assert [ti.state for ti in found] == ["success"] * 20
    assert len(scene.jobs) == 20
    ids = {scene.airflow.rest.xcom(scene.name, scene.run_id, TASK, map_index=ti.map_index) for ti in found}
    assert ids == set(scene.jobs)


FOUR = "image=[f'https://example.com/{number}.jpg' for number in range(4)]"
STORM = {"image": None, "expand": FOUR, "retries": 4, "retry_delay": 0}


@pytest.mark.parametrize("scene", [("row_26", {}, STORM)], indirect=True)
def test_four_submissions_killed_while_they_back_off_in_a_storm(scene: Scene) -> None:
    scene.sandbox.faults.add("create", times=None, status=429, headers={"Retry-After": "60"})
    scene.start()
    for tries in (1, 2):
        scene.wait_for(lambda tries=tries: all_back_off(scene, tries), f"all back off in try {tries}")
        for ti in instances(scene):
            scene.airflow.kill_process(ti.pid, signal.SIGKILL)
    scene.sandbox.faults.clear()
    assert scene.airflow.wait_for_run(scene.name, scene.run_id, 240) == "success"
    found = instances(scene)
    assert [(ti.state, ti.try_number) for ti in found] == [("success", 3)] * 4
    ids = {scene.airflow.rest.xcom(scene.name, scene.run_id, TASK, map_index=ti.map_index) for ti in found}
    assert ids == set(scene.jobs)
    assert (len(scene.jobs), scene.posts) == (4, 12)
    scene.wait_for(
        lambda: all("returned" in submission_record(scene, ti) for ti in found), "it is noted that all have returned"
    )


def all_back_off(scene: Scene, tries: int) -> bool:
    """Whether each of the four has its answer of this try, and its record says that nothing was made."""
    found = instances(scene)
    if scene.posts < 4 * tries or [(ti.state, ti.try_number) for ti in found] != [("running", tries)] * 4:
        return False
    return not any("intent_at" in submission_record(scene, ti) for ti in found)


def submission_record(scene: Scene, ti: TaskInstance) -> dict[str, Any]:
    kept = scene.airflow.rest.state_store(scene.name, scene.run_id, TASK, map_index=ti.map_index)
    return dict(kept.get(KEY) or {})


def pause_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def instances(scene: Scene) -> list[TaskInstance]:
    return [ti for ti in scene.airflow.rest.task_instances(scene.name, scene.run_id) if ti.map_index >= 0]


def unfinished(scene: Scene) -> list[TaskInstance]:
    found = instances(scene)
    return [ti for ti in found if ti.state not in ("success", "failed")] or ([] if found else [None])  # type: ignore[list-item]


def kill_one(scene: Scene, chance: random.Random) -> bool:
    """SIGKILL a running task and return whether there was one."""
    running = [ti.pid for ti in instances(scene) if ti.state == "running" and ti.pid]
    if running:
        with contextlib.suppress(ValueError):  # it has just ended
            scene.airflow.kill_process(chance.choice(running), signal.SIGKILL)
            return True
    return False


def settle_unsure(scene: Scene) -> int:
    """Do what the message says: adopt the project if the sandbox has it, else delete the key; then clear.

    :return: how many were unsure.
    """
    rest = scene.airflow.rest
    failed = [ti for ti in instances(scene) if ti.state == "failed"]
    scene.wait_for(lambda: rest.run_state(scene.name, scene.run_id) in TERMINAL_RUN_STATES, "the run has ended")
    for ti in failed:
        where = {"map_index": ti.map_index}
        log = rest.log(scene.name, scene.run_id, TASK, try_number=ti.try_number, **where)
        assert "MagicHourUnsureSubmissionError" in log
        record = submission_record(scene, ti)
        job = next((job for job in scene.sandbox.jobs if job.name == record["name"]), None)
        if job:
            rest.put_state(scene.name, scene.run_id, TASK, KEY, {"project_id": job.id}, **where)
        else:
            rest.delete_state(scene.name, scene.run_id, TASK, KEY, **where)
        rest.clear(scene.name, scene.run_id, (TASK, ti.map_index))
    scene.wait_for(
        lambda: all(ti.state == "success" for ti in instances(scene)), "the cleared tasks succeed", timeout=120
    )
    return len(failed)


@pytest.mark.parametrize("number", [1, 2, *(pytest.param(n, marks=pytest.mark.long_only) for n in (3, 4, 5))])
@pytest.mark.parametrize(
    "scene", [("row_20", {"render_seconds": 2.0}, {**MAPPED, **WAITING, "retries": 0})], indirect=True
)
def test_twenty_waits_survive_the_deferral_race(scene: Scene, number: int) -> None:
    scene.start()
    assert scene.airflow.wait_for_run(scene.name, scene.run_id, 240) == "success"
    assert [ti.state for ti in instances(scene)] == ["success"] * 20
    assert len(scene.jobs) == 20
