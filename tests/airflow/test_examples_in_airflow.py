"""Examples that need more of Airflow than `dag.test()` has: asset events between DAGs, answers of a person."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_magichour.sandbox import Sandbox
from tests.scenes.connections import connected
from tests.scenes.examples import EXAMPLES, PHOTOS
from tools.airflow.local import LocalAirflow
from tools.airflow.settings import airflow_version

pytest_plugins = ["tests.scenes.airflow_fixture"]


@pytest.fixture(scope="module")
def airflow(local_airflow: LocalAirflow) -> Iterator[LocalAirflow]:
    with Sandbox(render_seconds=0, render=False) as sandbox, connected(local_airflow, sandbox) as airflow:
        yield airflow


def names_of_copies(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, list[str]]:
    """Return what Airflow's UI calls the copies of each mapped task."""
    names: dict[str, list[str]] = {}
    for ti in airflow.rest.task_instances(dag_id, run_id):
        if ti.map_index >= 0:
            names.setdefault(ti.task_id, []).append(ti.raw["rendered_map_index"])
    return {task_id: sorted(found) for task_id, found in names.items()}


def test_clips_written_to_a_bucket_start_the_dag_that_waits_for_them(airflow: LocalAirflow, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "example_bucket_to_bucket.py", airflow.dag_folders[0])
    folder = tmp_path / "写真 clips"  # Airflow takes no asset beyond ASCII
    folder.mkdir()
    conf = {"photos": f"{PHOTOS.as_uri()}/", "clips": f"file://{folder}/"}
    airflow.wait_for_dag("example_on_new_clips")
    airflow.rest.unpause("example_on_new_clips")
    run_id = airflow.rest.trigger("example_bucket_to_bucket", conf)
    assert airflow.wait_for_run("example_bucket_to_bucket", run_id, 180) == "success"
    names = names_of_copies(airflow, "example_bucket_to_bucket", run_id)
    photos = sorted(photo.name for photo in PHOTOS.glob("*.jpg"))
    assert names == {f"clip.{task}": photos for task in ("submit", "wait", "download")}
    clips = sorted(clip.as_uri() for clip in folder.iterdir())
    assert len(clips) == 3
    if airflow_version().startswith("3.0."):
        airflow.wait_for(lambda: consumers(airflow), 60, "the consumer has run")
        pytest.skip("Airflow 3.0 starts the DAG that waits for an alias but does not tell it the events (3.1 does)")
    assert airflow.wait_for(lambda: seen_by_consumer(airflow) == clips, 60, "the consumer has seen every clip")


def consumers(airflow: LocalAirflow) -> list[str]:
    """Return the ids of the finished runs of the consumer."""
    runs = airflow.rest.call("GET", "/dags/example_on_new_clips/dagRuns")["dag_runs"]
    return [run["dag_run_id"] for run in runs if run["state"] == "success"]


def seen_by_consumer(airflow: LocalAirflow) -> list[str]:
    """Return what the finished runs of the consumer were started for."""
    runs = consumers(airflow)
    return sorted(uri for run in runs for uri in airflow.rest.xcom("example_on_new_clips", run, "publish"))


def test_what_a_person_approves_is_published_and_nothing_else(airflow: LocalAirflow, tmp_path: Path) -> None:
    if airflow_version().startswith("3.0."):
        pytest.skip("Airflow 3.0 asks nobody: it has no human-in-the-loop operators")
    shutil.copy(EXAMPLES / "example_review.py", airflow.dag_folders[0])
    airflow.wait_for_dag("example_review")
    conf = {"photos": str(PHOTOS), "clips": f"{tmp_path}/clips/", "published": f"{tmp_path}/published/"}
    run_id = airflow.rest.trigger("example_review", conf)
    tasks = f"/dags/example_review/dagRuns/{run_id}/taskInstances"
    asking = ("awaiting_input", "deferred")
    for index in range(3):
        airflow.wait_for_task("example_review", run_id, "clip.review", asking, map_index=index, timeout=180)
    # A person takes longer: Airflow 3.3.2 fails a task that goes on within seconds of its pause.
    asked = time.monotonic()
    airflow.wait_for(lambda: time.monotonic() > asked + 10, 20)
    for index, option in enumerate(("Approve", "Reject", "Approve")):
        details = f"{tasks}/clip.review/{index}/hitlDetails"
        assert PHOTOS.joinpath(airflow.rest.call("GET", details)["subject"].split()[-1].rstrip("?")).is_file()
        airflow.rest.call("PATCH", details, json={"chosen_options": [option], "params_input": {}})
    assert airflow.wait_for_run("example_review", run_id, 180) == "success"
    states = [airflow.rest.task_instance("example_review", run_id, "clip.publish", index).state for index in range(3)]
    assert states == ["success", "skipped", "success"]
    assert len(list((tmp_path / "published").iterdir())) == 2
    names = names_of_copies(airflow, "example_review", run_id)
    assert {len(found) for found in names.values()} == {3}
    assert {name for found in names.values() for name in found} <= {photo.name for photo in PHOTOS.glob("*.jpg")}
