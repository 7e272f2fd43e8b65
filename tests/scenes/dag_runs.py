"""`dag.test()` in a process and an Airflow of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.airflow.settings import migrated_database

PATIENCE = 600
"""Seconds: in Airflow 3.0 `dag.test()` sets up a server for each task."""

DAGS_IN = """
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag


def dag_in(folder, dag_id):
    return DagBag(f"{folder}/{dag_id}.py").dags[dag_id]
"""
"""Begins the program that runs the DAG of a file: Airflow 3.0 has the bag elsewhere."""


def new_airflow(home: Path, dags: Path, **connections: str) -> dict[str, str]:
    """Return the environment of an Airflow with an empty database.

    :param home: folder to make for it.
    :param dags: its DAG folder.
    :param connections: as JSON, by their ids.
    """
    home.mkdir()
    shutil.copyfile(migrated_database(), home / "airflow.db")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()},
    }


def python(environment: dict[str, str], *arguments: str) -> str:
    """Run Python and return what it has written."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout
