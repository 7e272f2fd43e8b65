"""A batch whose manifest, photos, clips and results lie in a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests_stores.places import Place

pytest_plugins = ["tests.conftest", "tests.scenes.batches"]


def lines(place: Place, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.get(name).decode().splitlines()]


PHOTOS = ["a b", "Grüße", "run #1"]


def fill(place: Place) -> None:
    """Put a manifest there, and its photos with odd names."""
    items = [{"id": f"i{n}", "image": f"{place.root}/photos/{name}.png"} for n, name in enumerate(PHOTOS)]
    place.put("items.jsonl", "".join(f"{json.dumps(item)}\n" for item in items).encode())
    for number, name in enumerate(PHOTOS):
        place.put(f"photos/{name}.png", f"photo {number}".encode())


@pytest.fixture
def made(night: Any, place: Place, conn_id: str) -> Any:
    fill(place)
    return night(items=f"{place.root}/items.jsonl", destination=f"{place.root}/clips/", conn_id=conn_id)


def test_a_batch_reads_and_writes_there(made: Any, sandbox: Any, place: Place) -> None:
    assert made.run() == "success", made.error
    told = lines(place, "clips/_magichour/manual__1.jsonl")
    assert [(line["id"], line["status"]) for line in told] == [(f"i{n}", "complete") for n in range(3)]
    for line in told:
        (uri,) = line["files"]
        assert uri == f"{place.root}/clips/{line['id']}-{line['project_id']}.mp4"
        clip = sandbox.jobs[line["project_id"]].result.file.read_bytes()
        assert place.get(uri.removeprefix(f"{place.root}/")) == clip
    paths = [request.body["assets"]["image_file_path"] for request in sandbox.requests.to("create")]
    assert sorted(sandbox.uploads.find(path).read_bytes() for path in paths) == [b"photo 0", b"photo 1", b"photo 2"]
    assert made.result["results"] == f"{place.root}/clips/_magichour/manual__1.jsonl"


def test_a_clear_of_a_batch_fetches_what_is_gone_there_and_pays_nothing(made: Any, place: Place) -> None:
    assert made.run() == "success", made.error
    before = place.names
    place.empty()
    fill(place)
    assert made.clear() == "success", made.error
    assert len(made.jobs) == 3
    assert place.names == before
    clips = {job.result.file.read_bytes() for job in made.jobs}
    assert {place.get(name) for name in place.names if name.endswith(".mp4")} == clips


def test_a_batch_whose_way_to_the_store_breaks_is_whole_after_its_retry(
    made: Any, place: Place, another_process: Callable[[], None]
) -> None:
    place.way.cuts_up = [20_000]
    if made.run() != "success":
        another_process()
        assert made.run() == "success", made.error
    assert len(made.jobs) == 3
    clips = {job.result.file.read_bytes() for job in made.jobs}
    assert {place.get(name) for name in place.names if name.endswith(".mp4")} == clips


def test_a_large_manifest_is_not_read_byte_by_byte(night: Any, place: Place, conn_id: str) -> None:
    fields = {"image": f"{place.root}/no.txt", "prompt": "p" * 400}
    place.put("items.jsonl", "".join(f"{json.dumps({'id': f'i{n}', **fields})}\n" for n in range(1000)).encode())
    assert night(items=f"{place.root}/items.jsonl", destination=f"{place.root}/", conn_id=conn_id).run() == "failed"
    assert place.way.up < 100_000
