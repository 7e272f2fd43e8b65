"""What MySQL keeps less of than others, on MariaDB, which is the nearest to it that Debian has. No scheduler runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from airflow_provider_magichour.sandbox import Sandbox
from tools.airflow.mariadb import LocalMariaDb, mariadb_programs
from tools.airflow.settings import base_environment, migrate

pytestmark = pytest.mark.long_only

ROOT = Path(__file__).parent.parent
NAME = "写真 😀"
DAG_FILE = f"""
from airflow.sdk import DAG, AssetAlias

from airflow_provider_magichour.operators import (
    MagicHourBatchOperator,
    MagicHourDownloadOperator,
    MagicHourImageToVideoOperator,
)
from airflow_provider_magichour.sensors import MagicHourProjectSensor

asked = {{"model": "ltx-2.5", "end_seconds": 5, "prompt": "{NAME}"}}
photo = "https://photos.example/{NAME}.jpg"

with DAG("whole", schedule=None):
    submit = MagicHourImageToVideoOperator(task_id="submit", image=photo, name="{NAME}", **asked)
    wait = MagicHourProjectSensor(task_id="wait", project_id=submit.output, deferrable=True)
    MagicHourDownloadOperator(
        task_id="download", project_id=wait.output, destination="FOLDER/{NAME}.mp4", outlets=[AssetAlias("whole")]
    )
    MagicHourBatchOperator(
        task_id="night", items=[{{"id": "写真", "image": photo}}], destination="FOLDER/night", **asked
    )
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What binds a process of Airflow to a MariaDB, migrated, with a key that encrypts."""
    pytest.importorskip("MySQLdb", reason="mysqlclient is not installed; `make test-production ROWS=mariadb` does so")
    if mariadb_programs() is None:
        pytest.skip("MariaDB is not installed; on Debian: apt-get install mariadb-server-core mariadb-client-core")
    with LocalMariaDb() as server:
        environment = base_environment(tmp_path_factory.mktemp("airflow"))
        environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = server.address
        environment["AIRFLOW__CORE__FERNET_KEY"] = Fernet.generate_key().decode()
        migrate(environment)
        yield environment


def told(environment: dict[str, str], name: str) -> Any:
    command = [sys.executable, "-m", "tests_production.told", name]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_most_that_a_trigger_gets_is_stored_and_read_back_whole(environment: dict[str, str]) -> None:
    whole = [True, True]
    assert told(environment, "largest_triggers") == [[1000, *whole], [1000, *whole], [94, *whole], True]


def test_a_little_more_would_be_refused_or_cut(environment: dict[str, str]) -> None:
    strict, lax = told(environment, "triggers_beyond")
    assert "Data too long for column 'kwargs'" in strict
    assert lax.startswith("InvalidToken")


def test_all_tasks_of_a_run_are_kept_with_names_beyond_ascii(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "whole.py").write_text(DAG_FILE.replace("FOLDER", str(tmp_path)))
    with Sandbox(render_seconds=0, render=False) as sandbox:
        here = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
            "AIRFLOW_CONN_MAGICHOUR_DEFAULT": sandbox.connection,
        }
        states, uris, items = told({**environment, **here}, "whole_run")
    assert states == dict.fromkeys(("submit", "wait", "download", "night"), "success")
    assert uris == [f"file://{tmp_path}/{NAME}.mp4"]
    assert (tmp_path / f"{NAME}.mp4").exists()
    assert items["写真"]["status"] == "complete"


@pytest.mark.parametrize("file", ["test_clip_pages.py", "test_events.py"])
def test_what_the_api_server_asks_and_writes_is_as_on_sqlite(environment: dict[str, str], file: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "tests" / "plugins" / file)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_beyond_ascii_are_kept_as_lineage_has_them_and_not_as_they_are(environment: dict[str, str]) -> None:
    for ours, worker, server in told(environment, "assets"):
        assert ours is True
        assert worker == "ValueError: Asset name must only consist of ASCII characters"
        # The second is MariaDB's: it cannot even look for some.
        assert server.startswith(("ValueError: URI must be ascii", "OperationalError"))
