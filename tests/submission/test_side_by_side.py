"""Several files of one request: uploaded at the same time, a few of them, and each remembered."""

from __future__ import annotations

import io
import itertools
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourStorageError
from airflow_provider_magichour.operators import MagicHourGenerateOperator
from tests.scenes.fake_api import Asked, FakeApi
from tests.submission.test_uploads import NAME, Objects, objects

__all__ = ["objects"]

pytest_plugins = ["tests.scenes.media_fixtures"]
pytestmark = pytest.mark.usefixtures("clock")

CREATE = "POST /v1/ai-image-editor"


class Storage(FakeApi):
    """Takes files under paths of their own.

    :ivar party: how many PUTs must be under way together before any is answered.
    :ivar refused: contents that are answered with 400.
    :ivar most: PUTs that were under way together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers[CREATE] = [{"id": "p1", "credits_charged": 50}]
        self.party: threading.Barrier | None = None
        self.refused: list[bytes] = []
        self.most = self._under_way = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.target == "/v1/files/upload-urls":
            path = f"api-assets/{next(self._numbers)}.{asked.json['items'][0]['extension']}"
            return 200, {"items": [{"upload_url": f"{self.url}/put/{path}", "file_path": path}]}
        if asked.method != "PUT":
            return super().answer(asked)
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        try:
            if self.party:
                self.party.wait(10)
        except BrokenBarrierError:
            return 500, {}
        finally:
            with self._lock:
                self._under_way -= 1
        return (400, {"message": "no picture"}) if asked.body in self.refused else (200, {})

    @property
    def put(self) -> list[bytes]:
        """What was uploaded, or tried to be."""
        return sorted(asked.body for asked in self.of("PUT"))

    @property
    def created(self) -> list[bytes]:
        """The files that the last create names, in its order."""
        (*_, create) = [asked for asked in self.asked if asked.target == "/v1/ai-image-editor"]
        bodies = {urlsplit(put.target).path.removeprefix("/put/"): put.body for put in self.of("PUT")}
        return [bodies[path] for path in create.json["assets"]["image_file_paths"]]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    with Storage() as api:
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", api.connection)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield api


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(f"image {number}".encode())
    return [str(tmp_path / f"{number}.png") for number in range(6)]


def editor(images: list[str]) -> MagicHourGenerateOperator:
    return MagicHourGenerateOperator(
        task_id="submit", tool="ai-image-editor", assets={"image_file_paths": images}, style={"prompt": "a hat"}
    )


def contents(*numbers: int) -> list[bytes]:
    return [f"image {number}".encode() for number in numbers]


def remembered(store: Any) -> list[str]:
    return sorted(Path(upload["source"]).name for upload in store.record["uploads"].values())


def test_four_files_are_on_their_way_at_once(api: Storage, context: Any, store: Any, images: list[str]) -> None:
    api.party = threading.Barrier(4)
    assert editor(images[:4]).execute(context(store)) == "p1"
    assert (len(api.put), api.created) == (4, contents(0, 1, 2, 3))


def test_more_files_wait_for_a_place(api: Storage, context: Any, store: Any, images: list[str]) -> None:
    api.party = threading.Barrier(2)
    editor(images).execute(context(store))
    assert api.created == contents(0, 1, 2, 3, 4, 5)
    assert 2 <= api.most <= 4
    assert remembered(store) == [f"{number}.png" for number in range(6)]


def test_requests_of_one_process_share_the_places(api: Storage, context: Any, store: Any, images: list[str]) -> None:
    """A batch submits several at a time."""
    api.party = threading.Barrier(4)
    with ThreadPoolExecutor(3) as senders:
        sent = [senders.submit(editor(images[:4]).execute, context(type(store)())) for _ in range(3)]
    assert [each.result() for each in sent] == ["p1"] * 3
    assert (len(api.put), api.most) == (12, 4)


def test_where_one_fails_the_others_are_remembered_and_a_retry_uploads_that_one(
    api: Storage, context: Any, store: Any, images: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    api.party = threading.Barrier(4)
    api.refused = contents(1)
    with pytest.raises(MagicHourApiError, match="400"):
        editor(images[:4]).execute(context(store))
    assert remembered(store) == ["0.png", "2.png", "3.png"]
    assert CREATE.split()[1] not in [asked.target for asked in api.asked]
    api.party, api.refused = None, []
    editor(images[:4]).execute(context(store, try_number=2))
    assert api.put == contents(0, 1, 1, 2, 3)
    assert api.created == contents(0, 1, 2, 3)


def test_of_several_failures_one_is_raised_and_each_is_told(
    api: Storage, context: Any, store: Any, images: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    api.party = threading.Barrier(4)
    api.refused = contents(0, 1, 2, 3)
    with pytest.raises(MagicHourApiError, match="400"):
        editor(images[:4]).execute(context(store))
    assert sum("400" in line for line in caplog.messages if "other uploads" in line) == 4


def test_after_a_failure_no_upload_begins(api: Storage, context: Any, store: Any, images: list[str]) -> None:
    api.party = threading.Barrier(4)
    api.refused = contents(0, 1, 2, 3)
    with pytest.raises(MagicHourApiError):
        editor(images).execute(context(store))
    assert api.put == contents(0, 1, 2, 3)


def test_a_file_that_is_named_twice_is_uploaded_once(api: Storage, context: Any, store: Any, images: list[str]) -> None:
    editor([images[0], images[1], images[0]]).execute(context(store))
    assert api.put == contents(0, 1)
    assert api.created == contents(0, 1, 0)
    assert remembered(store) == ["0.png", "0.png", "1.png"]


def test_the_record_is_written_by_the_task_alone(api: Storage, context: Any, store: Any, images: list[str]) -> None:
    """Airflow 3.0's way to the supervisor has no lock."""
    writers = []
    store.broken = lambda value: writers.append(threading.current_thread())
    editor(images).execute(context(store))
    assert set(writers) == {threading.main_thread()}


def test_a_store_that_refuses_the_record_stops_no_upload(
    api: Storage, context: Any, store: Any, images: list[str]
) -> None:
    store.broken = lambda value: "intent_at" not in value
    editor(images).execute(context(store))
    assert len(api.put) == 6


def test_objects_of_s3_are_read_at_once(api: Storage, context: Any, store: Any, bucket: Any) -> None:
    api.party = threading.Barrier(4)
    for number in range(4):
        bucket.put(f"{number}.png", contents(number)[0])
    editor([f"s3://bucket@{bucket.name}/{number}.png" for number in range(4)]).execute(context(store))
    assert api.created == contents(0, 1, 2, 3)


def test_a_store_whose_library_has_one_connection_is_read_by_one(
    api: Storage, context: Any, store: Any, objects: type[Objects], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as fsspec's for FTP."""
    names = [f"b/{number}.png" for number in range(4)]
    monkeypatch.setattr(Objects, "objects", {name: name.encode() for name in names})
    editor([f"objects://{name}" for name in names]).execute(context(store))
    assert (api.most, api.created) == (1, [name.encode() for name in names])


class Ended(BaseException):
    """What Airflow raises in the main thread when a task's time is over, or a person kills it."""


class Endless(io.RawIOBase):
    """A file that goes on and on; its second piece comes when the task has been ended."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended
        self.pieces = 0
        self.closings = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.pieces += 1
        if self.pieces == 2:
            main = threading.main_thread().ident
            assert main
            signal.pthread_kill(main, signal.SIGUSR1)
            assert self._ended.wait(10)
        return b"." * size

    def close(self) -> None:
        self.closings.set()


def test_a_task_that_is_ended_does_not_wait_for_its_uploads(
    api: Storage, context: Any, store: Any, objects: type[Objects], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    file = Endless(ended)
    monkeypatch.setattr(Objects, "objects", {NAME: b"." * 20_000_000})
    monkeypatch.setattr(Objects, "_open", lambda *_, **__: file)

    def end(*_: Any) -> None:
        raise Ended

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with pytest.raises(Ended):
            editor([f"objects://{NAME}"]).execute(context(store))
    finally:
        signal.signal(signal.SIGUSR1, before)
        ended.set()
    assert file.closings.wait(10)
    assert file.pieces == 2


def test_a_file_that_shrinks_on_its_way_is_named(
    api: Storage, context: Any, store: Any, objects: type[Objects], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Objects, "_open", lambda *_, **__: io.BytesIO(b"less"))
    with pytest.raises(MagicHourStorageError, match=r"cat\.jpg"):
        editor([f"objects://{NAME}"]).execute(context(store))
