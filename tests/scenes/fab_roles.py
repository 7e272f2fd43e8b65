"""What Airflow's XCom and task instance endpoints, and the pages of clips, answer each role of FAB's auth manager.

Usage: python -m tests.scenes.fab_roles, in an Airflow of its own; prints JSON: by role, the status of each answer.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import quote

from airflow_provider_magichour.sandbox import Sandbox
from tests.scenes.clips import LINK, RUN, Runs, served

ROLES = ("Admin", "Op", "User", "Viewer", "Public", "none")
DAG_ID = "clips"


def tokens() -> dict[str, str]:
    """Make FAB's tables, its roles, and a user of each; return what each is logged in with."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.providers.fab.auth_manager.models.db import FABDBManager
    from airflow.providers.fab.www.app import create_app
    from airflow.utils.session import create_session

    with create_session() as session:
        FABDBManager(session).create_db_from_orm()
    manager: Any = get_auth_manager()
    manager.flask_app = create_app(enable_plugins=False)
    made = {}
    with manager.flask_app.app_context():
        security = manager.security_manager
        security.sync_roles()
        for role in ROLES:
            roles = [] if role == "none" else [security.find_role(role)]
            user = security.add_user(role, role, role, f"{role}@example.com", roles, password="x")
            if user is False:
                raise RuntimeError(f"no user with role {role}")
            made[role] = manager.generate_jwt(user)
    return made


def main() -> None:
    from fastapi.testclient import TestClient

    application, runs = served(), Runs()
    runs.run(DAG_ID)
    with Sandbox(render_seconds=0, render=False) as sandbox, TestClient(application) as client:
        os.environ["AIRFLOW_CONN_MAGICHOUR_DEFAULT"] = sandbox.connection
        runs.task(DAG_ID, "submit", project=sandbox.add_job().id)
        instance = f"/api/v2/dags/{DAG_ID}/dagRuns/{quote(RUN)}/taskInstances/submit"
        run = f"/magichour-clips/dags/{DAG_ID}/runs/{quote(RUN)}"
        paths = {
            "xcom": f"{instance}/xcomEntries/{LINK}",
            "instance": instance,
            "run": run,
            "clip": f"{run}/tasks/submit",
            "file": f"{run}/tasks/submit/file",
        }
        told = {}
        for role, token in tokens().items():
            cookie = {"Cookie": f"_token={token}"}
            answers = {name: client.get(path, headers=cookie, follow_redirects=False) for name, path in paths.items()}
            told[role] = {name: each.status_code for name, each in answers.items()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
