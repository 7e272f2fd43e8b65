"""Names of files and keys of objects as people have them: what comes in, and what is handed on and read back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.models.asset import AssetModel
from airflow.sdk import Asset, AssetAlias, ObjectStoragePath
from airflow.sdk.execution_time.context import OutletEventAccessors
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from fsspec.utils import infer_storage_options

from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.media.sources import source_of
from airflow_provider_magichour.media.stores import path_of, uri_of
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from tests.scenes.media import Bucket

pytest_plugins = ["tests.scenes.media_fixtures"]

PLAIN = ("a b", "50%", "a%20b", "a~b", "~", "[1]*", "a+b&c=d", "it's", "..b", "{{x}}")
"""What an asset's URI holds."""

CUT = ("run #1", "why?", "a b?x=1&y=2", "#", "?")
"""What an asset's URI loses."""

BEYOND_ASCII = ("ü", "写真", "😀 #1")
"""What an asset's URI may not hold."""

LINES = ("two\nlines", "tab\tand\rreturn")


@pytest.fixture
def submitted(sandbox: Any, clock: Any, context: Callable[..., Any]) -> Callable[..., bytes]:
    """Submit an image, and return what lies at Magic Hour of it."""

    def run(**arguments: Any) -> bytes:
        MagicHourImageToVideoOperator(task_id="submit", end_seconds=5, **arguments).execute(context())
        path = sandbox.requests.to("create")[-1].body["assets"]["image_file_path"]
        assert path.endswith(".png")
        return bytes(sandbox.uploads.find(path).read_bytes())

    return run


@pytest.fixture
def downloaded(sandbox: Any, clock: Any, context: Callable[..., Any], project: str) -> Callable[..., tuple[str, Any]]:
    """Download a project; returns where it is, and the event of its asset."""

    def run(destination: str, **arguments: Any) -> tuple[str, Any]:
        clips, run_of_it = AssetAlias("clips"), {**context(), "outlet_events": OutletEventAccessors()}
        task = MagicHourDownloadOperator(
            task_id="download", project_id=project, destination=destination, outlets=[clips], **arguments
        )
        (place,) = task.execute(run_of_it)
        (event,) = run_of_it["outlet_events"][clips].asset_alias_events
        return place, event

    return run


def opens(event: Any, **options: Any) -> bool:
    """Return whether what an event says is a file, for ``ObjectStoragePath``; what it names, Airflow keeps as it is."""
    told = event.dest_asset_key.uri
    uri = event.extra.get("uri", told)
    # In the worker, and then in the API server.
    assert Asset(told).uri == AssetModel(name=told, uri=told).uri == told
    return bool(ObjectStoragePath(uri, **options).exists())


# In


# Airflow 3.0 takes no asset whose URI is not ASCII, and its paths of objects end at a # or ?.
IN_3_0 = version("apache-airflow").startswith("3.0.")


@pytest.mark.parametrize("name", [*PLAIN, *CUT, *LINES, *([] if IN_3_0 else BEYOND_ASCII)])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_local_image_is_read_whatever_its_name(submitted: Any, tmp_path: Path, scheme: str, name: str) -> None:
    file = tmp_path / name / f"{name}.png"
    file.parent.mkdir()
    file.write_bytes(b"a cat")
    assert submitted(image=f"{scheme}{file}") == b"a cat"


@pytest.mark.parametrize("name", [*PLAIN, *CUT, LINES[1], *BEYOND_ASCII])  # moto knows no key of two lines
def test_what_a_bucket_lists_is_read(submitted: Any, bucket: Bucket, name: str) -> None:
    bucket.put(f"photos/{name}/{name}.png", b"a cat")
    (folder,) = ObjectStoragePath("s3://bucket@media/photos/").iterdir()
    (photo,) = folder.iterdir()
    assert submitted(image=photo) == b"a cat"
    assert submitted(image=str(photo)) == b"a cat"


@pytest.mark.parametrize("name", ["a b", "ü", "50%", "run #1", "why?"])
def test_a_file_uri_may_be_percent_encoded(submitted: Any, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.png"
    file.write_bytes(b"a cat")
    assert submitted(image=file.as_uri()) == b"a cat"


def test_of_two_names_that_a_file_uri_may_mean_the_literal_one_is_read(submitted: Any, tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"decoded")
    (tmp_path / "a%20b.png").write_bytes(b"literal")
    assert submitted(image=f"file://{tmp_path}/a%20b.png") == b"literal"


@pytest.mark.parametrize("name", ["cat.png#.gif?", "cat.txt", "cat?.png/x", "cat.png?versionId=1"])
@pytest.mark.parametrize("place", ["s3://media/", "file:///data/", "/data/"])
def test_the_extension_is_that_of_the_whole_name(place: str, name: str) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="extension"):
        source_of("image", f"{place}{name}", None)


# Out


# Airflow 3.0 takes no asset whose URI is not ASCII, and its paths of objects end at a # or ?.
IN_3_0 = version("apache-airflow").startswith("3.0.")


@pytest.mark.parametrize("name", [*PLAIN, *CUT, *LINES, *([] if IN_3_0 else BEYOND_ASCII)])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_is_handed_on_of_a_local_clip_is_read_back(
    downloaded: Any, clip: bytes, tmp_path: Path, scheme: str, name: str
) -> None:
    place, event = downloaded(f"{scheme}{tmp_path}/{name}/{name}.mp4")
    assert (tmp_path / name / f"{name}.mp4").read_bytes() == clip
    assert path_of(place, None).read_bytes() == clip
    assert name in LINES or (ObjectStoragePath(place).exists() and opens(event))
    # A path is whole in the asset's URI, too.
    assert name in (*LINES, *BEYOND_ASCII) or ObjectStoragePath(event.dest_asset_key.uri).exists()


@pytest.mark.parametrize("name", PLAIN if IN_3_0 else [*PLAIN, *CUT, *BEYOND_ASCII])
def test_what_is_handed_on_of_an_object_is_read_back(
    downloaded: Any, bucket: Bucket, clip: bytes, project: str, name: str
) -> None:
    place, event = downloaded(f"s3://media/{name}/", conn_id="bucket")
    assert bucket.names == [f"{name}/{project}.mp4"]
    assert ObjectStoragePath(place, conn_id="bucket").read_bytes() == clip
    assert opens(event, conn_id="bucket")
    assert (event.dest_asset_key.uri == place) == (name in PLAIN)


def test_two_folders_are_two_assets(downloaded: Any, bucket: Bucket, clip: bytes) -> None:
    uris = {downloaded(f"s3://media/run #{n}/", conn_id="bucket")[1].dest_asset_key.uri for n in (1, 2)}
    assert len(uris) == 2


LETTER = "xy" if IN_3_0 else "ü"


@pytest.mark.parametrize("size", [252, 255])
def test_a_name_may_be_as_long_as_names_are(downloaded: Any, clip: bytes, tmp_path: Path, size: int) -> None:
    file = tmp_path / f"{LETTER * ((size - 4) // 2)}{'x' * (size % 2)}.mp4"
    assert len(os.fsencode(file.name)) == size
    downloaded(str(file))
    assert file.read_bytes() == clip
    assert [each.name for each in tmp_path.iterdir() if each.suffix != ""] == [file.name]


# Home


def test_a_path_that_begins_with_a_tilde_lies_at_home(
    downloaded: Any, submitted: Any, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    place, _ = downloaded("~/clips/")
    assert Path(place).parent == tmp_path / "home" / "clips"
    (tmp_path / "home" / "cat.png").write_bytes(b"a cat")
    assert submitted(image="~/cat.png") == b"a cat"
    assert not (tmp_path / "~").exists()


def test_a_name_that_begins_with_a_tilde_is_one(
    submitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~cat.png").write_bytes(b"a cat")
    assert submitted(image="~cat.png") == b"a cat"


def test_an_image_at_home_that_is_gone_is_what_was_uploaded(
    sandbox: Any, store: Any, context: Any, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cat.png").write_bytes(b"a cat")
    task = MagicHourImageToVideoOperator(task_id="submit", end_seconds=5, image="~/cat.png")
    first = task.execute(context(store))
    (tmp_path / "cat.png").unlink()
    assert task.execute(context(store)) == first


# SFTP


class FakeSftp(MemoryFileSystem):
    """Reads URIs as ``sshfs`` does: a host, and a path of it."""

    protocol = "sftp"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(infer_storage_options(path)["path"])

    @staticmethod
    def _get_kwargs_from_urls(urlpath: str) -> dict[str, Any]:
        options = infer_storage_options(urlpath)
        return {key: value for key, value in options.items() if key not in ("path", "protocol")}


@pytest.fixture
def sftp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(_registry, "sftp", FakeSftp)
    fsspec.register_implementation("sftp", FakeSftp, clobber=True)
    from airflow.sdk.io.store import attach

    attach("sftp", fs=FakeSftp())
    yield
    FakeSftp.store.clear()


@pytest.mark.parametrize("name", [*PLAIN, *CUT, *LINES])
@pytest.mark.parametrize("host", ["nas.example", "nas.example:2022", ""])
def test_a_place_by_sftp_keeps_its_host_and_its_name(sftp: None, host: str, name: str) -> None:
    uri = f"sftp://{host}/clips/{name}.mp4"
    path = path_of(uri, None)
    assert path.path == f"/clips/{name}.mp4"
    assert uri_of(path) == uri
    assert uri_of(path.parent / "other.mp4") == f"sftp://{host}/clips/other.mp4"
