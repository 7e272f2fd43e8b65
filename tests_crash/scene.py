"""One row of the crash table: its own sandbox, connection and DAG in an Airflow that all rows share."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_magichour.sandbox.server import Sandbox
from airflow_provider_magichour.submission.record import KEY
from tests.scenes.examples import PHOTOS
from tools.airflow.local import LocalAirflow
from tools.airflow.rest import TERMINAL_RUN_STATES, TaskInstance

PHOTO = PHOTOS / "cat.jpg"
URL = "https://example.com/photos/cat.jpg"
TASK = "clip"
LONG = 240.0

DAG_FILE = """
import os
import time
from datetime import timedelta
from pathlib import Path

{prelude}
from airflow.sdk import DAG
from airflow_provider_magichour.operators import {operator}

HERE = Path(__file__).parent


def hang_in_first_try(context, result=None):
    if context["ti"].try_number == 1:
        (HERE / "{dag_id}.hanging").touch()
        time.sleep(600)


with DAG("{dag_id}", schedule=None, default_args={{"retry_delay": timedelta(seconds={retry_delay})}}):
    clip = {operator}{partial}(
        task_id="clip",
        magichour_conn_id="{dag_id}",
        {arguments}
    ){expand}
{then}
"""

WAITING = {"wait_for_completion": True, "deferrable": True, "poll_interval": 1}


VIDEO: Mapping[str, Any] = {
    "operator": "MagicHourImageToVideoOperator",
    "image": URL,
    "end_seconds": 3,
    "model": "kling-3.0",
}
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "image": {"operator": "MagicHourImageGeneratorOperator", "prompt": "a cat", "image_count": 1},
    "audio": {
        "operator": "MagicHourGenerateOperator",
        "tool": "ai-voice-generator",
        "style": {"prompt": "The cat has chosen.", "voice_name": "Elon Musk"},
    },
}
"""Tasks of tools that make another kind of result."""


class Scene:
    """A DAG with one task ``clip``, the sandbox it pays at, and what can be done to both.

    :param name: of the row; DAG id and connection id.
    :param folder: DAG folder.
    :param sandbox: arguments of the sandbox; jobs take a second and are not rendered by default.
    :param task: arguments of the operator, and which that is; image-to-video by default.
    """

    def __init__(self, name: str, folder: Path, /, *, sandbox: dict[str, Any] | None = None, **task: Any) -> None:
        self.name = name
        self.folder = folder
        self.sandbox = Sandbox(**{"render": False, "render_seconds": 1.0, **(sandbox or {})})
        self.sandbox.start()
        self.task = {**({} if "operator" in task else VIDEO), "retries": 1, **task}
        self.run_id = ""
        self.write_dag()

    def write_dag(self, **changes: Any) -> None:
        """Write the DAG file, with changed arguments; a task that starts later reads the new one."""
        self.task.update(changes)
        arguments = dict(self.task)
        expand = arguments.pop("expand", None)
        text = DAG_FILE.format(
            dag_id=self.name,
            operator=arguments.pop("operator"),
            prelude=arguments.pop("prelude", ""),
            then=arguments.pop("then", ""),
            retry_delay=arguments.pop("retry_delay", 1),
            partial=".partial" if expand else "",
            expand=f".expand({expand})" if expand else "",
            arguments="\n        ".join(
                f"{key}={value if key == 'post_execute' else repr(value)}," for key, value in arguments.items()
            ),
        )
        (self.folder / f"{self.name}.py").write_text(text)

    # Airflow

    def connect(self, airflow: LocalAirflow, **extra: Any) -> None:
        """Store the connection in this Airflow."""
        self.airflow = airflow
        airflow.rest.add_connection(
            self.name,
            "magichour",
            host=self.sandbox.url,
            password=self.sandbox.api_key,
            extra=json.dumps(extra),
        )

    def start(self) -> None:
        """Start a run."""
        self.airflow.wait_for_dag(self.name, timeout=LONG)
        self.run_id = self.airflow.rest.trigger(self.name)

    def until(self, *states: str, try_number: int | None = None, timeout: float = LONG) -> TaskInstance:
        """Return the task once it is in one of the states."""

        def reached() -> TaskInstance | None:
            ti = self.task_instance()
            return ti if ti.state in states and try_number in (None, ti.try_number) else None

        return self.wait_for(reached, f"is {' or '.join(states)}", timeout)

    def ended(self, timeout: float = LONG) -> str:
        """Return the task's final state."""
        return str(self.until("success", "failed", timeout=timeout).state)

    def wait_for(self, condition: Any, what: str, timeout: float = LONG) -> Any:
        """Ask once a second: many scenes play at once, and the Airflow they ask is at work on the same processors."""
        end = time.monotonic() + timeout
        while not (result := condition()):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{self.name}: {what}: not within {timeout:g} s; task is {self.task_instance().state}"
                )
            time.sleep(1)
        return result

    def kill_task(self, *, supervisor: bool = False) -> None:
        """SIGKILL the task's process, and its supervisor first where asked."""
        process = self.wait_for(
            lambda: self.airflow.task_process(self.name, self.run_id, TASK), "the task has a process"
        )
        if supervisor:
            self.airflow.kill_process(process.parent, signal.SIGKILL)
        self.airflow.kill_process(process.pid, signal.SIGKILL)

    def clear(self) -> None:
        """Clear the task, as a user does, and wait until Airflow has taken it up again.

        Airflow 3.3.2 never starts a task that is cleared in the moment in which the scheduler ends its run.
        """
        before = self.task_instance().try_number
        self.wait_for(
            lambda: self.airflow.rest.run_state(self.name, self.run_id) in TERMINAL_RUN_STATES, "the run has ended"
        )
        self.airflow.rest.clear(self.name, self.run_id, TASK)
        self.wait_for(lambda: self.task_instance().try_number > before, "the cleared task starts")

    def task_instance(self) -> TaskInstance:
        return self.airflow.rest.task_instance(self.name, self.run_id, TASK)

    def log(self, try_number: int | None = None) -> str:
        """Return the text of one try's log, or of all tries."""
        tries = [try_number] if try_number else range(1, self.task_instance().try_number + 1)
        return "\n".join(self.airflow.rest.log(self.name, self.run_id, TASK, try_number=number) for number in tries)

    def logged(self, text: str, *, count: int = 1) -> None:
        """Wait until a text stands in the log so many times."""
        self.wait_for(lambda: self.log().count(text) >= count, f"{text!r} is logged {count} times")

    def xcom(self, key: str = "return_value") -> Any:
        return self.airflow.rest.xcom(self.name, self.run_id, TASK, key=key)

    # the record

    def record(self) -> Any:
        return self.airflow.rest.state_store(self.name, self.run_id, TASK).get(KEY)

    def delete_record(self) -> None:
        self.airflow.rest.delete_state(self.name, self.run_id, TASK, KEY)

    def adopt(self, project_id: str) -> None:
        self.airflow.rest.put_state(self.name, self.run_id, TASK, KEY, {"project_id": project_id})

    # the sandbox

    @property
    def posts(self) -> int:
        """How many creates have reached the sandbox."""
        return self.sandbox.requests.counts["create"]

    @property
    def jobs(self) -> list[str]:
        """The ids of the jobs made, in order."""
        return [job.id for job in self.sandbox.jobs]

    def close(self) -> None:
        self.sandbox.close()
