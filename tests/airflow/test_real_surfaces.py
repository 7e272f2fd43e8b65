"""What a person meets in Airflow, through its real components: the connection's test, links, retries."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.retries import magichour_retry_policy
from airflow_provider_magichour.sandbox import Sandbox
from tools.airflow.local import LocalAirflow

pytest_plugins = ["tests.scenes.airflow_fixture"]

LIBRARY = "https://magichour.ai/my-library?videoId="
LINK = "Magic Hour"

DAGS = """
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.retries import magichour_retry_policy
from airflow_provider_magichour.sensors import MagicHourProjectSensor

ASK = {"image": "https://example.com/cat.jpg", "end_seconds": 5, "model": "kling-3.0"}

with DAG("links", schedule=None, default_args={"magichour_conn_id": "surfaces"}):
    submit = MagicHourImageToVideoOperator.partial(
        task_id="submit", **{key: value for key, value in ASK.items() if key != "image"}
    ).expand(image=[ASK["image"], ASK["image"]])
    MagicHourProjectSensor.partial(task_id="wait", deferrable=True, poke_interval=1).expand(project_id=submit.output)
    MagicHourImageToVideoOperator(task_id="both", **ASK, wait_for_completion=True, deferrable=True, poll_interval=1)
    MagicHourImageToVideoOperator(task_id="on_worker", **ASK, wait_for_completion=True, poll_interval=1)
    MagicHourImageToVideoOperator(task_id="dear", **ASK, max_credits=100)

with DAG(
    "retries",
    schedule=None,
    default_args={
        "magichour_conn_id": "surfaces",
        "retries": 2,
        "retry_delay": timedelta(hours=10),
        "retry_policy": magichour_retry_policy(),
    },
):
    for name in ("too_many", "outage", "own"):
        MagicHourDownloadOperator(task_id=name, project_id=f"p-{name}", destination="/nowhere/")
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(render_seconds=0, render=False) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(local_airflow: LocalAirflow, sandbox: Sandbox) -> LocalAirflow:
    add(local_airflow, sandbox, "surfaces")
    (local_airflow.dag_folders[0] / "surfaces.py").write_text(DAGS)
    return local_airflow


def add(airflow: LocalAirflow, sandbox: Sandbox, conn_id: str, **fields: Any) -> None:
    airflow.rest.add_connection(conn_id, "magichour", host=sandbox.url, password=sandbox.api_key, **fields)


# The connection's test


def shown(airflow: LocalAirflow, conn_id: str) -> dict[str, Any]:
    """Return what the Test button in Airflow's list of connections sends: the key is masked, no port becomes 0."""
    stored = airflow.rest.connection(conn_id)
    texts = {name: stored[name] or "" for name in ("description", "host", "login", "schema")}
    return {
        **texts,
        "connection_id": conn_id,
        "conn_type": stored["conn_type"],
        "password": stored["password"],
        "extra": stored["extra"] or "{}",
        "port": stored["port"] or 0,
    }


def test_test_button_of_a_stored_connection_says_plan_and_credits(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    extra = json.dumps({"request_timeout": 5, "requests_per_second": 10, "max_connections": 4})
    add(airflow, sandbox, "stored", port=0, extra=extra)
    sent = shown(airflow, "stored")
    assert sent["password"] == "***"
    answer = airflow.rest.call("POST", "/connections/test", json=sent)
    if (
        version("apache-airflow").startswith(("3.0.", "3.1.", "3.2."))
        and "missing, wrong or revoked" in answer["message"]
    ):
        pytest.skip("this Airflow tests a stored connection with the masked password")
    assert answer["status"] is True, answer
    assert answer["message"].startswith("Connected to Magic Hour: plan pro, ")
    assert "@" not in answer["message"]


def test_new_connection_can_be_tested_by_rest_before_it_is_stored(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    stored = json.loads(sandbox.connection)
    body = {"connection_id": "new", "conn_type": "magichour", "host": stored["host"], "password": "mhk_wrong"}
    answer = airflow.rest.call("POST", "/connections/test", json=body)
    assert answer["status"] is False
    assert "The API key of this connection is missing, wrong or revoked" in answer["message"]
    assert (
        airflow.rest.call("POST", "/connections/test", json=body | {"password": stored["password"]})["status"] is True
    )


def command_line(airflow: LocalAirflow, conn_id: str, **environment: str) -> str:
    """Run `airflow connections test` on this Airflow's database."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "connections", "test", conn_id],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(airflow.home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow.home / 'airflow.db'}",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "COLUMNS": "400",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def test_command_line_tests_a_stored_connection(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    # Airflow's command keeps the message of a success to itself.
    assert "Connection success!" in command_line(airflow, "surfaces")
    airflow.rest.add_connection("keyless", "magichour", host=sandbox.url)
    assert "This connection has no API key" in command_line(airflow, "keyless")


def test_connection_from_a_secrets_back_end_works(airflow: LocalAirflow, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "connections.json"
    file.write_text(json.dumps({"from_file": json.loads(sandbox.connection)}))
    asked = len(sandbox.requests.to("account"))
    text = command_line(
        airflow,
        "from_file",
        AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps({"connections_file_path": str(file)}),
    )
    assert "Connection success!" in text
    assert len(sandbox.requests.to("account")) == asked + 1


# Links


def links(airflow: LocalAirflow, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
    """Return the link of a task to its project; that to its clip has tests of its own."""
    found: dict[str, str | None] = airflow.rest.call(
        "GET", f"/dags/links/dagRuns/{run_id}/taskInstances/{task_id}/links", params={"map_index": map_index}
    )["extra_links"]
    return {name: url for name, url in found.items() if name == LINK}


def test_link_is_there_while_the_task_runs_is_deferred_and_afterwards(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    sandbox.faults.add("create", times=4, job={"render_seconds": 3600})
    airflow.wait_for_dag("links")
    run_id = airflow.rest.trigger("links")
    waiting = {("both", -1): "deferred", ("wait", 0): "deferred", ("wait", 1): "deferred", ("on_worker", -1): "running"}
    for (task_id, map_index), state in waiting.items():
        airflow.wait_for_task("links", run_id, task_id, state, map_index=map_index, timeout=90)
        link = airflow.wait_for(
            lambda task_id=task_id, map_index=map_index: links(airflow, run_id, task_id, map_index)[LINK], 30, task_id
        )
        submitter = "submit" if task_id == "wait" else task_id
        project_id = airflow.rest.xcom("links", run_id, submitter, key="project_id", map_index=map_index)
        assert link == f"{LIBRARY}{project_id}"
        if task_id == "wait":
            assert links(airflow, run_id, "submit", map_index)[LINK] == link
    before = {key: links(airflow, run_id, *key) for key in waiting}
    for job in list(sandbox.jobs):
        sandbox.jobs.change(job.id, render_seconds=0)
    assert airflow.wait_for_run("links", run_id, 120) == "failed"  # `dear` alone
    states = {(ti.task_id, ti.map_index): ti.state for ti in airflow.rest.task_instances("links", run_id)}
    assert {key for key, state in states.items() if state != "success"} == {("dear", -1)}
    assert {key: links(airflow, run_id, *key) for key in waiting} == before
    assert links(airflow, run_id, "dear") == {LINK: None}
    assert "is above max_credits=100" in airflow.rest.log("links", run_id, "dear")


# Retries


def test_retry_policy_decides_when_the_next_try_is(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    if magichour_retry_policy() is None:
        pytest.skip("this Airflow has no retry policies")
    # What is asked for is longer than the task repeats the read itself.
    sandbox.faults.add("get", path="*/p-too_many", times=None, status=429, headers={"Retry-After": "1234"})
    sandbox.faults.add("get", path="*/p-outage", times=None, status=503, headers={"Retry-After": "100"})
    airflow.wait_for_dag("retries")
    run_id = airflow.rest.trigger("retries")
    for task_id, seconds in {"too_many": 1234, "outage": 120, "own": None}.items():
        airflow.wait_for_task("retries", run_id, task_id, "up_for_retry", timeout=120)
        assert delay(airflow, run_id, task_id) == seconds
    assert "Retry policy decision" in airflow.rest.log("retries", run_id, "too_many")
    airflow.rest.set_run_state("retries", run_id, "failed")


def delay(airflow: LocalAirflow, run_id: str, task_id: str) -> float | None:
    """Return the seconds until the next try that a policy has set; only Airflow's database tells."""
    with closing(sqlite3.connect(airflow.home / "airflow.db", timeout=30)) as database:
        asked = "SELECT retry_delay_override FROM task_instance WHERE run_id = ? AND task_id = ?"
        (found,) = database.execute(asked, (run_id, task_id)).fetchone()
    return found
