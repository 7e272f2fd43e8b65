"""Imports all of the installed package and runs its example on the sandbox; `tools/test_install.py` runs a copy."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import shutil
import sys
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import airflow_provider_magichour
from airflow_provider_magichour.sandbox import Sandbox

# They need PyAV and pytest, which most installations do not have.
RENDERS = ("rendering", "pictures", "sounds")
LEFT_OUT = frozenset(f"airflow_provider_magichour.sandbox.{name}" for name in (*RENDERS, "pytest_plugin"))
EXAMPLES = Path(airflow_provider_magichour.__file__).parent / "example_dags"
EXAMPLE = "example_image_to_video"
HOME = Path(os.environ["AIRFLOW_HOME"])
CLIPS = HOME / "clips"


def import_all() -> int:
    """Import every module; return how many there are."""
    package = airflow_provider_magichour
    names = {each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")} - LEFT_OUT
    for name in names:
        importlib.import_module(name)
    return len(names)


def run_example() -> str:
    """Take an example as one's own, and have it submit, wait deferred and download, in this process.

    :return: the run's state, and the number of clips of its photos.
    """
    from airflow.utils.db import initdb

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    shutil.copytree(EXAMPLES, HOME / "dags")
    initdb()
    dag = DagBag(HOME / "dags" / f"{EXAMPLE}.py").dags[EXAMPLE]
    # Longer than until the sensor's first look, so that it defers.
    with Sandbox(render=False, render_seconds=3) as sandbox:
        os.environ["AIRFLOW_CONN_MAGICHOUR_DEFAULT"] = sandbox.connection
        state = dag.test(run_conf={"clips": f"{CLIPS}/"}).state
    return f"{getattr(state, 'value', state)}, {len(list(CLIPS.glob('*.mp4')))} clips"


def main() -> int:
    """Do both, and say so; on failure with all that Airflow has said."""
    logging.disable(logging.CRITICAL)
    said = StringIO()
    with contextlib.redirect_stdout(said):
        count, ended = import_all(), run_example()
    compat = version("apache-airflow-providers-common-compat")
    print(f"  common-compat {compat}: {count} modules, the example of three photos: {ended}")
    well = ended == "success, 3 clips"
    if not well:
        print(said.getvalue(), file=sys.stderr)
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
