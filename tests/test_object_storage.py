"""Images from and clips to a real S3 server on loopback, through the Amazon provider's connection."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourError, MagicHourStorageError
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from tests.fake_server import FakeServer, answer

MIB = 1 << 20
BIG = 12 * MIB + 345
"""Bytes of a clip that S3 gets in several parts."""

PATIENCE = 30.0
SECRET = "an-s3-secret"


@dataclass
class Bucket:
    """A bucket as its owner sees it, beside whatever the package does.

    :param client: boto3's.
    :param url: of the server.
    """

    client: Any
    url: str
    name: str = "media"

    @property
    def names(self) -> list[str]:
        return sorted(each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", []))

    @property
    def unfinished(self) -> list[str]:
        """Names of objects of which parts lie in the store, unseen."""
        uploads = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return sorted(each["Key"] for each in uploads)

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=name, Body=body)

    def get(self, name: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=name)["Body"].read())

    def empty(self) -> None:
        for upload in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])
        for name in self.names:
            self.client.delete_object(Bucket=self.name, Key=name)


def connection_to(url: str) -> str:
    """Return an Amazon connection as JSON that leads to a server of ours and does not repeat for long."""
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": url,
        "config_kwargs": {"retries": {"max_attempts": 0}, "s3": {"addressing_style": "path"}},
    }
    return json.dumps({"conn_type": "aws", "login": "nobody", "password": SECRET, "extra": extra})


@contextlib.contextmanager
def running_bucket() -> Iterator[Bucket]:
    """Run an S3 server with one empty bucket."""
    pytest.importorskip("s3fs", reason="apache-airflow-providers-amazon[s3fs] is not installed")
    pytest.importorskip("airflow.providers.amazon", reason="apache-airflow-providers-amazon[s3fs] is not installed")
    servers = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    import boto3

    server = servers.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        login = {"aws_access_key_id": "nobody", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        bucket = Bucket(boto3.client("s3", endpoint_url=url, **login), url)
        bucket.client.create_bucket(Bucket=bucket.name)
        yield bucket
    finally:
        server.stop()


@pytest.fixture(scope="module")
def running() -> Iterator[Bucket]:
    with running_bucket() as bucket:
        yield bucket


@pytest.fixture
def bucket(running: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The module's bucket, empty; the connection ``bucket`` leads to it."""
    running.empty()
    monkeypatch.setenv("AIRFLOW_CONN_BUCKET", connection_to(running.url))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return running


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


@pytest.fixture
def project(sandbox: Any) -> str:
    return str(sandbox.add_job().id)


@pytest.fixture
def clip(sandbox: Any, project: str) -> bytes:
    return bytes(sandbox.jobs[project].result.file.read_bytes())


@pytest.fixture
def big_clip(sandbox: Any, project: str, tmp_path: Path) -> bytes:
    """Let the project's result be one that no single request carries into S3."""
    body = random.Random(1).randbytes(BIG)
    file = tmp_path / "big.mp4"
    file.write_bytes(body)
    sandbox.jobs[project].result = type(sandbox.jobs[project].result)(file)
    return body


def uploaded(sandbox: Any) -> list[bytes]:
    """Return what lies at Magic Hour of the images that the newest create names."""
    assets = sandbox.requests.to("create")[-1].body["assets"]
    return [sandbox.uploads.find(path).read_bytes() for path in assets.values()]


def until(condition: Callable[[], Any], what: str) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"waited in vain until {what}")


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


def test_object_with_the_same_etag_is_neither_uploaded_nor_paid_again(
    submit: Any, sandbox: Any, store: Any, bucket: Bucket
) -> None:
    bucket.put("cat.jpg", b"a cat")
    first = submit(store, image="s3://media/cat.jpg", conn_id="bucket")
    bucket.put("cat.jpg", b"a cat")
    assert submit(store, image="s3://media/cat.jpg", conn_id="bucket") == first
    assert [len(sandbox.requests.to(route)) for route in ("upload", "create")] == [1, 1]


def test_uploaded_object_is_not_uploaded_again_when_the_create_was_refused(
    submit: Any, sandbox: Any, store: Any, bucket: Bucket
) -> None:
    bucket.put("cat.jpg", b"a cat")
    sandbox.faults.add("create", status=402)
    with pytest.raises(MagicHourError):
        submit(store, image="s3://media/cat.jpg", conn_id="bucket")
    submit(store, image="s3://media/cat.jpg", conn_id="bucket")
    assert [len(sandbox.requests.to(route)) for route in ("upload", "create")] == [1, 2]
    assert uploaded(sandbox) == [b"a cat"]


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
    with pytest.raises(MagicHourStorageError, match=r"media/cat\.jpg.*(Not Found|FileNotFound)"):
        submit(store, image="s3://media/cat.jpg", conn_id="bucket")
    assert len(sandbox.requests) == 0


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
    bucket.put(f"clips/{project}.mp4", bytes(len(clip)))
    assert download(project, "s3://media/clips/") == [f"s3://media/clips/{project}.mp4"]
    assert bucket.get(f"clips/{project}.mp4") == bytes(len(clip))


def test_object_of_another_size_is_fetched_again(download: Any, project: str, clip: bytes, bucket: Bucket) -> None:
    bucket.put(f"clips/{project}.mp4", clip[:-1])
    download(project, "s3://media/clips/")
    assert bucket.get(f"clips/{project}.mp4") == clip


def test_another_object_of_that_name_is_overwritten_only_when_told_to(
    download: Any, project: str, clip: bytes, bucket: Bucket
) -> None:
    bucket.put("clip.mp4", bytes(len(clip)))
    with pytest.raises(MagicHourStorageError, match=r"clip\.mp4 is there already.*overwrite=True"):
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


def test_missing_bucket_is_named(download: Any, project: str, bucket: Bucket) -> None:
    with pytest.raises(MagicHourStorageError, match=rf"nowhere/clips/{project}\.mp4.*bucket does not exist"):
        download(project, "s3://nowhere/clips/")
    bucket.put("proof.txt", b"the server answers")


def test_missing_bucket_is_named_for_a_clip_of_several_parts(
    download: Any, project: str, big_clip: bytes, bucket: Bucket
) -> None:
    with pytest.raises(MagicHourStorageError, match=r"nowhere/clip\.mp4.*bucket does not exist"):
        download(project, "s3://nowhere/clip.mp4")


def refusal(code: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Not with this key.</Message></Error>'
    return answer(body.encode(), "403 Forbidden", Content_Type="application/xml")


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "AccessDenied"])
def test_wrong_credentials_are_named_with_the_path(
    download: Any, project: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    # A file system is kept for each connection id.
    conn_id = f"wrong_{code.lower()}"
    with FakeServer(refusal(code)) as server:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection_to(server.url))
        with pytest.raises(MagicHourStorageError, match=r"media/clips.*(Forbidden|Not with this key)") as caught:
            download(project, "s3://media/clips/", conn_id=conn_id)
    assert SECRET not in str(caught.value)


def test_endpoint_that_is_down_is_named_with_the_path(
    download: Any, project: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeServer(answer(b"")) as server:
        url = server.url
    monkeypatch.setenv("AIRFLOW_CONN_DOWN", connection_to(url))
    with pytest.raises(MagicHourStorageError, match=rf"media/clips.*connect.*{url}"):
        download(project, "s3://media/clips/", conn_id="down")


def test_bucket_that_cannot_be_read_is_named_and_nothing_is_sent(
    submit: Any, sandbox: Any, store: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeServer(refusal("AccessDenied")) as server:
        monkeypatch.setenv("AIRFLOW_CONN_REFUSED", connection_to(server.url))
        with pytest.raises(MagicHourStorageError, match=r"media/cat\.jpg.*(Forbidden|Not with this key)"):
            submit(store, image="s3://media/cat.jpg", conn_id="refused")
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("scheme", ["gs", "nosuch"])
def test_scheme_without_its_provider_is_named_both_ways(
    submit: Any, download: Any, sandbox: Any, store: Any, project: str, scheme: str
) -> None:
    if scheme == "gs" and importlib.util.find_spec("airflow.providers.google"):
        pytest.skip("the provider for gs:// is installed")
    with pytest.raises(MagicHourStorageError, match=rf"{scheme}://photos/cat\.jpg.*provider"):
        submit(store, image=f"{scheme}://photos/cat.jpg")
    assert len(sandbox.requests) == 0
    with pytest.raises(MagicHourStorageError, match=rf"{scheme}://clips/.*provider"):
        download(project, f"{scheme}://clips/", conn_id=None)
