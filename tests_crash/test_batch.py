"""Thousands of clips in one task, each paid for once, while its worker and the triggerer are killed at random.

``make test-batch`` runs it: 2,000 items and 20 kills, with ``SHORT=1`` 100 and 4. The seed of the kills is printed;
``ARGS="--seed N"`` plays them again.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from airflow_provider_magichour.batch.ledger import ADOPT, LARGEST
from tests_crash.conftest import SETTINGS
from tools.airflow.local import LocalAirflow
from tools.airflow.processes import ProcessInfo
from tools.airflow.rest import TERMINAL_RUN_STATES, TaskInstance
from tools.many_clips import ManyClips, name_in

T = TypeVar("T")

DAG_ID = "night"
TASK = "clips"
ENDED = ("success", "failed")
SUBMIT_AT_ONCE = 4
LONG = 180.0
"""Seconds that a single thing may take, on a machine with other work to do."""

A_LEG = 30.0
"""Seconds in which the next leg begins, when enough has ended."""

TRIGGERER = {
    # Triggers of a triggerer that is dead are taken over after 6 s in place of 30.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
}

DAG_FILE = """
from datetime import timedelta

from airflow.sdk import DAG
from airflow_provider_magichour.operators import MagicHourBatchOperator

with DAG("night", schedule=None):
    MagicHourBatchOperator(
        task_id="clips",
        items="{folder}/items.jsonl",
        destination="{folder}/clips/",
        results="{folder}/results.jsonl",
        # what is rendered soonest is looked at soonest
        tool="image-background-remover",
        in_flight={in_flight},
        submit_at_once=4,
        deferrable=True,
        retries=1000,
        retry_delay=timedelta(seconds=0.1),
    )
"""


@dataclass(frozen=True)
class Size:
    """How much of it there is.

    :param kills: of the task's process, of that and its supervisor, of the triggerer.
    :param render: median of the render times, in seconds.

    The last quarter is rendered until all kills are done: however quick the machine is, the batch is not over before.
    """

    items: int
    in_flight: int
    kills: tuple[int, int, int]
    render: float
    seconds: float


SHORT = Size(items=100, in_flight=25, kills=(3, 0, 1), render=2.0, seconds=300.0)
WHOLE = Size(items=2000, in_flight=50, kills=(11, 2, 7), render=3.0, seconds=2400.0)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return SHORT if request.config.getoption("--short") else WHOLE


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seed") or time.time_ns() % 1_000_000)


@pytest.fixture
def night(size: Size, seed: int, dag_folder: Path, database: str, tmp_path: Path) -> Iterator[Night]:
    with (
        ManyClips(size.render, seed, create_seconds=0.2, held_after=size.items * 3 // 4) as api,
        LocalAirflow(dag_folder, env=SETTINGS | TRIGGERER, parallelism=2, sql_alchemy_conn=database) as airflow,
    ):
        airflow.rest.add_connection("magichour_default", "magichour", host=api.url, password=api.api_key)
        yield Night(size, airflow, api, tmp_path, dag_folder)


def test_each_item_is_made_once_whatever_is_killed(night: Night, seed: int) -> None:
    kills = ["task", "supervisor", "triggerer"]
    chance = random.Random(seed)
    todo = [kind for kind, count in zip(kills, night.size.kills, strict=True) for _ in range(count)]
    chance.shuffle(todo)
    say(f"seed {seed}: {night.size.items} items, kills {' '.join(todo)}")
    night.start()
    for number, kind in enumerate(todo, start=1):
        night.reach((number - 1) * len(night.ids) * 6 // (10 * len(todo)))
        night.kill(kind, chance)
        say(f"kill {number} of {len(todo)}: {kind}; {night.told()}")
    night.api.go_on()
    night.ended()
    workers_killed = len(todo) - todo.count("triggerer")
    say(f"ended {night.instance().state} after {workers_killed} kills of a worker; {night.told()}")
    unsure = night.unsure()
    assert len(unsure) <= SUBMIT_AT_ONCE * workers_killed
    assert night.creates().most_common(1)[0][1] == 1
    assert {item for item in night.ids if item not in night.creates()} <= unsure
    assert night.instance().state == ("failed" if unsure else "success")
    if unsure:
        night.resolve(unsure)
    night.check_all_is_there()


def say(what: str) -> None:
    print(time.strftime("%H:%M:%S"), what, flush=True)


class Night:
    """A batch in a real Airflow, and what can be done to both."""

    def __init__(self, size: Size, airflow: LocalAirflow, api: ManyClips, folder: Path, dag_folder: Path) -> None:
        self.size, self.airflow, self.api, self.folder = size, airflow, api, folder
        self.ids = [f"photo-{number:04}" for number in range(size.items)]
        lines = [json.dumps({"id": item, "image": f"https://example.com/{item}.jpg"}) for item in self.ids]
        (folder / "items.jsonl").write_text("\n".join(lines))
        (dag_folder / "night.py").write_text(DAG_FILE.format(folder=folder, in_flight=size.in_flight))
        self.end = 0.0

    def start(self) -> None:
        self.airflow.wait_for_dag(DAG_ID, timeout=LONG)
        self.run_id = self.airflow.rest.trigger(DAG_ID)
        self.end = time.monotonic() + self.size.seconds

    def instance(self) -> TaskInstance:
        return self.airflow.rest.task_instance(DAG_ID, self.run_id, TASK)

    def told(self) -> str:
        now = self.instance()
        files = len(list((self.folder / "clips").glob("photo-*")))
        return f"{len(self.api.jobs())} projects, {files} files, try {now.try_number} {now.state}"

    def wait_for(self, condition: Callable[[], T | None], what: str, seconds: float = LONG) -> T:
        return self.airflow.wait_for(condition, seconds, f"{what} ({self.told()})")

    def reach(self, projects: int) -> None:
        """Wait until so many projects were made: the kills are spread over the whole batch."""
        self.wait_for(lambda: len(self.api.jobs()) >= projects, f"{projects} projects")

    # killing

    def kill(self, kind: str, chance: random.Random) -> None:
        """SIGKILL it at a moment in which it has something to do."""
        if kind == "triggerer":
            self.wait_for(lambda: self.instance().state == "deferred", "the task is deferred")
            time.sleep(chance.uniform(0.0, 6.0))
            self.airflow.kill("triggerer", signal.SIGKILL)
            self.airflow.restart("triggerer")
            return
        misses = 0
        while time.monotonic() < self.end:
            if self.instance().state == "deferred":
                # So many of a group make a leg; those that render by themselves may all have ended.
                self.api.finish(share=1 / 3)
            try:
                process = self.wait_for(self.worker, "the task has a process", A_LEG)
            except TimeoutError:  # it was deferred in between: what it waits for is held
                continue
            until = time.monotonic() + chance.uniform(0.0, 4.0 / 2**misses)
            misses += 1
            while self.is_alive(process):
                if time.monotonic() >= until:
                    if kind == "supervisor":
                        self.airflow.kill_process(process.parent, signal.SIGKILL)
                    self.airflow.kill_process(process.pid, signal.SIGKILL)
                    return
                time.sleep(0.05)
        raise TimeoutError(f"nothing could be killed: {self.told()}")

    def worker(self) -> ProcessInfo | None:
        now = self.instance()
        assert now.state not in ENDED, f"it ended before all kills: {self.told()}"
        return self.airflow.task_process(DAG_ID, self.run_id, TASK) if now.state == "running" else None

    def is_alive(self, process: ProcessInfo) -> bool:
        return Path(f"/proc/{process.pid}/stat").exists() and self.instance().state == "running"

    def ended(self) -> None:
        """Wait until the run has ended; each minute it is told how far it is."""
        while time.monotonic() < self.end:
            try:
                self.airflow.wait_for(self._has_ended, min(60.0, max(0.0, self.end - time.monotonic())))
                return
            except TimeoutError:
                say(self.told())
        raise TimeoutError(f"it does not end: {self.told()}")

    def _has_ended(self) -> bool:
        return self.airflow.rest.run_state(DAG_ID, self.run_id) in TERMINAL_RUN_STATES

    # what must be true

    def creates(self) -> Counter[str]:
        """Count what was made at the API, by the item whose id is in the project's name."""
        return Counter(item_of(job["name"]) for job in self.api.jobs())

    def lines(self) -> list[dict[str, Any]]:
        """Return the result lines, of which there must be one for each item, in order."""
        lines = [json.loads(line) for line in (self.folder / "results.jsonl").read_text().splitlines()]
        assert [line["id"] for line in lines] == self.ids
        return lines

    def unsure(self) -> set[str]:
        """Return the items of which it is not known whether they were made: all others are complete."""
        lines = self.lines()
        found = {line["id"] for line in lines if line["status"] == "unsure"}
        assert Counter(line["status"] for line in lines) == Counter(
            {"complete": len(self.ids) - len(found)} | ({"unsure": len(found)} if found else {})
        )
        return found

    def resolve(self, unsure: set[str]) -> None:
        """Do as a person does: look for the names that the log has in the library, adopt or free, and clear."""
        log = self.airflow.rest.log(DAG_ID, self.run_id, TASK, try_number=self.instance().try_number)
        made = {item_of(job["name"]): job for job in self.api.jobs() if item_of(job["name"]) in unsure}
        for item in unsure:
            assert f"{item}: " in log
        for job in made.values():
            assert job["name"] in log
        adopted = {item: made[item]["id"] if item in made else None for item in sorted(unsure)}
        say(f"{len(unsure)} unsure, of which {len(made)} had been made")
        self.airflow.rest.put_state(DAG_ID, self.run_id, TASK, ADOPT, adopted)
        tries = self.instance().try_number
        self.airflow.rest.clear(DAG_ID, self.run_id, TASK)
        self.wait_for(lambda: self.instance().try_number > tries, "the cleared task starts")
        self.ended()
        say(f"after the clear: {self.told()}")

    def check_all_is_there(self) -> None:
        """Hold each item to one project, one result line and one file, which is that project's own clip."""
        assert self.instance().state == "success"
        jobs = {job["id"]: job for job in self.api.jobs()}
        assert self.creates() == Counter(self.ids)
        lines = self.lines()
        for line in lines:
            assert line["status"] == "complete"
            (file,) = map(Path, line["files"])
            name = jobs[line["project_id"]]["name"]
            assert (file.name, name_in(file)) == (f"{line['id']}-{line['project_id']}.png", name)
            assert item_of(name) == line["id"]
        # A killed download leaves a part under a name of its own, which a later one removes when it is a day old.
        names = [path.name for path in (self.folder / "clips").iterdir()]
        files = [name for name in names if not name.endswith(".part")]
        assert len(files) == len(self.ids)
        told = self.airflow.rest.xcom(DAG_ID, self.run_id, TASK)
        assert told["counts"]["complete"] == told["total"] == sum(told["counts"].values()) == len(self.ids)
        charged = sum(job["credits_charged"] for job in jobs.values())
        assert told["credits_charged"] == sum(line["credits_charged"] for line in lines) == charged
        store = self.airflow.rest.state_store(DAG_ID, self.run_id, TASK)
        assert ADOPT not in store
        largest = max(map(size_of, store.values()))
        assert largest <= LARGEST
        left = len(names) - len(files)
        say(f"{len(files)} right files, {left} parts left, {charged} credits, values of up to {largest} bytes")


def size_of(value: Any) -> int:
    return len(json.dumps(value))


def item_of(name: str) -> str:
    """Return the id of the item in a project's name: before the four random characters."""
    return name.split()[-2]
