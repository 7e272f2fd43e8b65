"""A worker that dies in the middle of a download, and the next try of the task."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SIZE = 24 << 20
PACE = 8 << 20
PATIENCE = 60.0

WORKER = """
import json, sys
from airflow_provider_magichour.operators import MagicHourDownloadOperator
arguments = json.loads(sys.argv[1])
task = MagicHourDownloadOperator(task_id="download", **arguments)
print("RETURNED", json.dumps(task.execute({})))
"""


@pytest.fixture
def project(sandbox: Any) -> str:
    return str(sandbox.add_job().id)


@pytest.fixture
def clip(sandbox: Any, project: str, tmp_path: Path) -> bytes:
    body = random.Random(2).randbytes(SIZE)
    file = tmp_path / "result.mp4"
    file.write_bytes(body)
    sandbox.jobs[project].result = type(sandbox.jobs[project].result)(file)
    return body


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


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["path", "uri"])
@pytest.mark.parametrize("old", [None, b"the one before"], ids=["new", "overwrite"])
def test_killed_download_shows_nothing_partial_and_the_next_try_is_right(
    sandbox: Any, project: str, clip: bytes, tmp_path: Path, scheme: str, old: bytes | None
) -> None:
    folder = tmp_path / "clips"
    partial, final = folder / f".{project}.mp4.part", folder / f"{project}.mp4"
    if old:
        folder.mkdir()
        final.write_bytes(old)
    task = {"project_id": project, "destination": f"{scheme}{folder}/", "overwrite": bool(old)}
    left = [partial.name, final.name] if old else [partial.name]

    sandbox.faults.add("download", bytes_per_second=PACE, times=None)
    for attempt in range(2):
        begun = partial.stat().st_mtime_ns if partial.exists() else 0

        def is_written(begun: int = begun) -> bool:
            return partial.exists() and partial.stat().st_mtime_ns > begun and partial.stat().st_size > 0

        with killed_once(is_written, tmp_path / f"worker-{attempt}.log", **task):
            assert files_in(folder) == left
            assert old is None or final.read_bytes() == old
        # The second try overwrote what the first had left: the name is the same.
        assert files_in(folder) == left
        assert old is None or final.read_bytes() == old
        assert partial.stat().st_size < SIZE

    sandbox.faults.clear()
    assert run(**task) == [f"{scheme}{final}"]
    assert files_in(folder) == [final.name]
    assert final.read_bytes() == clip


def test_killed_download_to_a_bucket_shows_nothing_and_the_next_try_is_right(
    sandbox: Any, project: str, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.test_object_storage import connection_to, running_bucket

    with running_bucket() as bucket:
        monkeypatch.setitem(os.environ, "AIRFLOW_CONN_BUCKET", connection_to(bucket.url))
        task = {"project_id": project, "destination": "s3://media/clips/", "conn_id": "bucket"}
        name = f"clips/{project}.mp4"
        sandbox.faults.add("download", bytes_per_second=PACE)
        with killed_once(lambda: bucket.unfinished == [name], tmp_path / "worker.log", **task):
            assert bucket.names == []
        assert bucket.names == []

        sandbox.faults.clear()
        assert run(**task) == [f"s3://{bucket.name}/{name}"]
        assert bucket.names == [name]
        assert bucket.get(name) == clip
        # Parts that nobody sees; a lifecycle rule of the bucket removes them.
        assert bucket.unfinished == [name]
