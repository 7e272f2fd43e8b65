"""Which bytes an image holds, and where the API has them: nothing is paid for what only looks different."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from airflow.sdk.io import attach
from fsspec import AbstractFileSystem

from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourProjectRejectedError,
    MagicHourRejectedError,
    MagicHourStorageError,
)
from tests.operators.test_image_to_video import KEY, operator, posts

pytestmark = pytest.mark.usefixtures("clock")

FAILED = {"outcome": "error", "render_seconds": 0}
SPOILT = {**FAILED, "code": "invalid_image"}


def uploads(sandbox: Any) -> int:
    return len(sandbox.requests.to("upload"))


def sent(sandbox: Any) -> list[str]:
    """Return where the images of each create lie."""
    return [request.body["assets"]["image_file_path"] for request in sandbox.requests.to("create")]


# Whose an upload is


@pytest.mark.parametrize("change", ["key", "connection", "host"])
def test_an_upload_of_another_account_is_not_used(
    sandbox: Any, context: Any, store: Any, photo: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    sandbox.faults.add("create", job=FAILED)
    operator(image=str(photo)).execute(context(store))
    arguments = {}
    if change == "key":
        sandbox.settings.update({"api_key": "mhk_another"})
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection.replace("mhk_sandbox", "mhk_another"))
    elif change == "connection":
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", sandbox.connection)
        arguments = {"magichour_conn_id": "other"}
    else:
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection.replace("127.0.0.1", "localhost"))
    operator(image=str(photo), **arguments).execute(context(store, try_number=2))
    assert uploads(sandbox) == 2
    assert len(set(sent(sandbox))) == 2


def test_no_key_stands_in_the_record(sandbox: Any, context: Any, store: Any, photo: Path) -> None:
    operator(image=str(photo)).execute(context(store))
    assert store.record["uploads"]["image_file_path"]["account"]
    assert sandbox.api_key not in store.values[KEY]


@pytest.mark.parametrize(("status", "expected"), [(400, 2), (404, 2), (422, 2), (401, 1), (402, 1), (403, 1)])
def test_an_upload_that_was_refused_is_made_anew(
    sandbox: Any, context: Any, store: Any, photo: Path, status: int, expected: int
) -> None:
    sandbox.faults.add("create", status=status)
    with pytest.raises(MagicHourApiError if status == 401 else MagicHourRejectedError):
        operator(image=str(photo)).execute(context(store))
    operator(image=str(photo)).execute(context(store, try_number=2))
    assert uploads(sandbox) == expected


@pytest.mark.parametrize(
    "fault", [{"status": 429, "headers": {"Retry-After": "900"}}, {"status": 403, "text": "<html>"}]
)
def test_an_upload_that_nobody_blamed_is_kept(
    sandbox: Any, context: Any, store: Any, photo: Path, fault: dict[str, Any]
) -> None:
    sandbox.faults.add("create", **fault)
    with pytest.raises(MagicHourApiError):
        operator(image=str(photo)).execute(context(store))
    operator(image=str(photo)).execute(context(store, try_number=2))
    assert uploads(sandbox) == 1


@pytest.mark.parametrize("waits", [False, True])
def test_an_upload_that_spoilt_its_project_is_made_anew(
    sandbox: Any, context: Any, store: Any, photo: Path, waits: bool
) -> None:
    sandbox.faults.add("create", job=SPOILT)
    clip = operator(image=str(photo), wait_for_completion=waits)
    if waits:
        with pytest.raises(MagicHourProjectRejectedError):
            clip.execute(context(store))
    else:
        clip.execute(context(store))
    operator(image=str(photo), wait_for_completion=waits).execute(context(store, try_number=2, max_tries=4))
    assert uploads(sandbox) == 2
    assert len(set(sent(sandbox))) == 2


def test_an_upload_that_spoilt_its_project_is_made_anew_for_a_changed_request(
    sandbox: Any, context: Any, store: Any, photo: Path
) -> None:
    sandbox.faults.add("create", job=SPOILT)
    with pytest.raises(MagicHourProjectRejectedError):
        operator(image=str(photo), wait_for_completion=True).execute(context(store))
    operator(image=str(photo), prompt="changed").execute(context(store, try_number=2, max_tries=4))
    assert uploads(sandbox) == 2


def test_an_image_that_is_gone_with_an_upload_that_nobody_may_use_is_named(
    sandbox: Any, context: Any, store: Any, photo: Path
) -> None:
    sandbox.faults.add("create", job=SPOILT)
    operator(image=str(photo)).execute(context(store))
    photo.unlink()
    with pytest.raises(MagicHourStorageError, match=r"cat\.jpg: No such file"):
        operator(image=str(photo)).execute(context(store, try_number=2))
    assert posts(sandbox) == 1


# The same bytes


class Objects(AbstractFileSystem):
    """A store that says of its objects what it is told to."""

    protocol = "objects"
    cachable = False
    objects: ClassVar[dict[str, bytes]] = {}
    told: ClassVar[dict[str, Any]] = {}
    reads: ClassVar[list[str]] = []

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.objects[path]), "type": "file", **self.told}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return []

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        self.reads.append(path)
        return io.BytesIO(self.objects[path])


IMAGE = "objects://b/cat.jpg"
NAME = "b/cat.jpg"


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> type[Objects]:
    fsspec.register_implementation(Objects.protocol, Objects, clobber=True)
    attach(Objects.protocol, fs=Objects())
    for name, value in (("objects", {NAME: b"a cat" * 1000}), ("told", {}), ("reads", [])):
        monkeypatch.setattr(Objects, name, value)
    return Objects


STORES = {
    "azure-metadata": (
        {"etag": "0x8D1", "content_settings": {"content_md5": bytearray(b"]A@")}},
        {"etag": "0x8D2", "content_settings": {"content_md5": bytearray(b"]A@")}},
    ),
    "azure-put-again-in-blocks": (
        {"etag": "0x8D1", "content_settings": {"content_md5": bytearray(b"]A@")}},
        {"etag": "0x8D2", "content_settings": {"content_md5": None}},
    ),
    "azure-blocks-put-again-at-once": (
        {"etag": "0x8D1", "content_settings": {"content_md5": None}},
        {"etag": "0x8D2", "content_settings": {"content_md5": bytearray(b"]A@")}},
    ),
    "gcs-generation": ({"etag": "CL1", "md5Hash": "XUFA"}, {"etag": "CL2", "md5Hash": "XUFA"}),
    "gcs-composed": ({"etag": "CL1"}, {"etag": "CL2"}),
    "s3-parts": ({"ETag": '"5d41"'}, {"ETag": '"8e1f-2"'}),
    "touched": ({"mtime": 1.0}, {"mtime": 2.0}),
    "moved-to-another-store": ({"ETag": '"5d41"'}, {"md5Hash": "XUFA", "etag": "CL1"}),
}


@pytest.mark.parametrize(("before", "after"), STORES.values(), ids=STORES.keys())
def test_the_same_bytes_under_another_mark_pay_nothing(
    sandbox: Any, context: Any, store: Any, objects: type[Objects], before: dict[str, Any], after: dict[str, Any]
) -> None:
    objects.told = before
    paid = operator(image=IMAGE).execute(context(store))
    for number in (2, 3):
        objects.told = after
        assert operator(image=IMAGE).execute(context(store, try_number=number)) == paid
        objects.told = before
        assert operator(image=IMAGE).execute(context(store, try_number=number)) == paid
    assert (posts(sandbox), uploads(sandbox)) == (1, 1)


@pytest.mark.parametrize(("before", "after"), STORES.values(), ids=STORES.keys())
def test_the_same_bytes_under_another_mark_are_uploaded_once_where_another_project_is_made_of_them(
    sandbox: Any, context: Any, store: Any, objects: type[Objects], before: dict[str, Any], after: dict[str, Any]
) -> None:
    objects.told = before
    operator(image=IMAGE).execute(context(store))
    objects.told = after
    operator(image=IMAGE, prompt="changed").execute(context(store))
    assert (posts(sandbox), uploads(sandbox)) == (2, 1)
    assert operator(image=IMAGE).execute(context(store)) == sandbox_ids(sandbox)[0]
    assert posts(sandbox) == 2


def sandbox_ids(sandbox: Any) -> list[str]:
    return [job.id for job in sandbox.jobs][-posts(sandbox) :]


def test_other_bytes_of_the_same_size_are_another_image(
    sandbox: Any, context: Any, store: Any, objects: type[Objects]
) -> None:
    for mark, body in (("1", b"a cat"), ("2", b"a dog")):
        objects.told = {"etag": mark}
        objects.objects[NAME] = body
        operator(image=IMAGE).execute(context(store))
    assert (posts(sandbox), uploads(sandbox)) == (2, 2)


def test_an_unchanged_object_is_read_once_for_its_upload(
    sandbox: Any, context: Any, store: Any, objects: type[Objects]
) -> None:
    objects.told = {"etag": "1"}
    for number in (1, 2, 3):
        operator(image=IMAGE).execute(context(store, try_number=number))
    assert len(objects.reads) == 1


def test_an_upload_that_was_cut_leaves_the_checksum_of_all_bytes(
    sandbox: Any, context: Any, store: Any, objects: type[Objects]
) -> None:
    sandbox.faults.add("upload", cut=True)
    sandbox.faults.add("upload", status=500)
    objects.told = {"etag": "1"}
    operator(image=IMAGE).execute(context(store))
    objects.told = {"etag": "2"}
    operator(image=IMAGE).execute(context(store, try_number=2))
    assert posts(sandbox) == 1


# An upgrade from 0.1.0


def of_the_first_release(store: Any, identity: str) -> None:
    """Leave the record that 0.1.0 would have left of the same submission: by its rules, and without what is new."""
    from airflow_provider_magichour.api.requests import image_to_video_request
    from airflow_provider_magichour.hooks import MagicHourHook
    from airflow_provider_magichour.submission.fingerprint import fingerprints

    record = store.record
    upload = {k: v for k, v in record["uploads"]["image_file_path"].items() if k not in ("account", "sha256")}
    request = image_to_video_request(image=IMAGE, end_seconds=5)
    files = {"assets.image_file_path": identity}
    record["fingerprint"] = fingerprints(
        request, files=files, old_files=files, conn_id="magichour_default", host=MagicHourHook().settings().base_url
    )[1]
    record["uploads"] = {"image_file_path": {**upload, "file": identity}}
    store.set(KEY, record)


OLD_STORES = {
    "s3": ({"ETag": '"5d41"'}, "etag:5d41"),
    "gcs": ({"etag": "CL/1EAE=", "md5Hash": "XUFA"}, "etag:CL/1EAE="),
    "azure": ({"etag": '"0x8D1"', "content_settings": {"content_md5": bytearray(b"]A@")}}, "etag:0x8D1"),
    "sftp": ({"mtime": 12.5}, "modified:12.5"),
}


@pytest.mark.parametrize(("told", "mark"), OLD_STORES.values(), ids=OLD_STORES.keys())
@pytest.mark.parametrize("gone", [(), (2,), (3,), (2, 3)], ids=str)
def test_an_upgrade_pays_nothing_whenever_the_image_is_gone(
    sandbox: Any, context: Any, store: Any, objects: type[Objects], told: dict[str, Any], mark: str, gone: Any
) -> None:
    objects.told = told
    paid = operator(image=IMAGE).execute(context(store))
    of_the_first_release(store, f"5000:{mark}")
    for number in (2, 3, 4):
        if number in gone:
            objects.objects.pop(NAME, None)
        else:
            objects.objects[NAME] = b"a cat" * 1000
        assert operator(image=IMAGE).execute(context(store, try_number=number)) == paid
    assert posts(sandbox) == 1


@pytest.mark.parametrize(("told", "mark"), OLD_STORES.values(), ids=OLD_STORES.keys())
def test_after_an_upgrade_a_cleared_success_and_a_change_do_what_they_did(
    sandbox: Any, context: Any, store: Any, objects: type[Objects], told: dict[str, Any], mark: str
) -> None:
    objects.told = told
    paid = operator(image=IMAGE).execute(context(store))
    of_the_first_release(store, f"5000:{mark}")
    operator(image=IMAGE, prompt="changed").execute(context(store))
    assert operator(image=IMAGE).execute(context(store)) == paid
    assert posts(sandbox) == 2
    of_the_first_release(store, f"5000:{mark}")
    store.set(KEY, {**store.record, "returned": {"project_id": paid, "try_number": 1, "max_tries": 2}})
    assert operator(image=IMAGE).execute(context(store, max_tries=5)) != paid
    assert posts(sandbox) == 3


@pytest.mark.parametrize("source", ["objects://b/cat.jpg", "objects://login@b/cat.jpg"])
def test_the_first_release_named_an_image_with_the_connection_in_its_uri(
    sandbox: Any, context: Any, store: Any, objects: type[Objects], source: str
) -> None:
    objects.told = {"etag": "1"}
    paid = operator(image=IMAGE).execute(context(store))
    record = store.record
    record["uploads"]["image_file_path"]["source"] = source
    store.set(KEY, record)
    del objects.objects[NAME]
    assert operator(image=IMAGE).execute(context(store, try_number=2)) == paid
    assert posts(sandbox) == 1
