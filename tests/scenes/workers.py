"""A download in a process of its own, as a worker runs it, which may be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.scenes.media import PATIENCE

WORKER = """
import json, signal, sys
from airflow_provider_magichour.operators import MagicHourDownloadOperator
arguments = json.loads(sys.argv[1])
hangs = arguments.pop("hangs", False)
task = MagicHourDownloadOperator(task_id="download", **arguments)
returned = task.execute({})
while hangs:
    signal.pause()
print("RETURNED", json.dumps(returned))
"""


def command(**arguments: Any) -> list[str]:
    return [sys.executable, "-W", "ignore", "-c", WORKER, json.dumps(arguments)]


def run(**arguments: Any) -> list[str]:
    """Run the task in a process of its own and return its result."""
    done = subprocess.run(command(**arguments), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RETURNED "))
    return list(json.loads(line.removeprefix("RETURNED ")))


@contextmanager
def killed_once(is_due: Callable[[], bool], log: Path, **arguments: Any) -> Iterator[None]:
    """Run the task in a process of its own and kill that once the condition holds."""
    with log.open("wb") as output:
        worker = subprocess.Popen(command(**arguments), stdout=output, stderr=subprocess.STDOUT)
        try:
            for _ in range(int(PATIENCE / 0.01)):
                if is_due() or worker.poll() is not None:
                    break
                time.sleep(0.01)
            assert worker.poll() is None, log.read_text()
            assert is_due(), log.read_text()
            yield
        finally:
            worker.kill()
            worker.wait(PATIENCE)
