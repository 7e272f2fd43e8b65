"""The environment that a local Airflow runs in; what differs between Airflow versions is here only."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"
USER = "admin"

# In the order of their start: everybody waits for the API server, and the DAG processor has work at once.
COMPONENTS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    # The log servers of these two would listen on every network interface and have no setting for it.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

# Inherited from the caller, these would have Airflow compiled anew at every start, or show a secret around.
_NOT_INHERITED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "MAGIC_HOUR_API_KEY")


def airflow_version() -> str:
    """The version of the installed Airflow, without importing it (which takes seconds)."""
    try:
        return version("apache-airflow-core")
    except PackageNotFoundError:
        return version("apache-airflow")


def inherited_environment() -> dict[str, str]:
    """The caller's environment without what would steer Airflow, and with loopback kept off any proxy."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW_") and name not in _NOT_INHERITED
    }
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, [environment.get(name), "127.0.0.1,localhost"]))
    return environment


def base_environment(home: Path) -> dict[str, str]:
    """What every Airflow command needs to keep to `home`.

    Writes an `airflow.cfg` that is all but empty: without one each component would write the full default
    file, all four at once, each with other random keys.
    """
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    (home / "airflow.cfg").write_text("# Settings come from the environment.\n")
    return {
        **inherited_environment(),
        "AIRFLOW_HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }


def component_environment(
    home: Path, *, port: int, password: str, dag_folders: Sequence[Path], parallelism: int
) -> dict[str, str]:
    """The environment of the four components; writes the password file that they read into `home`."""
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({USER: password}))
    url = f"http://127.0.0.1:{port}"
    environment = base_environment(home)
    settings = {
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": str(parallelism),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__AUTH_MANAGER": ("airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "CORE__TEST_CONNECTION": "Enabled",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": url,
        "API__WORKERS": "1",
        "API__SECRET_KEY": secrets.token_hex(16),
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        # The database comes migrated: each component would ask again.
        "DATABASE__CHECK_MIGRATIONS": "False",
        # Seconds between two looks of an idle scheduler; each task waits for several of them.
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        **_dag_processor_settings(home, dag_folders),
        # Airflow 3.0 gives XCom values by REST as stored unless this is on; later versions ignore it.
        "API__ENABLE_XCOM_DESERIALIZE_SUPPORT": "True",
    }
    return environment | {f"AIRFLOW__{name}": value for name, value in settings.items()}


def _dag_processor_settings(home: Path, dag_folders: Sequence[Path]) -> dict[str, str]:
    bundles = [
        {
            "name": f"folder-{number}",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder), "refresh_interval": 1},
        }
        for number, folder in enumerate(dag_folders)
    ]
    return {
        "CORE__DAGS_FOLDER": str(dag_folders[0]),
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        # A new file is looked for every second; one that did not change is parsed again only now and then.
        "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
        "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    }


def migrated_database(python: str = sys.executable, cache: Path = CACHE) -> Path:
    """An empty, migrated SQLite database of the installed Airflow version, made once and kept in `cache`.

    :return: the file to copy; it is replaced atomically, so several runs may make it at the same time.
    """
    template = cache / f"airflow-{airflow_version()}.sqlite"
    if template.exists():
        return template
    workshop = cache / f"migrate-{os.getpid()}"
    workshop.mkdir(parents=True)
    try:
        environment = base_environment(workshop)
        migrate(environment, python)
        # A copy made by SQLite itself is one file, whatever a write-ahead log still held.
        with (
            closing(sqlite3.connect(workshop / "airflow.db")) as source,
            closing(sqlite3.connect(workshop / "copy.db")) as copy,
        ):
            source.backup(copy)
        os.replace(workshop / "copy.db", template)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return template


def migrate(environment: Mapping[str, str], python: str = sys.executable) -> None:
    """Run `airflow db migrate` in this environment; raises with its output when it fails."""
    done = subprocess.run(
        [python, "-m", "airflow", "db", "migrate"],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"`airflow db migrate` failed:\n{done.stdout}\n{done.stderr}")
