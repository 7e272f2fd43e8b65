"""What thousands of waits cost one real triggerer, and how soon it notices what is done.

The waits are put into Airflow's database, where a worker that defers would put them: to have workers do so for
thousands would take an hour. No worker takes them up again: their pool has no slot.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from airflow.sdk.serde import serialize

from tests_production.conftest import Table
from tests_production.shape import Production
from tools.many_clips import ManyClips

pytestmark = pytest.mark.long_only

MINUTES = 10.0
AT_ONCE = 250
"""Waits that are put there in a second at most."""

OTHERS = 100
"""Triggers of Airflow's own that wait for a moment meanwhile."""

# As docs/production.md advises for thousands of waits in a triggerer.
TRIGGERER = {
    "AIRFLOW__TRIGGERER__CAPACITY": "10000",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "300",
    "AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": "300",
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.jobs.triggerer_job_runner=WARNING",
}

GROWTH = 0.1
"""By which share of what it has the triggerer may grow in the second half: what ends has to be forgotten."""

PROJECT = "airflow_provider_magichour.triggers.MagicHourProjectTrigger"
MOMENT = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"

DAG_FILE = """
from airflow.sdk import DAG
from airflow_provider_magichour.sensors import MagicHourProjectSensor

with DAG("{name}", schedule=None, max_active_tasks=10_000):
    MagicHourProjectSensor.partial(
        task_id="wait", magichour_conn_id="{name}", deferrable=True, pool="nobody"
    ).expand(project_id=[str(number) for number in range({count})])
"""

WAITS = """
with wanted as (select * from json_to_recordset(%s) as w (map_index int, classpath text, kwargs text)),
made as (
    insert into trigger (classpath, kwargs, created_date, triggerer_id)
    select classpath, kwargs, now(), %s from wanted returning id, trigger.kwargs
)
update task_instance set state = 'deferred', trigger_id = made.id, next_method = 'execute_complete',
    next_kwargs = '{}', start_date = now()
from wanted join made on made.kwargs = wanted.kwargs
where dag_id = %s and task_instance.map_index = wanted.map_index returning task_instance.map_index
"""


@dataclass
class Usage:
    """What a triggerer has used at a moment: CPU in seconds, memory in bytes, requests."""

    at: float
    cpu: float
    memory: float
    requests: int


class Waits:
    """Many waits in one triggerer.

    :param triggerer: the name of the component.
    """

    def __init__(self, production: Production, api: ManyClips, triggerer: str, count: int, seconds: float) -> None:
        self.production, self.api, self.triggerer = production, api, triggerer
        self.count, self.seconds, self.name = count, seconds, f"waiting_{count}"
        self.due: dict[int, float] = {}
        """When each project is done, and each of the others' moments has come, by map index."""

    def start(self) -> None:
        """Have the run there, none of whose tasks is begun."""
        rest = self.production.airflow.rest
        (self.production.airflow.dag_folders[0] / f"{self.name}.py").write_text(
            DAG_FILE.format(name=self.name, count=self.count + OTHERS)
        )
        rest.add_connection(self.name, "magichour", host=self.api.url, password=self.api.api_key)
        self.production.airflow.wait_for_dag(self.name, timeout=120)
        self.run_id = rest.trigger(self.name)
        self.production.until(lambda: self.counted("scheduled") == self.count + OTHERS, lambda: self.name, 300)

    def counted(self, state: str) -> int:
        ((count,),) = self.production.ask(
            "select count(*) from task_instance where dag_id = %s and state = %s", self.name, state
        )
        return int(count)

    def wait(self, triggerer_id: int) -> None:
        """Put the waits there; half of the projects are done before the end."""
        chance = random.Random(self.count)
        for first in range(0, self.count, AT_ONCE):
            began = time.monotonic()
            numbers = range(first, min(first + AT_ONCE, self.count))
            self._defer(triggerer_id, [self._project(number, chance) for number in numbers])
            time.sleep(max(0.0, began + 1.0 - time.monotonic()))
        self._defer(triggerer_id, [self._moment(self.count + number, chance) for number in range(OTHERS)])

    def _project(self, number: int, chance: random.Random) -> tuple[int, str, dict[str, Any]]:
        seconds = chance.uniform(0.1, 2.0) * self.seconds
        now = time.time()
        self.due[number] = now + seconds
        arguments = {"project_id": self.api.add_job(seconds), "kind": "video", "magichour_conn_id": self.name}
        return number, PROJECT, arguments | {"started_at": now, "deadline": now + 86_400}

    def _moment(self, number: int, chance: random.Random) -> tuple[int, str, dict[str, Any]]:
        at = datetime.now(UTC) + timedelta(seconds=chance.uniform(0.1, 0.95) * self.seconds)
        self.due[number] = at.timestamp()
        return number, MOMENT, {"moment": serialize(at)}

    def _defer(self, triggerer_id: int, waits: Sequence[tuple[int, str, dict[str, Any]]]) -> None:
        names = ("map_index", "classpath", "kwargs")
        rows = [dict(zip(names, (*wait[:2], json.dumps(wait[2])), strict=True)) for wait in waits]
        done = self.production.ask(WAITS, json.dumps(rows), triggerer_id, self.name)
        assert len(done) == len(waits)

    def end(self) -> None:
        """Let nothing of it wait on."""
        self.production.airflow.rest.set_run_state(self.name, self.run_id, "failed")

    def usage(self) -> Usage:
        processes = [psutil.Process(found.pid) for found in self.production.airflow.processes(self.triggerer)]
        times = [process.cpu_times() for process in processes]
        cpu = sum(each.user + each.system for each in times)
        memory = sum(process.memory_full_info().pss for process in processes)
        return Usage(time.monotonic(), cpu, memory, self.api.counted("get"))

    def late(self) -> tuple[list[float], list[float]]:
        """Return how late each end was noticed, of projects and of the others, in seconds."""
        noticed = self.production.ask(
            "select map_index, scheduled_dttm from task_instance where dag_id = %s and state = 'scheduled'", self.name
        )
        late = {index: at.timestamp() - self.due[index] for index, at in noticed}
        return (
            sorted(seconds for index, seconds in late.items() if index < self.count),
            sorted(seconds for index, seconds in late.items() if index >= self.count),
        )


def percentiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{statistics.median(values):.1f} s (p50), {values[int(0.95 * len(values))]:.1f} s (p95)"


def told(waits: Waits, first: Usage, half: Usage, end: Usage) -> str:
    """Say what it has cost."""
    cpu = (end.cpu - half.cpu) / (end.at - half.at)
    rate = (end.requests - half.requests) / (end.at - half.at)
    projects, others = waits.late()
    memory = ", ".join(f"{usage.memory / 2**20:.0f}" for usage in (first, half, end))
    return (
        f"CPU {100 * cpu:.1f} % of a core; MiB before, half-way and at the end {memory}; {rate:.1f} requests/s;"
        f" {len(projects)} done, noticed after {percentiles(projects)};"
        f" Airflow's own triggers late by {percentiles(others)}"
    )


def test_thousands_of_waits_cost_a_triggerer_little_and_it_does_not_grow(
    airflow: Production, table: Table, percent: int
) -> None:
    seconds = 60.0 * MINUTES * percent / 100
    airflow.airflow.rest.call("POST", "/pools", json={"name": "nobody", "slots": 0})
    # Each has triggers of its own, so both are measured at the same time.
    ids: dict[str, int] = {}
    for triggerer in ("triggerer-1", "triggerer-2"):
        airflow.airflow.restart(triggerer, TRIGGERER)
        ids[triggerer] = newest_triggerer(airflow, list(ids.values()))
    with ExitStack() as stack:
        both = []
        for triggerer, count in (("triggerer-1", 1000), ("triggerer-2", 5000)):
            api = stack.enter_context(ManyClips(median=1.0))
            both.append(Waits(airflow, api, triggerer, count, seconds))
        for waits in both:
            waits.start()
        first = [waits.usage() for waits in both]
        for waits in both:
            waits.wait(ids[waits.triggerer])
        began = time.monotonic()
        time.sleep(max(0.0, began + seconds / 2 - time.monotonic()))
        half = [waits.usage() for waits in both]
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        end = [waits.usage() for waits in both]
        grown = [after.memory / middle.memory - 1 for middle, after in zip(half, end, strict=True)]
        for waits, before, middle, after, share in zip(both, first, half, end, grown, strict=True):
            held = "yes" if share <= GROWTH else f"NO: grew by {100 * share:.0f} %"
            row = f"{waits.count} waits in one triggerer for {seconds:.0f} s"
            table.add(row, held, f"{seconds:.0f} s", told(waits, before, middle, after), "")
        assert all(
            after.memory - middle.memory <= GROWTH * middle.memory for middle, after in zip(half, end, strict=True)
        )
        assert not any(waits.counted("failed") for waits in both)
        for waits in both:
            waits.end()


def newest_triggerer(airflow: Production, known: list[int]) -> int:
    """Return the id of the triggerer that was started last, once it works."""
    before = max(known, default=0)
    began = datetime.now(UTC) - timedelta(seconds=1)

    def started() -> int | None:
        found = airflow.ask(
            "select max(id) from job where job_type = 'TriggererJob' and start_date > %s and id > %s", began, before
        )
        return found[0][0] if found else None

    return airflow.until(started, lambda: "the triggerer starts", 60)
