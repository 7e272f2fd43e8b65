"""A throw-away Redis on loopback: the broker between Airflow's schedulers and Celery's workers."""

from __future__ import annotations

import os
import shutil
import signal

from tools.airflow.processes import send_signal
from tools.airflow.server import LocalServer


class LocalRedis(LocalServer):
    """A server that keeps nothing on disk.

    :raises FileNotFoundError: where Redis is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._program = shutil.which("redis-server")
        if self._program is None:
            raise FileNotFoundError("Redis is not installed; on Debian: apt-get install redis-server")
        self.address = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start the server, empty, and return when it answers."""
        assert self._program
        command = [self._program, "--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        self._pid = self._guard.start(command, os.environ, self._output)
        self._wait_until(answers=True)

    def kill(self) -> None:
        """Kill the server: all that was in its queues is lost."""
        send_signal(self._pid, signal.SIGKILL)
        self._wait_until(answers=False)
