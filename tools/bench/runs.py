"""Runs client processes against the local API and puts together what both sides counted."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tools.bench.place import FOLDER, PYTHON, ROOT, certificates

LATENCY = 0.1
RATE = 250.0
NAIVE_RATE = 10.0
"""At more than some 60 polls/s a client for each poll takes a whole core, and its backlog all the memory there is."""


@dataclass(frozen=True)
class Plan:
    """One client process.

    :param interval: seconds between looks of a job; None for the product's schedule, of waits that are old already.
    :param ramp: seconds over which the jobs start.
    :param settle: seconds between the last start and the measured time; below 0 the jobs exist from the beginning, and
        it is measured while they start.
    :param seconds: measured time.
    :param core: the processor core to stay on, or None.
    :param extra: of our connection.
    """

    variant: str
    jobs: int
    interval: float | None
    ramp: float
    settle: float
    seconds: float
    core: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def steady(cls, variant: str, jobs: int, seconds: float, *, rate: float = RATE, core: int | None = None) -> Self:
        """Plan the jobs' looks evenly at a rate: measured when each job has looked at least once."""
        extra = {"requests_per_second": 1000, "max_connections": own_connections(rate)}
        interval = interval_of(variant, jobs, rate)
        # The product's first look comes one interval after the start, the others' at once. A client for each poll keeps
        # nothing between polls: its first polls cost as much as all others.
        settle = 3.0 - interval if variant == "naive" else 1.0
        return cls(variant, jobs, interval, interval, settle, seconds, core, extra)


def interval_of(variant: str, jobs: int, rate: float = RATE) -> float:
    """Return the seconds between looks of one job; ours never looks more often than once a second, so nobody does."""
    return max(1.0, jobs / (NAIVE_RATE if variant == "naive" else rate))


def most_connections(rate: float) -> int:
    """Return the connections that polling at a rate may take: twice what Little's law says, and 8 at least."""
    return max(8, round(2 * rate * LATENCY))


def own_connections(rate: float) -> int:
    """Return the ``max_connections`` to measure ours with: a third more than are under way at a time."""
    return max(8, round(4 / 3 * rate * LATENCY))


PATIENCE = 120.0
"""Seconds more than planned that a client process may take: one that cannot keep up has no figures."""


@dataclass(frozen=True)
class Figures:
    """What one client process cost.

    :param peak: connections open at a time, since the jobs started.
    :param handshakes: for each poll, in the measured time.
    """

    polls: int
    rate: float
    cpu_ms: float
    kb_per_job: float
    peak: int
    handshakes: float
    lag_p99: float
    lag_max: float


class Api:
    """The local API, in a process of its own."""

    def __init__(self) -> None:
        # A folder of its own, so that two runs at a time do not take each other's certificates away.
        self.folder = tempfile.TemporaryDirectory(prefix="magichour-bench-")
        server, self.trusted = certificates(Path(self.folder.name))
        self.process = subprocess.Popen(
            [PYTHON, "-m", "tools.bench.server", str(server)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    @property
    def errors(self) -> Path:
        """What the last client process wrote to stderr."""
        return Path(self.folder.name) / "stderr.txt"

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Send ``reset`` or ``stats``; return the counters."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        return dict(json.loads(self.process.stdout.readline()))

    def client(self, plan: Plan) -> subprocess.Popen[str]:
        """Start a client process; its lines come on stdout."""
        return subprocess.Popen(
            [PYTHON, "-W", "ignore", "-m", "tools.bench.client", json.dumps({**asdict(plan), "port": self.port})],
            env=environment(self.port, self.trusted, plan.extra),
            stdout=subprocess.PIPE,
            stderr=self.errors.open("w"),
            text=True,
            cwd=ROOT,
        )

    def measure(self, plan: Plan) -> Figures:
        """Run one client process and return what it cost."""
        with self.client(plan) as process:
            lines = Lines(self, process, plan)
            try:
                lines.until("start")
                self.ask("reset", latency=LATENCY)
                lines.until("begin")
                before = self.ask("stats")
                end = lines.until("end")
                after = self.ask("stats")
            finally:
                process.kill()
                lines.close()
        polls = after["requests"] - before["requests"]
        if end["ended"] or not polls:
            raise SystemExit(f"{plan}: {polls} polls, {end['ended']} jobs ended by themselves: {end['why']}")
        return Figures(
            polls=polls,
            rate=polls / plan.seconds,
            cpu_ms=end["cpu"] / polls * 1000,
            kb_per_job=end["kb_per_job"],
            peak=after["peak"],
            handshakes=(after["handshakes"] - before["handshakes"]) / polls,
            lag_p99=end["lag_p99"],
            lag_max=end["lag_max"],
        )


class CollapsedError(Exception):
    """A client fell so far behind that it was not waited for any longer."""


class Lines:
    """What a client process says; it is ended when it takes much longer than planned."""

    def __init__(self, api: Api, process: subprocess.Popen[str], plan: Plan) -> None:
        self.api, self.process, self.plan = api, process, plan
        self._killer = threading.Timer(plan.ramp + max(plan.settle, 0.0) + plan.seconds + PATIENCE, process.kill)
        self._killer.daemon = True
        self._killer.start()

    def until(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if said["event"] == event:
                return dict(said)
        if self._killer.finished.is_set():
            raise CollapsedError
        told = self.api.errors.read_text()[-2000:]
        raise SystemExit(f"{self.plan} ended before {event!r}:\n{told}")

    def close(self) -> None:
        self._killer.cancel()


def environment(port: int, trusted: Path, extra: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a client process: connections as a triggerer would find them, nothing of ours else."""
    url = f"https://127.0.0.1:{port}"
    connections = {
        "MAGICHOUR_DEFAULT": {"conn_type": "magichour", "host": url, "password": "mhk_bench", "extra": extra},
        "DBT_BENCH": {"conn_type": "dbt_cloud", "host": f"127.0.0.1:{port}", "login": "1", "password": "mhk_bench"},
        "HTTP_BENCH": {"conn_type": "http", "host": url},
    }
    return {
        **os.environ,
        "AIRFLOW_HOME": str(FOLDER / "airflow"),
        "SSL_CERT_FILE": str(trusted),
        **{f"AIRFLOW_CONN_{name}": json.dumps(fields) for name, fields in connections.items()},
    }
