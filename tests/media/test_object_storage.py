"""Images from and clips to a real S3 server on loopback, through the Amazon provider's connection."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourError, MagicHourStorageError
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from tests.scenes.fake_server import FakeServer, answer
from tests.scenes.media import (
    MIB,
    PATIENCE,
    SECRET,
    Bucket,
    CuttingStore,
    connection_to,
    five_cuts,
    name_store,
    refusing_to_commit,
    until,
)

BIG = 12 * MIB + 345
"""Bytes of ``big_clip``, which S3 gets in several parts."""

pytest_plugins = ["tests.scenes.media_fixtures"]


@pytest.fixture
def submit(sandbox: Any, clock: Any, context: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    def run(store: Any, **arguments: Any) -> str:
        task = MagicHourImageToVideoOperator(task_id="submit", end_seconds=5, **arguments)
        return str(task.execute(context(store)))

    return run


@pytest.fixture
def download(sandbox: Any, clock: Any, context: Callable[..., dict[str, Any]]) -> Callable[..., list[str]]:
    def run(project_id: Any, destination: Any, **arguments: Any) -> list[str]:
        task = MagicHourDownloadOperator(
            task_id="download", project_id=project_id, destination=destination, **{"conn_id": "bucket", **arguments}
        )
        return list(json.loads(json.dumps(task.execute(context()))))

    return run


def uploaded(sandbox: Any) -> list[bytes]:
    """Return what lies at Magic Hour of the images that the newest create names."""
    assets = sandbox.requests.to("create")[-1].body["assets"]
    return [sandbox.uploads.find(path).read_bytes() for path in assets.values()]


# In


@pytest.mark.parametrize("size", [1, 300_000, BIG])
def test_image_in_a_bucket_is_uploaded_byte_for_byte(
    submit: Any, sandbox: Any, store: Any, bucket: Bucket, size: int
) -> None:
    body = random.Random(size).randbytes(size)
    bucket.put("photos/cat.jpg", body)
    submit(store, image="s3://media/photos/cat.jpg", conn_id="bucket")
    assert uploaded(sandbox) == [body]
    (upload,) = sandbox.requests.to("upload")
    assert upload.headers["content-length"] == str(size)
    assert "authorization" not in upload.headers


def test_connection_id_may_stand_in_the_uri(submit: Any, sandbox: Any, store: Any, bucket: Bucket) -> None:
    bucket.put("photos/cat.jpg", b"first")
    bucket.put("photos/cat in the sun.png", b"last")
    submit(store, image="s3://bucket@media/photos/cat.jpg", end_image="s3://bucket@media/photos/cat in the sun.png")
    assert uploaded(sandbox) == [b"first", b"last"]


def test_changed_object_of_the_same_size_is_another_request(
    submit: Any, sandbox: Any, store: Any, bucket: Bucket
) -> None:
    bucket.put("cat.jpg", b"a cat")
    first = submit(store, image="s3://media/cat.jpg", conn_id="bucket")
    before = store.record["fingerprint"]
    bucket.put("cat.jpg", b"a dog")
    assert submit(store, image="s3://media/cat.jpg", conn_id="bucket") != first
    assert store.record["fingerprint"] != before
    assert uploaded(sandbox) == [b"a dog"]


def test_object_that_is_not_there_is_named_and_nothing_is_sent(
    submit: Any, sandbox: Any, store: Any, bucket: Bucket
) -> None:
    with pytest.raises(MagicHourStorageError, match=r"(?s)media/cat\.jpg.*(Not Found|FileNotFound)"):
        submit(store, image="s3://media/cat.jpg", conn_id="bucket")
    assert len(sandbox.requests) == 0


@pytest.fixture(params=["local", "bucket"])
def image(request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Path) -> Image:
    """An image in each place that a user keeps it in."""
    if request.param == "bucket":
        return Image({"image": "s3://media/cat.jpg", "conn_id": "bucket"}, lambda body: bucket.put("cat.jpg", body))
    file = tmp_path / "cat.jpg"

    def put(body: bytes) -> None:
        file.write_bytes(body)

    return Image({"image": str(file)}, put)


@dataclass
class Image:
    """An image of which the bytes can be changed.

    :param arguments: of the task that sends it.
    :param put: writes it anew.
    """

    arguments: dict[str, str]
    put: Callable[[bytes], None]


def refused(submit: Any, sandbox: Any, store: Any, image: Image) -> None:
    """Let a task upload its image and no more."""
    sandbox.faults.add("create", status=402)
    with pytest.raises(MagicHourError):
        submit(store, **image.arguments)
    assert len(sandbox.requests.to("upload")) == 1


@pytest.mark.parametrize(("days", "uploads"), [(6.9, 1), (7, 2), (30, 2)])
def test_upload_is_used_again_until_the_api_drops_it(
    submit: Any, sandbox: Any, store: Any, clock: Any, image: Image, days: float, uploads: int
) -> None:
    image.put(b"a cat")
    refused(submit, sandbox, store, image)
    clock.move(days * 24 * 3600)
    submit(store, **image.arguments)
    assert len(sandbox.requests.to("upload")) == uploads
    assert uploaded(sandbox) == [b"a cat"]


def test_upload_of_a_file_that_has_changed_since_is_not_used_again(
    submit: Any, sandbox: Any, store: Any, image: Image
) -> None:
    image.put(b"a cat")
    refused(submit, sandbox, store, image)
    image.put(b"a dog")
    submit(store, **image.arguments)
    assert len(sandbox.requests.to("upload")) == 2
    assert uploaded(sandbox) == [b"a dog"]


def test_touched_file_with_the_same_bytes_is_neither_uploaded_nor_paid_again(
    submit: Any, sandbox: Any, store: Any, clock: Any, image: Image
) -> None:
    image.put(b"a cat")
    first = submit(store, **image.arguments)
    clock.move(3600)
    image.put(b"a cat")
    if "conn_id" not in image.arguments:
        os.utime(image.arguments["image"], (clock.time(), clock.time()))
    assert submit(store, **image.arguments) == first
    assert [len(sandbox.requests.to(route)) for route in ("upload", "create")] == [1, 1]


# Out


@pytest.mark.parametrize("destination", ["s3://media/clips/today/", "s3://bucket@media/clips/today/"])
def test_folder_gets_an_object_named_after_the_project(
    download: Any, project: str, clip: bytes, bucket: Bucket, destination: str
) -> None:
    conn_id = None if "@" in destination else "bucket"
    assert download(project, destination, conn_id=conn_id) == [f"s3://media/clips/today/{project}.mp4"]
    assert bucket.names == [f"clips/today/{project}.mp4"]
    assert bucket.get(f"clips/today/{project}.mp4") == clip


def test_folder_that_holds_objects_needs_no_slash(download: Any, project: str, bucket: Bucket) -> None:
    bucket.put("clips/old.mp4", b"old")
    assert download(project, "s3://media/clips") == [f"s3://media/clips/{project}.mp4"]


def test_bucket_itself_is_a_folder(download: Any, project: str, bucket: Bucket) -> None:
    assert download(project, "s3://media/") == [f"s3://media/{project}.mp4"]
    assert bucket.names == [f"{project}.mp4"]


def test_object_is_written_as_named(download: Any, project: str, clip: bytes, bucket: Bucket) -> None:
    assert download(project, "s3://media/clips/a cat.mp4") == ["s3://media/clips/a cat.mp4"]
    assert bucket.get("clips/a cat.mp4") == clip


def test_clip_of_several_parts_arrives_whole(download: Any, project: str, big_clip: bytes, bucket: Bucket) -> None:
    download(project, "s3://media/clip.mp4")
    assert bucket.get("clip.mp4") == big_clip
    assert bucket.unfinished == []


@pytest.mark.parametrize("conn_id", ["bucket", None], ids=["argument", "uri"])
def test_several_results_are_numbered(download: Any, sandbox: Any, bucket: Bucket, conn_id: str | None) -> None:
    job = sandbox.add_job("image", outputs=3)
    base = "s3://media/out" if conn_id else "s3://bucket@media/out"
    numbers = (1, 2, 3)
    in_folder = download(job.id, f"{base}/", kind="image", conn_id=conn_id)
    assert in_folder == [f"s3://media/out/{job.id}-{number}.png" for number in numbers]
    named = download(job.id, f"{base}/photo.png", kind="image", conn_id=conn_id)
    assert named == [f"s3://media/out/photo-{number}.png" for number in numbers]
    assert len(bucket.names) == 6
    assert {bucket.get(name) for name in bucket.names} == {job.result.file.read_bytes()}


def test_object_that_is_there_in_full_is_left_alone(
    download: Any, sandbox: Any, project: str, clip: bytes, bucket: Bucket
) -> None:
    bucket.put(f"clips/{project}.mp4", clip)
    before = bucket.client.head_object(Bucket=bucket.name, Key=f"clips/{project}.mp4")["LastModified"]
    assert download(project, "s3://media/clips/") == [f"s3://media/clips/{project}.mp4"]
    assert bucket.client.head_object(Bucket=bucket.name, Key=f"clips/{project}.mp4")["LastModified"] == before


def test_object_of_the_same_size_and_other_bytes_is_fetched_again(
    download: Any, project: str, clip: bytes, bucket: Bucket
) -> None:
    bucket.put(f"clips/{project}.mp4", bytes(len(clip)))
    download(project, "s3://media/clips/")
    assert bucket.get(f"clips/{project}.mp4") == clip


def test_object_of_another_size_is_fetched_again(download: Any, project: str, clip: bytes, bucket: Bucket) -> None:
    bucket.put(f"clips/{project}.mp4", clip[:-1])
    download(project, "s3://media/clips/")
    assert bucket.get(f"clips/{project}.mp4") == clip


def test_another_object_of_that_name_is_overwritten_only_when_told_to(
    download: Any, project: str, clip: bytes, bucket: Bucket
) -> None:
    bucket.put("clip.mp4", bytes(len(clip)))
    with pytest.raises(MagicHourStorageError, match=r"(?s)clip\.mp4 already exists.*overwrite=True.*be downloaded"):
        download(project, "s3://media/clip.mp4")
    assert bucket.get("clip.mp4") == bytes(len(clip))
    download(project, "s3://media/clip.mp4", overwrite=True)
    assert bucket.get("clip.mp4") == clip


# Cuts


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param([0], id="nothing"),
        pytest.param([1], id="first-byte"),
        pytest.param([BIG - 1], id="last-byte"),
        pytest.param([5 * MIB - 1, 1, 1], id="around-a-part"),
        pytest.param([random.Random(7).randrange(BIG // 6) for _ in range(5)], id="five"),
    ],
)
def test_clip_is_right_over_cuts_and_little_is_fetched_twice(
    download: Any, sandbox: Any, project: str, big_clip: bytes, bucket: Bucket, cuts: list[int], reset: bool
) -> None:
    for cut_at in cuts:
        sandbox.faults.add("download", cut_at=cut_at, reset=reset)
    download(project, "s3://media/clip.mp4")
    assert bucket.get("clip.mp4") == big_clip
    asked = [request.headers.get("range", "bytes=0-") for request in sandbox.requests.to("download")]
    assert len(asked) == len(cuts) + 1
    starts = [int(span.removeprefix("bytes=").removesuffix("-")) for span in asked]
    assert starts == sorted(starts)
    if not reset:  # a reset throws away what the store has written and not sent
        assert sum(cuts) + BIG - starts[-1] <= 1.2 * BIG
    assert bucket.unfinished == []


@pytest.mark.parametrize("seed", range(5))
def test_clip_cut_five_times_at_any_byte_is_right_fetched_once_and_never_seen_in_part(
    download: Any, sandbox: Any, project: str, big_clip: bytes, bucket: Bucket, seed: int
) -> None:
    with CuttingStore(big_clip, five_cuts(BIG, seed), look=lambda: bucket.names) as store:
        name_store(sandbox, store.url)
        download(project, "s3://media/clip.mp4")
    assert bucket.get("clip.mp4") == big_clip
    assert store.seen == [[]] * 6
    assert BIG <= store.sent <= 1.2 * BIG
    assert bucket.unfinished == []


@pytest.mark.parametrize("old", [None, b"the one before"], ids=["new", "overwrite"])
def test_nothing_is_visible_under_the_name_before_it_is_whole(
    download: Any, sandbox: Any, project: str, big_clip: bytes, bucket: Bucket, old: bytes | None
) -> None:
    if old:
        bucket.put("clip.mp4", old)
    sandbox.faults.add("download", cut_at=10 * MIB)
    slow = sandbox.faults.add("download", bytes_per_second=100_000)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            download(project, "s3://media/clip.mp4", overwrite=True)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        until(lambda: slow.hits or errors, "the download goes on after the cut")
        assert errors == []
        assert bucket.names == (["clip.mp4"] if old else [])
        assert old is None or bucket.get("clip.mp4") == old
        assert bucket.unfinished == ["clip.mp4"]
    finally:
        slow.bytes_per_second = 1e12
        thread.join(PATIENCE)
    assert errors == []
    assert bucket.get("clip.mp4") == big_clip


@pytest.mark.parametrize("cut_at", [1000, 10 * MIB], ids=["one-part", "several-parts"])
def test_failed_download_leaves_neither_object_nor_parts(
    download: Any, sandbox: Any, project: str, big_clip: bytes, bucket: Bucket, cut_at: int
) -> None:
    sandbox.faults.add("download", cut_at=cut_at)
    sandbox.faults.add("download", cut_at=0, times=None)
    with pytest.raises(MagicHourApiError, match="broke off"):
        download(project, "s3://media/clips/")
    assert bucket.names == []
    assert bucket.unfinished == []


def test_failed_overwrite_keeps_the_old_object(
    download: Any, sandbox: Any, project: str, big_clip: bytes, bucket: Bucket
) -> None:
    bucket.put("clip.mp4", b"old")
    sandbox.faults.add("download", cut_at=10 * MIB)
    sandbox.faults.add("download", cut_at=0, times=None)
    with pytest.raises(MagicHourApiError):
        download(project, "s3://media/clip.mp4", overwrite=True)
    assert bucket.get("clip.mp4") == b"old"


# Storage that does not take it


@pytest.mark.parametrize("old", [None, b"the one before"], ids=["new", "overwrite"])
@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [(500, "InternalError", "Not this time"), (403, "AccessDenied", "Not this time"), (200, "InternalError", "")],
)
def test_commit_that_fails_is_named_and_leaves_neither_object_nor_parts(
    download: Any,
    project: str,
    big_clip: bytes,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    old: bytes | None,
    status: int,
    code: str,
    cause: str,
) -> None:
    if old:
        bucket.put("clip.mp4", old)
    conn_id = f"commit_{status}_{'old' if old else 'new'}"
    with refusing_to_commit(bucket, status, code) as url:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection_to(url))
        with pytest.raises(MagicHourStorageError, match=rf"(?s)media/clip\.mp4.*{cause}.*can still be downloaded"):
            download(project, "s3://media/clip.mp4", conn_id=conn_id, overwrite=True)
    assert bucket.names == (["clip.mp4"] if old else [])
    assert old is None or bucket.get("clip.mp4") == old
    assert bucket.unfinished == []


def test_missing_bucket_is_named(download: Any, project: str, bucket: Bucket) -> None:
    with pytest.raises(
        MagicHourStorageError, match=rf"(?s)nowhere/clips/{project}\.mp4.*does not exist.*be downloaded"
    ):
        download(project, "s3://nowhere/clips/")
    bucket.put("proof.txt", b"the server answers")


def test_missing_bucket_is_named_for_a_clip_of_several_parts(
    download: Any, project: str, big_clip: bytes, bucket: Bucket
) -> None:
    with pytest.raises(MagicHourStorageError, match=r"(?s)nowhere/clip\.mp4.*does not exist.*be downloaded"):
        download(project, "s3://nowhere/clip.mp4")


def refusal(code: str) -> bytes:
    body = rf'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Not with this key.</Message></Error>'
    return answer(body.encode(), "403 Forbidden", Content_Type="application/xml")


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "AccessDenied"])
def test_wrong_credentials_are_named_with_the_path(
    download: Any, project: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    # A file system is kept for each connection id.
    conn_id = f"wrong_{code.lower()}"
    with FakeServer(refusal(code)) as server:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection_to(server.url))
        with pytest.raises(
            MagicHourStorageError, match=r"(?s)media/clips.*(Forbidden|Not\swith\sthis\skey).*be downloaded"
        ) as caught:
            download(project, "s3://media/clips/", conn_id=conn_id)
    assert SECRET not in str(caught.value)


def test_endpoint_that_is_down_is_named_with_the_path(
    download: Any, project: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeServer(answer(b"")) as server:
        url = server.url
    monkeypatch.setenv("AIRFLOW_CONN_DOWN", connection_to(url))
    with pytest.raises(MagicHourStorageError, match=rf"(?s)media/clips.*connect.*{url}.*can still be downloaded"):
        download(project, "s3://media/clips/", conn_id="down")


def test_bucket_that_cannot_be_read_is_named_and_nothing_is_sent(
    submit: Any, sandbox: Any, store: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeServer(refusal("AccessDenied")) as server:
        monkeypatch.setenv("AIRFLOW_CONN_REFUSED", connection_to(server.url))
        with pytest.raises(MagicHourStorageError, match=r"(?s)media/cat\.jpg.*(Forbidden|Not\swith\sthis\skey)"):
            submit(store, image="s3://media/cat.jpg", conn_id="refused")
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("scheme", ["gs", "nosuch"])
def test_scheme_without_its_provider_is_named_both_ways(
    submit: Any, download: Any, sandbox: Any, store: Any, project: str, scheme: str
) -> None:
    if scheme == "gs" and importlib.util.find_spec("airflow.providers.google"):
        pytest.skip("the provider for gs:// is installed")
    with pytest.raises(MagicHourStorageError, match=rf"(?s){scheme}://photos/cat\.jpg.*provider"):
        submit(store, image=f"{scheme}://photos/cat.jpg")
    assert len(sandbox.requests) == 0
    with pytest.raises(MagicHourStorageError, match=rf"(?s){scheme}://clips/.*provider.*can still be downloaded"):
        download(project, f"{scheme}://clips/", conn_id=None)
