"""The clips of one row: a DAG that makes them by mapped tasks, the Magic Hour that it pays, and what must hold."""

from __future__ import annotations

import filecmp
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_provider_magichour.submission.record import KEY
from tests_production.shape import Production
from tools.many_clips import ManyClips, name_in

LONG = 1800.0
"""Seconds that a row may take."""

HELD = 10
"""Clips that render until all others are done: while these alone wait no worker may be taken."""

UNSURE = "MagicHourUnsureSubmissionError"
"""The error that a person settles: an answer that was lost."""

STUCK = "stuck in queued reschedule"
"""Airflow's event for a task that no worker has taken in time; it counts as no attempt."""

HEAD = """
from datetime import timedelta

from airflow.sdk import DAG, task, task_group
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

URL = "https://example.com/photos/{{}}.jpg"
CLIP = {{"model": "kling-3.0", "end_seconds": 3}}
DEFAULTS = {{"retries": {retries}, "retry_delay": timedelta(seconds={retry_delay}), "magichour_conn_id": "{name}"}}

with DAG("{name}", schedule=None, max_active_tasks=100, default_args=DEFAULTS):

    @task
    def photos() -> list[str]:
        return [URL.format(number) for number in range({count})]

    @task_group
    def clip(photo: str):
{tasks}
        MagicHourDownloadOperator(task_id="download", project_id=made.output, destination="{folder}/")

    clip.expand(photo=photos())
"""

BATCH = """
from airflow.sdk import DAG
from airflow_provider_magichour.operators import MagicHourBatchOperator

with DAG("{name}", schedule=None):
    MagicHourBatchOperator(
        task_id="clips",
        items="{folder}.jsonl",
        destination="{folder}/",
        in_flight=200,
        model="kling-3.0",
        end_seconds=3,
        deferrable=True,
        retries={retries},
        magichour_conn_id="{name}",
    )
"""

TWO_TASKS = """
        made = MagicHourImageToVideoOperator(
            task_id="make", image=photo, wait_for_completion=True, deferrable=True, **CLIP
        )
"""
"""The submitting task waits itself."""

THREE_TASKS = """
        submitted = MagicHourImageToVideoOperator(task_id="submit", image=photo, **CLIP)
        made = MagicHourProjectSensor(task_id="wait", project_id=submitted.output, deferrable=True)
"""


class Clips:
    """A row's clips.

    :param name: of its DAG, and of its connection.
    :param tasks: what stands in the DAG before the download.
    :param extra: of the connection.
    :param held: clips that the API holds until all others are written.
    """

    number_in_name = r"\[(\d+)\]"
    """Where a project's name has the number of its clip."""

    def __init__(
        self,
        production: Production,
        api: ManyClips,
        name: str,
        count: int,
        folder: Path,
        *,
        tasks: str = TWO_TASKS,
        retries: int = 3,
        retry_delay: float = 5.0,
        extra: Mapping[str, Any] | None = None,
        held: int = HELD,
    ) -> None:
        self.production, self.api, self.name, self.count, self.folder = production, api, name, count, folder
        self.held = held
        self._went_on = False
        self.most_waiting = 0
        self.notes: list[str] = []
        """What else is worth telling in the table."""
        self.settled: Counter[str] = Counter()
        """What a person had to settle, as the runbook says, by what became of it."""
        self.deadlines: dict[tuple[int, int], set[str]] = {}
        """Of each wait, by clip and try: all the deadlines that its trigger was seen with."""
        arguments = {"name": name, "count": count, "folder": folder, "retries": retries, "retry_delay": retry_delay}
        file = production.airflow.dag_folders[0] / f"{name}.py"
        file.write_text(self._dag_file(tasks, arguments))
        production.airflow.rest.add_connection(
            name, "magichour", host=api.url, password=api.api_key, extra=json.dumps(extra or {})
        )

    def _dag_file(self, tasks: str, arguments: Mapping[str, Any]) -> str:
        return HEAD.format(tasks=tasks, **arguments)

    # what happens

    def start(self) -> None:
        self.production.airflow.wait_for_dag(self.name, timeout=120)
        self.began = time.monotonic()
        self.run_id = self.production.airflow.rest.trigger(self.name)

    def states(self) -> Counter[str]:
        """Count task instances by their state."""
        counted = self.production.ask(
            "select coalesce(state, 'none'), count(*) from task_instance where dag_id = %s group by 1", self.name
        )
        states = Counter(dict(counted))
        self.most_waiting = max(self.most_waiting, states["deferred"])
        return states

    def told(self) -> str:
        return f"{self.name}: {dict(self.states())}, {len(self.api.jobs())} projects, {len(self.files())} files"

    def until(self, condition: Callable[[], bool], seconds: float = LONG) -> None:
        self.production.until(condition, self.told, seconds)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def reach(self, share: float) -> None:
        """Wait until so large a share of the clips is written."""
        self.until(lambda: bool(self.states()) and len(self.files()) >= share * self.count)

    def hold_no_worker(self) -> None:
        """Wait until all but the held clips are written, and see that no task is running then; let those go on.

        Once is enough.
        """
        if self._went_on:
            return
        self.until(self._only_the_held_wait)
        for _ in range(4):
            assert not self.states()["running"], self.told()
            time.sleep(0.5)
        self.api.go_on()
        self._went_on = True

    def _only_the_held_wait(self) -> bool:
        states = self.states()
        if states["failed"]:
            self.settle()
        waits = states["deferred"] == self.tasks_that_wait() and not states["running"]
        return waits and len(self.files()) == self.count - self.held

    def tasks_that_wait(self) -> int:
        """Return how many tasks wait for the held clips."""
        return self.held

    def note_deadlines(self) -> None:
        """Note with what deadline each wait is stored at the moment."""
        for index, number, kwargs in self.production.ask(
            "select map_index, try_number, kwargs from task_instance join trigger on trigger.id = trigger_id"
            " where dag_id = %s",
            self.name,
        ):
            found = re.search(r"deadline\W+([\d.]+)", str(kwargs))
            assert found, kwargs
            self.deadlines.setdefault((index, number), set()).add(found[1])

    def settle(self) -> None:
        """Do with what has failed as the message says: adopt the project that was made, or submit anew."""
        rest = self.production.airflow.rest
        made = {job["name"]: job["id"] for job in self.api.jobs()}
        for task_id, index, number in self.production.ask(
            "select task_id, map_index, try_number from task_instance where dag_id = %s and state = 'failed'", self.name
        ):
            why = self._why(task_id, index, number)
            assert why == UNSURE, f"{task_id}[{index}] try {number}: {why}"
            place = (self.name, self.run_id, task_id)
            record = rest.state_store(*place, map_index=index).get(KEY)
            if record and record["name"] in made:
                rest.put_state(*place, KEY, {"project_id": made[record["name"]]}, map_index=index)
                self.settled["unsure, adopted"] += 1
            else:
                rest.delete_state(*place, KEY, map_index=index)
                self.settled["unsure, not made"] += 1
            rest.clear(self.name, self.run_id, (task_id, index), downstream=True)

    def end(self) -> None:
        """Wait until the run has ended, and note how long it took."""
        self.until(lambda: self._run_state() in ("success", "failed"))
        self.seconds = time.monotonic() - self.began

    def _run_state(self) -> str:
        ((state,),) = self.production.ask("select state from dag_run where dag_id = %s", self.name)
        return str(state)

    def files(self) -> list[Path]:
        """Return the clips that are written; a killed download leaves a part under a name of its own."""
        return [path for path in self.folder.iterdir() if path.suffix == ".mp4"] if self.folder.exists() else []

    # what must be true

    def check(self) -> None:
        """Hold each clip to one project and one file, which is that project's own, byte for byte."""
        assert self._run_state() == "success", self.told()
        assert set(self.states()) == {"success"}
        jobs = {job["id"]: job["name"] for job in self.api.jobs()}
        made = Counter(int(index) for name in jobs.values() for index in re.findall(self.number_in_name, name))
        assert made == Counter(range(self.count))
        files = {project_of(path): path for path in self.files()}
        assert files.keys() == jobs.keys()
        for job, path in files.items():
            assert name_in(path) == jobs[job]
            assert filecmp.cmp(path, self.api.file_of(job, ".mp4"), shallow=False), path

    def parts(self) -> str:
        """Say what the wall time is made of."""
        jobs = self.api.jobs()
        created = [datetime.fromisoformat(job["created_at"]).timestamp() for job in jobs]
        done = {job["id"]: at + took for job, at, took in zip(jobs, created, self.api.render_times(), strict=True)}
        free = {job["id"] for job in jobs[: self.count - self.held]}
        late = sorted(
            path.stat().st_mtime - done[project_of(path)] for path in self.files() if project_of(path) in free
        )
        told = [f"submitted in {max(created) - min(created):.0f} s, {self.most_waiting} tasks waited at a time at most"]
        if late:
            p50, p95 = statistics.median(late), late[int(0.95 * len(late))]
            told.append(f"from done to written {p50:.0f} s (p50), {p95:.0f} s (p95)")
        return "; ".join([*told, *self.notes])

    def retries(self) -> str:
        """Count what was retried, by why."""
        why: Counter[str] = Counter()
        for task_id, map_index, tries in self.production.ask(
            "select task_id, map_index, try_number from task_instance where dag_id = %s and try_number > 1", self.name
        ):
            name = task_id.rpartition(".")[2]
            why.update(f"{name}: {self._why(task_id, map_index, number)}" for number in range(1, tries))
        why.update(self.settled)
        ((stuck,),) = self.production.ask("select count(*) from log where dag_id = %s and event = %s", self.name, STUCK)
        why.update({"queued again by Airflow, which no worker had taken in 45 s": stuck} if stuck else {})
        return "; ".join(f"{count} {reason}" for reason, count in why.most_common()) or "none"

    def _why(self, task_id: str, map_index: int, number: int) -> str:
        folder = self.production.airflow.home / "logs" / f"dag_id={self.name}" / f"run_id={self.run_id}"
        place = folder / f"task_id={task_id}" / (f"map_index={map_index}" if map_index >= 0 else "")
        log = place / f"attempt={number}.log"
        lines = log.read_text().splitlines() if log.exists() else []
        if errors := [error for line in lines for error in _errors(line)]:
            return errors[-1]
        told = self.production.ask(
            r"select event, substring(extra from 'state \w+, but .{0,60} is \w+') from log"
            " where (dag_id, task_id, map_index, try_number) = (%s, %s, %s, %s)"
            " and event in ('state mismatch', 'heartbeat timeout')",
            *(self.name, task_id, map_index, number),
        )
        return f"killed; Airflow's word is {' '.join(filter(None, told[-1]))!r}" if told else "killed"


def project_of(file: Path) -> str:
    """Return the id that stands in a file's name, in a batch after that of its item."""
    return file.stem.rpartition("-")[2]


class Batch(Clips):
    """The same in one task."""

    number_in_name = r" (\d+) \w+$"

    def tasks_that_wait(self) -> int:
        return 1

    def _dag_file(self, tasks: str, arguments: Mapping[str, Any]) -> str:
        items = [{"id": str(number), "image": f"https://example.com/{number}.jpg"} for number in range(self.count)]
        self.folder.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, items)))
        return BATCH.format(**arguments)


def _errors(line: str) -> list[str]:
    try:
        entry = json.loads(line)
    except ValueError:
        return []
    return [str(each["exc_type"]) for each in entry.get("error_detail") or ()]
