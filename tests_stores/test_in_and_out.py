"""Images from, and clips to, each store: the same bytes under the same name."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias, ObjectStoragePath
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_magichour.exceptions import MagicHourStorageError
from airflow_provider_magichour.operators import MagicHourDownloadOperator
from tests.scenes.media import MIB, CuttingStore, give_result, movie, name_store
from tests_stores.places import Place, Sftp

pytest_plugins = ["tests.conftest", "tests.scenes.media_fixtures"]

NAMES = [
    "a b",
    "Grüße",
    "Gru\u0308ße",
    "run #1",
    "run#1",
    "why?",
    "a b?x=1&y=2",
    "a%20b",
    "50%",
    "a+b&c=d",
    "[1]*",
    "it's",
    "~",
    "\N{GRINNING FACE}",
    "{{x}}",
    "..b",
    "n" * 240,
    "a folder/" * 8 + "n" * 100,
]


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_uploaded_byte_for_byte_whatever_its_name(
    submit: Any, place: Place, conn_id: str, name: str
) -> None:
    body = random.Random(name).randbytes(300_001)
    place.put(f"photos/{name}.png", body)
    assert submit(f"{place.root}/photos/{name}.png", conn_id) == body


def test_an_image_of_many_blocks_is_uploaded_byte_for_byte(submit: Any, place: Place, conn_id: str) -> None:
    body = random.Random(1).randbytes(20 * MIB + 3)
    place.put("cat.png", body)
    assert submit(f"{place.root}/cat.png", conn_id) == body


def test_the_connection_may_stand_in_the_uri(
    submit: Any, download: Any, place: Place, conn_id: str, project: str, clip: bytes
) -> None:
    place.put("cat.png", b"a cat")
    root = place.root.replace("://", f"://{conn_id}@")
    assert submit(f"{root}/cat.png", None) == b"a cat"
    assert download(f"{root}/clips/", None) == f"{place.root}/clips/{project}.mp4"
    assert place.get(f"clips/{project}.mp4") == clip


def test_what_a_folder_lists_is_read(submit: Any, place: Place, conn_id: str) -> None:
    place.put("photos/a b%20c.png", b"a cat")
    root = place.root.replace("://", f"://{conn_id}@")
    (photo,) = ObjectStoragePath(f"{root}/photos/").iterdir()
    assert submit(photo, None) == b"a cat"
    assert submit(str(photo), conn_id) == b"a cat"


def test_a_touched_image_with_the_same_bytes_is_not_paid_again(
    submit: Any, sandbox: Any, place: Place, conn_id: str
) -> None:
    place.put("cat.png", b"a cat")
    submit(f"{place.root}/cat.png", conn_id)
    place.touch("cat.png")
    submit(f"{place.root}/cat.png", conn_id)
    assert [len(sandbox.requests.to(route)) for route in ("upload", "create")] == [1, 1]


def test_an_image_with_other_bytes_is_another_request(submit: Any, sandbox: Any, place: Place, conn_id: str) -> None:
    place.put("cat.png", b"a cat")
    submit(f"{place.root}/cat.png", conn_id)
    place.put("cat.png", b"a dog")
    place.touch("cat.png")
    assert submit(f"{place.root}/cat.png", conn_id) == b"a dog"
    assert len(sandbox.requests.to("create")) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_the_same_bytes_under_the_same_name(
    download: Any, place: Place, conn_id: str, clip: bytes, name: str
) -> None:
    uri = f"{place.root}/clips/{name}.mp4"
    assert download(uri, conn_id) == uri
    assert place.names == [f"clips/{name}.mp4"]
    assert place.get(f"clips/{name}.mp4") == clip


def test_a_clip_of_many_blocks_is_the_same_bytes(
    download: Any, sandbox: Any, place: Place, conn_id: str, project: str, tmp_path: Path
) -> None:
    body = give_result(sandbox, project, tmp_path / "result" / "big.mp4", 30 * MIB + 345)
    assert download(f"{place.root}/a/new/folder/", conn_id) == f"{place.root}/a/new/folder/{project}.mp4"
    assert place.names == [f"a/new/folder/{project}.mp4"]
    assert place.get(f"a/new/folder/{project}.mp4") == body


def test_a_name_longer_than_the_store_allows_is_an_error_and_leaves_nothing(
    download: Any, place: Place, conn_id: str
) -> None:
    if not isinstance(place, Sftp):
        pytest.skip("moto, fake-gcs-server and Azurite have no limit, other than the stores themselves")
    with pytest.raises(MagicHourStorageError, match="nnnnn"):
        download(f"{place.root}/{'n' * 1500}.mp4", conn_id)
    assert place.names == []


# A file that is there already


def test_the_same_file_is_not_written_again(
    download: Any, place: Place, conn_id: str, project: str, clip: bytes, logged: Callable[[], str]
) -> None:
    download(f"{place.root}/clips/", conn_id)
    place.way.up = 0
    download(f"{place.root}/clips/", conn_id)
    assert "already exists in full" in logged()
    assert place.way.up < len(clip)
    assert place.names == [f"clips/{project}.mp4"]


def test_a_projects_own_file_with_other_bytes_is_written_anew(
    download: Any, place: Place, conn_id: str, project: str, clip: bytes
) -> None:
    place.put(f"clips/{project}.mp4", bytes(len(clip)))
    download(f"{place.root}/clips/", conn_id)
    assert place.get(f"clips/{project}.mp4") == clip
    assert place.names == [f"clips/{project}.mp4"]


def test_another_file_of_that_name_is_overwritten_only_when_told_to(
    download: Any, place: Place, conn_id: str, clip: bytes
) -> None:
    place.put("today.mp4", b"another")
    with pytest.raises(MagicHourStorageError, match=r"(?s)today\.mp4.*overwrite=True"):
        download(f"{place.root}/today.mp4", conn_id)
    assert place.get("today.mp4") == b"another"
    download(f"{place.root}/today.mp4", conn_id, overwrite=True)
    assert place.get("today.mp4") == clip
    assert place.names == ["today.mp4"]


@pytest.mark.parametrize("size", [100_000, 12 * MIB], ids=["one block", "blocks"])
def test_of_a_name_that_another_takes_meanwhile_nothing_is_overwritten(
    download: Any, sandbox: Any, place: Place, conn_id: str, size: int
) -> None:
    with CuttingStore(movie(size), [size - 1], look=lambda: place.put("today.mp4", b"another")) as elsewhere:
        name_store(sandbox, elsewhere.url)
        with pytest.raises(MagicHourStorageError, match=r"today\.mp4"):
            download(f"{place.root}/today.mp4", conn_id)
    assert place.get("today.mp4") == b"another"
    assert place.names == ["today.mp4"]


# What others are told


@pytest.mark.parametrize("name", ["a b", "Grüße", "run #1", "why?", "a%20b"])
def test_the_event_of_an_asset_leads_to_the_clip(
    sandbox: Any, context: Any, place: Place, conn_id: str, project: str, clip: bytes, name: str
) -> None:
    alias, run = AssetAlias("clips"), {**context(), "outlet_events": OutletEventAccessors()}
    uri = f"{place.root}/{name}.mp4"
    task = MagicHourDownloadOperator(
        task_id="download", project_id=project, destination=uri, conn_id=conn_id, outlets=[alias]
    )
    task.execute(run)
    (event,) = run["outlet_events"][alias].asset_alias_events
    told = event.dest_asset_key.uri
    assert Asset(told).uri == told
    opens = event.extra.get("uri", told)
    assert opens == uri
    assert ObjectStoragePath(opens.replace("://", f"://{conn_id}@"))
    assert place.get(f"{name}.mp4") == clip
    assert conn_id not in told
