"""A StatsD server: a socket on loopback, and Airflow's settings to tell it what this package counts, with tags."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple, Self


class Metric(NamedTuple):
    """One line of what Airflow has sent."""

    name: str
    value: float
    type: str
    tags: dict[str, str]

    @classmethod
    def read(cls, line: str) -> Metric:
        """Read ``airflow.name,tag=value:1|c``."""
        head, _, rest = line.rpartition(":")
        name, *tags = head.split(",")
        value, type_ = rest.split("|")[:2]
        return cls(
            name.removeprefix("airflow.magichour."), float(value), type_, dict(each.split("=", 1) for each in tags)
        )


class StatsD:
    """Receives datagrams; use it as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.close()

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables for Airflow."""
        settings = {
            "STATSD_ON": "True",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(self._socket.getsockname()[1]),
            "STATSD_INFLUXDB_ENABLED": "True",
            # Airflow's own would fill the socket's buffer.
            "METRICS_ALLOW_LIST": "magichour",
        }
        return {f"AIRFLOW__METRICS__{name}": value for name, value in settings.items()}

    def received(self) -> list[Metric]:
        """Return what has come since the last call; on loopback what was sent is there."""
        lines: list[str] = []
        self._socket.setblocking(False)
        while True:
            try:
                lines += self._socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return [Metric.read(line) for line in lines]
