"""What Airflow's database holds of the clips of a run: the only module that knows its tables.

Airflow does not promise those to plugins. What goes wrong here is an :class:`UnreadableError`, of which the pages make
a note.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_provider_magichour.plugins.clip_pages.views import BATCH, CREDITS, LINK, RETURNED, Chunks, Key, Row, Told

log = logging.getLogger(__name__)


COLUMNS = {
    **{name: name for name in ("task_id", "map_index", "state", "operator")},
    "start": "start_date",
    "label": "_rendered_map_index",
}


class UnreadableError(Exception):
    """Airflow's tables could not be read; the message names the kind of error alone."""


@contextmanager
def _reading() -> Iterator[Session]:
    try:
        with create_session(scoped=False) as session:
            yield session
    except Exception as error:
        log.exception("Magic Hour's clips: Airflow's tables cannot be read")
        raise UnreadableError(type(error).__name__) from None


def read_run(dag_id: str, run_id: str, map_index: int | None = None) -> list[Row] | None:
    """Return the task instances of a run, with what their XComs say of a project; None where there is no such run.

    Two queries for what is there, one more for what is not.

    :param map_index: of those alone that are wanted; None for all.
    """
    with _reading() as session:
        wanted = [TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id]
        if map_index is not None:
            wanted.append(TaskInstance.map_index == map_index)
        columns = (getattr(TaskInstance, column).label(name) for name, column in COLUMNS.items())
        rows = session.execute(select(*columns).where(*wanted)).all()
        if (
            not rows
            and session.scalar(select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)) is None
        ):
            return None
        told = _xcoms(session, dag_id, run_id, (LINK, CREDITS), map_index)
        return [Row(**row._mapping, told=told.get((row.task_id, row.map_index), {})) for row in rows]


def read_details(dag_id: str, run_id: str, keys: Iterable[Key]) -> dict[Key, Told]:
    """Return what some task instances were given and returned: rendered fields, and XCom ``return_value``.

    Two queries. Airflow keeps the rendered fields of a task's last 30 runs.
    """
    wanted = set(keys)
    tasks, indexes = {task for task, _ in wanted}, {index for _, index in wanted}
    fields = RenderedTaskInstanceFields
    with _reading() as session:
        rendered = session.execute(
            select(fields.task_id, fields.map_index, fields.rendered_fields).where(
                fields.dag_id == dag_id,
                fields.run_id == run_id,
                fields.task_id.in_(tasks),
                fields.map_index.in_(indexes),
            )
        ).all()
        told = _xcoms(session, dag_id, run_id, (RETURNED,), None, tasks, indexes)
    for task_id, map_index, given in rendered:
        told.setdefault((task_id, map_index), {})["given"] = given
    return {key: values for key, values in told.items() if key in wanted}


def read_items(dag_id: str, run_id: str, keys: Iterable[Key], chunk: int | None = None) -> dict[Key, Chunks]:
    """Return what batches remember of their items, from the task state store; nothing before Airflow 3.3.

    One query.

    :param chunk: which is wanted; None for all.
    """
    try:
        from airflow.models.task_state_store import TaskStateStoreModel as Store
    except ImportError:
        return {}
    wanted, found = set(keys), dict[Key, Chunks]()
    numbered = Store.key.startswith(BATCH, autoescape=True) if chunk is None else Store.key == f"{BATCH}{chunk:04}"
    query = select(Store.task_id, Store.map_index, Store.key, Store.value).order_by(Store.key)
    query = query.where(Store.dag_id == dag_id, Store.run_id == run_id, numbered)
    with _reading() as session:
        for task_id, map_index, name, value in session.execute(
            query.where(Store.task_id.in_({task for task, _ in wanted}))
        ):
            number = name.removeprefix(BATCH)
            if (task_id, map_index) in wanted and number.isdecimal():
                # What a person has written by REST may be a text in a text.
                found.setdefault((task_id, map_index), []).append((int(number), _plain(_plain(value))))
    return found


def _xcoms(
    session: Session,
    dag_id: str,
    run_id: str,
    names: tuple[str, ...],
    map_index: int | None,
    tasks: Iterable[str] = (),
    indexes: Iterable[int] = (),
) -> dict[Key, Told]:
    wanted = [XComModel.dag_id == dag_id, XComModel.run_id == run_id, XComModel.key.in_(names)]
    if map_index is not None:
        wanted.append(XComModel.map_index == map_index)
    if tasks:
        wanted += [XComModel.task_id.in_(tasks), XComModel.map_index.in_(indexes)]
    query = select(XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value).where(*wanted)
    told: dict[Key, Told] = {}
    for task_id, index, name, value in session.execute(query):
        told.setdefault((task_id, index), {})[name] = _plain(value)
    return told


def _plain(value: Any) -> Any:
    """Read a value as the workers of Airflow store it: JSON, as a text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
