"""Events of assets in an Airflow database of their own, and the settings of what receives deliveries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tools.airflow.settings import migrated_database

COMPLETED = "magichour://videos/completed"

# A process of its own, as Airflow is bound to one database. It tells what it has seen as one line of JSON.
SCENE = """
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from airflow.models.asset import AssetActive, AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import delete, event, func, select

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.plugins import events
from airflow_provider_magichour.plugins.deliveries import DeliveryRefusedError

URI = "magichour://videos/completed"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
made = events.Events()
clock = SimpleNamespace(now=1000.0)
events.time = SimpleNamespace(monotonic=lambda: clock.now)


def record(project_id, since=LONG_AGO):
    try:
        return made.record("video.completed", Project(id=project_id, status="complete"), since)
    except DeliveryRefusedError as refusal:
        return [refusal.status, str(refusal)]


def activate():
    with create_session() as session:
        session.add(AssetActive(name=URI, uri=URI))


def deactivate():
    with create_session() as session:
        session.execute(delete(AssetActive))


def add_asset():
    with create_session() as session:
        session.add(AssetModel(name=URI, uri=URI, group="asset", extra={}))


with create_session() as session:  # a database that is not a fresh copy
    for each in (AssetEvent, AssetActive, AssetModel):
        session.execute(delete(each))


def count():
    with create_session() as session:
        return session.scalar(select(func.count(AssetEvent.id)))


def tell(seen):
    print("seen: " + json.dumps(seen))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copyfile(migrated_database(), tmp_path / "airflow.db")
    return tmp_path


def run(home: Path, program: str, **settings: str) -> tuple[Any, str]:
    kept = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"  # other databases than SQLite: tests_production
    environment = {name: value for name, value in os.environ.items() if name == kept or not name.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **settings}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (seen,) = [line for line in done.stdout.splitlines() if line.startswith("seen: ")]
    return json.loads(seen.removeprefix("seen: ")), done.stdout + done.stderr


IN_USE = """
seen = [record("clip1")]
add_asset()
seen += [record("clip1")]
activate()
seen += [record("clip1"), record("clip1")]
deactivate()
clock.now += 1e6
seen += [record("clip2")]
clock.now += 86_399
seen += [record("clip2")]
clock.now += 2
seen += [record("clip2")]
activate()
seen += [record("clip3")]
deactivate()
seen += [record("clip4")]
tell([*seen, count()])
"""


def test_an_asset_out_of_use_for_a_while_loses_nothing_and_one_that_never_was_is_ignored(home: Path) -> None:
    seen, _ = run(home, SCENE + IN_USE)
    again = [503, f"no DAG uses the asset {COMPLETED} at the moment"]
    made = f"created an event of the asset {COMPLETED}"
    never = f"ignored, as no DAG uses the asset {COMPLETED}"
    no_more = f"ignored, as no DAG has used the asset {COMPLETED} for 24 hours"
    assert seen == [never, again, made, "already recorded", again, again, no_more, made, again, 2]


MANY = """
add_asset()
activate()
with create_session() as session:
    asset_id = session.scalar(select(AssetModel.id))
    for number in range(2000):
        session.add(AssetEvent(asset_id=asset_id, extra={"project_id": f"old{number}"}))
loaded = []
with create_session() as session:
    engine = session.get_bind()


@event.listens_for(engine, "before_cursor_execute")
def note(connection, cursor, statement, parameters, *_):
    if "asset_event" in statement and statement.startswith("SELECT"):
        rows = connection.connection.cursor()
        rows.execute(statement, parameters)
        loaded.append(len(rows.fetchall()))


ids = ["clip1", "old7", "nobody%", "old_", "emoji \U0001f600 \\"quoted\\" / \\\\", "x" * 60_000]
first = [record(each) for each in ids]
tell([first, [record(each) for each in ids], max(loaded), record("old8", datetime.now(UTC) + timedelta(hours=1))])
"""


def test_an_id_is_looked_for_without_loading_all_events(home: Path) -> None:
    (first, second, loaded, later), _ = run(home, SCENE + MANY)
    made = f"created an event of the asset {COMPLETED}"
    assert first == [made, "already recorded", made, made, made, made]
    assert second == ["already recorded"] * 6
    assert loaded <= 2
    assert later == made  # what was recorded before the time is not looked at


AT_ONCE = """
from concurrent.futures import ThreadPoolExecutor

add_asset()
activate()
with ThreadPoolExecutor(8) as servers:
    said = [list(servers.map(lambda _: record(f"clip{number}"), range(8))) for number in range(8)]
tell([sorted(each) for each in said] + [count()])
"""


def test_of_deliveries_at_once_the_database_lets_one_be_the_first(home: Path) -> None:
    (*seen, count), _ = run(home, SCENE + AT_ONCE)
    assert seen == [["already recorded"] * 7 + [f"created an event of the asset {COMPLETED}"]] * 8
    assert count == 8


SERVED = """
import asyncio, hashlib, hmac, json, os, time

from airflow_provider_magichour.plugins.webhooks import webhooks


async def post(age):
    stamp = str(int(time.time()) - age)
    signature = hmac.new(b"whsec_1", f"{stamp}.{{}}".encode(), hashlib.sha256).hexdigest()
    headers = {"magic-hour-event-timestamp": stamp, "magic-hour-event-signature": signature}
    answers = []

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/webhooks", "root_path": "", "query_string": b""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
    await webhooks(scope, receive, send)
    return [answers[0]["status"], json.loads(answers[1]["body"])["message"]]


async def main():
    return list(await asyncio.gather(*(post(int(age)) for age in os.environ["AGES"].split())))


print("seen: " + json.dumps(asyncio.run(main())))
"""
READ = [400, "signed, but unreadable: type"]


@pytest.mark.parametrize("configured", ["nan", "inf", "-5", "1e9", "soon"])
def test_a_tolerance_beyond_bounds_leaves_the_default_in_force_and_says_so(home: Path, configured: str) -> None:
    settings = {"AIRFLOW__MAGICHOUR__WEBHOOK_SECRET": "whsec_1", "AIRFLOW__MAGICHOUR__WEBHOOK_TOLERANCE": configured}
    (recent, old), log = run(home, SERVED, **settings, AGES="200 400")
    assert recent == READ
    assert old[0] == 401
    assert "300 s are allowed" in old[1]
    assert f"[magichour] webhook_tolerance = '{configured}': a number of seconds above 0 and up to 172800" in log
    assert "whsec_1" not in log


def test_a_tolerance_within_bounds_is_in_force(home: Path) -> None:
    settings = {"AIRFLOW__MAGICHOUR__WEBHOOK_SECRET": "whsec_1", "AIRFLOW__MAGICHOUR__WEBHOOK_TOLERANCE": "86400"}
    seen, log = run(home, SERVED, **settings, AGES="80000")
    assert seen == [READ]
    assert "webhook_tolerance" not in log


@pytest.mark.skipif(
    version("apache-airflow").startswith("3.0."), reason="Airflow 3.0 runs no command for the option of a provider"
)
def test_a_secret_that_cannot_be_read_is_told_once_and_deliveries_come_again(home: Path) -> None:
    command = "sh -c 'echo whsec_1; exit 3'"
    seen, log = run(home, SERVED, AIRFLOW__MAGICHOUR__WEBHOOK_SECRET_CMD=command, AGES="0 0 0")
    assert seen == [[503, "the receiver's settings cannot be read"]] * 3
    assert log.count("webhook_secret cannot be read (AirflowConfigException)") == 1
    assert "whsec_1" not in log
