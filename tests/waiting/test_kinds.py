"""Waiting knows what kind of project it waits for, and which tool makes it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_magichour.api.tool_rows import TOOLS
from airflow_provider_magichour.fields import told_kind
from airflow_provider_magichour.operators import MagicHourDownloadOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from airflow_provider_magichour.triggers import MagicHourProjectTrigger
from airflow_provider_magichour.waiting.watch import Watch


def watch(**facts):
    return Watch("p1", started_at=0, deadline=3600, **facts)


@pytest.mark.parametrize(("kind", "seconds"), [("video", 5), ("image", 2), ("audio", 2)])
def test_pictures_and_sounds_are_looked_at_more_often_than_videos(kind, seconds):
    assert watch(kind=kind).next_delay(60) == seconds


@pytest.mark.parametrize(("tool", "seconds"), [("ai-face-editor", 0.9), ("video-to-video", 231.6)])
def test_the_first_look_comes_when_the_tool_may_be_done(tool, seconds):
    row = TOOLS[tool]
    assert watch(kind=row.kind, expected_render=row.expected_render).first_delay(0) == pytest.approx(seconds)


def test_a_trigger_that_an_older_release_stored_waits_for_a_video():
    stored = {"project_id": "p1", "kind": "video", "magichour_conn_id": "m", "started_at": 0.0, "deadline": 9.0}
    assert MagicHourProjectTrigger(**stored).expected_render == 74


RETURNED = {"project_id": "p1", "kind": "audio", "download_urls": []}


@pytest.mark.parametrize("returned", [RETURNED, str(RETURNED), json.dumps(RETURNED)], ids=["dict", "text", "json"])
@pytest.mark.parametrize("task", [MagicHourProjectSensor, MagicHourDownloadOperator])
def test_what_a_waiting_task_returned_says_the_kind(task, returned):
    more = {"destination": "clips/"} if task is MagicHourDownloadOperator else {}
    made = task(task_id="t", project_id="{{ something }}", kind="image", **more)
    assert told_kind(made) == "image"
    made.project_id = returned
    assert (made.project_id, told_kind(made)) == ("p1", "audio")
    made.project_id = "p2"
    assert told_kind(made) == "image"
