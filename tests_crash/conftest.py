"""One Airflow for all rows; every row's scene plays in a thread of its own, at the same time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests_crash.rows import ROWS, Row
from tests_crash.scene import Scene
from tools.airflow.local import LocalAirflow
from tools.airflow.postgres import LocalPostgres

ROOT = Path(__file__).parent.parent
AT_ONCE = 14

SETTINGS = {
    "PYTHONPATH": str(ROOT),
    "AIRFLOW__CORE__XCOM_BACKEND": "tests_crash.refusing_xcom.RefusingXCom",
    # A task whose supervisor is dead is found after 20 s in place of 5 minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--short", action="store_true", help="only the rows that each change must pass")
    parser.addoption("--seed", help="of the moments in which a batch is killed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--short"):
        return
    left_out = [item for item in items if item.get_closest_marker("long_only") or _is_long_row(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_long_row(item: pytest.Item) -> bool:
    name = getattr(item, "callspec", None) and item.callspec.params.get("name")
    return name in ROWS and not ROWS[name].in_ci


@pytest.fixture(scope="module")
def dag_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="crash-dags-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with LocalPostgres() as server:
        yield server.address


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, dag_folder: Path, database: str) -> Iterator[Mapping[str, Future[None]]]:
    """Start every collected row and return what becomes of each."""
    names = [item.callspec.params["name"] for item in request.session.items if _plays_a_row(item)]
    scenes = {name: Scene(name, dag_folder, sandbox=ROWS[name].sandbox, **ROWS[name].task) for name in names}
    try:
        with (
            LocalAirflow(dag_folder, env=SETTINGS, parallelism=AT_ONCE, sql_alchemy_conn=database) as airflow,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            for name, scene in scenes.items():
                scene.connect(airflow, **ROWS[name].connection)
            yield {name: pool.submit(_play, ROWS[name], scene) for name, scene in scenes.items()}
    finally:
        for scene in scenes.values():
            scene.close()


def _plays_a_row(item: pytest.Item) -> bool:
    return hasattr(item, "callspec") and item.callspec.params.get("name") in ROWS


def _play(row: Row, scene: Scene) -> None:
    try:
        row.play(scene)
    except BaseException as error:
        error.add_note(f"log of {scene.name}:\n{_log(scene)}")
        raise


def _log(scene: Scene) -> str:
    try:
        return "\n".join(line[:400] for line in scene.log().splitlines() if "DAG bundles" not in line)[-6000:]
    except Exception as error:
        return f"(cannot be read: {error})"


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
