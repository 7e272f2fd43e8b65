"""What Airflow's own database keeps of what this provider hands over, in a process that is bound to one.

Usage: python -m tests_production.told FUNCTION; prints what it returns, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetAliasModel, AssetEvent, AssetModel
from airflow.models.task_state_store import TaskStateStoreModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.sdk import Asset
from airflow.utils.session import create_session
from cryptography.fernet import InvalidToken
from sqlalchemy import select, text
from sqlalchemy.exc import DataError

from airflow_provider_magichour.api.tool_rows import tool_named
from airflow_provider_magichour.batch.entries import Entry
from airflow_provider_magichour.batch.ledger import Ledger
from airflow_provider_magichour.batch.night import Night
from airflow_provider_magichour.batch.plan import Plan
from airflow_provider_magichour.batch.rules import Rules
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.media.lineage import as_asset
from airflow_provider_magichour.triggers import MagicHourBatchTrigger, MagicHourProjectTrigger
from tests.scenes.clips import Runs

LONGEST = 65_535
URIS = ("s3://clips/ü.mp4", "s3://clips/写真 😀.mp4", "file:///clips/写 #1?.mp4")


def waits(count: int, length: int) -> dict[str, Any]:
    """The arguments of a trigger for so many projects with ids of this length, submitted over four weeks."""
    ledger = Ledger(None)
    ledger.add([f"i{n}" for n in range(count)])
    for n in range(count):
        day = f"2026-09-{1 + 27 * n // count:02}T12:00:00.000+00:00"
        ledger.put(f"i{n}", Entry(status="in_flight", project_id=f"{n:0{length}}", submitted_at=day))
    rules = Rules("s3://clips/", None, 1000, 4, 2, 9e6, "fail", str)
    plan = Plan(tool_named("image-to-video"), {}, {}, None, True)
    hook = MagicHourHook("c" * 250)
    return Night(hook, plan, rules, ledger, {}, "", None, False, 0, threading.Event()).waits()


def read_back(row: Trigger, mode: str | None = None) -> Any:
    """Store a trigger, and return its arguments as a triggerer reads them."""
    with create_session() as session:
        if mode is not None:
            session.execute(text(f"SET SESSION sql_mode = '{mode}'"))
        session.add(row)
        session.flush()
        number = row.id
    with create_session() as session:
        return session.get(Trigger, number).kwargs


def largest_triggers() -> list[Any]:
    seen: list[Any] = []
    for count, length in ((1000, 25), (1000, 36), (1000, 500)):
        kwargs = waits(count, length)
        row = Trigger.from_object(MagicHourBatchTrigger(**kwargs))
        plain = Trigger("x", {})
        plain.encrypted_kwargs = json.dumps(kwargs)  # as Airflow 3.3 keeps what a worker hands over
        seen.append(
            [len(kwargs["ids"]), len(row.encrypted_kwargs) <= LONGEST, read_back(row) == kwargs == read_back(plain)]
        )
    one = MagicHourProjectTrigger("p" * 500, "video", "c" * 250, 1.8e9, 1.9e9, 86_400.5, "s" * 200, 10**9, 3600.0)
    return [*seen, read_back(Trigger.from_object(one)) == one.serialize()[1]]


def triggers_beyond() -> list[Any]:
    """In strict mode, and without."""
    kwargs = waits(1000, 36)
    kwargs["ids"] = [f"{each}xx" for each in kwargs["ids"]]
    seen = []
    for mode in (None, ""):
        try:
            seen.append(read_back(Trigger.from_object(MagicHourBatchTrigger(**kwargs)), mode))
        except (DataError, InvalidToken) as error:
            seen.append(f"{type(error).__name__}: {error}")
    return seen


def assets() -> list[Any]:
    """Of each URI: whether its event is kept under our name for it; what is said without, in worker and API server."""
    Runs().run("a_dag")
    Runs().task("a_dag", "download")
    with create_session() as session:
        session.add(AssetAliasModel(name="clips", group="asset"))
    return [[tried(event, uri, as_asset(uri)), tried(Asset, uri), tried(event, uri, uri)] for uri in URIS]


def tried(what: Any, *arguments: str) -> Any:
    try:
        return what(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def event(uri: str, name: str) -> bool:
    """Register an asset's event as Airflow's API server does when a task has ended, and look whether it is there."""
    outlet = SimpleNamespace(name="clips", uri=None, type="AssetAlias")
    told = {"source_alias_name": "clips", "dest_asset_key": {"name": name, "uri": name}, "dest_asset_extra": {}}
    with create_session() as session:
        ti = session.scalar(select(TaskInstance).where(TaskInstance.dag_id == "a_dag"))
        TaskInstance.register_asset_changes_in_db(ti, [outlet], [{**told, "extra": {"uri": uri}}], session=session)
    with create_session() as session:
        query = select(AssetModel.uri, AssetEvent.extra).join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
        kept = session.execute(query.order_by(AssetEvent.id.desc()).limit(1)).one()
        return tuple(kept) == (name, {"uri": uri})


def whole_run() -> list[Any]:
    """Run the DAG of the environment's folder; return its tasks' states, events' real URIs, and what a store holds."""
    run = DagBag().dags["whole"].test()
    with create_session() as session:
        uris = [extra["uri"] for extra in session.scalars(select(AssetEvent.extra)) if "project_id" in extra]
        query = select(TaskStateStoreModel.value).where(TaskStateStoreModel.key == "magichour_batch_0000")
        items = json.loads(session.scalars(query).one())
    return [{ti.task_id: ti.state for ti in run.get_task_instances()}, uris, items]


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
