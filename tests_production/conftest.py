"""One Airflow in the shape of production for all rows, and the table of what they have come to."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests_production.clips import HELD, Clips
from tests_production.shape import Production, production
from tools.airflow.guard import end_with_make
from tools.airflow.postgres import postgres_folder
from tools.many_clips import ManyClips

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
            self.add(run, f"NO: {told[:200]}", f"{time.monotonic() - began:.0f} s", "", clips.retries())
            raise
        self.add(run, "yes", f"{clips.seconds:.0f} s", clips.parts(), clips.retries())


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    return Table(request.config.stash[TABLE])


@pytest.fixture(scope="session")
def percent(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--clips"))


class Play:
    """Plays a row: what must hold at its end is the same for all."""

    def __init__(self, airflow: Production, table: Table, percent: int, folder: Path) -> None:
        self._airflow, self._table, self._percent, self._folder = airflow, table, percent, folder

    @contextmanager
    def __call__(
        self,
        name: str,
        count: int,
        what: str,
        *,
        kind: type[Clips] = Clips,
        median: float = 20.0,
        all_held: bool = False,
        **arguments: Any,
    ) -> Iterator[Clips]:
        """Yield the clips, whose run is to be started and disturbed; then see that each is made, once, and right.

        :param name: of the DAG.
        :param count: how many clips, before the command line's percentage.
        :param what: happens.
        :param median: of the render times, in seconds.
        :param all_held: whether all render until they are let go on, in place of the last few.
        :param arguments: of the clips.
        """
        count = max(2 * HELD, count * self._percent // 100)
        held = count if all_held else HELD
        with ManyClips(median=median, seed=len(name), held_after=count - held) as api:
            clips = kind(self._airflow, api, name, count, self._folder / "clips", held=held, **arguments)
            with self._table.row(f"{count} clips; {what}", clips):
                yield clips
                clips.hold_no_worker()
                clips.end()
                clips.check()


@pytest.fixture
def play(airflow: Production, table: Table, percent: int, tmp_path: Path) -> Play:
    return Play(airflow, table, percent, tmp_path)


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
