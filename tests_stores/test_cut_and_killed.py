"""Ways that break and workers that die: nothing half has a final name, and the next run is right."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourError, MagicHourStorageError
from airflow_provider_magichour.media import stores
from tests.scenes.media import MIB, give_result
from tests.scenes.workers import killed_once, run
from tests_stores.places import Gcs, Place, Sftp

pytest_plugins = ["tests.conftest", "tests.scenes.media_fixtures"]

SIZE = 24 * MIB + 5


@pytest.fixture
def clip(sandbox: Any, project: str, tmp_path: Path) -> bytes:
    return give_result(sandbox, project, tmp_path / "result" / "clip.mp4", SIZE)


def final_names(place: Place) -> list[str]:
    return [name for name in place.names if not name.endswith(".part")]


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_a_download_that_is_cut_goes_on_and_is_right(
    download: Any, sandbox: Any, place: Place, conn_id: str, project: str, clip: bytes, reset: bool
) -> None:
    for cut_at in (5 * MIB + 1, 1, 9 * MIB):
        sandbox.faults.add("download", cut_at=cut_at, reset=reset)
    download(f"{place.root}/", conn_id)
    assert place.names == [f"{project}.mp4"]
    assert place.get(f"{project}.mp4") == clip


def test_a_download_that_breaks_off_for_good_leaves_nothing(
    download: Any, sandbox: Any, place: Place, conn_id: str, clip: bytes
) -> None:
    sandbox.faults.add("download", cut_at=15 * MIB)
    sandbox.faults.add("download", cut_at=0, times=None)
    with pytest.raises(MagicHourApiError, match="broke off"):
        download(f"{place.root}/", conn_id)
    assert place.names == []


@pytest.mark.parametrize("cut_at", [100_000, 3 * MIB], ids=["soon", "late"])
def test_an_image_whose_store_breaks_off_is_whole_or_not_sent_and_a_retry_is_right(
    submit: Any, sandbox: Any, place: Place, conn_id: str, connect: Any, cut_at: int
) -> None:
    body = random.Random(2).randbytes(20 * MIB)
    place.put("cat.png", body)
    place.way.cuts_down = [cut_at]
    told = ""
    try:
        assert submit(f"{place.root}/cat.png", conn_id) == body
    except MagicHourError as error:
        told = str(error)
    if told:
        assert "media/cat.png" in told
        assert len(sandbox.requests.to("create")) == 0
    assert place.way.cuts_down == []
    # A retry is another process.
    assert submit(f"{place.root}/cat.png", connect(place.connection)) == body
    assert len(sandbox.requests.to("create")) == 1


@pytest.mark.parametrize("old", [None, b"the one before"], ids=["new", "overwrite"])
# A part of an object has 6.5 MiB, each may have a connection of its own.
@pytest.mark.parametrize("cut_at", [100_000, 6 * MIB], ids=["soon", "late"])
def test_a_clip_whose_way_to_the_store_breaks_is_whole_or_not_there_and_a_retry_is_right(
    download: Any, place: Place, conn_id: str, connect: Any, clip: bytes, cut_at: int, old: bytes | None
) -> None:
    if old:
        place.put("clip.mp4", old)
    place.way.cuts_up = [cut_at]
    told = ""
    try:
        download(f"{place.root}/clip.mp4", conn_id, overwrite=True)
    except MagicHourStorageError as error:
        told = str(error)
    if told:
        assert "media/clip.mp4" in told
        assert final_names(place) == (["clip.mp4"] if old else [])
        assert old is None or place.get("clip.mp4") == old
    else:
        assert place.get("clip.mp4") == clip
    assert place.way.cuts_up == []
    download(f"{place.root}/clip.mp4", connect(place.connection), overwrite=True)
    assert final_names(place) == ["clip.mp4"]
    assert place.get("clip.mp4") == clip


def test_a_server_that_goes_silent_is_an_error_and_a_retry_is_right(
    download: Any,
    submit: Any,
    sandbox: Any,
    place: Place,
    connect: Any,
    project: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not isinstance(place, Sftp | Gcs):
        pytest.skip("botocore and azure-core give each answer a minute")
    monkeypatch.setattr(stores, "SILENCE", 2)
    body = give_result(sandbox, project, tmp_path / "result" / "clip.mp4", MIB)
    place.put("cat.png", body)
    for move, uri in ((download, f"{place.root}/clip.mp4"), (submit, f"{place.root}/cat.png")):
        place.way.mend()
        place.way.silent_at = 100_000
        with pytest.raises(MagicHourError, match=r"media/(clip\.mp4|cat\.png)"):
            move(uri, connect(place.connection))
        place.way.mend()
        move(uri, connect(place.connection))
    assert place.get("clip.mp4") == body


@pytest.mark.parametrize("old", [None, b"the one before"], ids=["new", "overwrite"])
def test_a_worker_killed_while_it_writes_leaves_nothing_half_under_the_name_and_the_next_try_is_right(
    sandbox: Any, place: Place, conn_id: str, project: str, clip: bytes, tmp_path: Path, old: bytes | None
) -> None:
    name = f"clips/{project}.mp4"
    if old:
        place.put(name, old)
    task = {"project_id": project, "destination": f"{place.root}/clips/", "conn_id": conn_id, "overwrite": bool(old)}
    sandbox.faults.add("download", bytes_per_second=8 * MIB)
    with killed_once(lambda: place.way.up > 8 * MIB, tmp_path / "worker.log", **task):
        assert final_names(place) == ([name] if old else [])
    assert final_names(place) == ([name] if old else [])
    assert old is None or place.get(name) == old

    left = [each for each in place.names if each.endswith(".part")]
    assert len(left) == isinstance(place, Sftp)
    if isinstance(place, Sftp):  # as if a day had passed
        os.utime(place.path(left[0]), (time.time() - 25 * 3600,) * 2)
    sandbox.faults.clear()
    assert run(**task) == [f"{place.root}/{name}"]
    assert place.names == [name]
    assert place.get(name) == clip


def test_a_file_that_a_killed_try_had_finished_is_known_again(
    sandbox: Any, place: Place, conn_id: str, project: str, clip: bytes, tmp_path: Path
) -> None:
    task = {"project_id": project, "destination": f"{place.root}/today.mp4", "conn_id": conn_id}
    with killed_once(lambda: final_names(place), tmp_path / "worker.log", **task, hangs=True):
        pass
    assert run(**task) == [f"{place.root}/today.mp4"]
    assert place.names == ["today.mp4"]
    assert place.get("today.mp4") == clip
