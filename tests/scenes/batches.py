"""A batch as a task instance runs it: tries, clears, its store, its results; each leg runs in an object of its own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.compat import AirflowFailException, TaskDeferred
from airflow_provider_magichour.operators import MagicHourBatchOperator
from tests.conftest import Store, TaskInstance
from tests.scenes.killing import Killed

IMAGE = "https://example.com/1.png"

MOST_LEGS = 100


def items(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": f"i{number}", "image": IMAGE, **fields} for number in range(count)]


def batch(folder: Path, **arguments: Any) -> MagicHourBatchOperator:
    known = {"task_id": "night", "items": items(12), "destination": str(folder), "deferrable": True}
    if arguments.get("tool", "image-to-video") == "image-to-video":
        known |= {"end_seconds": 5, "model": "kling-3.0"}
    return MagicHourBatchOperator(**{**known, **arguments})


async def first_event(trigger: Any) -> Any:
    return await anext(trigger.run())


class Night:
    """A task instance of a batch, from its first try on.

    :param sandbox: that it pays.
    :param folder: of its results.
    :param arguments: of the operator; a try may change them.

    ``between`` is called before each leg but a try's first.
    """

    def __init__(self, sandbox: Any, folder: Path, **arguments: Any) -> None:
        self.store = Store()
        self.arguments = arguments
        self.state = "none"
        self.result: Any = None
        self.error: BaseException | None = None
        self.legs = 0
        self.triggers: list[Any] = []
        self.events: list[Any] = []
        self.between: Callable[[], None] = lambda: None
        self.ti = TaskInstance(try_number=0, max_tries=2)
        self._sandbox = sandbox
        self._folder = folder
        self._before = len(list(sandbox.jobs))

    def run(self, killer: Any = None, **changes: Any) -> str:
        """Run the next try, and return the state in which Airflow has the task then.

        :param killer: of its worker, in any of the legs.
        """
        self.arguments |= changes
        self.state = "running"
        self.ti = TaskInstance(task_id="night", try_number=self.ti.try_number + 1, max_tries=self.ti.max_tries)
        self.context = {"ti": self.ti, "task_state_store": self.store}
        self.result, self.error, self.legs = None, None, 0
        try:
            self.result = self._through(killer or nullcontext())
        except AirflowFailException as error:
            self.state, self.error = "failed", error
        except (Killed, Exception) as error:
            if self.state == "running":  # else Airflow has the success already
                self.state = "up_for_retry" if self.ti.try_number <= self.ti.max_tries else "failed"
            self.error = error
        return self.state

    def clear(self, killer: Any = None, **changes: Any) -> str:
        """Run it again, as Airflow does after a clear."""
        self.ti.max_tries = self.ti.try_number + 2
        return self.run(killer, **changes)

    def task(self) -> MagicHourBatchOperator:
        return batch(self._folder, **self.arguments)

    def _through(self, killer: Any) -> Any:
        method = ""
        while self.legs < MOST_LEGS:
            self.legs += 1
            task = self.task()
            try:
                with killer:
                    if method:
                        result = task.resume_execution(method, {"event": self.events[-1]}, self.context)
                    else:
                        result = task.execute(self.context)
            except TaskDeferred as waiting:
                method = waiting.method_name
                self.triggers.append(waiting.trigger)
                self.events.append(asyncio.run(first_event(waiting.trigger)).payload)
                self.between()
                continue
            self.state = "success"
            with killer:
                for callback in task.on_success_callback or ():
                    callback(self.context)
            return result
        raise AssertionError("it does not end")

    @property
    def jobs(self) -> list[Any]:
        """What was made, and so paid."""
        return list(self._sandbox.jobs)[self._before :]

    @property
    def made(self) -> Counter[str]:
        """How many projects each item has, by the names that they have in the library."""
        return Counter(job.name.split()[2] for job in self.jobs)

    @property
    def lines(self) -> list[dict[str, Any]]:
        path = self._folder / "_magichour" / "manual__1.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    @property
    def statuses(self) -> dict[str, str]:
        return {line["id"]: line["status"] for line in self.lines}

    @property
    def chunks(self) -> dict[str, Any]:
        """What the record has of each item."""
        keys = [key for key in self.store.values if key.startswith("magichour_batch_0")]
        return {item_id: entry for key in keys for item_id, entry in self.store.get(key).items()}

    def edit(self, item_id: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Have a person edit what the record has of an item."""
        for key in [key for key in self.store.values if key.startswith("magichour_batch_0")]:
            chunk = self.store.get(key)
            if item_id in chunk:
                chunk[item_id] = change(chunk[item_id])
                self.store.set(key, chunk)

    def adopt(self, **found: Any) -> None:
        self.store.set("magichour_batch_adopt", found)


@pytest.fixture
def night(sandbox: Any, clock: Any, tmp_path: Path, needs_store: None) -> Callable[..., Night]:
    return lambda **arguments: Night(sandbox, tmp_path / "clips", **arguments)
