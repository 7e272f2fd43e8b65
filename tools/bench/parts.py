"""The parts of the bench: each measures, prints its table and returns the bounds that it can judge."""

from __future__ import annotations

import os
import subprocess
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from tools import import_cost
from tools.bench.place import PYTHON
from tools.bench.runs import LATENCY, RATE, Api, CollapsedError, Figures, Lines, Plan, interval_of, most_connections
from tools.bench.schedules import KNOWN_SPREAD, SCHEDULES, TAIL, cost, learned, render_times
from tools.bench.server import RETRY_AFTER
from tools.bench.variants import VARIANTS

INTERLEAVED = {
    100: ("floor", "ours", "dbt"),
    1000: ("floor", "ours", "over_aiohttp", "dbt"),
    5000: ("floor", "ours", "over_aiohttp"),
}
"""What runs in every round; the others run in the first one."""

PEER_MODULES = (
    "airflow.providers.standard.operators.bash",
    "airflow.providers.http.operators.http",
    "airflow.providers.dbt.cloud.operators.dbt",
    "magic_hour",
)


@dataclass(frozen=True)
class Bound:
    """A figure and the most that it may be."""

    what: str
    value: float
    most: float

    @property
    def kept(self) -> bool:
        return self.value <= self.most


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 10.0
    jobs: tuple[int, ...] = (100, 1000, 5000)
    draws: int = 20000
    imports: int = 3


QUICK = Effort(rounds=1, seconds=5.0, jobs=(100, 1000), draws=2000, imports=1)


def said(line: str = "") -> None:
    print(line, flush=True)


def waiting(api: Api, effort: Effort) -> list[Bound]:
    """Measure all variants side by side, for each number of waiting jobs."""
    bounds = []
    for jobs in effort.jobs:
        seen: dict[str, list[Figures]] = defaultdict(list)
        for turn in range(effort.rounds):
            for variant in VARIANTS if turn == 0 else INTERLEAVED[jobs]:
                try:
                    figures = api.measure(Plan.steady(variant, jobs, effort.seconds))
                    seen[variant].append(figures)
                except CollapsedError:
                    said(f"{VARIANTS[variant][0]}, {jobs} jobs: fell so far behind that it was ended")
        table(jobs, seen)
        bounds += waiting_bounds(jobs, seen)
    return bounds


def table(jobs: int, seen: dict[str, list[Figures]]) -> None:
    interval = interval_of("ours", jobs)
    said(
        f"\n{jobs} waiting jobs, each polled every {interval:g} s, HTTPS, {LATENCY * 1000:.0f} ms; medians of n rounds"
    )
    said(
        f"{'':32}{'n':>3}{'polls/s':>9}{'CPU ms/poll':>13}{'x floor':>9}{'KB/job':>9}{'open':>7}"
        f"{'handshakes/poll':>17}{'lag p99 ms':>12}{'max':>8}"
    )
    for variant, figures in seen.items():
        said(
            f"{VARIANTS[variant][0]:32}{len(figures):>3}{mid(figures, 'rate'):>9.0f}{mid(figures, 'cpu_ms'):>13.3f}"
            f"{ratio(seen, variant, 'floor'):>9.1f}{mid(figures, 'kb_per_job'):>9.1f}{mid(figures, 'peak'):>7.0f}"
            f"{mid(figures, 'handshakes'):>17.3f}{mid(figures, 'lag_p99'):>12.1f}{mid(figures, 'lag_max'):>8.1f}"
        )


def mid(figures: list[Figures], name: str) -> float:
    return median(getattr(each, name) for each in figures)


def ratio(seen: dict[str, list[Figures]], one: str, other: str) -> float:
    """Return the median of the ratios of CPU per poll, round by round."""
    return median(a.cpu_ms / b.cpu_ms for a, b in zip(seen[one], seen[other], strict=False))


def waiting_bounds(jobs: int, seen: dict[str, list[Figures]]) -> list[Bound]:
    ours, interval = seen["ours"], interval_of("ours", jobs)
    bounds = [
        Bound(f"open connections, {jobs} jobs, every {interval:g} s", mid(ours, "peak"), most_connections(RATE)),
        Bound(f"TLS handshakes per poll, {jobs} jobs, every {interval:g} s", mid(ours, "handshakes"), 0.02),
    ]
    if jobs >= 1000:
        bounds.append(Bound(f"CPU per poll against the floor, {jobs} jobs", ratio(seen, "ours", "floor"), 4.0))
    if jobs == 1000:
        bounds.append(Bound("CPU per poll against dbt Cloud's trigger, 1000 jobs", ratio(seen, "ours", "dbt"), 0.35))
    if jobs == 5000:
        bounds.append(Bound("KB of memory per waiting job, 5000 jobs", mid(ours, "kb_per_job"), 5.0))
        bounds.append(Bound("event-loop lag p99 in ms, 5000 jobs", mid(ours, "lag_p99"), 10.0))
    return bounds


def doubled(api: Api, effort: Effort) -> list[Bound]:
    """Compare twice the rate with the rate, alone and with a process that spins on the client's core."""
    figures: dict[tuple[bool, float], list[Figures]] = defaultdict(list)
    for _ in range(min(3, effort.rounds)):
        for busy in (False, True):
            with neighbour(api, busy) as core:
                for rate in (RATE, 2 * RATE):
                    plan = Plan.steady("ours", 1000, effort.seconds, rate=rate, core=core)
                    figures[busy, rate].append(api.measure(plan))
    said(
        "\nOurs, 1000 jobs, client kept on one core"
        + f"{'polls/s':>20}{'CPU ms/poll':>13}{'open':>7}{'lag p99 ms':>12}"
    )
    for (busy, rate), seen in figures.items():
        said(
            f"{'busy neighbour on the core' if busy else 'alone on the core':32}{f'{rate:.0f} offered':>15}"
            f"{mid(seen, 'rate'):>9.0f}{mid(seen, 'cpu_ms'):>13.3f}{mid(seen, 'peak'):>7.0f}"
            f"{mid(seen, 'lag_p99'):>12.1f}"
        )
    twice = [
        Bound(
            f"CPU per poll at 500 polls/s against 250{', busy neighbour' if busy else ''}",
            median(
                fast.cpu_ms / slow.cpu_ms
                for fast, slow in zip(figures[busy, 2 * RATE], figures[busy, RATE], strict=True)
            ),
            1.15,
        )
        for busy in (False, True)
    ]
    fast = figures[False, 2 * RATE]
    missed = [
        Bound(
            f"share of {rate:.0f} polls/s missed{', busy neighbour' if busy else ''}", 1 - mid(seen, "rate") / rate, 0.1
        )
        for (busy, rate), seen in figures.items()
    ]
    return [
        *twice,
        *missed,
        Bound("open connections, 500 polls/s, every 2 s", mid(fast, "peak"), most_connections(2 * RATE)),
        Bound("TLS handshakes per poll, 500 polls/s, every 2 s", mid(fast, "handshakes"), 0.02),
    ]


@contextmanager
def neighbour(api: Api, busy: bool) -> Iterator[int]:
    """Keep the API off the client's core while another process spins on that core, or none does."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(api.process.pid, cores[:-1] or cores)
    spin = f"import os; os.sched_setaffinity(0, {{{cores[-1]}}})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-S", "-c", spin]) if busy else None
    try:
        yield cores[-1]
    finally:
        if process:
            process.kill()
            process.wait()
        os.sched_setaffinity(api.process.pid, cores)


def limited(api: Api, effort: Effort) -> list[Bound]:
    """Count what reaches the API in any second while 5000 jobs all want to look, across a restart of the client."""
    limit = 20
    plan = Plan("ours", 5000, None, 0.0, 0.0, effort.seconds, extra={"requests_per_second": limit})
    lives: list[list[float]] = []
    for _ in range(2):
        with api.client(plan) as process:
            lines = Lines(api, process, plan)
            lines.until("start")
            api.ask("reset", latency=LATENCY)
            lines.until("end")
            process.kill()
        lives.append(api.ask("stats", all=True)["arrivals"])
    most = max(busiest_second(arrivals) for arrivals in lives)
    used = min(len(arrivals) / limit / effort.seconds for arrivals in lives)
    said(f"\n5000 jobs, all due at once, requests_per_second {limit}; the client, and the client started again")
    said(f"  requests in {effort.seconds:g} s: {', '.join(str(len(life)) for life in lives)}; most in any 1 s: {most}")
    return [
        Bound(f"requests in any second, of {limit} allowed, 5000 jobs and a restart", most, limit),
        Bound("share of the allowed requests that was not used meanwhile", 1 - used, 0.1),
    ]


def busiest_second(arrivals: list[float]) -> int:
    """Return the most arrivals in any half-open second."""
    return max((bisect_left(arrivals, moment + 1.0) - at for at, moment in enumerate(arrivals)), default=0)


def refused(api: Api, effort: Effort) -> list[Bound]:
    """Answer one look with 429 and see that all jobs of the connection are silent, and go on afterwards."""
    jobs = 200
    extra = {"requests_per_second": 1000}
    plan = Plan("ours", jobs, 2.0, 2.0, 0.0, RETRY_AFTER + 12.0, extra=extra)
    with api.client(plan) as process:
        lines = Lines(api, process, plan)
        lines.until("start")
        api.ask("reset", latency=0.0, refuse_after=3 * jobs)
        lines.until("end")
        process.kill()
    seen = api.ask("stats", all=True)
    refused_at = seen["refused_at"]
    if refused_at is None:
        raise SystemExit(f"{plan}: too few requests for a refusal: {seen['requests']}")
    # What had left the client before the refusal reached it does not count.
    within = [at for at in seen["arrivals"] if refused_at + LATENCY < at < refused_at + RETRY_AFTER]
    after = {path for at, path in zip(seen["arrivals"], seen["paths"], strict=True) if at >= refused_at + RETRY_AFTER}
    said(f"\n{jobs} jobs, every 2 s; one 429 with Retry-After: {RETRY_AFTER}")
    said(f"  requests in the {RETRY_AFTER} s after it: {len(within)}; jobs that went on afterwards: {len(after)}")
    return [
        Bound(f"requests in the {RETRY_AFTER} s after a 429", len(within), 0),
        Bound("jobs that did not go on after the 429", jobs - len(after), 0),
    ]


def schedules(effort: Effort) -> list[Bound]:
    """Simulate when jobs are looked at and noticed."""
    bounds = []
    for middle in (74.0, 120.0):
        times = render_times(middle, effort.draws)
        said(f"\nrender times log-normal, median {middle:g} s, p95 {TAIL * middle:.0f} s ({effort.draws} draws)")
        said(f"{'':36}{'polls per job':>14}{'s to notice':>13}{'product':>9}")
        for name, looks in SCHEDULES.items():
            found = cost(looks, times)
            said(f"{name:36}{found.looks:>14.1f}{found.notice:>13.2f}{found.product:>9.1f}")
            if looks is SCHEDULES["ours, by default"] and middle == 120.0:
                bounds.append(Bound("polls per job x mean s to notice, median 120 s", found.product, 73.0))
                bounds.append(Bound("mean s to notice, median 120 s", found.notice, 3.0))
        found = learned(middle, effort.draws // 10)
        name = f"ours, the last 20 known, spread {KNOWN_SPREAD:g}"
        said(f"{name:36}{found.looks:>14.1f}{found.notice:>13.2f}{found.product:>9.1f}")
        if middle == 120.0:
            bounds.append(Bound("the same, the last 20 renders of the kind known", found.product, 42.0))
    return bounds


def imports(effort: Effort) -> list[Bound]:
    """Measure what modules of DAG files cost to import."""
    said(f"\nimport, CPU ms beyond airflow.sdk (median of {effort.imports} fresh processes)")
    bounds = []
    for module in (*import_cost.IN_DAG_FILES, *PEER_MODULES):
        figure = import_cost.cost(module, effort.imports, python=str(PYTHON))
        said(f"{module:45}{figure:7.1f}")
        if module in import_cost.IN_DAG_FILES:
            bounds.append(Bound(f"import of {module.split('.')[-1]}, CPU ms", figure, import_cost.BOUND_MS))
    return bounds
