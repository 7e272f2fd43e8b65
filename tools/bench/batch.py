"""Measure what a batch costs Airflow beside mapped tasks, and what many items cost its worker: docs/measurements.md.

Real components, PostgreSQL, and a Magic Hour of its own on this machine. Prints, and judges nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.airflow.local import LocalAirflow
from tools.airflow.postgres import LocalPostgres
from tools.airflow.rest import TERMINAL_RUN_STATES
from tools.many_clips import ManyClips

TICKS = os.sysconf("SC_CLK_TCK")
PARTS = ("api-server", "scheduler", "workers", "triggerer", "dag-processor")
LONGEST = 3600.0
"""Seconds that one run may take."""

LEGS = 8
"""Projects that such a batch makes, one a leg."""

DAG_FILE = """
import json
from pathlib import Path

from airflow.sdk import DAG, task, task_group
from airflow_provider_magichour.operators import (
    MagicHourBatchOperator,
    MagicHourDownloadOperator,
    MagicHourImageToVideoOperator,
)
from airflow_provider_magichour.sensors import MagicHourProjectSensor

FOLDER = Path("{folder}")
CLIP = {{"model": "kling-3.0", "end_seconds": 3}}
URL = "https://example.com/" + 30 * "photos/" + "{{}}.jpg"


def items(count):
    return [{{"id": f"photo-{{number:05}}", "image": URL.format(number)}} for number in range(count)]


def write(count):
    file = FOLDER / f"items-{{count}}.jsonl"
    if not file.exists():
        file.write_text("\\n".join(map(json.dumps, items(count))))
    return str(file)


def batch(name, count, **arguments):
    with DAG(name, schedule=None):
        MagicHourBatchOperator(
            task_id="clips", items=write(count), destination=str(FOLDER / name), deferrable=True, **arguments
        )


for in_flight in (50, 200):
    batch(f"batch_{{in_flight}}", {clips}, in_flight=in_flight, **CLIP)
for count in (100, 5000):
    batch(
        f"legs_{{count}}",
        count,
        tool="image-background-remover",
        magichour_conn_id="quick",
        in_flight=1,
        # Then nothing more is submitted, and the results of all are written.
        max_credits=5 * {legs},
    )

with DAG("mapped", schedule=None):

    @task
    def photos() -> list[str]:
        return [URL.format(number) for number in range({mapped})]

    @task_group
    def clip(photo: str):
        submit = MagicHourImageToVideoOperator(task_id="submit", image=photo, **CLIP)
        wait = MagicHourProjectSensor(task_id="wait", project_id=submit.output, deferrable=True)
        MagicHourDownloadOperator(task_id="download", project_id=wait.output, destination=str(FOLDER / "mapped") + "/")

    clip.expand(photo=photos())

with DAG("rest", schedule=None):

    @task
    def nothing():
        import time

        time.sleep(2)

    nothing()
"""


def usage(airflow: LocalAirflow) -> Counter[str]:
    """Return the CPU seconds that each part has used so far; what has ended counts where it was waited for."""
    used = Counter[str]()
    for component, first in airflow.pids.items():
        for process in airflow.processes(component):
            try:
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            own, children = (sum(map(int, fields[at : at + 2])) / TICKS for at in (11, 13))
            is_scheduler = component == "scheduler" and process.pid == first
            used["workers" if component == "scheduler" and not is_scheduler else component] += own
            used["workers" if component == "scheduler" else component] += children
    return used


class Peak(threading.Thread):
    """Notes the largest memory of any process that runs a task."""

    def __init__(self, airflow: LocalAirflow) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0
        self._airflow = airflow
        self._ended = threading.Event()

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        scheduler = self._airflow.pids["scheduler"]
        while not self._ended.wait(0.05):
            for process in self._airflow.processes("scheduler"):
                if scheduler not in (process.pid, process.parent):
                    self.mib = max(self.mib, high_water(process.pid))


def high_water(pid: int) -> float:
    """Return the most memory that a process has had resident, in MiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


@dataclass
class Run:
    """What one DAG run took, idle subtracted.

    :param legs: how often its task ran on a worker.
    :param peak: most memory of any of its tasks' processes, in MiB.
    """

    name: str
    clips: int
    seconds: float
    cpu: Mapping[str, float]
    legs: int = 0
    peak: float = 0.0

    @property
    def each(self) -> float:
        """CPU seconds for each clip."""
        return sum(self.cpu.values()) / self.clips


@dataclass
class Bench:
    """A real Airflow and what it costs at rest."""

    airflow: LocalAirflow
    idle: Mapping[str, float] = field(default_factory=dict)

    def rest(self, seconds: float) -> None:
        """Measure what it costs with nothing to do."""
        before = usage(self.airflow)
        time.sleep(seconds)
        after = usage(self.airflow)
        self.idle = {part: (after[part] - before[part]) / seconds for part in PARTS}
        print("at rest: " + ", ".join(f"{part} {self.idle[part]:.3f}" for part in PARTS) + " CPU s/s", flush=True)

    def run(self, dag_id: str, clips: int) -> Run:
        """Measure a DAG from its start to its end."""
        began = self._moment()
        run_id, peak = self._through(dag_id)
        run = self._between(dag_id, clips, began, self._moment(), peak)
        states = Counter(ti.state for ti in self.airflow.rest.task_instances(dag_id, run_id))
        if dag_id.startswith("batch"):
            run.legs = len(re.findall(r"\d+ of \d+ complete", self.airflow.rest.log(dag_id, run_id, "clips")))
        told = ", ".join(f"{count} {state}" for state, count in states.items())
        parts = ", ".join(f"{part} {run.cpu[part]:.1f}" for part in PARTS)
        print(f"{dag_id}: {run.seconds:.0f} s, {told}, {sum(run.cpu.values()):.1f} CPU s ({parts})", flush=True)
        return run

    def legs(self, dag_id: str, api: ManyClips) -> Run:
        """Measure a batch each of whose legs makes one project, from the third leg to the last."""
        before = len(api.jobs())
        first = last = self._moment()

        def look() -> None:
            nonlocal first, last
            made = len(api.jobs()) - before
            first = self._moment() if made < 3 else first
            last = self._moment() if made < LEGS else last

        _, peak = self._through(dag_id, look)
        run = self._between(dag_id, 1, first, last, peak)
        run.legs = LEGS - 3
        print(f"{dag_id}: {run.legs} legs in {run.seconds:.0f} s", flush=True)
        return run

    def _through(self, dag_id: str, look: Callable[[], None] = lambda: None) -> tuple[str, float]:
        """Run a DAG to its end, and return its run and its tasks' peak; Airflow is asked seldom, as that costs too."""
        rest = self.airflow.rest
        end = time.monotonic() + LONGEST
        with Peak(self.airflow) as peak:
            run_id = rest.trigger(dag_id)
            while rest.run_state(dag_id, run_id) not in TERMINAL_RUN_STATES:
                if time.monotonic() > end:
                    raise TimeoutError(f"{dag_id} has not ended within {LONGEST:g} s")
                for _ in range(10):
                    look()
                    time.sleep(0.2)
        return run_id, peak.mib

    def _moment(self) -> tuple[float, Counter[str]]:
        return time.monotonic(), usage(self.airflow)

    def _between(
        self, name: str, clips: int, first: tuple[float, Counter[str]], last: tuple[float, Counter[str]], peak: float
    ) -> Run:
        seconds = last[0] - first[0]
        cpu = {part: last[1][part] - first[1][part] - self.idle[part] * seconds for part in PARTS}
        return Run(name, clips, seconds, cpu, peak=peak)


def compared(runs: list[Run]) -> None:
    """Print the CPU of each form, and how often the first one's it is."""
    head = "".join(f"{part:>14}" for part in PARTS)
    print("\nAirflow's CPU for a clip, in milliseconds, idle subtracted")
    print(f"{'':12}{'clips':>6}{'legs':>6}{'wall s':>8}{'all':>9}{head}{'1/':>8}")
    for run in runs:
        parts = "".join(f"{run.cpu[part] / run.clips * 1000:>14.1f}" for part in PARTS)
        first = f"{run.name:12}{run.clips:>6}{run.legs or '':>6}{run.seconds:>8.0f}{run.each * 1000:>9.1f}"
        print(f"{first}{parts}{runs[0].each / run.each:>8.1f}")
    print("bounds: batch_50 at most 1/20 of mapped, batch_200 at most 1/30")


def fixed(rest: Run, runs: list[Run]) -> None:
    """Print what items cost a worker that has nothing to do with most of them."""
    print("\nA leg that fetches one result and submits one item, and the memory of the task's process")
    print(f"{'':12}{'legs':>6}{'worker CPU s a leg':>20}{'all CPU s a leg':>17}{'MiB over rest':>15}")
    for run in runs:
        each, all_ = run.cpu["workers"] / run.legs, sum(run.cpu.values()) / run.legs
        print(f"{run.name:12}{run.legs:>6}{each:>20.2f}{all_:>17.2f}{run.peak - rest.peak:>15.0f}")
    few, many = runs
    ratio = (many.cpu["workers"] / many.legs) / (few.cpu["workers"] / few.legs)
    print(f"ratio of the worker's CPU {ratio:.2f} (bound: 2); rest {rest.peak:.0f} MiB (bound: 150 MiB over it)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-batch", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 clips beside 20 mapped ones: for trying")
    parser.add_argument("--only", choices=("clips", "legs"), help="one part alone")
    options = parser.parse_args()
    clips, mapped, idle = (60, 20, 10.0) if options.quick else (300, 300, 30.0)
    print(time.strftime("%Y-%m-%d"), platform.platform(), "Python", platform.python_version())
    folder = Path(tempfile.mkdtemp(prefix="bench-batch-"))
    (folder / "dags").mkdir()
    text = DAG_FILE.format(folder=folder, clips=clips, mapped=mapped, legs=LEGS)
    (folder / "dags" / "bench.py").write_text(text)
    try:
        with (
            LocalPostgres() as database,
            ManyClips(10.0 if options.quick else 40.0) as api,
            ManyClips(0.5) as quick,
            LocalAirflow(folder / "dags", parallelism=8, sql_alchemy_conn=database.address) as airflow,
        ):
            for conn_id, server in {"magichour_default": api, "quick": quick}.items():
                airflow.rest.add_connection(conn_id, "magichour", host=server.url, password=server.api_key)
            bench = Bench(airflow)
            airflow.wait_for_dag("rest", 300)
            bench.rest(idle)
            if options.only != "clips":
                fixed(bench.run("rest", 1), [bench.legs(f"legs_{count}", quick) for count in (100, 5000)])
            if options.only != "legs":
                batches = [bench.run(f"batch_{in_flight}", clips) for in_flight in (50, 200)]
                compared([bench.run("mapped", mapped), *batches])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
