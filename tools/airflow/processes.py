"""The operating system's side of a local Airflow: components in sessions of their own, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tools.airflow.guard import Guard


@dataclass(frozen=True)
class ProcessInfo:
    """A live process of a component; `title` is its command line, which Airflow rewrites for tasks."""

    pid: int
    parent: int
    title: str


class Component:
    """One `airflow` command as a process that leads its own session; its output goes to `log`.

    Airflow's children move to process groups of their own but stay in the session, so the session is what is
    searched and killed. What leaves it as well is the guard's to end.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, guard: Guard
    ) -> None:
        self.name = name
        self.kind = command[list(command).index("airflow") + 1]
        self.log = log
        self.wanted = False
        self.started: datetime | None = None
        self._command = list(command)
        self.environment = dict(environment)
        self._guard = guard
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """The process id of the component's first process, which is also its session id."""
        if self._pid is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._pid

    @property
    def exit_code(self) -> int | None:
        """The exit code of the first process, negative for a signal; None while it runs or before the start."""
        return None if self._pid is None else self._guard.exit_code(self._pid)

    def start(self) -> None:
        """Start the component; the output is appended to its log file."""
        if self.processes():
            raise RuntimeError(f"{self.name} is still running")
        self.started = datetime.now(UTC)
        self._pid = self._guard.start(self._command, self.environment, self.log)
        self.wanted = True

    def processes(self) -> list[ProcessInfo]:
        """Every live process of this component's session, the oldest first."""
        return [] if self._pid is None else session_processes(self._pid)

    def signal(self, signum: int, *, everything: bool) -> None:
        """Send a signal to the first process, or to every process of the session."""
        pids = [process.pid for process in self.processes()]
        for pid in pids if everything else [pid for pid in pids if pid == self.pid]:
            send_signal(pid, signum)

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the output."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def session_processes(session: int) -> list[ProcessInfo]:
    """The live processes (no zombies) of a session."""
    found = []
    for process in psutil.process_iter(["pid", "ppid", "cmdline", "status"]):
        try:
            same = os.getsid(process.pid) == session
        except OSError:
            continue
        if same and process.info["status"] not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            title = " ".join(process.info["cmdline"] or [process.name()]).strip()
            found.append(ProcessInfo(process.pid, process.info["ppid"], title))
    return found


def send_signal(pid: int, signum: int) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def stop_all(components: Iterable[Component], grace: float) -> None:
    """Ask all components to end at once, and kill what is left of their sessions after `grace` seconds."""
    components = list(components)
    for component in components:
        component.wanted = False
        component.signal(signal.SIGTERM, everything=False)
    _wait_until_gone(components, grace)
    kill_all(components)


def kill_all(components: Iterable[Component], timeout: float = 10) -> None:
    """SIGKILL whole sessions, again and again until nothing is left of them (a process may be forking)."""
    components = list(components)
    end = time.monotonic() + timeout
    while left := [component for component in components if component.processes()]:
        if time.monotonic() > end:
            names = ", ".join(component.name for component in left)
            raise RuntimeError(f"still running after SIGKILL: {names}")
        for component in left:
            component.signal(signal.SIGKILL, everything=True)
        _wait_until_gone(left, 0.2)


def _wait_until_gone(components: Sequence[Component], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(component.processes() for component in components):
        time.sleep(0.02)


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_open(port: int) -> bool:
    """Whether something listens on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
