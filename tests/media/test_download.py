from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourStorageError,
)
from airflow_provider_magichour.operators import MagicHourDownloadOperator
from tests.scenes.fake_server import FakeServer, answer
from tests.scenes.media import MIB, CuttingStore, five_cuts, give_result, movie, name_store

BODY = movie(10_240)

pytest_plugins = ["tests.scenes.media_fixtures"]
pytestmark = pytest.mark.filterwarnings("ignore:UPath '(bucket|shelf)' filesystem not explicitly implemented")


@pytest.fixture
def download(sandbox: Any, clock: Any, context: Callable[..., dict[str, Any]]) -> Callable[..., list[str]]:
    def run(project_id: Any, destination: Any, **arguments: Any) -> list[str]:
        task = MagicHourDownloadOperator(
            task_id="download", project_id=project_id, destination=destination, **arguments
        )
        return json.loads(json.dumps(task.execute(context())))

    return run


@contextlib.contextmanager
def serving(sandbox: Any, *answers: bytes) -> Iterator[FakeServer]:
    """Let the API name a store of ours as the place of each result."""
    with FakeServer(*answers) as server:
        name_store(sandbox, server.url)
        yield server


def everything_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# Where results go


@pytest.mark.parametrize("suffix", ["/", ""], ids=["slash", "existing"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_folder_gets_a_file_named_after_the_project(
    download: Any, project: str, clip: bytes, tmp_path: Path, scheme: str, suffix: str
) -> None:
    (uri,) = download(project, f"{scheme}{tmp_path}{suffix}")
    assert uri == f"{scheme}{tmp_path}/{project}.mp4"
    assert everything_in(tmp_path) == [tmp_path / f"{project}.mp4"]
    assert (tmp_path / f"{project}.mp4").read_bytes() == clip


def test_image_that_moves_is_written_as_the_video_that_it_is(download: Any, sandbox: Any, tmp_path: Path) -> None:
    job = sandbox.add_job("image")
    job.results = sandbox.studio.sample("video").result()
    (uri,) = download(job.id, f"{tmp_path}/", kind="image")
    assert uri == f"{tmp_path}/{job.id}.mp4"
    assert Path(uri).read_bytes() == job.result.file.read_bytes()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_file_is_written_as_named_and_its_folders_are_made(
    download: Any, project: str, clip: bytes, tmp_path: Path, scheme: str
) -> None:
    (uri,) = download(project, f"{scheme}{tmp_path}/a/b/clip.mp4")
    assert uri == f"{scheme}{tmp_path}/a/b/clip.mp4"
    assert (tmp_path / "a/b/clip.mp4").read_bytes() == clip
    assert len(everything_in(tmp_path)) == 1


def test_relative_destination_is_returned_as_an_absolute_path(
    download: Any, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert download(project, "clips/") == [f"{tmp_path}/clips/{project}.mp4"]


def test_several_results_are_numbered_in_the_apis_order(download: Any, sandbox: Any, tmp_path: Path) -> None:
    job = sandbox.add_job("image", outputs=3)
    names = [Path(uri).name for uri in download(job.id, f"{tmp_path}/", kind="image")]
    assert names == [f"{job.id}-{number}.png" for number in (1, 2, 3)]
    names = [Path(uri).name for uri in download(job.id, f"{tmp_path}/photo.png", kind="image")]
    assert names == ["photo-1.png", "photo-2.png", "photo-3.png"]
    assert len(everything_in(tmp_path)) == 6


def test_audio_keeps_its_extension(download: Any, sandbox: Any, tmp_path: Path) -> None:
    job = sandbox.add_job("audio")
    assert download(job.id, f"{tmp_path}/", kind="audio") == [f"{tmp_path}/{job.id}.wav"]


def test_what_a_waiting_task_returned_is_taken_as_project(download: Any, project: str, tmp_path: Path) -> None:
    waited = {"project_id": project, "download_urls": ["https://videos.example.com/old?Signature=secret"]}
    assert download(waited, f"{tmp_path}/") == [f"{tmp_path}/{project}.mp4"]


# What is there already


def test_file_that_is_there_in_full_is_left_alone(download: Any, project: str, tmp_path: Path) -> None:
    (uri,) = download(project, f"{tmp_path}/")
    before = Path(uri).stat()
    assert download(project, f"{tmp_path}/") == [uri]
    after = Path(uri).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_file_that_is_there_in_part_is_fetched_again(download: Any, project: str, clip: bytes, tmp_path: Path) -> None:
    target = tmp_path / f"{project}.mp4"
    target.write_bytes(clip[:100])
    download(project, f"{tmp_path}/")
    assert target.read_bytes() == clip


def test_another_projects_file_under_the_same_name_is_neither_taken_nor_overwritten(
    download: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(bytes(len(clip)))
    with pytest.raises(MagicHourStorageError, match=r"(?s)clip\.mp4 already exists.*overwrite=True"):
        download(project, str(target))
    assert target.read_bytes() == bytes(len(clip))


@pytest.mark.parametrize("form", ["x{}.mp4", "{}y.mp4"])
def test_another_project_whose_id_holds_this_id_is_not_taken_for_it(
    download: Any, project: str, clip: bytes, tmp_path: Path, form: str
) -> None:
    target = tmp_path / form.format(project)
    target.write_bytes(bytes(len(clip)))
    with pytest.raises(MagicHourStorageError, match="already exists and is not this project's"):
        download(project, str(target))
    assert target.read_bytes() == bytes(len(clip))


@pytest.mark.parametrize("faults", [[], [{"cut_at": 0}], [{"cut_at": 1000}, {"expired": 403}]], ids=["", "cut", "both"])
def test_file_of_any_name_that_holds_the_results_very_bytes_is_left_alone(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path, faults: list[dict[str, Any]]
) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(clip)
    before = target.stat()
    for fault in faults:
        sandbox.faults.add("download", nth=2 + faults.index(fault), **fault)
    assert download(project, str(target)) == [str(target)]
    after = target.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("place", [0, 5000, -1])
def test_one_byte_makes_a_file_another_one(
    download: Any, project: str, clip: bytes, tmp_path: Path, place: int
) -> None:
    other = bytearray(clip)
    other[place] ^= 1
    target = tmp_path / "clip.mp4"
    target.write_bytes(other)
    with pytest.raises(MagicHourStorageError, match=rf"(?s)not this project's.*{project} can still be downloaded"):
        download(project, str(target))
    assert target.read_bytes() == other


@pytest.mark.parametrize("longer", [False, True])
def test_file_of_another_length_is_refused_when_the_store_tells_none(
    download: Any, sandbox: Any, project: str, tmp_path: Path, longer: bool
) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(BODY + b"x" if longer else BODY[:-1])
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"
    with serving(sandbox, chunked):
        with pytest.raises(MagicHourStorageError, match="not this project's"):
            download(project, str(target))
        target.write_bytes(BODY)
        assert download(project, str(target)) == [str(target)]


def test_overwrite_replaces_what_is_there(download: Any, project: str, clip: bytes, tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(bytes(len(clip)))
    download(project, str(target), overwrite=True)
    assert target.read_bytes() == clip


def test_what_killed_tries_left_is_removed_a_day_later_and_live_ones_are_not(
    download: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    other = tmp_path / ".another.mp4.0123456789abcdef.part"
    left = [tmp_path / f".{project}.mp4.part", tmp_path / f".{project}.mp4.0123456789abcdef.part"]
    live = tmp_path / f".{project}.mp4.fedcba9876543210.part"
    for path in (other, *left, live):
        path.write_bytes(bytes(10 * len(clip)))
    for path in (other, *left):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == sorted([other, live, tmp_path / f"{project}.mp4"])
    assert (tmp_path / f"{project}.mp4").read_bytes() == clip


# Cuts


@pytest.mark.parametrize("share", [0, 1e-9, 0.1, 0.5, 0.9, 1])
def test_download_that_is_cut_goes_on_where_it_was(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path, share: float
) -> None:
    cut_at = min(int(share * len(clip)) + (0 < share < 1), len(clip) - 1)
    sandbox.faults.add("download", cut_at=cut_at)
    (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == clip
    asked = [request.headers.get("range") for request in sandbox.requests.to("download")]
    assert asked == [None, f"bytes={cut_at}-" if cut_at else None]


def test_download_survives_many_cuts(download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path) -> None:
    for _ in range(8):
        sandbox.faults.add("download", cut_at=101, reset=False)
    (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == clip
    assert sandbox.requests.to("download")[-1].headers["range"] == "bytes=808-"


def test_download_that_is_cut_for_ever_ends_in_an_api_error_and_leaves_nothing(
    download: Any, sandbox: Any, project: str, tmp_path: Path
) -> None:
    sandbox.faults.add("download", cut_at=0, times=None)
    with pytest.raises(MagicHourApiError, match="broke off"):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []
    assert len(sandbox.requests.to("download")) < 20


def test_store_without_ranges_sends_the_file_again(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    cut = answer(BODY[:5000], Content_Length=len(BODY), ETag='"v1"')
    with serving(sandbox, cut, answer(BODY)):
        (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == BODY


def test_chunked_download_that_is_cut_goes_on(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    with serving(sandbox, CHUNKED + chunk(BODY[:5000]), part(5000, len(BODY))):
        (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == BODY


CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "v1"\r\n\r\n'


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def part(start: int, end: int, total: object = len(BODY)) -> bytes:
    """Return an answer with BODY[start:end], as one part of so many bytes."""
    return answer(BODY[start:end], "206 Partial Content", Content_Range=f"bytes {start}-{end - 1}/{total}", ETag='"v1"')


def refused_range(total: object) -> bytes:
    return answer(b"", "416 Range Not Satisfiable", Content_Range=f"bytes */{total}")


@pytest.mark.parametrize("told", [True, False], ids=["size-told", "chunked"])
def test_part_that_ends_early_is_not_taken_for_the_rest(
    download: Any, sandbox: Any, project: str, tmp_path: Path, told: bool
) -> None:
    cut = answer(BODY[:5000], Content_Length=len(BODY), ETag='"v1"') if told else CHUNKED + chunk(BODY[:5000])
    with serving(sandbox, cut, part(5000, 7000), part(7000, len(BODY))) as store:
        (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == BODY
    assert [re.findall(r"bytes=\d+", head) for head in store.heads] == [[], ["bytes=5000"], ["bytes=7000"]]


@pytest.mark.parametrize("told", [True, False], ids=["size-told", "chunked"])
def test_part_of_a_size_that_nobody_tells_is_never_taken_for_the_rest(
    download: Any, sandbox: Any, project: str, tmp_path: Path, told: bool
) -> None:
    cut = answer(BODY[:5000], Content_Length=len(BODY), ETag='"v1"') if told else CHUNKED + chunk(BODY[:5000])
    with serving(sandbox, cut, part(5000, 7000, "*")), pytest.raises(MagicHourApiError, match="broke off"):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(answer(BODY[:5000], Content_Length=len(BODY), ETag='"v1"'), part(5000, 8000, 8000), id="part"),
        pytest.param(answer(BODY[:5000], Content_Length=len(BODY), ETag='"v1"'), answer(BODY[:8000]), id="whole"),
        pytest.param(answer(BODY[:5000], Content_Length=len(BODY), ETag='"v1"'), refused_range(5000), id="none"),
    ],
)
def test_file_that_changes_on_its_way_is_published_neither_in_part_nor_joined(
    download: Any, sandbox: Any, project: str, tmp_path: Path, before: bytes, after: bytes
) -> None:
    told = rf"(?s)project {project} changed.*{len(BODY)} bytes.*can still be downloaded"
    with serving(sandbox, before, after) as store, pytest.raises(MagicHourApiError, match=told):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []
    assert len(store.heads) == 2


def test_chunked_file_of_which_only_the_end_mark_was_lost_is_whole(
    download: Any, sandbox: Any, project: str, tmp_path: Path
) -> None:
    with serving(sandbox, CHUNKED + chunk(BODY), refused_range(len(BODY))) as store:
        (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == BODY
    assert len(store.heads) == 2


@pytest.mark.parametrize("total", [len(BODY) - 1, len(BODY) + 1, "*", "\u00b2"])
def test_refused_range_of_another_size_is_no_end(
    download: Any, sandbox: Any, project: str, tmp_path: Path, total: object
) -> None:
    refusal = refused_range("?").replace(b"?", str(total).encode("latin-1"))
    with serving(sandbox, CHUNKED + chunk(BODY), refusal), pytest.raises(MagicHourApiError, match="HTTP 416"):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []


def test_store_that_refuses_a_range_nobody_asked_for_yields_no_empty_file(
    download: Any, sandbox: Any, project: str, tmp_path: Path
) -> None:
    with serving(sandbox, refused_range(0)), pytest.raises(MagicHourApiError, match="HTTP 416"):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("last", "told"),
    [
        pytest.param(answer(b"no", "503 Service Unavailable"), "HTTP 503", id="status"),
        pytest.param(answer(b"no", "403 Forbidden"), "HTTP 403, the download URL has expired", id="expired"),
        pytest.param(part(1, 2), "a part that was not asked for", id="part"),
        pytest.param(b"", "RemoteProtocolError", id="connection"),
    ],
)
def test_download_that_breaks_off_tells_why_and_that_the_project_is_still_there(
    download: Any, sandbox: Any, project: str, tmp_path: Path, last: bytes, told: str
) -> None:
    with serving(sandbox, last), pytest.raises(MagicHourApiError) as caught:
        download(project, f"{tmp_path}/")
    assert str(caught.value).startswith(f"The download of project {project} broke off 11 times, last: {told}.\n")
    assert "can still be downloaded" in str(caught.value)
    assert "http://" not in str(caught.value)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    "span",
    [f"bytes 0-{len(BODY) - 1}/{len(BODY)}", "bytes 4990-5099/5100"],
    ids=["from-the-start", "elsewhere"],
)
def test_part_that_was_not_asked_for_is_never_joined(
    download: Any, sandbox: Any, project: str, tmp_path: Path, span: str
) -> None:
    first, last = (int(number) for number in span.split()[1].split("/")[0].split("-"))
    wrong = answer(BODY[first : last + 1], "206 Partial Content", Content_Range=span)
    cut = answer(BODY[:5000], Content_Length=len(BODY), ETag='"v1"')
    with serving(sandbox, cut, wrong), contextlib.suppress(MagicHourError):
        download(project, f"{tmp_path}/")
    assert [path.read_bytes() for path in everything_in(tmp_path)] in ([], [BODY])


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("seed", range(5))
def test_clip_cut_five_times_at_any_byte_is_right_fetched_once_and_never_seen_in_part(
    download: Any, sandbox: Any, project: str, tmp_path: Path, scheme: str, seed: int
) -> None:
    body = movie(3_000_017, seed)
    final = tmp_path / f"{project}.mp4"
    with CuttingStore(body, five_cuts(len(body), seed), look=final.exists) as store:
        name_store(sandbox, store.url)
        assert download(project, f"{scheme}{tmp_path}/") == [f"{scheme}{final}"]
    assert everything_in(tmp_path) == [final]
    assert final.read_bytes() == body
    assert store.seen == [False] * 6
    assert len(body) <= store.sent <= 1.2 * len(body)


# URLs


@pytest.mark.parametrize("status", [403, 404])
def test_url_that_expires_twice_is_refreshed_by_one_look_each_time(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path, status: int
) -> None:
    sandbox.faults.add("download", expired=status, times=2)
    (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == clip
    routes = [request.route for request in sandbox.requests]
    assert routes == ["get", "download"] * 3


@pytest.mark.parametrize("status", [403, 404])
def test_expired_url_is_refreshed_once(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path, status: int
) -> None:
    sandbox.faults.add("download", expired=status)
    (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == clip
    assert len(sandbox.requests.to("get")) == 2


def test_url_that_expires_in_the_middle_is_refreshed_and_the_download_goes_on(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    sandbox.faults.add("download", cut_at=1000)
    sandbox.faults.add("download", expired=403)
    (uri,) = download(project, f"{tmp_path}/")
    assert Path(uri).read_bytes() == clip
    assert sandbox.requests.to("download")[-1].headers["range"] == "bytes=1000-"


def test_urls_that_never_work_end_in_an_api_error(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    sandbox.settings.download_lifetime = -1
    with pytest.raises(MagicHourApiError, match="403"):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []
    assert len(sandbox.requests) < 50


def test_key_that_is_refused_in_the_middle_keeps_its_explanation(
    download: Any, sandbox: Any, project: str, tmp_path: Path
) -> None:
    sandbox.faults.add("download", expired=403)
    sandbox.faults.add("get", nth=2, status=401)
    with pytest.raises(MagicHourApiError, match="API key") as caught:
        download(project, f"{tmp_path}/")
    assert caught.value.status_code == 401


@pytest.mark.parametrize("name", ["../../evil.mp4", "..%2f..%2fevil.sh", "%2e%2e/evil.mp4", "a.mp4/../../../evil.exe"])
def test_name_in_the_apis_url_cannot_leave_the_folder(
    download: Any, sandbox: Any, project: str, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "a" / "b"
    with FakeServer(answer(BODY)) as store:
        patch = {"downloads": [{"url": f"{store.url}/{name}?Signature=x"}]}
        sandbox.faults.add("get", patch=patch, times=None)
        download(project, f"{folder}/")
    assert everything_in(tmp_path) == [folder / f"{project}.mp4"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/hostname",
        "/etc/hostname",
        "etc",
        "http://[::1",
        "http://127.0.0.1:port/",
        "https://",
        "http://a b/",
        "ftp://127.0.0.1/x",
        "http://\u2603\x00/",
    ],
)
def test_url_that_is_none_is_an_error_of_ours_and_reads_nothing(
    download: Any, sandbox: Any, project: str, tmp_path: Path, url: str
) -> None:
    patch = {"downloads": [{"url": url}], "download": {"url": url}}
    sandbox.faults.add("get", patch=patch, times=None)
    with pytest.raises(MagicHourError):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []


def test_redirects_without_end_are_an_error_of_ours(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    with serving(sandbox, answer(b"", "302 Found", Location="/again?Signature=x")), pytest.raises(MagicHourError):
        download(project, f"{tmp_path}/")
    assert everything_in(tmp_path) == []


# Storage that does not take it


def test_file_where_a_folder_is_expected_is_named_with_the_cause(download: Any, project: str, tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("not a folder")
    with pytest.raises(MagicHourStorageError, match=r"clips.*(Not a directory|File exists)"):
        download(project, f"{tmp_path}/clips/")


def test_folder_that_cannot_be_made_is_named_with_the_cause(download: Any, project: str) -> None:
    with pytest.raises(MagicHourStorageError, match=r"/proc/clips.*No such file"):
        download(project, "/proc/clips/")


def test_storage_that_fills_up_is_named_and_nothing_partial_stays(
    download: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(clip) // 2, hard))
    try:
        with pytest.raises(MagicHourStorageError, match=rf"{project}\.mp4: File too large"):
            download(project, f"{tmp_path}/")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert everything_in(tmp_path) == []


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a file system of its own: ``mounted("size=64k")``."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip("only root may mount")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_full_disk_is_named_and_nothing_partial_stays(
    download: Any, project: str, clip: bytes, mounted: Callable[..., Path], scheme: str
) -> None:
    folder = mounted("size=8k")
    told = rf"{folder}/{project}\.mp4: No\sspace\sleft\son\sdevice\.\sProject {project} can still be downloaded\."
    with pytest.raises(MagicHourStorageError, match=told):
        download(project, f"{scheme}{folder}/")
    assert everything_in(folder) == []


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_disk_that_must_not_be_written_is_named(
    download: Any, project: str, mounted: Callable[..., Path], scheme: str
) -> None:
    folder = mounted("ro")
    told = rf"{folder}/{project}\.mp4: Read-only\sfile\ssystem\.\sProject {project} can still be downloaded\."
    with pytest.raises(MagicHourStorageError, match=told):
        download(project, f"{scheme}{folder}/")
    assert everything_in(folder) == []


def test_failed_overwrite_keeps_the_old_file(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"old")
    sandbox.faults.add("download", cut_at=0, times=None)
    with pytest.raises(MagicHourError):
        download(project, str(target), overwrite=True)
    assert target.read_bytes() == b"old"


def test_storage_that_airflow_does_not_know_is_named(download: Any, project: str) -> None:
    with pytest.raises(MagicHourStorageError, match=f"(?s)nosuchscheme.*Project {project} can still be downloaded"):
        download(project, "nosuchscheme://bucket/clips/")


class BucketFile(AbstractBufferedFile):
    """Written as in many object stores: in parts, never back, visible once it is closed."""

    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.fs.take_room()
        self.parts.append(self.buffer.getvalue())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        self.fs.objects[self.path] = b"".join(self.parts)


class Bucket(AbstractFileSystem):
    """An object store that this package has not heard of: it copies and deletes, and cannot rename."""

    protocol = "bucket"
    cachable = False
    objects: ClassVar[dict[str, bytes]] = {}
    ages: ClassVar[dict[str, float]] = {}
    is_full: ClassVar[bool] = False
    is_read_only: ClassVar[bool] = False
    is_lost: ClassVar[bool] = False
    """Whether closing and deleting fail, as over a connection that was lost."""

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path in self.objects:
            return {"name": path, "size": len(self.objects[path]), "type": "file", "ETag": '"e1"'}
        if any(name.startswith(f"{path}/") for name in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        found = [self.info(name) for name in self.objects if name.startswith(self._strip_protocol(path))]
        return found if detail else [each["name"] for each in found]

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **options: Any) -> Any:
        options.pop("cache_options", None)
        return BucketFile(self, path, mode, block_size or 4096, **options)

    def modified(self, path: str) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.ages.get(path, 0))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return self.objects[path][start:end]

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        self._refuse_final(path2)
        self.objects[path2] = self.objects[path1]

    def _rm(self, path: str) -> None:
        if self.is_lost:
            raise ConnectionError("rm: no connection")
        del self.objects[path]

    def take_room(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _refuse_final(self, path: str) -> None:
        if self.is_read_only:
            raise PermissionError(errno.EACCES, "Permission denied")


class ShelfFile(io.RawIOBase):
    """Written as over SFTP: visible from the first byte on, and `closed` cannot be set."""

    def __init__(self, fs: Shelf, path: str) -> None:
        self.fs = fs
        self.path = path
        self.writes = 0
        fs.objects[path] = b""
        fs.streams[path] = self

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self.fs.take_room()
        self.writes += 1
        self.fs.objects[self.path] += piece
        return len(piece)

    def close(self) -> None:
        super().close()
        if self.fs.is_lost:
            raise ConnectionError("close: no connection")


class Shelf(Bucket):
    """A server's folders: they have to be made, and files are renamed, not copied, and not deleted while open."""

    protocol = "shelf"
    folders: ClassVar[set[str]] = set()
    streams: ClassVar[dict[str, ShelfFile]] = {}

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.folders.add(path)

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        self._refuse_final(path2)
        self.objects[path2] = self.objects.pop(path1)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        raise NotImplementedError

    def _rm(self, path: str) -> None:
        if path in self.streams and not self.streams[path].closed:
            raise PermissionError(errno.EBUSY, "Device or resource busy")
        super()._rm(path)

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **options: Any) -> Any:
        # A block means something else to each library.
        assert block_size is None
        if mode == "rb":
            return io.BytesIO(self.objects[path])
        if self._parent(path) not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return ShelfFile(self, path)


@pytest.fixture(params=[Bucket, Shelf], ids=["appends", "shows-at-once"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Bucket]:
    kind: type[Bucket] = request.param
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
    attach(kind.protocol, fs=kind())
    for name in ("is_full", "is_read_only", "is_lost"):
        monkeypatch.setattr(Bucket, name, False)
    monkeypatch.setattr(Bucket, "objects", {})
    monkeypatch.setattr(Bucket, "ages", {})
    monkeypatch.setattr(Shelf, "folders", set())
    monkeypatch.setattr(Shelf, "streams", {})
    return kind


def test_store_gets_the_clip(download: Any, project: str, clip: bytes, bucket: type[Bucket]) -> None:
    uri = f"{bucket.protocol}://clips/today/{project}.mp4"
    assert download(project, f"{bucket.protocol}://clips/today/") == [uri]
    assert bucket.objects == {f"clips/today/{project}.mp4": clip}


def test_store_gets_the_clip_over_cuts_and_never_shows_a_part(
    download: Any, sandbox: Any, project: str, bucket: type[Bucket]
) -> None:
    body = movie(3_000_017, 1)
    name = f"clips/{project}.mp4"
    with CuttingStore(body, five_cuts(len(body), 1), look=lambda: name in bucket.objects) as store:
        name_store(sandbox, store.url)
        download(project, f"{bucket.protocol}://clips/")
    assert bucket.objects == {name: body}
    assert store.seen == [False] * 6


def test_a_server_that_answers_each_write_gets_whole_blocks(
    download: Any, sandbox: Any, project: str, bucket: type[Bucket], tmp_path: Path
) -> None:
    body = give_result(sandbox, project, tmp_path / "result" / "clip.mp4", 7 * MIB)
    download(project, f"{bucket.protocol}://clips/")
    assert bucket.objects == {f"clips/{project}.mp4": body}
    assert [stream.writes for stream in Shelf.streams.values()] == ([2] if bucket is Shelf else [])


@pytest.mark.parametrize("is_lost", [False, True], ids=["", "connection-lost"])
def test_failed_download_into_a_store_tells_its_own_cause(
    download: Any, sandbox: Any, project: str, bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    monkeypatch.setattr(Bucket, "is_lost", is_lost)
    sandbox.faults.add("download", cut_at=5000, nth=1)
    sandbox.faults.add("download", cut_at=0, times=None)
    with pytest.raises(MagicHourApiError, match="broke off"):
        download(project, f"{bucket.protocol}://clips/today/clip.mp4")
    left = r"clips/today/\.clip\.mp4\.[0-9a-f]{16}\.part"
    assert [bool(re.fullmatch(left, name)) for name in bucket.objects] == ([True] if is_lost else [])


def test_next_try_removes_what_one_left_a_day_ago(
    download: Any, project: str, clip: bytes, bucket: type[Bucket]
) -> None:
    live, left = (f"clips/.clip.mp4.{each * 16}.part" for each in "ab")
    bucket.objects.update({live: b"live", left: b"left"})
    bucket.ages[left] = 25 * 3600
    download(project, f"{bucket.protocol}://clips/clip.mp4")
    assert bucket.objects == {"clips/clip.mp4": clip, live: b"live"}
    download(project, f"{bucket.protocol}://clips/clip.mp4")
    assert bucket.objects == {"clips/clip.mp4": clip, live: b"live"}


def test_store_that_is_full_is_named(
    download: Any, project: str, bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bucket, "is_full", True)
    left = f"Project {project} can still be downloaded"
    told = rf"{bucket.protocol}://clips/{project}\.mp4: No space left on device\.\s(?s:.)*{left}"
    with pytest.raises(MagicHourStorageError, match=told):
        download(project, f"{bucket.protocol}://clips/")
    assert bucket.objects == {}


@pytest.mark.parametrize("trouble", ["is_full", "is_read_only"])
def test_failed_overwrite_keeps_what_the_store_had(
    download: Any, project: str, bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    bucket.objects["clips/clip.mp4"] = b"the one before"
    monkeypatch.setattr(Bucket, trouble, True)
    told = r"clips/clip\.mp4: (No space left|Permission denied)"
    with pytest.raises(MagicHourStorageError, match=told):
        download(project, f"{bucket.protocol}://clips/clip.mp4", overwrite=True)
    assert bucket.objects == {"clips/clip.mp4": b"the one before"}


def test_name_with_signs_of_a_pattern_is_taken_as_it_is(
    download: Any, project: str, clip: bytes, bucket: type[Bucket]
) -> None:
    others = {"clips/.[ab]*.mp4.part0": b"1", "clips/.a.mp4.part": b"2"}
    bucket.objects.update(others)
    download(project, f"{bucket.protocol}://clips/[ab]*.mp4")
    assert bucket.objects == {**others, "clips/[ab]*.mp4": clip}


def test_store_of_the_tests_is_known_to_airflow(bucket: type[Bucket]) -> None:
    bucket.objects["clips/a.txt"] = b"abc"
    assert ObjectStoragePath(f"{bucket.protocol}://clips/a.txt").read_bytes() == b"abc"


# Projects that have nothing to fetch


@pytest.mark.parametrize("outcome", ["never", "error", "canceled"])
def test_project_without_a_result_is_named_with_its_status(
    download: Any, sandbox: Any, tmp_path: Path, outcome: str
) -> None:
    job = sandbox.add_job(script={"outcome": outcome})
    with pytest.raises(MagicHourApiError, match=rf"{job.id} is .*nothing to download"):
        download(job.id, f"{tmp_path}/")
    assert everything_in(tmp_path) == []


def test_deleted_project_is_named(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    sandbox.jobs[project].enabled = False
    with pytest.raises(MagicHourApiError, match=f"{project} is deleted"):
        download(project, f"{tmp_path}/")


@pytest.mark.parametrize("project_id", [None, "", "https://x/a", ["p1", "p2"], {}, {"id": "p1"}, 5])
def test_project_id_that_is_none_fails_before_any_request(
    download: Any, sandbox: Any, tmp_path: Path, project_id: Any
) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="project_id="):
        download(project_id, f"{tmp_path}/")
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("destination", [None, "", ["a/"], {}])
def test_destination_that_is_none_fails_before_any_request(
    download: Any, sandbox: Any, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destination: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MagicHourInvalidRequestError, match="destination"):
        download(project, destination)
    assert len(sandbox.requests) == 0


def test_unknown_kind_fails_before_any_request(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="kind='clip'"):
        download(project, f"{tmp_path}/", kind="clip")
    assert len(sandbox.requests) == 0


def test_a_storage_connection_that_is_not_there_is_refused(sandbox: Any, context: Any, tmp_path: Path) -> None:
    project = sandbox.add_job(script={"render_seconds": 0}).id
    for place in ({"destination": f"file://{tmp_path}/", "conn_id": "absent"}, {"destination": "s3://absent@clips/"}):
        task = MagicHourDownloadOperator(task_id="download", project_id=project, **place)
        with pytest.raises(MagicHourStorageError, match="absent"):
            task.execute(context())
    assert list(tmp_path.iterdir()) == []
