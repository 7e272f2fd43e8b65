from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.compat import TaskDeferred
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

KEY = "_link_MagicHourProjectLink"
SLOW = {"render_seconds": 3600}

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("pushes", [True, False])
def test_link_is_there_as_soon_as_the_project_is(sandbox: Any, context: Any, store: Any, pushes: bool) -> None:
    run = context(store)
    task = MagicHourImageToVideoOperator(
        task_id="submit",
        image="https://example.com/cat.jpg?token=secret",
        end_seconds=5,
        wait_for_completion=True,
        deferrable=True,
        do_xcom_push=pushes,
    )
    sandbox.faults.add("create", job=SLOW)
    with pytest.raises(TaskDeferred):
        task.execute(run)
    (job,) = [each.id for each in sandbox.jobs if each.id == store.record["project_id"]]
    assert run["ti"].links == {KEY: f"https://magichour.ai/my-library?videoId={job}"}


@pytest.mark.parametrize("kind", ["video", "image", "audio"])
def test_sensor_has_the_link_before_it_waits(sandbox: Any, context: Any, kind: str) -> None:
    job = sandbox.add_job(kind, script=SLOW).id
    run = context()
    with pytest.raises(TaskDeferred):
        MagicHourProjectSensor(task_id="wait", project_id=job, kind=kind, deferrable=True).execute(run)
    assert run["ti"].links == {KEY: f"https://magichour.ai/my-library?{kind}Id={job}"}


@pytest.mark.parametrize("arguments", [{"project_id": ""}, {"project_id": "p1", "kind": "song"}])
def test_no_link_is_made_of_what_is_no_project(context: Any, arguments: dict[str, str]) -> None:
    run = context()
    with pytest.raises(MagicHourInvalidRequestError):
        MagicHourProjectSensor(task_id="wait", **arguments).execute(run)
    assert run["ti"].links == {}


def test_task_that_submits_nothing_has_no_link(context: Any, store: Any, tmp_path: Path) -> None:
    run = context(store)
    task = MagicHourImageToVideoOperator(task_id="submit", image=str(tmp_path / "absent.jpg"), end_seconds=5)
    with pytest.raises(Exception, match="absent"):
        task.execute(run)
    assert run["ti"].links == {}
