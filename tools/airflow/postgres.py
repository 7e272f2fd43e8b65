"""A throw-away PostgreSQL on loopback: Airflow under many writers, which SQLite refuses."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tools.airflow.guard import Guard
from tools.airflow.processes import free_port

SERVER_USER = "postgres"


def postgres_folder() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = shutil.which("initdb")
    return found[-1].parent if found else Path(initdb).parent if initdb else None


@contextlib.contextmanager
def local_postgres() -> Iterator[str]:
    """Run a server in a temporary folder, and yield its SQLAlchemy address; nothing stays behind.

    PostgreSQL refuses to run as root: then it runs as the user that its package made.

    :raises FileNotFoundError: where PostgreSQL is not installed.
    """
    programs = postgres_folder()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="postgres-local-"))
    port = free_port()
    if os.geteuid() == 0:
        shutil.chown(folder, SERVER_USER)
    guard = Guard(folder, remove=True)
    run = partial(_run, guard, folder / "output")
    try:
        run(programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "airflow", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run(programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start")
        try:
            run(programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "airflow")
            yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/airflow"
        finally:
            run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    finally:
        guard.close()


def _run(guard: Guard, output: Path, *command: Path | str) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", SERVER_USER, "--", *words]
    pid = guard.start(words, os.environ, output)
    while (code := guard.exit_code(pid)) is None:
        time.sleep(0.02)
    if code:
        raise RuntimeError(f"{words[-1]}: {output.read_text()}")
