"""Runs through Airflow's real components, against the sandbox: what a user's DAG meets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.sandbox.server import Sandbox
from tests.scenes.connections import connected
from tests.scenes.examples import EXAMPLES
from tests.scenes.statsd import StatsD
from tools.airflow.local import LocalAirflow
from tools.airflow.rest import TaskInstance

pytest_plugins = ["tests.scenes.airflow_fixture"]

MODES = f"""
from airflow.sdk import DAG

from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

PHOTO = {str(EXAMPLES / "photos" / "cat.jpg")!r}
ASK = {{"image": PHOTO, "end_seconds": "3", "model": "ltx-2.5", "resolution": "480p"}}

with DAG("modes", schedule=None):
    submit = MagicHourImageToVideoOperator(task_id="submit", **ASK)
    for task_id, mode in {{
        "poke": {{"poke_interval": 1}},
        "reschedule": {{"mode": "reschedule", "poke_interval": 1}},
        "deferred": {{"deferrable": True, "poke_interval": 1}},
    }}.items():
        MagicHourProjectSensor(task_id=task_id, project_id=submit.output, **mode)
    for task_id, deferrable in {{"wait_on_worker": False, "wait_in_triggerer": True}}.items():
        MagicHourImageToVideoOperator(
            task_id=task_id, **ASK, wait_for_completion=True, deferrable=deferrable, poll_interval=1
        )
    MagicHourImageToVideoOperator(task_id="too_long", image=PHOTO, end_seconds=99, model="kling-3.0")
    MagicHourImageToVideoOperator(task_id="no_connection", image=PHOTO, end_seconds=5, magichour_conn_id="absent")
    MagicHourProjectSensor(task_id="no_id", project_id="https://magichour.ai/my-library")
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(render_seconds=3, render=False) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(local_airflow: LocalAirflow, sandbox: Sandbox) -> Iterator[LocalAirflow]:
    with connected(local_airflow, sandbox) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def modes(airflow: LocalAirflow) -> tuple[str, dict[str, TaskInstance]]:
    """Run the DAG of all modes; returns the run id and its task instances."""
    (airflow.dag_folders[0] / "modes.py").write_text(MODES)
    run_id, _ = airflow.run("modes", timeout=180)
    return run_id, {ti.task_id: ti for ti in airflow.rest.task_instances("modes", run_id)}


def returned(airflow: LocalAirflow, run_id: str, task_id: str) -> dict[str, Any]:
    """Return a waiting task's result without what is signed anew at each look."""
    result: dict[str, Any] = airflow.rest.xcom("modes", run_id, task_id)
    urls = airflow.rest.xcom("modes", run_id, task_id, key="download_urls")
    assert result.pop("download_urls") == urls
    assert result.pop("expires_at")
    return result


def test_the_example_dag_turns_photos_into_clips(airflow: LocalAirflow, tmp_path: Path) -> None:
    folder = airflow.dag_folders[0]
    shutil.copy(EXAMPLES / "example_image_to_video.py", folder)
    conf = {"photos": str(EXAMPLES / "photos"), "clips": f"{tmp_path}/"}
    airflow.wait_for_dag("example_image_to_video")
    run_id = airflow.rest.trigger("example_image_to_video", conf)
    assert airflow.wait_for_run("example_image_to_video", run_id, 180) == "success"
    written = [
        airflow.rest.xcom("example_image_to_video", run_id, "clip.download", map_index=index)[0] for index in range(3)
    ]
    assert sorted(written) == sorted(str(clip) for clip in tmp_path.iterdir())
    assert all(Path(clip).read_bytes()[4:8] == b"ftyp" for clip in written)
    assert airflow.rest.xcom("example_image_to_video", run_id, "cost") == 3 * 240


def test_tasks_tell_airflows_metrics_what_they_paid_and_how_they_waited(
    airflow: LocalAirflow, modes: tuple[str, dict[str, TaskInstance]], airflows_statsd: StatsD
) -> None:
    told = [metric for metric in airflows_statsd.received() if metric.tags["dag_id"] == "modes"]
    paid = {metric.tags["task_id"]: metric for metric in told if metric.name == "credits"}
    assert set(paid) == {"submit", "wait_on_worker", "wait_in_triggerer"}
    assert {metric.tags["model"] for metric in paid.values()} == {"ltx-2.5"}
    waited = {metric.tags["task_id"]: metric.tags["end"] for metric in told if metric.name == "wait"}
    assert waited == dict.fromkeys(
        ("poke", "reschedule", "deferred", "wait_on_worker", "wait_in_triggerer"), "finished"
    )
    assert all(metric.value for metric in told if metric.name == "looks")


def test_every_mode_of_waiting_gives_the_same_result(
    airflow: LocalAirflow, modes: tuple[str, dict[str, TaskInstance]]
) -> None:
    run_id, tasks = modes
    results = {name: returned(airflow, run_id, name) for name in ("poke", "reschedule", "deferred")}
    assert {tasks[name].state for name in results} == {"success"}
    assert results["poke"] == results["reschedule"] == results["deferred"]
    assert results["poke"]["status"] == "complete"


def test_the_waiting_operator_returns_what_the_sensor_returns(
    airflow: LocalAirflow, modes: tuple[str, dict[str, TaskInstance]]
) -> None:
    run_id, _ = modes
    sensor = returned(airflow, run_id, "poke")
    for task_id in ("wait_on_worker", "wait_in_triggerer"):
        result = returned(airflow, run_id, task_id)
        assert result.keys() == sensor.keys()
        assert result["project_id"] == airflow.rest.xcom("modes", run_id, task_id, key="project_id")
        assert result["credits_charged"] == airflow.rest.xcom("modes", run_id, task_id, key="credits_charged")


def test_a_deferred_wait_logs_what_happens_and_never_the_key_or_a_signed_url(
    airflow: LocalAirflow, modes: tuple[str, dict[str, TaskInstance]], sandbox: Sandbox
) -> None:
    run_id, tasks = modes
    log = airflow.rest.log("modes", run_id, "wait_in_triggerer")
    assert "Submitted Magic Hour project" in log
    assert "is complete after" in log
    for task_id in tasks:
        text = airflow.rest.log("modes", run_id, task_id)
        assert sandbox.api_key not in text
        assert "Signature=" not in text


@pytest.mark.parametrize(
    ("task_id", "told"),
    [
        ("too_long", "end_seconds=99"),
        ("no_connection", "no connection 'absent'"),
        ("no_id", "project_id='https://magichour.ai/my-library'"),
    ],
)
def test_bad_input_fails_with_its_name_and_value(
    airflow: LocalAirflow, modes: tuple[str, dict[str, TaskInstance]], task_id: str, told: str
) -> None:
    run_id, tasks = modes
    assert tasks[task_id].state == "failed"
    assert told in airflow.rest.log("modes", run_id, task_id)


def test_the_record_of_a_submission_is_readable(
    needs_store: None, airflow: LocalAirflow, modes: tuple[str, dict[str, TaskInstance]]
) -> None:
    run_id, _ = modes
    record = airflow.rest.state_store("modes", run_id, "submit")["magichour_submission"]
    assert record["project_id"] == airflow.rest.xcom("modes", run_id, "submit")
    assert record["request"]["resolution"] == "480p"
    assert record["name"].startswith(f"modes.submit {run_id} ")
