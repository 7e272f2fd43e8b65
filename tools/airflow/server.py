"""A throw-away server on loopback, whatever it serves."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Self

from tools.airflow.guard import Guard
from tools.airflow.processes import free_port, port_is_open

PATIENCE = 30.0


class LocalServer:
    """A server in a temporary folder; as a context manager it leaves nothing behind."""

    def __init__(self) -> None:
        self._port = free_port()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__}-"))
        self._output = self._folder / "output"
        self._guard = Guard(self._folder, remove=True)
        try:
            self._begin()
        except BaseException:
            self._guard.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.close()

    def start(self) -> None:
        """Start the server, and return when it answers."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Do what has to be done once, and start the server."""
        self.start()

    def _wait_until(self, *, answers: bool) -> None:
        end = time.monotonic() + PATIENCE
        while port_is_open(self._port) is not answers:
            if time.monotonic() > end:
                raise TimeoutError(self._output.read_text())
            time.sleep(0.05)
