"""A throw-away PostgreSQL on loopback: Airflow under many writers, which SQLite refuses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.airflow.server import LocalServer

SERVER_USER = "postgres"


def postgres_folder() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = shutil.which("initdb")
    return found[-1].parent if found else Path(initdb).parent if initdb else None


class LocalPostgres(LocalServer):
    """A server for many connections.

    PostgreSQL refuses to run as root: then it runs as the user that its package made.

    :raises FileNotFoundError: where PostgreSQL is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        programs = postgres_folder()
        if programs is None:
            raise FileNotFoundError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
        self._programs = programs
        self.address = f"postgresql+psycopg2://airflow@127.0.0.1:{self._port}/airflow"

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            super().__exit__()

    def start(self) -> None:
        """Start the server, and return when it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        options += " -c fsync=off -c max_connections=300"
        self._pg_ctl("-w", "-l", self._folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop the server as a crash does: all connections are cut."""
        self._pg_ctl("-m", "immediate", "stop")

    def _begin(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self._folder, SERVER_USER)
        self._run("initdb", "-D", self._folder / "data", "-A", "trust", "-U", "airflow", "--no-sync")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "airflow", "airflow")

    def _pg_ctl(self, *arguments: Path | str) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", *arguments)

    def _run(self, program: str, *arguments: Path | str) -> None:
        words = [str(word) for word in (self._programs / program, *arguments)]
        if os.geteuid() == 0:
            words = ["runuser", "-u", SERVER_USER, "--", *words]
        if self._guard.run(words, os.environ, self._output):
            raise RuntimeError(f"{words[-1]}: {self._output.read_text()}")
