"""A real Airflow on this machine, in a folder of its own: all its components, started and ended fast."""

from __future__ import annotations

import atexit
import contextlib
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from tools.airflow.guard import Guard
from tools.airflow.processes import (
    Component,
    ProcessInfo,
    free_port,
    kill_all,
    send_signal,
    stop_all,
)
from tools.airflow.rest import TERMINAL_RUN_STATES, AirflowRest, TaskInstance
from tools.airflow.settings import COMPONENTS, USER, component_environment, migrate, migrated_database

T = TypeVar("T")
_NEVER = datetime.min.replace(tzinfo=UTC)
_IMPORTED = ("Starting the ", " ready.")
"""What a component's log says once it begins to work; the second is a Celery worker's."""

_WATCHED = frozenset({"scheduler", "triggerer", "dag-processor"})
"""Kinds of components whose last sign of life the API server tells."""


class LocalAirflowError(RuntimeError):
    """Airflow did not come up, died, or could not import a DAG; the message carries the end of the log."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived. A KeyboardInterrupt, so that it ends a pytest session as Ctrl-C does."""


class LocalAirflow:
    """Airflow's components as separate processes on loopback, with LocalExecutor unless the settings say otherwise.

    Use it as a context manager. On leaving it, also through an exception, Ctrl-C, SIGTERM, SIGKILL or a terminal that
    closes, no process, port or folder of it is left (`home` stays when it was given). Everything of it lives in `home`:
    database, task logs (`logs/`), the output of each component (`<component>.log`), temporary files.

    :param dag_folders: folders with DAG files; a new file in one of them is found within seconds.
    :param home: the folder to live in, kept at the end; None for a temporary one, removed at the end.
    :param env: more environment variables of all components (connections, `AIRFLOW__SECTION__KEY` settings).
    :param parallelism: worker processes, for one task each at a time. Not too few: in Airflow 3.3 a worker stays
        taken for up to 5 s after its task has ended.
    :param components: the arguments of each component's `airflow` command, by a name of its own; several of a kind may
        be there.
    :param sql_alchemy_conn: another database, which is migrated at the start; None for SQLite in `home`.
    :param boot_timeout: seconds until everything must be healthy.
    :param grace: seconds that the components get between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        dag_folders: Path | Sequence[Path],
        *,
        home: Path | None = None,
        env: Mapping[str, str] | None = None,
        parallelism: int = 8,
        components: Mapping[str, Sequence[str]] = COMPONENTS,
        sql_alchemy_conn: str | None = None,
        boot_timeout: float = 120,
        grace: float = 3,
    ) -> None:
        self.dag_folders = [dag_folders] if isinstance(dag_folders, Path) else list(dag_folders)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.user = USER
        self.password = secrets.token_urlsafe(12)
        self.rest = AirflowRest(self.url, self.user, self.password)
        self.phases: dict[str, float] = {}
        self._given_home = home
        self._env = dict(env or {})
        self._parallelism = parallelism
        self._sql_alchemy_conn = sql_alchemy_conn
        self._boot_timeout = boot_timeout
        self._grace = grace
        self._commands = components
        self._components: dict[str, Component] = {}
        self._home: Path | None = None
        self._stopped = threading.Event()
        self._guard: Guard | None = None
        self._previous_handlers: dict[int, Any] = {}

    @property
    def home(self) -> Path:
        """The folder that this Airflow lives in."""
        if self._home is None:
            raise RuntimeError("this Airflow was not started")
        return self._home

    # life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all components and return when they are healthy; seconds taken are in `phases`."""
        self._catch_signals()
        atexit.register(self.stop)
        try:
            self._prepare()
            self._timed("components", self._start_components)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process and remove the temporary folder; may be called again."""
        previous = _ignore_interrupts()
        self._stopped.set()
        # The API server waits for idle connections before it ends.
        self.rest.close()
        try:
            self._timed("stop", lambda: stop_all(self._components.values(), self._grace))
        finally:
            if self._guard:
                self._guard.close()
                self._guard = None
            atexit.unregister(self.stop)
            _restore_signals(previous)
            _restore_signals(self._previous_handlers)
            self._previous_handlers = {}

    def _prepare(self) -> None:
        template = self._timed("database template", migrated_database) if not self._sql_alchemy_conn else None
        self._home = self._given_home or Path(tempfile.mkdtemp(prefix="airflow-local-"))
        self._home.mkdir(parents=True, exist_ok=True)
        self._guard = Guard(self._home, remove=self._given_home is None)
        environment = component_environment(
            self._home,
            port=self.port,
            password=self.password,
            dag_folders=self.dag_folders,
            parallelism=self._parallelism,
        )
        if self._sql_alchemy_conn:
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self._sql_alchemy_conn
            self._timed("migration", lambda: migrate(environment))
        elif template and not (self._home / "airflow.db").exists():
            shutil.copyfile(template, self._home / "airflow.db")
        for name, arguments in self._commands.items():
            command = [sys.executable, "-m", "airflow", *arguments]
            log = self._home / f"{name}.log"
            self._components[name] = Component(name, command, environment | self._env, log, self._guard)

    def _start_components(self) -> None:
        """Start the API server, which takes longest, on one processor and the others in turn on the second.

        All at once would share two processors, and everything waits for the slowest.
        """
        # Its API for tasks is built at the first request, which takes seconds: better now than in a task.
        warming = threading.Thread(target=self._warm_up, daemon=True)
        warming.start()
        end = time.monotonic() + self._boot_timeout
        for component in self._components.values():
            component.start()
            if component.name != "api-server":
                self._wait_until_imported(component)
        self.wait_until_healthy(end - time.monotonic())
        warming.join(max(0, end - time.monotonic()))

    def _warm_up(self) -> None:
        """Runs in a thread of its own, so with its own client; `stop` ends it."""
        rest = AirflowRest(self.url, self.user, self.password)
        end = time.monotonic() + self._boot_timeout
        while time.monotonic() < end and not rest.warm_up() and not self._stopped.wait(0.1):
            pass
        rest.close()

    def _wait_until_imported(self, component: Component, seconds: float = 5) -> None:
        """Return when the component has imported Airflow and begins its work: for speed only, so no error."""
        with contextlib.suppress(TimeoutError):
            self.wait_for(lambda: any(sign in component.log_tail() for sign in _IMPORTED), seconds)

    # waiting

    def wait_for(self, condition: Callable[[], T | None], timeout: float, what: str = "the condition") -> T:
        """Call `condition` until it returns something true, and return that.

        :param timeout: seconds until TimeoutError, whose message says `what` was waited for.
        :raises LocalAirflowError: a component ended that nobody had killed.
        """
        end = time.monotonic() + timeout
        while True:
            result = condition()
            if result:
                return result
            self._check_components()
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {timeout:g} s")
            time.sleep(0.1)

    def wait_until_healthy(self, timeout: float = 60) -> None:
        """Return when the API server answers, and scheduler, triggerer and DAG processor have given a sign of life.

        That is one since the last start of any of the kind.
        """
        try:
            self.wait_for(lambda: not self._silent(), timeout, "healthy components")
        except TimeoutError as error:
            tails = "\n\n".join(f"--- {c.name}\n{c.log_tail(15)}" for c in self._components.values())
            raise LocalAirflowError(f"{error}; silent: {', '.join(self._silent())}\n{tails}") from None

    def _silent(self) -> list[str]:
        beats = {name.replace("_", "-"): beat for name, beat in self.rest.heartbeats().items()}
        watched = [component for component in self._components.values() if component.kind in _WATCHED]
        return [each.name for each in watched if each.started and beats.get(each.kind, _NEVER) < each.started]

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Return when the DAG is there.

        A file that names the DAG and cannot be imported ends the wait with its stack trace. Trouble in other files
        is told only in the timeout's message: Airflow lists it a while longer than the files exist.
        """

        def there() -> bool:
            if self.rest.has_dag(dag_id):
                return True
            errors = self.rest.import_errors()
            if own := {name: trace for name, trace in errors.items() if self._names(name, dag_id)}:
                raise LocalAirflowError(f"DAG {dag_id} cannot be imported\n{_traces(own)}")
            return False

        try:
            self.wait_for(there, timeout, f"DAG {dag_id} in {', '.join(map(str, self.dag_folders))}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; not imported:\n{_traces(self.rest.import_errors())}") from None

    def _names(self, dag_file: str, dag_id: str) -> bool:
        files = [folder / dag_file for folder in self.dag_folders]
        return any(dag_id in file.read_text() for file in files if file.is_file())

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """Return the final state of a run, success or failed; a timeout says where its tasks are."""

        def ended() -> str | None:
            state = self.rest.run_state(dag_id, run_id)
            return state if state in TERMINAL_RUN_STATES else None

        try:
            return self.wait_for(ended, timeout, f"run {run_id} of {dag_id} ends")
        except TimeoutError as error:
            states = ", ".join(f"{ti.label} {ti.state}" for ti in self.rest.task_instances(dag_id, run_id))
            raise TimeoutError(f"{error}: {states}") from None

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: str | Sequence[str],
        *,
        map_index: int = -1,
        try_number: int | None = None,
        timeout: float = 60,
    ) -> TaskInstance:
        """Return a task instance as soon as it is in one of the states (of this try, when given)."""
        wanted = {states} if isinstance(states, str) else set(states)

        def reached() -> TaskInstance | None:
            found = [
                ti
                for ti in self.rest.task_instances(dag_id, run_id)
                if (ti.task_id, ti.map_index) == (task_id, map_index) and ti.state in wanted
            ]
            return next((ti for ti in found if try_number in (None, ti.try_number)), None)

        return self.wait_for(reached, timeout, f"{task_id}[{map_index}] is {' or '.join(sorted(wanted))}")

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = 120) -> tuple[str, str]:
        """Run a DAG from its being found to its end; returns run id and final state."""
        self.wait_for_dag(dag_id)
        run_id = self.rest.trigger(dag_id, conf)
        return run_id, self.wait_for_run(dag_id, run_id, timeout)

    # processes

    @property
    def pids(self) -> dict[str, int]:
        """The first process of each component."""
        return {name: component.pid for name, component in self._components.items()}

    def processes(self, component: str | None = None, title: str = "") -> list[ProcessInfo]:
        """The live processes of one component or of all, whose title contains `title`.

        Running tasks belong to the scheduler: each worker of its LocalExecutor supervises one child process,
        which runs the task.
        """
        chosen = self._components.values() if component is None else [self._components[component]]
        return [found for each in chosen for found in each.processes() if title in found.title]

    def task_process(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> ProcessInfo | None:
        """The process that runs this task instance now; its `parent` is the worker that supervises it."""
        ti = self.rest.task_instance(dag_id, run_id, task_id, map_index)
        return next((found for found in self.processes("scheduler") if found.pid == ti.pid), None)

    def kill(self, component: str, signum: int = signal.SIGKILL, *, everything: bool = True) -> None:
        """Send a signal to a component, by default to each of its processes, as if its machine were lost.

        With SIGKILL it returns when all of them are gone. `restart` brings the component back.
        """
        target = self._components[component]
        target.wanted = False
        if signum == signal.SIGKILL and everything:
            kill_all([target])
        else:
            target.signal(signum, everything=everything)

    def kill_process(self, pid: int, signum: int = signal.SIGKILL) -> None:
        """Send a signal to one process of this Airflow (a task, its supervisor); any other is refused."""
        if pid not in {found.pid for found in self.processes()}:
            raise ValueError(f"{pid} is no process of this Airflow")
        send_signal(pid, signum)

    def restart(self, component: str, env: Mapping[str, str] | None = None) -> None:
        """Start a component again, after ending what is left of it; does not wait until it is healthy.

        :param env: what changes in its environment from now on.
        """
        stop_all([self._components[component]], self._grace)
        self._components[component].environment.update(env or {})
        self._components[component].start()

    def revive(self) -> list[str]:
        """Start again what has ended by itself, as a service manager does, and return the names."""
        ended = [each.name for each in self._components.values() if each.wanted and each.exit_code is not None]
        for name in ended:
            self.restart(name)
        return ended

    def component_log(self, component: str, lines: int = 30) -> str:
        """The last lines of a component's output."""
        return self._components[component].log_tail(lines)

    def _check_components(self) -> None:
        for component in self._components.values():
            if component.wanted and component.exit_code is not None:
                raise LocalAirflowError(
                    f"{component.name} ended with exit code {component.exit_code}:\n{component.log_tail()}"
                )

    # signals and time

    def _catch_signals(self) -> None:
        """Make an exception of what ends a process at once, where nobody else has chosen otherwise."""
        if threading.current_thread() is threading.main_thread():
            for each in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(each) == signal.SIG_DFL:
                    self._previous_handlers[each] = signal.signal(each, _raise_terminated)

    def _timed(self, phase: str, action: Callable[[], T]) -> T:
        begin = time.monotonic()
        try:
            return action()
        finally:
            self.phases[phase] = time.monotonic() - begin


def _traces(errors: Mapping[str, str]) -> str:
    return "\n".join(f"{name}:\n{trace}" for name, trace in errors.items()) or "nothing"


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def _ignore_interrupts() -> dict[int, Any]:
    """Keep a second Ctrl-C from interrupting the clean-up; returns what to restore."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


def _restore_signals(handlers: Mapping[int, Any]) -> None:
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
