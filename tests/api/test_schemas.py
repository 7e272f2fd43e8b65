"""Replies are read liberally: an API in beta drops, adds and renames fields every few weeks."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from airflow_provider_magichour.api.schemas import Account, ApiProblem, CreatedProject, Project, UploadUrls

# As the API sends it, deprecated fields included.
PROJECT = {
    "id": "clx7uu86w0a5qp55yxz315r6r",
    "name": "my clip",
    "status": "complete",
    "type": "IMAGE_TO_VIDEO",
    "created_at": "2026-09-01T00:00:00.000Z",
    "width": 512,
    "height": 960,
    "enabled": True,
    "start_seconds": 0,
    "end_seconds": 5,
    "credits_charged": 240,
    "fps": 24,
    "error": None,
    "downloads": [{"url": "https://videos.example.com/id/output.mp4?sig=1", "expires_at": "2026-09-02T00:00:00Z"}],
    "download": {"url": "https://videos.example.com/id/output.mp4?sig=1", "expires_at": "2026-09-02T00:00:00Z"},
    "total_frame_cost": 240,
}


def read(**changes):
    """Read PROJECT with changes from JSON; a value of ``...`` takes the field out."""
    body = {key: value for key, value in {**PROJECT, **changes}.items() if value is not ...}
    return Project.model_validate_json(json.dumps(body))


@pytest.mark.parametrize(
    ("reply", "credits"),
    [
        pytest.param({"id": "p", "credits_charged": 450, "estimated_frame_cost": 450}, 450, id="page-of-2026"),
        pytest.param({"id": "p", "estimated_frame_cost": 450}, 450, id="page-of-2025"),
        pytest.param({"id": "p", "credits_charged": 240}, 240, id="deprecated-field-gone"),
        pytest.param({"id": "p", "credits_charged": 240, "estimated_frame_cost": 99}, 240, id="they-differ"),
        pytest.param({"id": "p", "credits_charged": 50, "frame_cost": 50}, 50, id="image-project"),
        pytest.param({"id": "p"}, None, id="id-alone"),
        pytest.param({"id": "p", "credits_charged": None}, None, id="null"),
        pytest.param({"id": "p", "credits_charged": "free"}, None, id="word"),
        pytest.param({"id": "p", "credits_charged": {"total": 1}}, None, id="object"),
        pytest.param({"id": "p", "credits_charged": 0}, 0, id="zero"),
        pytest.param({"id": "p", "credits_charged": 240, "status": "queued", "new": [1]}, 240, id="extra-fields"),
    ],
)
def test_a_create_reply_is_read(reply, credits):
    created = CreatedProject.model_validate_json(json.dumps(reply))
    assert (created.id, created.credits_charged) == ("p", credits)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param({"credits_charged": 1}, id="missing"),
        pytest.param({"id": ""}, id="empty"),
        pytest.param({"id": None}, id="null"),
        pytest.param({"id": True}, id="true"),
        pytest.param({"id": 7.5}, id="fraction"),
        pytest.param([], id="no-object"),
    ],
)
def test_a_create_reply_without_an_id_cannot_be_read(reply):
    with pytest.raises(ValidationError):
        CreatedProject.model_validate_json(json.dumps(reply))


def test_the_result_has_exactly_the_agreed_keys():
    assert read().result("video") == {
        "project_id": "clx7uu86w0a5qp55yxz315r6r",
        "kind": "video",
        "status": "complete",
        "download_urls": ["https://videos.example.com/id/output.mp4?sig=1"],
        "expires_at": "2026-09-02T00:00:00Z",
        "credits_charged": 240,
        "width": 512,
        "height": 960,
        "fps": 24.0,
        "created_at": "2026-09-01T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(json.dumps(PROJECT), id="full"),
        pytest.param('{"id": "p", "status": "queued"}', id="bare"),
        pytest.param('{"id": "p", "status": "complete", "fps": NaN}', id="nan"),
        pytest.param('{"id": "p", "status": "complete", "fps": 1e999}', id="beyond-float"),
        pytest.param('{"id": "p", "status": "complete", "fps": "inf"}', id="infinite-text"),
    ],
)
def test_the_result_is_json(reply):
    result = Project.model_validate_json(reply).result("video")
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_project_without_the_deprecated_fields_is_read():
    project = read(download=..., total_frame_cost=..., start_seconds=...)
    assert project.is_complete
    assert project.credits_charged == 240


def test_a_project_of_id_and_status_alone_is_read():
    project = Project.model_validate_json('{"id": "p", "status": "rendering"}')
    assert not project.is_finished
    assert project.result("audio")["download_urls"] == []


def test_extra_fields_are_ignored():
    assert read(progress=0.5, queue={"position": 3}) == read()


def test_the_deprecated_cost_serves_where_it_is_alone():
    assert read(credits_charged=..., total_frame_cost=77).credits_charged == 77


NO_RESULT = {"downloads": [], "download": None}
UNFINISHED = "draft queued rendering".split()
COMPLETE = "complete Complete COMPLETED success succeeded done finished".split()
CANCELED = ["canceled", "cancelled", "CANCELLED"]
ENDED = ["error", "failed", "Failed", "failure", "errored", "expired", "rejected", "aborted", "timed_out", "Timed out"]
UNKNOWN = ["uploading", "", "wird gerendert", "complete-ish"]


@pytest.mark.parametrize("status", [*UNFINISHED, *COMPLETE, *UNKNOWN])
def test_a_status_word_that_ends_nothing_is_not_finished(status):
    project = read(status=status, **NO_RESULT)
    assert (project.is_finished, project.is_complete, project.is_failed) == (False, False, False)
    assert project.is_unknown is (status in UNKNOWN)


@pytest.mark.parametrize("status", [*ENDED, *CANCELED])
def test_a_word_that_means_an_end_is_a_failure(status):
    project = read(status=status, **NO_RESULT)
    assert (project.is_finished, project.is_complete, project.is_failed) == (True, False, True)
    assert (project.is_canceled, project.failure_code) == ((True, "canceled") if status in CANCELED else (False, None))
    assert project.ending == f"ended as {status}"


@pytest.mark.parametrize("status", [*UNFINISHED, *COMPLETE, *UNKNOWN, *ENDED, *CANCELED, None, 5, ...])
@pytest.mark.parametrize("error", [None, {"code": "c", "message": "m"}])
def test_results_mean_complete_whatever_the_word(status, error):
    project = read(status=status, error=error)
    assert (project.is_complete, project.is_failed, project.is_unknown) == (True, False, False)
    assert (project.failure_code, project.is_canceled) == (None, False)
    assert project.result("video")["status"] == (status if isinstance(status, str) else "complete")


@pytest.mark.parametrize("status", [*UNFINISHED, *COMPLETE, *UNKNOWN, *ENDED, None, ...])
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        pytest.param({"code": "no_source_face", "message": "No face"}, "no_source_face", "No face", id="object"),
        pytest.param({"reason": "No face"}, None, None, id="other-object"),
        pytest.param("No face", None, "No face", id="text"),
    ],
)
def test_an_error_means_failed_whatever_the_word(status, error, code, message):
    project = read(status=status, error=error, **NO_RESULT)
    assert (project.is_failed, project.is_unknown, project.failure_code) == (True, False, code)
    assert project.error.message == message


@pytest.mark.parametrize("error", [None, {}, "", " ", [], {"code": None, "message": None}, {"code": ""}, False, 0, ...])
def test_an_error_that_says_nothing_is_none(error):
    assert not read(status="rendering", error=error, **NO_RESULT).is_finished


def test_a_word_that_says_the_contrary_is_told():
    assert read(status="rendering", error="No face", **NO_RESULT).ending == "failed, though its status is 'rendering'"


def test_thousands_of_results_are_read_in_order():
    urls = [f"u{n}" for n in range(50_000)]
    assert [output.url for output in read(downloads=[{"url": url} for url in urls]).outputs] == urls


def test_no_text_that_is_kept_is_longer_than_a_message_may_be():
    long = "x" * 100_000
    project = read(status=long, name=long, type=long, created_at=long, error={"code": long, "message": long})
    assert len(repr(project)) < 5_000


@pytest.mark.parametrize(
    "none",
    [
        pytest.param({"downloads": [], "download": None}, id="empty"),
        pytest.param({"downloads": None, "download": None}, id="null"),
        pytest.param({"downloads": ..., "download": ...}, id="missing"),
        pytest.param({"downloads": "soon", "download": "soon"}, id="words"),
        pytest.param({"downloads": [{"url": ""}], "download": {"url": ""}}, id="empty-url"),
    ],
)
def test_complete_without_downloads_is_not_finished(none):
    project = read(**none)
    assert (project.is_finished, project.outputs) == (False, ())


def test_the_deprecated_single_download_serves_where_it_is_alone():
    project = read(downloads=[], download={"url": "https://videos.example.com/only.mp4", "expires_at": "2026-09-03"})
    assert project.is_complete
    assert project.result("video")["download_urls"] == ["https://videos.example.com/only.mp4"]
    assert project.result("video")["expires_at"] == "2026-09-03"


def test_several_downloads_keep_their_order():
    urls = ["https://videos.example.com/b", "https://videos.example.com/a"]
    assert read(downloads=[{"url": url} for url in urls]).result("image")["download_urls"] == urls


def test_a_download_that_cannot_be_read_does_not_hide_the_others():
    project = read(downloads=[{"url": None}, {"url": "https://videos.example.com/a"}], download=...)
    assert [output.url for output in project.outputs] == ["https://videos.example.com/a"]


def test_a_download_without_expiry_serves():
    assert read(downloads=[{"url": "https://videos.example.com/a"}]).result("video")["expires_at"] is None


@pytest.mark.parametrize("pixels", [-1, -2, None, "wide", ...])
def test_a_size_that_says_nothing_is_none(pixels):
    result = read(width=pixels, height=pixels).result("video")
    assert (result["width"], result["height"]) == (None, None)


@pytest.mark.parametrize(
    "field", ["name", "type", "created_at", "width", "height", "fps", "end_seconds", "enabled", "credits_charged"]
)
@pytest.mark.parametrize("value", [None, [], {"a": 1}, "?"])
def test_an_odd_value_of_an_unessential_field_ends_no_reading(field, value):
    project = read(**{field: value})
    assert project.is_complete
    expected = (None, value, 240) if field == "credits_charged" else (None, value)
    assert getattr(project, field) in expected


@pytest.mark.parametrize("field", ["id", "status"])
@pytest.mark.parametrize("value", [..., None, 5.5, []])
def test_a_project_without_id_or_status_cannot_be_read(field, value):
    with pytest.raises(ValidationError):
        read(**{**NO_RESULT, field: value})


@pytest.mark.parametrize(
    ("enabled", "deleted"),
    [
        pytest.param(False, True, id="false"),
        pytest.param(True, False, id="true"),
        pytest.param(None, False, id="null"),
        pytest.param(..., False, id="missing"),
        pytest.param("?", False, id="word"),
    ],
)
def test_only_enabled_false_means_deleted(enabled, deleted):
    assert read(enabled=enabled).is_deleted is deleted


@pytest.mark.parametrize("status", ["error", "canceled"])
def test_a_failed_project_is_finished_and_not_complete(status):
    project = read(status=status, downloads=[], download=None)
    assert (project.is_finished, project.is_failed, project.is_complete) == (True, True, False)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        pytest.param("error", {"code": "no_source_face", "message": "No face"}, "no_source_face", id="both"),
        pytest.param("error", {"code": "text_too_long"}, "text_too_long", id="code-alone"),
        pytest.param("error", {"message": "No face"}, None, id="message-alone"),
        pytest.param("error", {"code": 7}, None, id="odd-code"),
        pytest.param("error", "No face", None, id="words"),
        pytest.param("error", None, None, id="null"),
        pytest.param("error", ..., None, id="missing"),
        pytest.param("canceled", None, "canceled", id="canceled"),
        pytest.param("canceled", {"code": "unknown_error"}, "canceled", id="canceled-with-error"),
    ],
)
def test_the_failure_code_is_read_where_there_is_one(status, error, code):
    assert read(status=status, error=error, **NO_RESULT).failure_code == code


@pytest.mark.parametrize(
    ("code", "incurable"),
    [
        pytest.param("no_source_face", True, id="no_source_face"),
        pytest.param("content_policy_violation", True, id="content_policy_violation"),
        pytest.param("file_too_large", True, id="file_too_large"),
        pytest.param("insufficient_credits", True, id="insufficient_credits"),
        pytest.param("invalid_video_file", True, id="invalid_video_file"),
        pytest.param("invalid_file_format", True, id="invalid_file_format"),
        pytest.param("invalid_parameters", True, id="invalid_parameters"),
        pytest.param("invalid_something_new", True, id="invalid_something_new"),
        pytest.param("processing_timeout", False, id="processing_timeout"),
        pytest.param("unknown_error", False, id="unknown_error"),
        pytest.param("text_too_long", True, id="text_too_long"),
        pytest.param("something_new", False, id="something_new"),
        pytest.param(None, False, id="none"),
    ],
)
def test_only_the_jobs_own_faults_are_incurable(code, incurable):
    assert read(status="error", error={"code": code, "message": "m"}, **NO_RESULT).is_incurable is incurable


def test_a_canceled_project_can_be_made_again():
    assert not read(status="canceled").is_incurable


def test_upload_urls_are_read_in_order():
    reply = {"items": [{"upload_url": f"https://x/{n}", "expires_at": "e", "file_path": f"p/{n}"} for n in "ba"]}
    assert [item.file_path for item in UploadUrls.model_validate_json(json.dumps(reply)).items] == ["p/b", "p/a"]


def test_an_upload_url_without_expiry_serves():
    reply = {"items": [{"upload_url": "https://x/1", "file_path": "p/1", "new": 1}]}
    assert UploadUrls.model_validate_json(json.dumps(reply)).items[0].upload_url == "https://x/1"


def test_an_account_is_read_without_the_owners_address():
    account = Account.model_validate_json('{"email": "a@example.com", "tier": "PRO", "credits": "12", "new": null}')
    assert account.model_dump() == {"tier": "PRO", "credits": 12}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param('{"message": "Not Found"}', None, id="until-2026-09"),
        pytest.param('{"message": "Not Found", "code": "not_found"}', "not_found", id="since-2026-09"),
        pytest.param('{"message": "Not Found", "code": 404, "extra": {}}', None, id="odd-code"),
    ],
)
def test_an_error_body_is_read_with_and_without_code(body, code):
    problem = ApiProblem.model_validate_json(body)
    assert (problem.message, problem.code) == ("Not Found", code)


def test_a_cost_of_null_falls_back_to_the_deprecated_one():
    answer = {"id": "p", "credits_charged": None, "estimated_frame_cost": 450}
    assert CreatedProject.model_validate(answer).credits_charged == 450
