"""What Airflow's database holds of the clips of a run: the only module that knows its tables.

Airflow does not promise those to plugins. What goes wrong here is an :class:`UnreadableError`, of which the pages make
a note.
"""

from __future__ import annotations

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

from airflow_provider_magichour.api.arguments import from_text
from airflow_provider_magichour.plugins.clip_pages.views import BATCH, CREDITS, LINK, RETURNED, Chunks, Key, Row, Told

log = logging.getLogger(__name__)

COLUMNS = ("task_id", "map_index", "state", "start_date", "operator", "_rendered_map_index")
"""Of a task instance, in the order of a :class:`Row`."""


class UnreadableError(Exception):
    """Airflow's tables could not be read; the message names the kind of error alone."""

    status_code = 200


@contextmanager
def _reading() -> Iterator[Session]:
    try:
        with create_session(scoped=False) as session:
            yield session
    except Exception as error:
        log.exception("Magic Hour's clips: Airflow's tables cannot be read")
        kind = type(error).__name__
        raise UnreadableError(f"Airflow's tables could not be read ({kind}): see the API server's log.") from None


def read_run(dag_id: str, run_id: str, map_index: int | None = None) -> list[Row] | None:
    """Return the task instances of a run, with what their XComs say of a project; None where there is no such run.

    Two queries for what is there, one more for what is not.

    :param map_index: of those alone that are wanted; None for all.
    """
    with _reading() as session:
        query = select(*(getattr(TaskInstance, name) for name in COLUMNS))
        rows = session.execute(query.where(*_of(TaskInstance, dag_id, run_id, map_index))).all()
        run = select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        if not rows and session.scalar(run) is None:
            return None
        told = _xcoms(session, (LINK, CREDITS), *_of(XComModel, dag_id, run_id, map_index))
        return [Row(*(*row, told.get((row.task_id, row.map_index), {}))) for row in rows]


def read_details(dag_id: str, run_id: str, keys: Iterable[Key]) -> dict[Key, Told]:
    """Return what some task instances were given and returned: rendered fields, and XCom ``return_value``.

    Two queries, where any are wanted. Airflow keeps the rendered fields of a task's last 30 runs.
    """
    wanted, fields = set(keys), RenderedTaskInstanceFields
    if not wanted:
        return {}
    with _reading() as session:
        query = select(fields.task_id, fields.map_index, fields.rendered_fields)
        rendered = session.execute(query.where(*_of(fields, dag_id, run_id, keys=wanted))).all()
        told = _xcoms(session, (RETURNED,), *_of(XComModel, dag_id, run_id, keys=wanted))
    for task_id, map_index, given in rendered:
        told.setdefault((task_id, map_index), {})["given"] = given
    return {key: values for key, values in told.items() if key in wanted}


def read_items(dag_id: str, run_id: str, keys: Iterable[Key], chunk: int | None = None) -> dict[Key, Chunks]:
    """Return what batches remember of their items, from the task state store; nothing before Airflow 3.3.

    One query, where any are wanted.

    :param chunk: which is wanted; None for all.
    """
    try:
        from airflow.models.task_state_store import TaskStateStoreModel as Store
    except ImportError:
        return {}
    wanted, found = set(keys), dict[Key, Chunks]()
    if not wanted:
        return {}
    with _reading() as session:
        numbered = Store.key.startswith(BATCH, autoescape=True) if chunk is None else Store.key == f"{BATCH}{chunk:04}"
        query = select(Store.task_id, Store.map_index, Store.key, Store.value).order_by(Store.key)
        query = query.where(numbered, *_of(Store, dag_id, run_id, keys=wanted))
        for task_id, map_index, name, value in session.execute(query):
            number = name.removeprefix(BATCH)
            if (task_id, map_index) in wanted and number.isdecimal():
                # What a person has written by REST may be a text in a text.
                found.setdefault((task_id, map_index), []).append((int(number), from_text(from_text(value))))
    return found


def _of(table: Any, dag_id: str, run_id: str, map_index: int | None = None, *, keys: set[Key] | None = None) -> Any:
    """Yield what holds for the rows of a run; of some task instances more come along than are wanted."""
    yield from (table.dag_id == dag_id, table.run_id == run_id)
    if map_index is not None:
        yield table.map_index == map_index
    if keys is not None:
        yield from (table.task_id.in_({task for task, _ in keys}), table.map_index.in_({index for _, index in keys}))


def _xcoms(session: Session, names: tuple[str, ...], *wanted: Any) -> dict[Key, Told]:
    query = select(XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value)
    query = query.where(XComModel.key.in_(names), *wanted)
    told: dict[Key, Told] = {}
    for task_id, index, name, value in session.execute(query):
        told.setdefault((task_id, index), {})[name] = from_text(value)
    return told
