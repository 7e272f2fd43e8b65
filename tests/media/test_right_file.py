"""The file that is written is the result, whatever else the store, a proxy or another task does."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourError, MagicHourStorageError
from airflow_provider_magichour.operators import MagicHourDownloadOperator
from tests.scenes.fake_server import FakeServer, answer
from tests.scenes.media import MIB, PATIENCE, Bucket, give_result, movie, name_store, until

pytest_plugins = ["tests.scenes.media_fixtures"]

CLIP = movie(10_240)
OTHER = movie(10_240, seed=2)
ETAG = {"ETag": '"v1"'}


@pytest.fixture
def download(sandbox: Any, clock: Any, context: Callable[..., dict[str, Any]]) -> Callable[..., list[str]]:
    def run(project_id: Any, destination: Any, **arguments: Any) -> list[str]:
        task = MagicHourDownloadOperator(
            task_id="download", project_id=project_id, destination=str(destination), **arguments
        )
        return list(json.loads(json.dumps(task.execute(context()))))

    return run


@contextmanager
def serving(sandbox: Any, *answers: bytes) -> Iterator[FakeServer]:
    sandbox.faults.clear()
    with FakeServer(*answers) as server:
        name_store(sandbox, server.url)
        yield server


def cut(body: bytes, size: int, **headers: object) -> bytes:
    return answer(body[:size], Content_Length=len(body), **headers)


def part(body: bytes, start: int, **headers: object) -> bytes:
    span = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return answer(body[start:], "206 Partial Content", Content_Range=span, **headers)


# What is no result

PAGE = b"<!DOCTYPE html><html><body>Please log in.</body></html>"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param(answer(b""), r"an empty file \(no type, 0 bytes\)", id="empty"),
        pytest.param(
            answer(PAGE, Content_Type="text/html; charset=utf-8"), "an HTML page .text/html, 55 bytes", id="page"
        ),
        pytest.param(answer(b'<?xml version="1.0"?><Error/>'), "an XML document", id="xml"),
        pytest.param(answer(b'{"error": "try later"}', Content_Type="application/json"), "a JSON document", id="json"),
        pytest.param(answer(gzip.compress(CLIP), Content_Encoding="gzip"), "of the format gzip", id="gzip"),
        pytest.param(answer(b"\x89PNG\r\n\x1a\n" + bytes(99)), "of the format PNG", id="other-kind"),
        pytest.param(answer(bytes(5000)), "no known format", id="zeros"),
        pytest.param(answer(CLIP[:-1]), "an MP4 that ends after 10,239 bytes", id="short"),
        pytest.param(answer(CLIP + CLIP[:4]), "an MP4 that ends after", id="long"),
        pytest.param(answer(CLIP + bytes(8)), "an MP4 with a gap", id="hole"),
    ],
)
def test_what_is_no_result_is_fetched_again_then_an_error_says_what_came(
    download: Any, sandbox: Any, project: str, tmp_path: Path, wrong: bytes, told: str
) -> None:
    with serving(sandbox, wrong, answer(CLIP)):
        download(project, f"{tmp_path}/a/")
    assert (tmp_path / "a" / f"{project}.mp4").read_bytes() == CLIP
    with serving(sandbox, wrong) as store, pytest.raises(MagicHourApiError, match=told) as caught:
        download(project, f"{tmp_path}/b/")
    assert "can still be downloaded" in str(caught.value)
    assert len(store.heads) == 3
    assert list((tmp_path / "b").iterdir()) == []


def test_page_answered_to_one_that_asks_for_a_bucket_leaves_no_object(
    download: Any, sandbox: Any, project: str, bucket: Bucket
) -> None:
    with serving(sandbox, answer(CLIP[:-1])), pytest.raises(MagicHourApiError, match="ends after"):
        download(project, "s3://media/clip.mp4", conn_id="bucket")
    assert (bucket.names, bucket.unfinished) == ([], [])


def test_fresh_url_is_asked_for_when_one_brings_a_page(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    sandbox.faults.add("download", status=200, text="<html>sign in</html>")
    download(project, f"{tmp_path}/")
    assert [request.route for request in sandbox.requests] == ["get", "download"] * 2
    assert (tmp_path / f"{project}.mp4").read_bytes() == clip


# Two versions


def ranges(store: FakeServer) -> list[tuple[str | None, str | None]]:
    heads = [dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line) for head in store.heads]
    return [(head.get("range"), head.get("if-range")) for head in heads]


@pytest.mark.parametrize(
    "headers",
    [{}, {"ETag": 'W/"v1"'}, {"Last-Modified": "nonsense"}, {"Last-Modified": "Thu, 26 Nov 2026 10:00:00 GMT"}],
    ids=["none", "weak", "nonsense", "undated"],
)
def test_without_a_validator_all_comes_again_and_is_compared(
    download: Any, sandbox: Any, project: str, tmp_path: Path, headers: dict[str, str]
) -> None:
    headers = {name.replace("-", "_"): value for name, value in headers.items()}
    with serving(sandbox, cut(CLIP, 5000, **headers), answer(CLIP, **headers)) as store:
        download(project, f"{tmp_path}/")
    assert ranges(store) == [(None, None), (None, None)]
    assert (tmp_path / f"{project}.mp4").read_bytes() == CLIP


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        (ETAG, '"v1"'),
        (
            {"Last_Modified": "Thu, 26 Nov 2026 10:00:00 GMT", "Date": "Thu, 26 Nov 2026 11:00:00 GMT"},
            "Thu, 26 Nov 2026 10:00:00 GMT",
        ),
    ],
    ids=["etag", "date"],
)
def test_a_part_is_asked_for_of_the_same_version_alone(
    download: Any, sandbox: Any, project: str, tmp_path: Path, headers: dict[str, str], validator: str
) -> None:
    with serving(sandbox, cut(CLIP, 5000, **headers), part(CLIP, 5000, **headers)) as store:
        download(project, f"{tmp_path}/")
    assert ranges(store) == [(None, None), ("bytes=5000-", validator.lower())]
    assert (tmp_path / f"{project}.mp4").read_bytes() == CLIP


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([cut(CLIP, 5000, **ETAG), answer(OTHER, ETag='"v2"')], id="whole"),
        pytest.param([cut(CLIP, 5000), answer(OTHER)], id="whole-without-etag"),
        pytest.param([cut(CLIP, 5000, **ETAG), part(OTHER, 5000, ETag='"v2"'), answer(OTHER)], id="part"),
        pytest.param([cut(CLIP, 5000, **ETAG), part(OTHER, 5000), answer(OTHER)], id="part-without-etag"),
        pytest.param([cut(CLIP, 20, **ETAG), answer(OTHER, ETag='"v2"')], id="within-the-first-bytes"),
    ],
)
def test_two_versions_of_one_size_are_never_joined(
    download: Any, sandbox: Any, project: str, tmp_path: Path, answers: list[bytes]
) -> None:
    with serving(sandbox, *answers):
        download(project, f"{tmp_path}/")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [OTHER]


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 19, "\u0661\u0662", "-1", "1e3"])
def test_sizes_that_are_none_raise_nothing(
    download: Any, sandbox: Any, project: str, tmp_path: Path, digits: str
) -> None:
    told = f"bytes 5000-{digits}/{digits}".encode().decode("latin-1")
    wrong = answer(CLIP[5000:], "206 Partial Content", Content_Range=told, **ETAG)
    with serving(sandbox, cut(CLIP, 5000, **ETAG), wrong, part(CLIP, 5000, **ETAG)):
        download(project, f"{tmp_path}/")
    with serving(sandbox, answer(CLIP, Content_Length=digits)), pytest.raises(MagicHourApiError, match="broke off"):
        download(project, f"{tmp_path}/b/")
    assert (tmp_path / f"{project}.mp4").read_bytes() == CLIP


def test_cuts_count_only_while_nothing_new_comes(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    for _ in range(40):
        sandbox.faults.add("download", cut_at=101)
    download(project, f"{tmp_path}/")
    assert (tmp_path / f"{project}.mp4").read_bytes() == clip


def test_store_that_never_gets_further_is_given_up(download: Any, sandbox: Any, project: str, tmp_path: Path) -> None:
    with serving(sandbox, cut(CLIP, 5000)) as store, pytest.raises(MagicHourApiError, match="broke off 11 times"):
        download(project, f"{tmp_path}/")
    assert len(store.heads) == 11
    assert list(tmp_path.iterdir()) == []


# Where URLs lead


def test_result_may_be_redirected_within_the_network_of_the_api_and_the_key_stays(
    download: Any, sandbox: Any, project: str, tmp_path: Path
) -> None:
    with FakeServer(answer(CLIP)) as last:
        location = f"{last.url}/here?Signature=x"
        with serving(sandbox, answer(b"", "302 Found", Location=location)):
            download(project, f"{tmp_path}/")
    assert (tmp_path / f"{project}.mp4").read_bytes() == CLIP
    assert "authorization" not in last.heads[0].lower()


# What is left out


def test_unreadable_entries_of_the_results_are_left_out_with_a_warning_each(
    download: Any, sandbox: Any, project: str, tmp_path: Path, logged: Callable[[], str]
) -> None:
    with FakeServer(answer(CLIP)) as store:
        good = {"url": f"{store.url}/a.mp4?Signature=secret"}
        sandbox.faults.add("get", patch={"downloads": [{"url": None}, good, "nonsense", {}]}, times=None)
        assert download(project, f"{tmp_path}/") == [f"{tmp_path}/{project}.mp4"]
    for number in (1, 3, 4):
        assert f"Entry {number} of downloads in the API's answer cannot be read: skipping it" in logged()


# What is there already


def test_file_of_the_projects_name_and_size_with_other_bytes_is_fetched_again(
    download: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    target = tmp_path / f"{project}.mp4"
    holed = bytearray(clip)
    holed[1000:2000] = bytes(1000)
    target.write_bytes(holed)
    download(project, f"{tmp_path}/")
    assert target.read_bytes() == clip


def test_look_at_the_store_asks_for_one_byte(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip[:-1])
    with pytest.raises(MagicHourStorageError, match="not this project's"):
        download(project, tmp_path / "clip.mp4")
    assert [request.headers.get("range") for request in sandbox.requests.to("download")] == ["bytes=0-0"]


def keeps_notes(folder: Path) -> bool:
    try:
        os.setxattr(folder, "user.magichour_test", b"1")
    except (AttributeError, OSError):
        return False
    return True


def asked_again(sandbox: Any, download: Any, project: str, folder: Path) -> list[str | None]:
    """Download once more and return the ranges that the store is asked for."""
    sandbox.requests.clear()
    download(project, f"{folder}/")
    return [request.headers.get("range") for request in sandbox.requests.to("download")]


def test_what_we_wrote_and_nobody_changed_is_not_fetched_again(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    if not keeps_notes(tmp_path):
        pytest.skip("this file system has no extended attributes")
    (path,) = download(project, f"{tmp_path}/")
    assert asked_again(sandbox, download, project, tmp_path) == ["bytes=0-0"]
    assert [each.name for each in tmp_path.iterdir()] == [Path(path).name]


@pytest.mark.parametrize(
    "note",
    [
        None,
        b"",
        b"\xff{",
        b"[" * 3000,
        b"[]",
        b'{"etag": null, "sha256": null}',
        b'{"etag": "\\"other\\"", "sha256": "0"}',
    ],
)
def test_a_note_that_says_nothing_of_use_spares_no_look(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path, note: bytes | None
) -> None:
    (path,) = download(project, f"{tmp_path}/")
    if note is not None and keeps_notes(tmp_path):
        os.setxattr(path, "user.magichour", note)
    Path(path).write_bytes(clip[:-1] + b"X")
    asked_again(sandbox, download, project, tmp_path)
    assert Path(path).read_bytes() == clip


def test_bytes_changed_behind_a_note_are_seen_though_size_and_time_are_the_same(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    (path,) = download(project, f"{tmp_path}/")
    written = os.stat(path)
    with Path(path).open("r+b") as file:
        file.seek(1000)
        file.write(bytes(1000))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    asked_again(sandbox, download, project, tmp_path)
    assert Path(path).read_bytes() == clip


def test_another_result_of_the_same_size_is_fetched_though_the_note_fits_the_file(
    download: Any, sandbox: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    (path,) = download(project, f"{tmp_path / 'clips'}/")
    other = give_result(sandbox, project, tmp_path / "result" / "other.mp4", len(clip))
    assert asked_again(sandbox, download, project, tmp_path / "clips")[0] == "bytes=0-0"
    assert Path(path).read_bytes() == other


def test_long_names_and_names_of_many_bytes_are_written(
    download: Any, project: str, clip: bytes, tmp_path: Path
) -> None:
    for name in ("x" * 251 + ".mp4", "\u00fc" * 125 + ".mp4"):
        download(project, tmp_path / name)
        assert (tmp_path / name).read_bytes() == clip
    assert len(list(tmp_path.iterdir())) == 2


def test_file_has_the_rights_that_the_umask_leaves(download: Any, project: str, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        download(project, f"{tmp_path}/")
    finally:
        os.umask(before)
    assert (tmp_path / f"{project}.mp4").stat().st_mode & 0o777 == 0o640


def test_file_system_without_links_gets_the_file_too(
    download: Any, project: str, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    download(project, tmp_path / "clip.mp4")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [clip]


# Several at once

WORKER = """
import json, sys
from airflow_provider_magichour.operators import MagicHourDownloadOperator
task = MagicHourDownloadOperator(task_id="download", **json.loads(sys.argv[1]))
print("RETURNED", json.dumps(task.execute({})))
"""


def at_once(sandbox: Any, ready: Callable[[], Any], *tasks: dict[str, Any]) -> list[tuple[bool, str]]:
    """Run tasks in processes of their own, all of them in the middle of their results at one moment."""
    slow = sandbox.faults.add("download", bytes_per_second=100_000, times=None)
    command = [sys.executable, "-W", "ignore", "-c", WORKER]
    workers = [
        subprocess.Popen([*command, json.dumps(task)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for task in tasks
    ]
    try:
        until(lambda: slow.hits == len(tasks) and ready(), "all are being written")
        slow.bytes_per_second = 1e12
        said = [worker.communicate(timeout=PATIENCE)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(PATIENCE)
    return [(worker.returncode == 0, text) for worker, text in zip(workers, said, strict=True)]


def partials(folder: Path, count: int) -> Callable[[], bool]:
    return lambda: len(list(folder.glob(".*.part"))) == count


@pytest.fixture
def two_projects(sandbox: Any, tmp_path: Path) -> dict[str, bytes]:
    """Two finished projects, and their results of one size."""
    results = {}
    for index in range(2):
        project = str(sandbox.add_job().id)
        file = tmp_path / "results" / f"{index}.mp4"
        give_result(sandbox, project, file, 2 * MIB)
        file.write_bytes(results.setdefault(project, movie(2 * MIB, seed=100 + index)))
    return results


def test_two_tries_of_a_project_at_once_both_end_well_and_the_file_is_right(
    sandbox: Any, two_projects: dict[str, bytes], tmp_path: Path
) -> None:
    project = next(iter(two_projects))
    folder = tmp_path / "clips"
    task = {"project_id": project, "destination": f"{folder}/"}
    outcomes = at_once(sandbox, partials(folder, 2), task, task)
    assert [ended_well for ended_well, _ in outcomes] == [True, True], outcomes
    assert [path.name for path in folder.iterdir()] == [f"{project}.mp4"]
    assert (folder / f"{project}.mp4").read_bytes() == two_projects[project]


def test_two_projects_at_once_to_one_name_end_in_one_file_and_one_error(
    sandbox: Any, two_projects: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    tasks = [{"project_id": project, "destination": f"{folder}/today.mp4"} for project in two_projects]
    outcomes = at_once(sandbox, partials(folder, 2), *tasks)
    assert sorted(ended_well for ended_well, _ in outcomes) == [False, True], outcomes
    for (ended_well, text), (project, body) in zip(outcomes, two_projects.items(), strict=True):
        if ended_well:
            assert (folder / "today.mp4").read_bytes() == body
        else:
            assert "today.mp4 already exists and is not this project's" in text
            assert f"Project {project} can still be downloaded" in text
    assert [path.name for path in folder.iterdir()] == ["today.mp4"]


def test_two_projects_at_once_to_one_object_end_in_one_object_and_one_error(
    sandbox: Any, two_projects: dict[str, bytes], bucket: Bucket
) -> None:
    tasks = [
        {"project_id": project, "destination": "s3://media/today.mp4", "conn_id": "bucket"} for project in two_projects
    ]
    outcomes = at_once(sandbox, lambda: True, *tasks)
    assert sorted(ended_well for ended_well, _ in outcomes) == [False, True], outcomes
    for (ended_well, text), body in zip(outcomes, two_projects.values(), strict=True):
        if ended_well:
            assert bucket.get("today.mp4") == body
        else:
            assert "today.mp4 already exists and is not this project's" in text
    assert bucket.unfinished == []


@pytest.mark.parametrize("size", [100_000, 12 * MIB])
@pytest.mark.parametrize("is_same", [True, False])
def test_object_that_appears_meanwhile_is_taken_for_the_result_or_left_as_it_is(
    download: Any, sandbox: Any, project: str, tmp_path: Path, bucket: Bucket, size: int, is_same: bool
) -> None:
    body = give_result(sandbox, project, tmp_path / "result" / "clip.mp4", size)
    slow = sandbox.faults.add("download", bytes_per_second=1000)
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(download(project, "s3://media/clip.mp4", conn_id="bucket"))
        except MagicHourError as error:
            ended.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        until(lambda: slow.hits, "the download has begun")
        there = body if is_same else movie(size, seed=9)
        bucket.put("clip.mp4", there)
    finally:
        slow.bytes_per_second = 1e12
        thread.join(PATIENCE)
    assert bucket.get("clip.mp4") == there
    assert bucket.unfinished == []
    if is_same:
        assert ended == [["s3://media/clip.mp4"]]
    else:
        assert "clip.mp4 already exists and is not this project's" in ended[0]


# Rights


@pytest.mark.parametrize("destination", ["s3://media/clips/", "s3://media/clip.mp4"])
@pytest.mark.parametrize("size", [100_000, 12 * MIB])
def test_role_that_may_only_write_writes(
    download: Any,
    sandbox: Any,
    project: str,
    tmp_path: Path,
    bucket: Bucket,
    write_only: str,
    destination: str,
    size: int,
) -> None:
    body = give_result(sandbox, project, tmp_path / "result" / "clip.mp4", size)
    (uri,) = download(project, destination, conn_id=write_only)
    assert bucket.get(uri.removeprefix("s3://media/")) == body


def test_role_that_may_only_write_writes_its_projects_file_again_and_no_other(
    download: Any, project: str, clip: bytes, bucket: Bucket, write_only: str
) -> None:
    bucket.put(f"{project}.mp4", clip)
    bucket.put("today.mp4", clip)
    download(project, "s3://media/", conn_id=write_only)
    with pytest.raises(MagicHourStorageError, match=r"today\.mp4"):
        download(project, "s3://media/today.mp4", conn_id=write_only)
    assert bucket.names == [f"{project}.mp4", "today.mp4"]
