"""What the items of a batch may be, and what is said of those that cannot be used: before anything is sent."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_magichour.compat import BaseOperator, ObjectStoragePath
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.operators import MagicHourBatchOperator
from tests.scenes.batches import IMAGE, batch, items

pytest_plugins = ["tests.scenes.batches"]

SIGNED = "https://bucket.s3.amazonaws.com/1.png?X-Amz-Signature=5ecret5ecret&X-Amz-Credential=AKIA"


def written(tmp_path: Path, content: bytes | str) -> str:
    path = tmp_path / "items.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def text_of(entries: list[Any]) -> str:
    return "\n".join(map(json.dumps, entries)) + "\n"


def refused(task: Any, sandbox: Any) -> str:
    assert task.run() == "failed"
    assert isinstance(task.error, MagicHourInvalidRequestError)
    assert len(sandbox.requests) == 0
    return str(task.error)


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_read(night: Any, tmp_path: Path) -> None:
    lines = text_of(items(3)).replace("\n", "\r\n\r\n  \r\n")
    task = night(items=written(tmp_path, b"\xef\xbb\xbf" + lines.encode()))

    assert task.run() == "success"
    assert [line["id"] for line in task.lines] == ["i0", "i1", "i2"]


def test_a_bad_line_1999_is_named_and_nothing_is_sent(night: Any, sandbox: Any, tmp_path: Path) -> None:
    lines = text_of(items(2000)).splitlines()
    lines[1998] = lines[1998][:-1]

    said = refused(night(items=written(tmp_path, "\n".join(lines))), sandbox)

    assert "line 1999" in said
    assert "1 item cannot be used" in said


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"id": "x", "image": "\xff"}', "UTF-8"),
        (b'{"id": "x", "end_seconds": NaN}', "NaN"),
        (b'{"id": "x", "end_seconds": 1e999}', "end_seconds"),
        (b'{"id": "x", "end_seconds": ' + b"1" * 5000 + b"}", "JSON"),
        (b'{"id": "x", "a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "deep"),
        (b'{"id": "x", "a": ' + b"[" * 60 + b"]" * 60 + b"}", "deeper"),
        (b'{"id": "x", "image": "1.png", "image": "2.png"}', "twice"),
        (b'["x"]', "object"),
        (b"null", "object"),
        (b'"x"', "object"),
        (b'{"id": "x"} {"id": "y"}', "JSON"),
        (b'{"id": "x", "prompt": "' + b"a" * 1_000_000 + b'"}', "longer than"),
        (b'{"id": "../x"}', "files are named after it"),
        (b'{"id": ""}', "files are named after it"),
        (b'{"id": "a/b"}', "files are named after it"),
        (b'{"id": ".hidden"}', "files are named after it"),
        (b'{"id": "a b"}', "files are named after it"),
        (b'{"id": "x\\n"}', "files are named after it"),
        (b'{"id": "x\\u0000"}', "files are named after it"),
        (b'{"id": 1.5}', "files are named after it"),
        (b'{"id": true}', "files are named after it"),
        (b'{"id": ["x"]}', "files are named after it"),
        (json.dumps({"id": "x" * 101}).encode(), "files are named after it"),
        (json.dumps({"id": "写" * 100}).encode(), "files are named after it"),
        (b'{"id": "i1", "image": "https://example.com/2.png"}', "already used in line 2"),
        (b'{"id": "x", "image": "a.png", "assets": {"image_file_path": "b.png"}}', "image"),
        (b'{"id": "x", "image": "a.exe"}', "image"),
        (b'{"id": "x", "image": 7}', "image"),
        (b'{"id": "x", "image": "https://example.com/1.png", "end_seconds": "many"}', "end_seconds"),
    ],
    ids=range(29),
)
def test_a_line_that_cannot_be_used_is_named_with_its_reason(
    night: Any, sandbox: Any, tmp_path: Path, line: bytes, why: str
) -> None:
    said = refused(night(items=written(tmp_path, text_of(items(2)).encode() + line + b"\n")), sandbox)

    assert "line 3" in said
    assert why in said.replace("\n", " ")
    assert len(said) < 1000


def test_the_first_ten_of_many_bad_items_are_named(night: Any, sandbox: Any) -> None:
    said = refused(night(items=[*items(3), *({"id": f"b{number}", "image": ""} for number in range(25))]), sandbox)

    assert said.count("\n- ") == 11
    assert "item 4 (id b0)" in said
    assert "and 15 more" in said


@pytest.mark.parametrize(
    "value", [None, {}, {"id": "x"}, b"[]", 7, "", " ", "[{'id': ", [None], ["x"], [[]]], ids=range(11)
)
def test_what_is_no_list_of_items_is_refused(night: Any, sandbox: Any, value: Any) -> None:
    said = refused(night(items=value), sandbox)

    assert "items" in said or "item 1" in said


def test_ten_thousand_items_are_the_most(night: Any, sandbox: Any) -> None:
    assert "10000" in refused(night(items=items(10_001)), sandbox)


def test_an_empty_list_is_a_batch_of_nothing(night: Any, sandbox: Any) -> None:
    task = night(items=[])

    assert task.run() == "success"
    assert task.result["total"] == 0
    assert task.lines == []
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("text", [json.dumps, str], ids=["JSON", "Python"])
def test_the_text_that_a_template_makes_of_a_list_is_read(night: Any, text: Any) -> None:
    task = night(items=text(items(2)))

    assert task.run() == "success"
    assert len(task.jobs) == 2


def test_numbers_are_ids_and_missing_ones_are_warned_of_once(night: Any, logged: Any) -> None:
    task = night(items=[{"id": 17, "image": IMAGE}, *({"image": IMAGE} for _ in range(3))])

    assert task.run() == "success"

    assert [line["id"] for line in task.lines] == ["17", "2", "3", "4"]
    assert logged().count("3 items have no id") <= 2  # one line, which two handlers show


def test_items_in_the_apis_shape_and_with_arguments_names_are_the_same(night: Any) -> None:
    in_shape = {"id": "i0", "assets": {"image_file_path": IMAGE}, "style": {"prompt": "a cat"}, "end_seconds": 5.0}
    dotted = {"id": "i0", "assets.image_file_path": IMAGE, "style.prompt": "a cat", "end_seconds": Decimal(5)}
    named = {"id": "i0", "image": IMAGE, "prompt": "a cat", "end_seconds": "5"}
    task = night(items=[named])

    for each in (named, in_shape, dotted):
        assert task.clear(items=[each]) == "success"

    assert len(task.jobs) == 1


def test_what_an_item_says_goes_before_the_defaults(night: Any, sandbox: Any) -> None:
    task = night(
        items=[{"id": "own", "style": {"prompt": "own"}, "end_seconds": 3}, {"id": "none", "prompt": None}],
        image=IMAGE,
        prompt="all",
        resolution="1080p",
    )

    assert task.run() == "success"

    bodies = {request.body["name"].split()[2]: request.body for request in sandbox.requests.to("create")}
    assert bodies["own"]["style"] == {"prompt": "own"}
    assert bodies["own"]["end_seconds"] == 3
    assert bodies["none"]["style"] == {"prompt": "all"}
    assert {body["resolution"] for body in bodies.values()} == {"1080p"}


@pytest.mark.parametrize("made", [Path, lambda path: ObjectStoragePath(f"file://{path}")], ids=["pathlib", "storage"])
def test_a_manifest_and_its_files_may_be_paths(night: Any, tmp_path: Path, photo: Path, made: Any) -> None:
    task = night(items=made(written(tmp_path, text_of([{"id": "i0", "image": str(photo)}]))))

    assert task.run() == "success"
    assert task.clear(items=[{"id": "i0", "image": made(photo)}]) == "success"
    assert len(task.jobs) == 1


def test_a_manifest_that_is_not_there_is_a_retryable_error(night: Any, tmp_path: Path, sandbox: Any) -> None:
    task = night(items=str(tmp_path / "none.jsonl"))

    assert task.run() == "up_for_retry"
    assert "none.jsonl" in str(task.error)
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("value", [[{"id": "i0", "image": SIGNED}], str([{"id": "i0", "image": SIGNED}])], ids=str)
def test_rendered_fields_show_nothing_signed(tmp_path: Path, value: Any) -> None:
    task = batch(tmp_path, items=value, image=SIGNED)

    shown = f"{task.items} {task.items!r}"  # of an object, Airflow shows its text

    assert "5ecret" not in shown
    assert "items" in shown


def test_the_items_of_an_upstream_task_keep_it_upstream() -> None:
    with DAG("night", schedule=None):
        listing = BaseOperator(task_id="listing")
        whole = batch(Path("clips"), task_id="whole", items=listing.output)
        parts = batch(Path("clips"), task_id="parts", items=[{"id": "i0", "image": listing.output["image"]}])
        tools = MagicHourBatchOperator.partial(task_id="tools", items=listing.output, destination="clips").expand(
            tool=["image-to-video", "ai-image-upscaler"]
        )

    assert [task.upstream_task_ids for task in (whole, parts, tools)] == [{"listing"}] * 3


def test_default_args_reach_what_all_items_share(tmp_path: Path) -> None:
    with DAG("night", schedule=None, default_args={"prompt": "a cat", "in_flight": 7, "conn_id": "store"}):
        task = batch(tmp_path)

    assert (task.prompt, task.in_flight, task.conn_id) == ("a cat", 7, "store")
    assert "prompt" in task.template_fields
