"""A throw-away Redis on loopback: the broker between Airflow's schedulers and Celery's workers."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Self

from tools.airflow.guard import Guard
from tools.airflow.processes import free_port, port_is_open, send_signal

PATIENCE = 30.0


class LocalRedis:
    """A server in a temporary folder, which keeps nothing on disk; as a context manager it leaves nothing behind.

    :raises FileNotFoundError: where Redis is not installed.
    """

    def __init__(self) -> None:
        self._program = shutil.which("redis-server")
        if self._program is None:
            raise FileNotFoundError("Redis is not installed; on Debian: apt-get install redis-server")
        self._port = free_port()
        self.address = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="redis-local-"))
        self._guard = Guard(self._folder, remove=True)
        try:
            self.start()
        except BaseException:
            self._guard.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.close()

    def start(self) -> None:
        """Start the server, empty, and return when it answers."""
        assert self._program
        command = [self._program, "--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        self._pid = self._guard.start(command, os.environ, self._folder / "output")
        self._wait_until(answers=True)

    def kill(self) -> None:
        """Kill the server: all that was in its queues is lost."""
        send_signal(self._pid, signal.SIGKILL)
        self._wait_until(answers=False)

    def _wait_until(self, *, answers: bool) -> None:
        end = time.monotonic() + PATIENCE
        while port_is_open(self._port) is not answers:
            if time.monotonic() > end:
                raise TimeoutError((self._folder / "output").read_text())
            time.sleep(0.05)
