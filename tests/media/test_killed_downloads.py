"""A worker that dies in the middle of a download, and the next try of the task."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scenes.media import Bucket, give_result
from tests.scenes.workers import killed_once, run

pytest_plugins = ["tests.scenes.media_fixtures"]

SIZE = 24 << 20
PACE = 8 << 20


@pytest.fixture
def clip(sandbox: Any, project: str, tmp_path: Path) -> bytes:
    return give_result(sandbox, project, tmp_path / "result" / "clip.mp4", SIZE)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def new_in(folder: Path, seen: set[Path]) -> list[Path]:
    return [path for path in folder.glob(".*.part") if path not in seen]


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["path", "uri"])
@pytest.mark.parametrize("old", [None, b"the one before"], ids=["new", "overwrite"])
def test_killed_download_shows_nothing_partial_and_the_next_try_is_right(
    sandbox: Any, project: str, clip: bytes, tmp_path: Path, scheme: str, old: bytes | None
) -> None:
    folder = tmp_path / "clips"
    final = folder / f"{project}.mp4"
    if old:
        folder.mkdir()
        final.write_bytes(old)
    task = {"project_id": project, "destination": f"{scheme}{folder}/", "overwrite": bool(old)}
    seen: set[Path] = set()

    sandbox.faults.add("download", bytes_per_second=PACE, times=None)
    for attempt in range(2):

        def is_written() -> bool:
            return any(path.stat().st_size for path in new_in(folder, seen))

        with killed_once(is_written, tmp_path / f"worker-{attempt}.log", **task):
            assert final.exists() == bool(old)
            assert old is None or final.read_bytes() == old
        # Each try has a name of its own: another may be alive.
        (partial,) = new_in(folder, seen)
        assert partial.stat().st_size < SIZE
        seen.add(partial)

    for path in seen:
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    sandbox.faults.clear()
    assert run(**task) == [f"{scheme}{final}"]
    assert files_in(folder) == [final.name]
    assert final.read_bytes() == clip


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["path", "uri"])
def test_file_of_its_own_name_that_a_killed_try_had_finished_is_known_again(
    sandbox: Any, project: str, clip: bytes, tmp_path: Path, scheme: str
) -> None:
    final = tmp_path / "clips" / "today.mp4"
    task = {"project_id": project, "destination": f"{scheme}{final}"}
    with killed_once(final.exists, tmp_path / "worker.log", **task, hangs=True):
        pass
    before = final.stat()
    assert run(**task) == [f"{scheme}{final}"]
    assert (final.stat().st_ino, final.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert final.read_bytes() == clip
    assert files_in(final.parent) == [final.name]


def test_object_of_its_own_name_that_a_killed_try_had_finished_is_known_again(
    sandbox: Any, project: str, clip: bytes, tmp_path: Path, bucket: Bucket
) -> None:
    task = {"project_id": project, "destination": "s3://media/today.mp4", "conn_id": "bucket"}
    with killed_once(lambda: bucket.names, tmp_path / "worker.log", **task, hangs=True):
        pass
    assert run(**task) == ["s3://media/today.mp4"]
    assert bucket.get("today.mp4") == clip
    assert bucket.unfinished == []


def test_killed_download_to_a_bucket_shows_nothing_and_the_next_try_is_right(
    sandbox: Any, project: str, clip: bytes, tmp_path: Path, bucket: Bucket
) -> None:
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
