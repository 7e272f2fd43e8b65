"""Runs with clips in a database of Airflow's, and the pages on top of it with Airflow's own way to let people in."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_provider_magichour.api.library import library_url
from tools.airflow.settings import migrated_database

LINK = "_link_MagicHourProjectLink"
RUN = "manual__2026-11-26T00:00:00+00:00"
ROLES = ("viewer", "user", "op", "admin", None)
"""Those of Airflow's SimpleAuthManager; None: none at all."""


def fill_home() -> None:
    """Give this process the database that its Airflow is bound to, empty."""
    shutil.copyfile(migrated_database(), Path(os.environ["AIRFLOW_HOME"]) / "airflow.db")


class Runs:
    """Writes runs as the scheduler and workers do."""

    def run(self, dag_id: str, run_id: str = RUN) -> None:
        from airflow.models.dag import DagModel
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with create_session() as session:
            session.merge(DagBundleModel(name="tests"))
            session.flush()
            session.add(DagModel(dag_id=dag_id, bundle_name="tests", fileloc="", relative_fileloc=""))
            session.flush()
            about = {"run_type": "manual", "state": "success", "run_after": datetime.now(UTC)}
            session.add(DagRun(dag_id=dag_id, run_id=run_id, **about))

    def task(
        self,
        dag_id: str,
        task_id: str,
        map_index: int = -1,
        *,
        state: str | None = "success",
        operator: str = "MagicHourImageToVideoOperator",
        project: str | None = None,
        kind: Any = "video",
        given: dict[str, Any] | None = None,
        **xcoms: Any,
    ) -> None:
        """Write a task instance, with its rendered fields and XComs."""
        from airflow.models.renderedtifields import RenderedTaskInstanceFields
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import String, insert

        key = {"dag_id": dag_id, "task_id": task_id, "run_id": RUN, "map_index": map_index}
        times = {"start_date": datetime.now(UTC) if state else None, "updated_at": datetime.now(UTC)}
        row = {**key, "id": uuid.uuid4(), "state": state, "operator": operator, "pool": "p", "pool_slots": 1, **times}
        row |= {"queue": "q", "try_number": 1, "max_tries": 0, "span_status": "", "executor_config": {}}
        known = TaskInstance.__table__.columns
        if isinstance(known["id"].type, String):  # Airflow 3.1
            row["id"] = str(row["id"])
        with create_session() as session:
            session.execute(insert(TaskInstance.__table__).values({k: v for k, v in row.items() if k in known}))
            if given is not None:
                session.execute(insert(RenderedTaskInstanceFields.__table__).values(**key, rendered_fields=given))
        if project:
            xcoms[LINK] = library_url(project, kind)
        for name, value in xcoms.items():
            self.xcom(dag_id, task_id, name, value, map_index)

    def xcom(self, dag_id: str, task_id: str, name: str, value: Any, map_index: int = -1) -> None:
        """Write an XCom as a worker does: JSON, as a text."""
        from airflow.models.xcom import XComModel

        # The database gets JSON, as a text.
        XComModel.set(key=name, value=value, dag_id=dag_id, task_id=task_id, run_id=RUN, map_index=map_index)

    def remember(self, dag_id: str, task_id: str, key: str, value: Any, map_index: int = -1) -> None:
        """Write a value into the task state store as Airflow does for a worker: JSON, as a text."""
        from airflow.models.dagrun import DagRun
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            run = session.scalar(select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == RUN))
            place = {"dag_id": dag_id, "run_id": RUN, "task_id": task_id, "map_index": map_index, "dag_run_id": run}
            session.add(TaskStateStoreModel(**place, key=key, value=json.dumps(value)))


def served() -> Any:
    """Airflow's own endpoints of XComs and task instances, and the pages, in one application."""
    from airflow.api_fastapi.app import init_auth_manager
    from airflow.api_fastapi.common.dagbag import create_dag_bag
    from airflow.api_fastapi.core_api.routes.public.task_instances import task_instances_router
    from airflow.api_fastapi.core_api.routes.public.xcom import xcom_router
    from fastapi import FastAPI

    from airflow_provider_magichour.plugins.clips import MagicHourClipsPlugin

    application = FastAPI()
    application.state.dag_bag = create_dag_bag()
    application.state.auth_manager = init_auth_manager(application)
    for router in (xcom_router, task_instances_router):
        application.include_router(router, prefix="/api/v2")
    for mounted in MagicHourClipsPlugin.fastapi_apps:
        application.mount(mounted["url_prefix"], mounted["app"])
    return application


def as_role(role: str | None) -> dict[str, str]:
    """Headers of somebody who is logged in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=f"a {role}", role=role))
    return {"Cookie": f"_token={token}"}


@contextmanager
def queries() -> Iterator[list[str]]:
    """What is asked of Airflow's database meanwhile."""
    from airflow import settings
    from sqlalchemy import event

    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
