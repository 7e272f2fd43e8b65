"""A run of a task asks Airflow for its connection once, whatever it does with it: some secrets back ends are slow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from airflow.secrets.environment_variables import EnvironmentVariablesBackend

from airflow_provider_magichour.compat import TaskDeferred
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from airflow_provider_magichour.triggers import MagicHourProjectTrigger

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connections that Airflow's secrets back end was asked for."""
    asked: list[str] = []
    look_up = EnvironmentVariablesBackend.get_conn_value

    def noting(self: Any, conn_id: str, *others: Any, **more: Any) -> str | None:
        asked.append(conn_id)
        return look_up(self, conn_id, *others, **more)

    monkeypatch.setattr(EnvironmentVariablesBackend, "get_conn_value", noting)
    return asked


def submit(image: Any, **arguments: Any) -> MagicHourImageToVideoOperator:
    return MagicHourImageToVideoOperator(
        task_id="submit", image=str(image), end_seconds=5, check_balance=True, wait_for_completion=True, **arguments
    )


def test_submit_that_uploads_asks_for_the_balance_and_waits(
    sandbox: Any, context: Any, store: Any, photo: Path, asked: list[str]
) -> None:
    sandbox.faults.add("create", job={"render_seconds": 3600})
    task = submit(photo, deferrable=False, timeout=600)
    with pytest.raises(Exception, match="was not finished"):
        task.execute(context(store))
    assert sandbox.requests.counts["get"] > 10
    assert asked == ["magichour_default"]


def test_retry_that_finds_its_project(sandbox: Any, context: Any, store: Any, photo: Path, asked: list[str]) -> None:
    submit(photo, deferrable=False).execute(context(store))
    asked.clear()
    submit(photo, deferrable=False).execute(context(store))
    assert asked == ["magichour_default"]


@pytest.mark.parametrize("kind", ["operator", "sensor"])
def test_each_leg_of_a_deferred_wait(
    sandbox: Any, context: Any, store: Any, photo: Path, asked: list[str], kind: str
) -> None:
    job = sandbox.add_job(script={"render_seconds": 3600})
    sandbox.faults.add("create", job={"render_seconds": 3600})

    def task() -> Any:
        if kind == "sensor":
            return MagicHourProjectSensor(task_id="wait", project_id=job.id, deferrable=True)
        return submit(photo, deferrable=True)

    with pytest.raises(TaskDeferred) as deferred:
        task().execute(context(store))
    assert asked == ["magichour_default"]
    sandbox.jobs.change(deferred.value.trigger.project_id, render_seconds=0)

    async def events() -> list[Any]:
        stored = deferred.value.trigger.serialize()[1]
        return [event async for event in MagicHourProjectTrigger(**stored).run()]

    (event,) = asyncio.run(events())
    asked.clear()
    task().resume_execution("execute_complete", {"event": dict(event.payload)}, context(store))
    assert asked == ["magichour_default"]


def test_sensor_that_looks_many_times(sandbox: Any, context: Any, clock: Any, asked: list[str]) -> None:
    job = sandbox.add_job(script={"render_seconds": 3600})
    clock.at(300, lambda: sandbox.jobs.change(job.id, render_seconds=0))
    MagicHourProjectSensor(task_id="wait", project_id=job.id).execute(context())
    assert sandbox.requests.counts["get"] > 10
    assert asked == ["magichour_default"]


def test_download_whose_url_has_expired(sandbox: Any, context: Any, tmp_path: Path, asked: list[str]) -> None:
    sandbox.faults.add("download", cut_at=100)
    sandbox.faults.add("download", expired=403)
    job = sandbox.add_job()
    MagicHourDownloadOperator(task_id="d", project_id=job.id, destination=f"{tmp_path}/").execute(context())
    assert len(sandbox.requests.to("get")) > 1
    assert asked == ["magichour_default"]
