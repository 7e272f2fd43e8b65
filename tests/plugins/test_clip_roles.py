"""Who may see clips where FAB's auth manager decides; its package is needed here alone: `make test-ui` installs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scenes.dag_runs import new_airflow, python

pytest.importorskip(
    "airflow.providers.fab.auth_manager.fab_auth_manager",
    reason="FAB's auth manager is not installed: make test-ui does it",
)

MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def test_each_role_of_fab_sees_what_airflows_own_endpoints_show_it(tmp_path: Path) -> None:
    environment = new_airflow(tmp_path / "airflow", tmp_path) | {"AIRFLOW__CORE__AUTH_MANAGER": MANAGER}
    told = json.loads(python(environment, "-m", "tests.scenes.fab_roles").splitlines()[-1])
    assert list(told) == ["Admin", "Op", "User", "Viewer", "Public", "none"]
    for role, answers in told.items():
        xcom, instance = answers.pop("xcom"), answers.pop("instance")
        assert xcom == instance == (403 if role in ("Public", "none") else 200), role
        expected = {"run": 200, "clip": 200, "file": 302} if xcom == 200 else dict.fromkeys(answers, 403)
        assert answers == expected, role
