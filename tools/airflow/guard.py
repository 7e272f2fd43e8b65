"""Starts what a run needs, outlives that run, and ends all of it when the run is gone, in whatever way.

Usage: python -m tools.airflow.guard FOLDER PID [--remove]. Takes orders on its standard input, a line of JSON each, and
answers each with one. When that ends, or the process PID, everything it has started is ended, with everything those
have started, and the folder removed if that was asked for.

What a component of Airflow starts cannot be known by its environment (Airflow writes titles over it), nor by its parent
once that has died. The guard adopts such orphans (Linux), so all that is below it is the run's, and nothing else is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
GRACE = 3.0
PATIENCE = 30.0
POLLING = 0.02
"""Seconds between two questions whether a process has ended."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Guard:
    """The guard's process, as the run sees it.

    :param folder: where what it starts works.
    :param remove: whether the folder goes in the end.
    """

    def __init__(self, folder: Path, *, remove: bool) -> None:
        end_with_make()
        command = [sys.executable, "-m", "tools.airflow.guard", str(folder), str(os.getpid())]
        self._process = subprocess.Popen(
            [*command, "--remove"] if remove else command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A Ctrl-C, or a terminal that closes, is the run's to handle.
            start_new_session=True,
        )
        self._turn = threading.Lock()

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Start a process that leads its own session, its output appended to a file, and return its id.

        :raises RuntimeError: it cannot be started.
        """
        started = self._ask({"command": list(command), "environment": dict(environment), "log": str(log)})
        if not isinstance(started, int):
            raise RuntimeError(f"{command[0]} cannot be started: {started}")
        return started

    def run(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Start a process, and return its exit code when it has ended; see :meth:`start`."""
        pid = self.start(command, environment, log)
        while (code := self.exit_code(pid)) is None:
            time.sleep(POLLING)
        return code

    def exit_code(self, pid: int) -> int | None:
        """The exit code of a process that was started, negative for a signal; None while it runs."""
        code: int | None = self._ask({"exit_code_of": pid})
        return code

    def close(self) -> None:
        """End all that is left, and return when it is gone."""
        with self._turn:
            self._process.communicate()

    def _ask(self, order: Mapping[str, Any]) -> Any:
        with self._turn:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the guard {self._process.pid} was killed")
        return json.loads(answer)


def end_with_make() -> None:
    """Have this process get SIGTERM when its parent dies, where make is at the top: make killed is the run killed."""
    if "MAKELEVEL" in os.environ:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> None:
    """Do what the run asks for, and clear away in the end."""
    folder, run, remove = Path(sys.argv[1]), int(sys.argv[2]), "--remove" in sys.argv[3:]
    signal.signal(signal.SIGTERM, _take_no_more)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    exit_codes: dict[int, int] = {}
    signal.signal(signal.SIGCHLD, lambda *_: _bury(exit_codes))
    threading.Thread(target=_watch, args=(run,), daemon=True).start()
    try:
        os.chdir(folder)
        for line in sys.stdin:
            print(json.dumps(_obey(json.loads(line), exit_codes)), flush=True)
    except (ValueError, BrokenPipeError):
        pass  # the run has died in the middle of an order, or before its answer
    finally:
        end_all()
        if remove:
            shutil.rmtree(folder, ignore_errors=True)


def _take_no_more(*_: object) -> None:
    """Let standard input end here, also for a read that is under way."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _watch(run: int) -> None:
    """End the guard with the run: a child that the run has forked may hold the other end of standard input open."""
    try:
        select.select([os.pidfd_open(run)], [], [])
    except ProcessLookupError:
        pass  # it has died before
    except AttributeError:
        return  # not on this system
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _obey(order: Mapping[str, Any], exit_codes: Mapping[int, int]) -> int | str | None:
    if "exit_code_of" in order:
        return exit_codes.get(order["exit_code_of"])
    command = order["command"]
    output = (os.POSIX_SPAWN_OPEN, 1, order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), output, (os.POSIX_SPAWN_DUP2, 1, 2)]
    python_ignores = [signal.SIGPIPE, signal.SIGXFSZ]
    try:
        return os.posix_spawnp(
            command[0], command, order["environment"], file_actions=files, setsid=True, setsigdef=python_ignores
        )
    except OSError as error:
        return str(error)


def _bury(exit_codes: dict[int, int]) -> None:
    """Reap what has ended: what the guard has started, and orphans."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            exit_codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])


def end_all() -> None:
    """End everything below this process: SIGTERM, after a few seconds SIGKILL, again and again (one may be forking)."""
    for process in _all_below():
        _send(process, signal.SIGTERM)
    begin = time.monotonic()
    while (left := _all_below()) and time.monotonic() < begin + PATIENCE:
        if time.monotonic() > begin + GRACE:
            for process in left:
                _send(process, signal.SIGKILL)
        time.sleep(0.05)


def _all_below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _send(process: psutil.Process, signum: int) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(signum)


if __name__ == "__main__":
    main()
