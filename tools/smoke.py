"""Imports all of the installed package and runs a DAG of it against the sandbox; `tools/test_install.py` runs a copy.

It is that DAG's file, too: `dag.test()` wants it in the folder of DAGS.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import sys
from importlib.metadata import version
from io import StringIO
from pathlib import Path

from airflow.sdk import DAG

import airflow_provider_magichour
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sandbox import Sandbox
from airflow_provider_magichour.sensors import MagicHourProjectSensor

# They need PyAV and pytest, which most installations do not have.
RENDERS = ("rendering", "pictures", "sounds")
LEFT_OUT = frozenset(f"airflow_provider_magichour.sandbox.{name}" for name in (*RENDERS, "pytest_plugin"))
HOME = Path(os.environ["AIRFLOW_HOME"])
PHOTO, CLIPS = HOME / "photo.png", HOME / "clips"

with DAG("smoke", schedule=None) as dag:
    submit = MagicHourImageToVideoOperator(task_id="submit", image=str(PHOTO), end_seconds=5)
    wait = MagicHourProjectSensor(task_id="wait", project_id=submit.output, deferrable=True, poke_interval=1)
    MagicHourDownloadOperator(task_id="download", project_id=wait.output, destination=f"{CLIPS}/")


def import_all() -> int:
    """Import every module; return how many there are."""
    package = airflow_provider_magichour
    names = {each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")} - LEFT_OUT
    for name in names:
        importlib.import_module(name)
    return len(names)


def run_dag() -> str:
    """Submit, wait deferred and download, in this process; return the run's state."""
    from airflow.utils.db import initdb

    PHOTO.write_bytes(b"\x89PNG\r\n\x1a\n")
    initdb()
    # Longer than until the sensor's first look, so that it defers.
    with Sandbox(render=False, render_seconds=3) as sandbox:
        os.environ["AIRFLOW_CONN_MAGICHOUR_DEFAULT"] = sandbox.connection
        state = str(dag.test().state.value)
    return state if list(CLIPS.glob("*.mp4")) else f"{state}, but no clip"


def main() -> int:
    """Do both, and say so; on failure with all that Airflow has said."""
    logging.disable(logging.CRITICAL)
    said = StringIO()
    with contextlib.redirect_stdout(said):
        count, state = import_all(), run_dag()
    compat = version("apache-airflow-providers-common-compat")
    print(f"  common-compat {compat}: {count} modules, a run of a DAG: {state}")
    if state != "success":
        print(said.getvalue(), file=sys.stderr)
    return int(state != "success")


if __name__ == "__main__":
    sys.exit(main())
