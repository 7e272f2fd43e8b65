"""A throw-away MariaDB on loopback: the nearest to MySQL that Debian has."""

from __future__ import annotations

import os
import pwd
import shutil

from tools.airflow.server import LocalServer

# The database as Airflow's documentation wants it, from its page "Set up a Database Backend" (3.3.2).
CREATE = "CREATE DATABASE IF NOT EXISTS airflow CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;"
FAST = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-buffer-pool-size=64M")


def mariadb_programs() -> tuple[str, str] | None:
    """Return the server and the program that makes its tables, or None where MariaDB is not installed."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    server, install = (shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db"))
    return (server, install) if server and install else None


class LocalMariaDb(LocalServer):
    """A server that asks nobody for a password, with an empty database for Airflow.

    :raises FileNotFoundError: where MariaDB is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        programs = mariadb_programs()
        if programs is None:
            raise FileNotFoundError("MariaDB is not installed; on Debian: apt-get install mariadb-server-core")
        self._server, self._install = programs
        self.address = f"mysql+mysqldb://airflow@127.0.0.1:{self._port}/airflow?charset=utf8mb4"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        (self._folder / "create.sql").write_text(CREATE)
        options = [f"--port={self._port}", "--bind-address=127.0.0.1", f"--socket={self._folder / 'socket'}"]
        options += [f"--init-file={self._folder / 'create.sql'}", "--skip-grant-tables", "--skip-name-resolve", *FAST]
        self._guard.start([self._server, *self._common(), *options], os.environ, self._output)
        self._wait_until(answers=True)

    def _begin(self) -> None:
        if self._guard.run([self._install, *self._common(), "--skip-test-db"], os.environ, self._output):
            raise RuntimeError(f"{self._install}: {self._output.read_text()}")
        self.start()

    def _common(self) -> list[str]:
        # Without its name MariaDB refuses to run as root.
        user = pwd.getpwuid(os.geteuid()).pw_name
        return ["--no-defaults", f"--user={user}", f"--datadir={self._folder / 'data'}"]
