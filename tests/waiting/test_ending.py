"""How a wait ends: the trigger's event, and what the worker makes of it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_magichour.exceptions import (
    MagicHourError,
    MagicHourProjectFailedError,
    MagicHourProjectRejectedError,
)
from airflow_provider_magichour.waiting.ending import event_of, project_failure, read_event, timeout_message
from airflow_provider_magichour.waiting.watch import Step, Watch
from tests.scenes.looks import START, URL, WATCH, complete, project, run, trouble


def end_of(*looks):
    return run(WATCH, *looks)[-1]


@pytest.mark.parametrize(
    ("step", "now", "expected"),
    [
        pytest.param(
            end_of((74.04, complete())),
            74.04,
            {"end": "finished", "status": "complete", "code": None, "message": None, "seconds": 74.0},
            id="complete",
        ),
        pytest.param(
            end_of((30, project("error", error={"code": "no_source_face", "message": "No face"}))),
            30,
            {"end": "finished", "status": "error", "code": "no_source_face", "seconds": 30.0},
            id="error",
        ),
        pytest.param(
            end_of((30, project("canceled"))),
            30,
            {"end": "finished", "status": "canceled", "code": "canceled"},
            id="canceled",
        ),
        pytest.param(
            end_of((3600, project("rendering"))),
            3600,
            {"end": "timeout", "status": "rendering", "credits_charged": 240, "seconds": 3600.0},
            id="timeout",
        ),
        pytest.param(
            end_of((70, trouble(404, own=True, code="not_found"))),
            70,
            {"end": "unreachable", "status_code": 404, "code": "not_found", "message": "Could not get it: 404."},
            id="unreachable",
        ),
        pytest.param(
            end_of((70, complete(enabled=False))), 70, {"end": "unreachable", "status": "complete"}, id="deleted"
        ),
    ],
)
def test_an_event_tells_the_worker_how_the_wait_ended(step, now, expected):
    sent = event_of(step, START + now).model_dump(mode="json")
    event = read_event(json.loads(json.dumps(sent)))
    assert event.project_id == "p1"
    assert {name: getattr(event, name) for name in expected} == expected
    assert "https://" not in json.dumps(sent)


def test_an_event_of_a_newer_version_is_read():
    assert read_event({"project_id": "p1", "end": "finished", "new": 1}).end == "finished"


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(None, id="none"),
        pytest.param({}, id="empty"),
        pytest.param({"project_id": "p1"}, id="no-end"),
        pytest.param({"project_id": "p1", "end": "bored"}, id="unknown-end"),
        pytest.param({"project_id": None, "end": "finished"}, id="no-project"),
        pytest.param({"end": "finished"}, id="project-missing"),
        pytest.param("finished", id="text"),
        pytest.param([], id="list"),
    ],
)
def test_an_event_that_is_none_of_ours_is_an_error_that_a_retry_can_heal(event):
    with pytest.raises(MagicHourError, match="A retry waits for the same project again") as caught:
        read_event(event)
    assert type(caught.value) is MagicHourError


@pytest.mark.parametrize(
    ("credits", "cost"), [pytest.param(240, "240 credits", id="known"), pytest.param(None, "unknown", id="unknown")]
)
def test_a_timeout_says_that_the_project_goes_on_and_what_it_costs(credits, cost):
    watch = Watch("p1", START, START, status="rendering", credits_charged=credits)
    text = timeout_message(event_of(Step(watch, end="timeout"), START + 3600))
    assert all(part in text for part in ("p1", "3600 s", "rendering", "keeps running", cost, "retry"))


FAULT = {"code": "no_source_face", "message": "No face found"}
INSTEAD = "Clear the task that submitted it to make a new one"
PASSING = {"code": "processing_timeout", "message": "Took too long"}


@pytest.mark.parametrize(
    ("failed", "instead", "expected", "code", "advice"),
    [
        pytest.param(
            project("error", error=PASSING),
            None,
            MagicHourProjectFailedError,
            "processing_timeout",
            "A retry of this task submits a new project",
            id="curable-in-the-operator",
        ),
        pytest.param(
            project("error", error=FAULT),
            None,
            MagicHourProjectRejectedError,
            "no_source_face",
            "change the request, then clear this task",
            id="incurable-in-the-operator",
        ),
        pytest.param(
            project("canceled"),
            None,
            MagicHourProjectRejectedError,
            "canceled",
            "Clear this task to submit a new project",
            id="canceled-in-the-operator",
        ),
        pytest.param(
            project("error"), None, MagicHourProjectFailedError, None, "submits a new project", id="error-without-code"
        ),
        pytest.param(
            project("error", error=PASSING),
            INSTEAD,
            MagicHourProjectRejectedError,
            "processing_timeout",
            INSTEAD,
            id="curable-in-the-sensor",
        ),
        pytest.param(
            project("error", error=FAULT),
            INSTEAD,
            MagicHourProjectRejectedError,
            "no_source_face",
            INSTEAD,
            id="incurable-in-the-sensor",
        ),
        pytest.param(
            project("canceled"),
            INSTEAD,
            MagicHourProjectRejectedError,
            "canceled",
            INSTEAD,
            id="canceled-in-the-sensor",
        ),
    ],
)
def test_a_failed_project_is_the_error_of_its_task(failed, instead, expected, code, advice):
    caught = project_failure(failed, instead=instead)
    assert (type(caught), caught.code) == (expected, code)
    assert f"project p1 ended as {failed.status}" in str(caught)
    assert "refunded" in str(caught)
    assert advice in str(caught)


def test_a_failure_repeats_what_the_api_said():
    text = str(project_failure(project("error", error=FAULT)))
    assert "no_source_face: No face found" in text


@pytest.mark.parametrize("error", [{}, {"code": "unknown_error"}, {"message": None}, {"code": None, "message": ""}])
def test_a_failure_does_not_say_none(error):
    assert "None" not in str(project_failure(project("error", error=error)))


def test_a_failure_shows_no_signature_of_a_url_that_the_api_repeats():
    error = {"code": "invalid_input", "message": "Could not fetch https://x/a.png?token=secret&v=1, sorry"}
    failed = project("error", error=error)
    assert failed.error.message == "Could not fetch https://x/a.png?... sorry"
    assert "Could not fetch https://x/a.png?... sorry" in str(project_failure(failed))


def test_a_failure_repeats_the_start_of_a_long_message():
    failed = project("error", error={"code": "c" * 10_000, "message": "m" * 10_000})
    assert "m" * 500 in str(project_failure(failed))
    assert len(str(project_failure(failed))) < 1200


def test_a_message_that_is_no_text_is_none():
    failed = project("error", error={"code": "processing_timeout", "message": {"url": URL}})
    assert failed.error.message is None
    assert "secret" not in str(project_failure(failed))
