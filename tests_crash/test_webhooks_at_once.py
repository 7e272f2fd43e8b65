"""The same delivery at the same moment at two API servers, one of them below a path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scenes.webhooks import SECRET, api_server, body, deliver, signed
from tools.airflow.local import LocalAirflow
from tools.airflow.postgres import LocalPostgres, postgres_folder

pytestmark = pytest.mark.long_only

DAG = """
from airflow.sdk import DAG, Asset
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("on_videos", schedule=Asset("magichour://videos/completed") | Asset("magichour://videos/errored")):
    EmptyOperator(task_id="nothing")
"""
PATH = "/air/flow"
AT_ONCE = 16
VIDEOS = 8


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The address of a PostgreSQL, or None for Airflow's own SQLite."""
    if request.param == "sqlite":
        yield None
        return
    pytest.importorskip("psycopg2", reason="the drivers of PostgreSQL (dependency group crash) are not installed")
    if postgres_folder() is None:
        pytest.skip("PostgreSQL is not installed")
    with LocalPostgres() as server:
        yield server.address


@pytest.fixture(scope="module")
def airflow(database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    folder = tmp_path_factory.mktemp("dags")
    (folder / "on_videos.py").write_text(DAG)
    environment = {"AIRFLOW__MAGICHOUR__WEBHOOK_SECRET": SECRET}
    with LocalAirflow(folder, env=environment, sql_alchemy_conn=database) as airflow:
        airflow.wait_for_dag("on_videos")
        airflow.wait_for(lambda: airflow.rest.call("GET", "/assets")["total_entries"] == 2, 60, "the assets are active")
        yield airflow


def events(airflow: LocalAirflow) -> Counter[tuple[str, str]]:
    listed = airflow.rest.call("GET", "/assets/events", params={"limit": 100})["asset_events"]
    return Counter((event["extra"]["event"], event["extra"]["project_id"]) for event in listed)


def test_a_delivery_that_comes_many_times_at_once_to_three_processes_makes_one_event(
    airflow: LocalAirflow, database: str | None, tmp_path: Path
) -> None:
    # Two processes of one server, and one of the other; the secret is what a command prints.
    secret = {"AIRFLOW__MAGICHOUR__WEBHOOK_SECRET_CMD": f"echo {SECRET}", "AIRFLOW__API__WORKERS": "2"}
    first = f"{airflow.url}/magichour/webhooks"
    with api_server(airflow, tmp_path / "second", PATH, database, **secret) as (second, _):
        for number in range(VIDEOS):
            event = "video.errored" if number % 4 == 0 else "video.completed"
            content = body(event, project_id=f"clip{number}")
            headers = signed(content)
            with ThreadPoolExecutor(AT_ONCE) as senders:
                sent = [senders.submit(deliver, [first, second][n % 2], content, headers) for n in range(AT_ONCE)]
            made = Counter((done.result().status_code, done.result().json()["message"][:13]) for done in sent)
            assert made == {(200, "created an event"): 1, (200, "already recorded"): AT_ONCE - 1}
    found = events(airflow)
    assert len(found) == VIDEOS
    assert set(found.values()) == {1}
