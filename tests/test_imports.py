"""What a DAG file's imports of this package bring along: it is paid for at each parse."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tools.import_cost import FOR_INFORMATION, IN_DAG_FILES

# A package that is None in sys.modules cannot be imported, though airflow.sdk has had it before.
IMPORTS = """
import json
import sys
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from airflow_provider_magichour.compat import AirflowException, BaseHook, BaseOperatorLink, conf

sys.modules |= dict.fromkeys({heavy}, None)
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
HEAVY = ["aiohttp", "httpx", "httptools", "pydantic", "requests", "sqlalchemy", "starlette"]
OURS_AND_AIRFLOWS = {"airflow", "airflow_provider_magichour"}


def imported_with(module):
    """Return the process that imports a module where nothing heavy can be imported."""
    probe = IMPORTS.format(heavy=HEAVY, module=module)
    return subprocess.run([sys.executable, "-W", "ignore", "-c", probe], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("module", IN_DAG_FILES)
def test_modules_of_dag_files_import_nothing_heavy(module):
    done = imported_with(module)
    assert done.returncode == 0, done.stderr
    packages = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert packages - OURS_AND_AIRFLOWS <= sys.stdlib_module_names


def test_the_trigger_which_no_dag_file_imports_does_import_what_talks_to_the_api():
    assert imported_with(*FOR_INFORMATION).returncode != 0
