"""What the pages of clips show of task instances and XComs: no Airflow, no network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_magichour.api import schemas
from airflow_provider_magichour.api.library import library_url
from airflow_provider_magichour.plugins.clip_pages.facts import batch_counts, conn_id_of, facts
from airflow_provider_magichour.plugins.clip_pages.views import (
    CREDITS,
    LINK,
    RETURNED,
    Clip,
    Page,
    Project,
    Row,
    clip_at,
    clips_of,
    project_in,
    title_of,
)

START = datetime(2026, 11, 26, tzinfo=UTC)


def row(task_id: str, map_index: int = -1, state: str | None = "success", project: str = "", **given: Any) -> Row:
    told = {LINK: library_url(project, "video")} if project else {}
    operator = given.pop("operator", "MagicHourImageToVideoOperator")
    credits = given.pop("credits", None)
    began = None if state is None else START + timedelta(seconds=len(task_id))
    label = given.pop("label", None)
    return Row(task_id, map_index, state, began, operator, label, told | ({CREDITS: credits} if credits else {}))


# Projects


@pytest.mark.parametrize("kind", ["video", "image", "audio"])
def test_the_link_that_tasks_store_names_the_project(kind: Any) -> None:
    link = library_url("a/b ü", kind)
    assert project_in(link) == Project(kind, "a/b ü")
    assert Project(kind, "a/b ü").url == link


@pytest.mark.parametrize(
    "planted",
    [
        None,
        7,
        {"videoId": "x"},
        ["https://magichour.ai/my-library?videoId=x"],
        "",
        "x",
        "javascript:alert(1)",
        "https://evil.example/my-library?videoId=x",
        "https://magichour.ai.evil.example/my-library?videoId=x",
        "https://magichour.ai/my-library?videoId=",
        "https://magichour.ai/my-library?videoId=https://evil.example",
        f"https://magichour.ai/my-library?videoId={'x' * 501}",
        "https://magichour.ai/my-library?songId=x",
        "https://[/my-library?videoId=x",
    ],
)
def test_what_someone_has_written_in_place_of_a_link_names_no_project(planted: Any) -> None:
    assert project_in(planted) is None


# Clips


def test_tasks_of_one_project_are_one_clip_and_a_download_belongs_to_its_copy() -> None:
    rows = [
        row(f"clip.{name}", index, project=project and f"p{index}", operator=operator)
        for index in range(3)
        for name, project, operator in (
            ("submit", "p", "MagicHourImageToVideoOperator"),
            ("wait", "p", "MagicHourProjectSensor"),
            ("download", "", "MagicHourDownloadOperator"),
            ("review", "", "ApprovalOperator"),
        )
    ]
    clips = clips_of(rows, {})
    assert [clip.project.id for clip in clips if clip.project] == ["p0", "p1", "p2"]
    assert [{each.name for each in clip.tasks} for clip in clips] == [{"submit", "wait", "download"}] * 3
    assert [[each.name for each in clip.others] for clip in clips] == [["review"]] * 3
    assert clip_at(clips, ("clip.review", 1)) is clips[1]
    assert clip_at(clips, ("clip.review", 7)) is None


def test_a_copy_with_two_projects_is_two_clips_and_its_review_shows_the_last() -> None:
    rows = [
        row("clip.draw", 0, project="i"),
        row("clip.animate", 0, project="v"),
        row("clip.r", 0, operator="PythonOperator"),
        row("clip.download", 0, operator="MagicHourDownloadOperator"),
    ]
    details = {("clip.download", 0): {"given": {"project_id": "i"}}}
    draw, animate = clips_of(rows, details)
    assert [each.name for each in draw.tasks] == ["draw", "download"]
    assert clip_at([draw, animate], ("clip.r", 0)) is animate


def test_unmapped_tasks_of_others_have_no_clip() -> None:
    rows = [row("submit", project="p"), row("report", operator="PythonOperator")]
    assert clip_at(clips_of(rows, {}), ("report", -1)) is None


def test_a_task_whose_class_is_the_users_own_is_known_by_its_link() -> None:
    (clip,) = clips_of([row("submit", project="p", operator="OurClipOperator")], {})
    assert clip.project == Project("video", "p")


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["success", "success"], "done"),
        (["success", "skipped"], "done"),
        (["success", None], "working"),
        (["success", "deferred"], "working"),
        (["success", "a word of a later Airflow"], "working"),
        (["up_for_retry", None], "working"),
        ([None, None], "working"),
        (["failed", "upstream_failed"], "failed"),
        (["success", "failed"], "failed"),
        (["skipped", "skipped"], "skipped"),
        (["removed"], "skipped"),
    ],
)
def test_the_states_of_the_tasks_are_that_of_the_clip(states: list[str | None], state: str) -> None:
    rows = [row(f"t{number}", state=each, project="p") for number, each in enumerate(states)]
    (clip,) = clips_of(rows, {})
    assert clip.state == state


def test_what_failed_before_there_was_a_project_is_a_clip_too() -> None:
    (clip,) = clips_of([row("submit", 3, "failed")], {})
    assert (clip.project, clip.state, title_of(clip, {})) == (None, "failed", "submit [3]")


@pytest.mark.parametrize(
    ("label", "given", "title"),
    [
        ("cat", {"image": "s3://b/dog.jpg"}, "cat"),
        (None, {"image": "https://host/dog.jpg?Signature=secret"}, "dog.jpg"),
        (None, {"image": 7}, "clip [0]"),
        (None, None, "clip [0]"),
    ],
)
def test_a_clip_is_called_as_airflow_calls_its_copy_or_as_its_picture(label: Any, given: Any, title: str) -> None:
    (clip,) = clips_of([row("clip.submit", 0, project="p", label=label)], {})
    assert title_of(clip, {("clip.submit", 0): {"given": given}}) == title


# Pages


def clips(done: int, failed: int = 0) -> list[Any]:
    rows = [row("s", index, project=f"p{index}", credits=10) for index in range(done)]
    return clips_of(rows + [row("s", done + index, "failed", f"f{index}") for index in range(failed)], {})


@pytest.mark.parametrize(
    ("asked", "number", "size"),
    [(1, 1, 24), (2, 2, 24), (9, 9, 8), (10, 9, 8), (10**20, 9, 8), (0, 1, 24), (-5, 1, 24)],
)
def test_a_page_has_24_tiles_and_one_beyond_is_the_nearest(asked: int, number: int, size: int) -> None:
    page = Page(clips(200), "", asked)
    assert (page.number, page.pages, len(page.clips), page.credits) == (number, 9, size, 2000)


def test_a_filter_shows_one_state_and_counts_them_all() -> None:
    page = Page(clips(30, 2), "failed", 1)
    assert (page.counts, page.shown, page.pages, len(page.clips)) == ({"": 32, "done": 30, "failed": 2}, "failed", 1, 2)
    assert Page(clips(1), "<script>").shown == ""


def test_an_empty_run_has_an_empty_page() -> None:
    page = Page(clips_of([row("other", operator="PythonOperator")], {}))
    assert (page.clips, page.counts, page.credits, page.pages) == ([], {}, 0, 1)


# Facts


def test_facts_say_what_was_asked_and_made_but_nothing_signed() -> None:
    submit = {
        "prompt": "move",
        "image": "https://host/cat.jpg?X-Amz-Signature=secret",
        "end_seconds": 5,
        "style": {"a": 1},
        "name": "n",
        "magichour_conn_id": "team",
        "end_image": None,
    }
    wait = {"width": 1280, "height": 720, "fps": 24.0, "download_urls": ["https://host/x.mp4?Signature=secret"]}
    details = {
        ("submit", 0): {"given": submit, RETURNED: "p"},
        ("wait", 0): {"given": {"project_id": "p"}, RETURNED: wait},
        ("download", 0): {"given": {"project_id": "p"}, RETURNED: ["s3://bucket/p.mp4"]},
    }
    (clip,) = clips_of([row("submit", 0, project="p", credits=240)], {})
    told = dict(facts(clip, details))
    assert told == {
        "Prompt": "move",
        "Made from": "https://host/cat.jpg",
        "Asked length": "5",
        "Style": '{\n "a": 1\n}',
        "Size": "1280 x 720, 24 fps",
        "Written to": "s3://bucket/p.mp4",
        "Credits": "240",
        "Project": "p",
    }
    shown = {"id": "p", "status": "complete", "width": 640, "height": 360, "end_seconds": 4.5, "credits_charged": 0}
    seen = dict(facts(clip, details, schemas.Project.model_validate(shown)))
    assert (seen["Size"], seen["Length"], "Asked length" in seen) == ("640 x 360, 24 fps", "4.5 s", False)
    assert seen["Credits"] == "0"
    assert conn_id_of(details) == "team"


@pytest.mark.parametrize("planted", [None, 7, "text", [1, None], {"download_urls": 1, "width": "<b>", "height": {}}])
def test_xcoms_and_fields_of_any_form_are_no_error(planted: Any) -> None:
    details = {("t", 0): {"given": planted, RETURNED: planted, LINK: planted}}
    assert "Size" not in dict(facts(Clip(None, (row("t", 0),)), details))
    assert conn_id_of(details) == "magichour_default"
    assert batch_counts(details) == {}


def test_a_batch_has_its_counts() -> None:
    summary = {"schema_version": 1, "total": 5, "counts": {"complete": 4, "failed": 1, "unsure": 0, "odd": "x"}}
    details = {("batch", -1): {RETURNED: summary | {"results": "s3://bucket/results.jsonl"}}}
    assert batch_counts(details) == {"complete": 4, "failed": 1}
    told = facts(Clip(None, (row("batch"),)), details)
    assert told == [("Complete", "4"), ("Failed", "1"), ("Written to", "s3://bucket/results.jsonl")]
