"""What a task's state keeps of a submission, and what is made of whatever lies there."""

from __future__ import annotations

import json

import pytest

from airflow_provider_magichour.submission.record import (
    Record,
    Unreadable,
    Upload,
    read_record,
    timestamp,
)
from tests.scenes.records import FINGERPRINT, NOW, decided, record, returned


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"project_id": "p1"}, id="object"),
        pytest.param('{"project_id": "p1"}', id="object-as-text"),
        pytest.param("p1", id="plain-id"),
        pytest.param('"p1"', id="plain-id-as-json"),
        pytest.param({"project_id": "p1", "note": "found in the library"}, id="object-with-a-remark"),
    ],
)
def test_an_id_put_there_by_hand_is_adopted(value):
    kept = read_record(value)
    assert kept.project_id == "p1"
    assert kept.is_adoption


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty-text"),
        pytest.param(5, id="number"),
        pytest.param(True, id="boolean"),
        pytest.param([], id="list"),
        pytest.param(["p1"], id="list-of-an-id"),
        pytest.param({"project_id": ""}, id="empty-id"),
        pytest.param({"project_id": None}, id="null-as-id"),
        pytest.param({"version": 1, "project_id": None, "intent_at": timestamp(NOW)}, id="null-over-an-intent"),
        pytest.param({"project_id": 7}, id="number-as-id"),
        pytest.param({"project_id": ["p1"]}, id="list-as-id"),
        pytest.param({"version": 2, "project_id": "p1"}, id="newer-version"),
        pytest.param({"version": 1, "uploads": "none"}, id="odd-uploads"),
        pytest.param({"projectId": "p1"}, id="misspelt-key"),
        pytest.param({"id": "p1", "status": "complete"}, id="reply-of-the-api"),
    ],
)
def test_a_record_that_cannot_be_understood_may_hide_a_project(value):
    assert isinstance(read_record(value), Unreadable)


def test_a_record_that_the_store_has_lost_may_hide_a_project():
    lost = read_record(None)
    assert isinstance(lost, Unreadable)
    assert "lost" in lost.why


FULL = record(
    adopted=True,
    returned=returned(),
    uploads={
        "image_file_path": Upload(
            source="/data/a.png",
            file="sha256:aa",
            file_path="api-assets/1.png",
            uploaded_at=timestamp(NOW),
            account="mine",
        )
    },
)


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(Record(), id="empty"),
        pytest.param(record(), id="project"),
        pytest.param(record(project_id=None, submitted_at=None), id="intent"),
        pytest.param(FULL, id="full"),
    ],
)
def test_a_record_survives_the_store(kept):
    assert read_record(json.loads(json.dumps(kept.to_json()))) == kept


@pytest.mark.parametrize("kept", [pytest.param(record(), id="project"), pytest.param(FULL, id="full")])
def test_a_record_is_readable_and_free_of_none(kept):
    written = kept.to_json()
    assert written["version"] == 1
    assert written["project_id"] == "p1"
    assert written["intent_at"] == "2026-09-01T11:00:00.000+00:00"
    assert "null" not in json.dumps(written)


def test_a_refused_submission_leaves_the_uploads_alone():
    left = FULL.without_submission([FINGERPRINT])
    assert left.uploads == FULL.uploads
    assert set(left.to_json()) == {"version", "uploads", "previous"}
    assert decided(left).action == "submit"


HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("age", "file", "usable"),
    [
        pytest.param(0, "sha256:aa", True, id="fresh"),
        pytest.param(7 * DAY - HOUR - 1, "sha256:aa", True, id="within-the-margin"),
        pytest.param(7 * DAY - HOUR, "sha256:aa", False, id="too-close-to-the-end"),
        pytest.param(8 * DAY, "sha256:aa", False, id="deleted-by-the-api"),
        pytest.param(0, "sha256:bb", False, id="other-bytes"),
        pytest.param(-1, "sha256:aa", False, id="time-in-the-future"),
    ],
)
def test_an_upload_is_used_again_while_the_api_has_the_same_bytes(age, file, usable):
    assert FULL.uploads["image_file_path"].is_usable(file, "mine", NOW + age) is usable


@pytest.mark.parametrize("uploaded_at", ["", "yesterday", "2026-13-01T00:00:00"])
def test_an_upload_of_an_unreadable_time_is_not_used(uploaded_at):
    upload = Upload(source="/data/a.png", file="sha256:aa", file_path="p", uploaded_at=uploaded_at, account="mine")
    assert not upload.is_usable("sha256:aa", "mine", NOW)
