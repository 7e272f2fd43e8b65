"""What tests of behaviour share: a sandbox, an operator's context without a database, and a clock that never waits."""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools.airflow.guard import end_with_make

end_with_make()

# Airflow reads it at import; a test run must not touch the home of whoever runs it. One for each process of it.
if "AIRFLOW_HOME" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="magichour-tests-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox import Sandbox

PACKAGE = "airflow_provider_magichour"
WITH_CLOCKS = (
    "api.client",
    "hooks",
    "tasks",
    "sensors",
    "operators",
    "submission.submit",
    "triggers",
    "waiting.lookout",
    "media.download",
    "media.stores",
    "batch.night",
)
MOST_SLEEPS = 5_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--each-line", action="store_true", help="kill a batch at each line, not at some of them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what stays in one process, where there are several (pytest-xdist), and begin with what waits most.

    A file stays together, as its tests may share what is expensive; so do all that share the one real Airflow.
    """

    def fixtures(item: pytest.Item) -> set[str]:
        return set(getattr(item, "fixturenames", ()))

    for item in items:
        shared = "a real Airflow" if "local_airflow" in fixtures(item) else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(shared))
    items.sort(key=lambda item: fixtures(item).isdisjoint({"local_airflow", "airflow"}))


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    pytest.importorskip("av", reason="the extra [sandbox] is not installed")
    from airflow_provider_magichour.sandbox import Sandbox

    with Sandbox(render_seconds=0, render=False) as sandbox:
        # From here on jobs are complete at once: what they show has been made.
        for kind in ("video", "image", "audio"):
            sandbox.studio.sample(kind).result(60)
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The session's sandbox as new, but for its jobs; the default connection leads to it."""
    settings = dataclasses.asdict(running_sandbox.settings)
    running_sandbox.start()
    running_sandbox.faults.clear()
    running_sandbox.close_idle_connections()
    running_sandbox.requests.clear()
    monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", running_sandbox.connection)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield running_sandbox
    running_sandbox.settings.update(settings)
    running_sandbox.faults.clear()
    running_sandbox.start()


class Clock:
    """Stands in for the modules ``time`` and ``asyncio`` where the package sleeps: time passes in sleeps alone."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.passed = 0.0
        self._began = time.time()
        self._due: list[tuple[float, Callable[[], Any]]] = []

    def time(self) -> float:
        return self._began + self.passed

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        assert len(self.sleeps) < MOST_SLEEPS, "it sleeps for ever"
        self.sleeps.append(seconds)
        self.move(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds
        due = [action for at, action in self._due if at <= self.passed]
        self._due = [(at, action) for at, action in self._due if at > self.passed]
        for action in due:
            action()

    def at(self, seconds: float, action: Callable[[], Any]) -> None:
        """Do something in the sleep in which so many seconds have passed since the test began."""
        self._due.append((seconds, action))


class _Module:
    """A module with some names replaced."""

    def __init__(self, module: Any, **replaced: Any) -> None:
        self._module = module
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for the package and for Airflow's sensor loop; nothing waits any more."""
    clock = Clock()
    loops: dict[Any, Any] = {}

    def running_loop() -> Any:
        loop = asyncio.get_running_loop()
        return loops.setdefault(loop, _Module(loop, time=clock.monotonic))

    for name in WITH_CLOCKS:
        importlib.import_module(f"{PACKAGE}.{name}")
    ours = [module for name, module in sys.modules.items() if name.startswith(f"{PACKAGE}.") and ".sandbox" not in name]
    fake_time = _Module(time, time=clock.time, monotonic=clock.monotonic, sleep=clock.sleep)
    fake_asyncio = _Module(asyncio, sleep=clock.asleep, get_running_loop=running_loop)
    for module in [*ours, importlib.import_module("airflow.sdk.bases.sensor")]:
        if getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", fake_time)
        if getattr(module, "asyncio", None) is asyncio:
            monkeypatch.setattr(module, "asyncio", fake_asyncio)
    return clock


class Store:
    """A task state store in memory, through JSON as in Airflow."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.retentions: list[Any] = []
        self.broken: Callable[[Any], bool] = lambda value: False

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if self.broken(value):
            raise RuntimeError("the store is down")
        self.values[key] = json.dumps(value)
        self.retentions.append(retention)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    @property
    def record(self) -> Any:
        return self.get("magichour_submission")


class TaskInstance:
    """What a task sees of its own run."""

    def __init__(self, **attributes: Any) -> None:
        self.dag_id = "a_dag"
        self.task_id = "submit"
        self.run_id = "manual__1"
        self.map_index = -1
        self.try_number = 1
        self.max_tries = 2
        self.start_date: datetime | None = datetime.now(UTC)
        self.first_reschedule: datetime | None = None
        self.xcom: dict[str, Any] = {}
        self.pushes: list[tuple[str, Any]] = []
        self.links: dict[str, str] = {}
        self.__dict__.update(attributes)

    def xcom_push(self, key: str, value: Any) -> None:
        value = json.loads(json.dumps(value))
        if key.startswith("_link_"):  # where Airflow keeps links, which it shows apart
            self.links[key] = value
            return
        self.xcom[key] = value
        self.pushes.append((key, value))

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_reschedule


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Build the context of a task run: ``context(store=...)`` as in Airflow 3.3, without a store as before."""

    def build(store: Store | None = None, **attributes: Any) -> dict[str, Any]:
        context: dict[str, Any] = {"ti": TaskInstance(**attributes)}
        return context if store is None else {**context, "task_state_store": store}

    return build


@pytest.fixture(scope="session")
def needs_store() -> None:
    """Skip where Airflow has no task state store."""
    if not hasattr(importlib.import_module("airflow.sdk.execution_time.context"), "NEVER_EXPIRE"):
        pytest.skip(f"Airflow {'.'.join(version('apache-airflow').split('.')[:2])} has no task state store")


@pytest.fixture
def store(needs_store: None) -> Store:
    return Store()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file that is larger than any chunk."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(bytes(range(256)) * 1200)
    return path


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that was logged so far: Airflow's task loggers write to standard output here, the others as usual."""
    texts: list[str] = []

    def everything() -> str:
        texts.extend(capfd.readouterr())
        return "\n".join([*texts, caplog.text])

    return everything
