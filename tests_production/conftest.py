"""One Airflow in the shape of production for all rows, and the table of what they have come to."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests_production.clips import Clips
from tests_production.shape import Production, production
from tools.airflow.guard import end_with_make
from tools.airflow.postgres import postgres_folder

end_with_make()

TABLE = pytest.StashKey[list[tuple[str, ...]]]()
HEAD = ("run", "held", "wall time", "its parts", "retried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clips", type=int, default=100, help="how many each row has, in percent of what it has usually")
    parser.addoption("--short", action="store_true", help="only what each change must pass")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--short"):
        left_out = [item for item in items if item.get_closest_marker("long_only")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash[TABLE]:
        terminalreporter.section("production")
        for row in (HEAD, ("---",) * len(HEAD), *rows):
            terminalreporter.write_line(f"| {' | '.join(row)} |")


class Size:
    """How large rows are."""

    def __init__(self, percent: int) -> None:
        self._percent = percent

    def of(self, count: int) -> int:
        """Return how many there are of what there usually is so many of."""
        return max(20, count * self._percent // 100)


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> Size:
    return Size(request.config.getoption("--clips"))


class Table:
    """What the rows have come to."""

    def __init__(self, rows: list[tuple[str, ...]]) -> None:
        self.rows = rows

    def add(self, *row: str) -> None:
        self.rows.append(row)

    @contextmanager
    def row(self, run: str, clips: Clips) -> Iterator[None]:
        """Note how the row ends that is played meanwhile."""
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            told = (str(error).strip().splitlines() or [type(error).__name__])[0]
            self.rows.append((run, f"NO: {told[:200]}", f"{time.monotonic() - began:.0f} s", "", clips.retries()))
            raise
        self.rows.append((run, "yes", f"{clips.seconds:.0f} s", clips.parts(), clips.retries()))


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    return Table(request.config.stash[TABLE])


@pytest.fixture(scope="session")
def airflow() -> Iterator[Production]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed; on Debian: apt-get install redis-server")
    if postgres_folder() is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="production-dags-") as folder, production(Path(folder)) as running:
        print(f"up after {', '.join(f'{name} {took:.0f} s' for name, took in running.airflow.phases.items())}")
        yield running


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
