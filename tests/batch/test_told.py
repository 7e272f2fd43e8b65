"""What a batch tells: result lines, summary, log, links, the trigger's arguments; and how large it becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from airflow_provider_magichour.batch.entries import Entry
from airflow_provider_magichour.batch.ledger import LARGEST, Ledger
from airflow_provider_magichour.batch.results import lines, summary
from airflow_provider_magichour.submission.record import Upload
from tests.conftest import Store
from tests.scenes.batches import IMAGE, items

pytest_plugins = ["tests.scenes.batches"]


@pytest.mark.parametrize("letter", ["x", "写"])
def test_a_summary_stays_small_with_ten_thousand_failed_ids(letter: str) -> None:
    ids = [f"{number:05}{letter * (95 // len(letter.encode()))}" for number in range(10_000)]
    told = list(lines({}, ids, "s3://bucket/"))

    said = summary(told, results=f"s3://bucket/{'r' * 200}", destination="s3://bucket/", started_at="", ended_at="")

    assert len(json.dumps(said)) < 2048
    assert sum(said["counts"].values()) == said["total"] == 10_000


def test_nothing_signed_reaches_xcom_events_triggers_log_or_results(night: Any, logged: Any) -> None:
    signed = f"{IMAGE}?X-Amz-Signature=5ecret5ecret&X-Amz-Credential=AKIA%2F1&X-Amz-Date=1&X-Amz-Expires=9"
    task = night(items=[{**each, "image": signed} for each in items(3)], prompt="a cat")

    assert task.run() == "success"

    triggers = [trigger.serialize() for trigger in task.triggers]
    told = f"{task.result} {task.ti.xcom} {task.events} {triggers} {task.store.values} {task.lines} {logged()}"
    assert "5ecret" not in told
    assert "http" not in f"{task.result} {task.ti.xcom} {task.events} {triggers} {task.lines}"


@pytest.mark.parametrize(
    ("length", "conn_id", "kept"),
    [(25, "magichour_default", 1000), (36, "magichour_default", 1000), (36, "ü" * 250, 900), (500, "ü" * 250, 84)],
)
def test_the_triggers_arguments_fit_into_mysql(night: Any, length: int, conn_id: str, kept: int) -> None:
    task = night(in_flight=1000, magichour_conn_id=conn_id)
    waiting = task.task()._night({"ti": task.ti, "task_state_store": task.store})[0]
    waiting.ledger = Ledger(None)
    waiting.ledger.add([f"i{number}" for number in range(1000)])
    for number in range(1000):
        made = {"project_id": f"{number:0{length}}", "submitted_at": f"2026-09-{1 + number % 28:02}T12:00:00.000+00:00"}
        waiting.ledger.put(f"i{number}", Entry(status="in_flight", **made))

    kwargs = waiting.waits()

    assert len(Fernet(Fernet.generate_key()).encrypt(json.dumps(kwargs).encode())) <= 65_535
    assert len(kwargs["ids"]) == len(kwargs["offsets"]) == kept


@pytest.mark.usefixtures("needs_store")
def test_a_chunk_of_the_worst_items_can_be_edited() -> None:
    ledger = Ledger(store := Store())
    ids = [f"{number:03}{'i' * 97}" for number in range(100)]
    ledger.add(ids)
    upload = Upload(source="s3://" + "f" * 900, file="1:" + "e" * 64, file_path="p" * 200, uploaded_at="2026")
    for item_id in ids:
        entry = Entry(
            project_id="c" * 25,
            intent_at="2026-09-01T12:00:00.000+00:00",
            submitted_at="2026-09-01T12:00:00.000+00:00",
            fingerprint=f"v2:{'f' * 64}",
            credits_charged=240,
            name=f"{'d' * 250}.{'t' * 250} {'r' * 250} {item_id} abcd",
            uploads={"image": upload, "end_image": upload},
            line="1" * 16,
            tried=3,
            attempts=2,
            max_tries=5,
            files=tuple(f"{item_id}-{'c' * 25}-{number}.png" for number in range(4)),
        )
        ledger.put(item_id, entry.ended("failed", "unknown_error", "e" * 300))
    ledger.flush()

    assert max(len(value) for value in store.values.values()) < LARGEST


@pytest.mark.parametrize(
    ("tool", "fields", "count"),
    [
        ("ai-image-generator", {"prompt": "a cat", "image_count": 3}, 3),
        ("ai-image-upscaler", {"image": IMAGE, "scale_factor": 2}, 1),
        ("ai-voice-generator", {"style": {"prompt": "Hello", "voice_name": "Elon Musk"}}, 1),
    ],
)
def test_tools_of_images_and_sounds_and_several_results(night: Any, tool: str, fields: Any, count: int) -> None:
    task = night(tool=tool, items=[{"id": f"i{number}", **fields} for number in range(3)])

    assert task.run() == "success", task.error
    assert [len(line["files"]) for line in task.lines] == [count] * 3
    assert all(Path(file).name.startswith(f"{line['id']}-") for line in task.lines for file in line["files"])
    assert task.clear() == "success"
    assert len(task.jobs) == 3


def test_each_leg_is_one_line_and_progress_and_links_are_told(night: Any, logged: Any) -> None:
    task = night(items=items(9), in_flight=3)

    assert task.run() == "success"

    said = [line for line in logged().splitlines() if " of 9 complete" in line]
    assert len(said) == task.legs
    assert "720 credits" in said[0]
    assert task.ti.xcom["credits_charged"] == 9 * 240
    assert task.ti.xcom["progress"]["complete"] == 9
    assert task.ti.links


def test_two_mapped_batches_of_one_run_write_results_of_their_own(night: Any, tmp_path: Path) -> None:
    task = night(items=items(1))
    task.run()

    ti = task.ti
    ti.map_index = 1
    operator = task.task()

    assert operator._results_uri({"ti": ti}, operator._rules({"ti": ti})).endswith("manual__1-1.jsonl")
