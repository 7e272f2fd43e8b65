"""Outlives a run that has started an Airflow, and ends what that run leaves behind when it is killed.

Usage: python -m tools.airflow.guard HOME [--remove]. Waits for the end of its standard input: something in it says that
all is ended. Else every process with this AIRFLOW_HOME is killed, and the folder removed if that was asked for.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 20


class Guard:
    """The guard's process, as the run sees it.

    :param home: the Airflow's folder.
    :param remove: whether the folder goes too.
    """

    def __init__(self, home: Path, *, remove: bool) -> None:
        command = [sys.executable, "-m", "tools.airflow.guard", str(home), *(["--remove"] if remove else [])]
        # A session of its own: a Ctrl-C, or a terminal that closes, is the run's to handle.
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)

    def dismiss(self) -> None:
        """Say that all is ended."""
        self._process.communicate(b"ended")


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the live processes of the Airflow in this folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("AIRFLOW_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def main() -> None:
    """Wait, and clear away where that is needed."""
    home, remove = Path(sys.argv[1]), "--remove" in sys.argv[2:]
    if sys.stdin.read():
        return
    for _ in range(ROUNDS):  # a process may be forking
        left = processes_of(home)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1)
        if not left:
            break
    if remove:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
