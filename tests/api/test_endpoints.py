"""What is sent to which path, what an answer means, and which error a failure becomes."""

from __future__ import annotations

import io
import json

import pytest

from airflow_provider_magichour.api import endpoints, signatures
from airflow_provider_magichour.api.answers import Failure, error_for, read_answer
from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.api.schemas import CreatedProject, Project
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourInvalidRequestError,
    MagicHourRejectedError,
    MagicHourUnsureSubmissionError,
)

CREATE = endpoints.create(image_to_video_request(image="https://x/a.png?sig=secret", end_seconds=5))
READ = endpoints.get_project("clx7")
SOURCE = "connection 'magichour_default'"


def answer(call, status, body, **headers):
    return read_answer(call, status, {k.replace("_", "-"): v for k, v in headers.items()}, body, now=0.0)


def error(call, status, body, **headers):
    return error_for(call, answer(call, status, body, **headers), source=SOURCE)


def open_nothing():
    return io.BytesIO()


@pytest.mark.parametrize(
    ("call", "method", "target", "body"),
    [
        pytest.param(endpoints.get_project("a1"), "GET", "/v1/video-projects/a1", None, id="get"),
        pytest.param(endpoints.get_project("a1", "image"), "GET", "/v1/image-projects/a1", None, id="get-image"),
        pytest.param(endpoints.get_project("a1", "audio"), "GET", "/v1/audio-projects/a1", None, id="get-audio"),
        pytest.param(endpoints.delete_project("a1"), "DELETE", "/v1/video-projects/a1", None, id="delete"),
        pytest.param(endpoints.get_account(), "GET", "/v1/account", None, id="account"),
        pytest.param(
            endpoints.upload_urls("png"),
            "POST",
            "/v1/files/upload-urls",
            {"items": [{"type": "image", "extension": "png"}]},
            id="upload-urls",
        ),
        pytest.param(
            CREATE,
            "POST",
            "/v1/image-to-video",
            {"end_seconds": 5, "assets": {"image_file_path": "https://x/a.png?sig=secret"}},
            id="create",
        ),
        pytest.param(
            endpoints.put_file("https://x/put?sig=1", open_nothing, 3), "PUT", "https://x/put?sig=1", None, id="put"
        ),
    ],
)
def test_a_call_says_what_is_sent(call, method, target, body):
    assert (call.method, call.target, call.json) == (method, target, body)


def test_only_the_create_makes_something():
    others = [READ, endpoints.delete_project("a"), endpoints.get_account(), endpoints.upload_urls("png")]
    assert CREATE.creates
    assert not any(call.creates for call in others)


def test_an_upload_does_not_go_to_the_api():
    call = endpoints.put_file("https://x/put", open_nothing, 3)
    assert (call.is_to_api, call.content, call.size) == (False, open_nothing, 3)
    assert READ.is_to_api


@pytest.mark.parametrize("project_id", ["clx7uu86w0a5qp55yxz315r6r", "0", "a.b_c~d-e", "A" * 64])
def test_an_id_that_cannot_change_the_path_passes(project_id):
    assert endpoints.get_project(project_id).target == f"/v1/video-projects/{project_id}"


@pytest.mark.parametrize("send", [endpoints.get_project, endpoints.delete_project])
@pytest.mark.parametrize(
    "project_id",
    [
        pytest.param("../account", id="path"),
        pytest.param("..", id="parent"),
        pytest.param(".", id="dot"),
        pytest.param("a/b", id="slash"),
        pytest.param("a%2Fb", id="escaped-slash"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("a#b", id="fragment"),
        pytest.param("a b", id="blank"),
        pytest.param("a\n", id="line-end"),
        pytest.param("", id="empty"),
        pytest.param(" ", id="blank-alone"),
        pytest.param("ä", id="beyond-ascii"),
        pytest.param("https://magichour.ai/my-library", id="library-page"),
    ],
)
def test_an_id_that_could_change_the_path_is_refused(send, project_id):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        send(project_id)
    assert f"project_id={project_id!r}" in str(caught.value)
    assert "use the one that the submitting task returned" in str(caught.value)


@pytest.mark.parametrize(
    ("project_id", "advice"),
    [
        pytest.param(None, "the upstream task pushed nothing", id="none"),
        pytest.param(["a", "b"], ".expand(project_id=...)", id="list"),
        pytest.param([], ".expand(project_id=...)", id="empty-list"),
        pytest.param({"project_id": "a"}, "one project id (a text)", id="dict"),
        pytest.param(5, "one project id (a text)", id="number"),
        pytest.param(b"a", "one project id (a text)", id="bytes"),
    ],
)
def test_what_is_no_id_is_refused_and_the_message_says_what_to_look_at(project_id, advice):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        endpoints.get_project(project_id)
    assert f"project_id={project_id!r}" in str(caught.value)
    assert advice in str(caught.value)


SIGNED = "https://x/a.mp4?sig=secret"


@pytest.mark.parametrize(
    ("project_id", "shown"),
    [
        pytest.param("a?b=c", "project_id='a?...'", id="query"),
        pytest.param(SIGNED, "project_id='https://x/a.mp4?...'", id="url"),
        pytest.param(str({"download_urls": [SIGNED]}), "https://x/a.mp4?...", id="text-of-a-dict"),
        pytest.param({"project_id": "a", "download_urls": [SIGNED]}, "'project_id': 'a'", id="dict"),
        pytest.param([{"download_urls": [SIGNED]}], "https://x/a.mp4?...", id="list"),
        pytest.param([SIGNED] * 10_000, "https://x/a.mp4?...", id="long-list"),
        pytest.param(SIGNED * 10_000, "https://x/a.mp4?...", id="long-text"),
        pytest.param("a/" * 10_000, "'a/a/", id="long-path"),
    ],
)
def test_a_refused_id_is_shown_in_short_and_without_a_signature(project_id, shown):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        endpoints.checked_project_id(project_id)
    assert shown in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 900


def test_a_value_that_was_cut_ends_in_dots():
    assert signatures.shown("x" * 10_000) == "'" + "x" * 499 + "..."
    assert signatures.shown("x" * 498) == repr("x" * 498)


@pytest.mark.parametrize("kind", ["Video", "videos", "../video", "", None, ["video"]])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        endpoints.get_project("a", kind)
    assert str(caught.value) == f"kind={kind!r}: one of video, image, audio is needed"


def test_a_good_answer_to_a_create_is_the_project():
    assert answer(CREATE, 200, b'{"id": "a", "credits_charged": 240}') == CreatedProject(id="a", credits_charged=240)


def test_a_good_answer_to_a_read_is_the_project():
    assert answer(READ, 200, b'{"id": "a", "status": "queued"}') == Project(id="a", status="queued")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_answer_without_a_body_is_enough_where_nothing_is_read(status):
    assert answer(endpoints.delete_project("a"), status, b"") is None


OWN = {"code": "the_code", "message": "The text"}
OLD = {"message": "The text"}
HTML = b"<html><body>The text</body></html>"

# status, class of a create's error, class of a read's error
STATUSES = [
    (301, MagicHourRejectedError, MagicHourApiError),
    (302, MagicHourRejectedError, MagicHourApiError),
    (400, MagicHourRejectedError, MagicHourApiError),
    (401, MagicHourRejectedError, MagicHourApiError),
    (402, MagicHourRejectedError, MagicHourApiError),
    (403, MagicHourRejectedError, MagicHourApiError),
    (404, MagicHourRejectedError, MagicHourApiError),
    (408, MagicHourUnsureSubmissionError, MagicHourApiError),
    (422, MagicHourRejectedError, MagicHourApiError),
    (429, MagicHourApiError, MagicHourApiError),
    (500, MagicHourUnsureSubmissionError, MagicHourApiError),
    (502, MagicHourApiError, MagicHourApiError),
    (503, MagicHourApiError, MagicHourApiError),
    (504, MagicHourUnsureSubmissionError, MagicHourApiError),
    (599, MagicHourUnsureSubmissionError, MagicHourApiError),
]
# body, its code, whether it is the API's own, what the message holds
BODIES = [
    pytest.param(json.dumps(OWN).encode(), "the_code", True, "the_code: The text", id="own-json-with-code"),
    pytest.param(json.dumps(OLD).encode(), None, True, "The text", id="own-json"),
    pytest.param(HTML, None, False, "HTTP ", id="html"),
    pytest.param(b"", None, False, "HTTP ", id="empty"),
    pytest.param(b'{"code": "the_code", "mess', None, False, "HTTP ", id="half-json"),
    pytest.param(b'{"detail": "Not Found"}', None, False, "HTTP ", id="other-json"),
    pytest.param(b"\xff\xfe", None, False, "HTTP ", id="bytes"),
]


@pytest.mark.parametrize(("body", "code", "from_api", "text"), BODIES)
@pytest.mark.parametrize(
    ("call", "status", "expected"),
    [
        *(pytest.param(CREATE, status, create, id=f"create-{status}") for status, create, _ in STATUSES),
        *(pytest.param(READ, status, read, id=f"read-{status}") for status, _, read in STATUSES),
    ],
)
def test_a_failure_becomes_its_error(call, status, expected, body, code, from_api, text):
    caught = error(call, status, body, retry_after="7")
    assert type(caught) is expected
    assert text in str(caught)
    assert f"HTTP {status}" in str(caught)
    assert "<html>" not in str(caught)
    if isinstance(caught, MagicHourApiError):
        assert (caught.status_code, caught.code, caught.from_api) == (status, code, from_api)
        assert caught.retry_after == 7
        assert caught.message == str(caught)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"id": "a"', id="half-json"),
        pytest.param(HTML, id="html"),
        pytest.param(b"{}", id="without-id"),
        pytest.param(b'{"id": null}', id="null-id"),
        pytest.param(b'{"id": ""}', id="empty-id"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff", id="bytes"),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_create_that_succeeded_without_an_id_is_unsure(status, body):
    assert type(error(CREATE, status, body)) is MagicHourUnsureSubmissionError


def test_a_read_that_cannot_be_read_says_which_field():
    caught = error(READ, 200, b'{"id": "a"}')
    assert type(caught) is MagicHourApiError
    assert "Could not look at project clx7: an answer that cannot be read (HTTP 200; status)" in str(caught)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        pytest.param(Failure("no connection", sent=False), MagicHourApiError, id="never-connected"),
        pytest.param(Failure("the connection was lost"), MagicHourUnsureSubmissionError, id="cut"),
        pytest.param(Failure("no answer within 30 s"), MagicHourUnsureSubmissionError, id="timeout"),
    ],
)
def test_a_create_without_an_answer_is_unsure_unless_it_was_never_sent(failure, expected):
    assert type(error_for(CREATE, failure, source=SOURCE)) is expected


def test_an_error_of_the_network_has_no_status():
    caught = error_for(READ, Failure("the connection was lost"), source=SOURCE)
    assert (type(caught), caught.status_code, caught.from_api) == (MagicHourApiError, None, False)
    assert "base URL" not in str(caught)


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        pytest.param(401, "unauthorized", f"The API key of {SOURCE} is missing, wrong or revoked; get one", id="key"),
        pytest.param(402, None, f"Buy credits or change the plan of the account of {SOURCE}", id="credits"),
        pytest.param(422, "insufficient_credits", "Buy credits", id="credits-until-2026-03"),
        pytest.param(403, None, f"The key of {SOURCE} is valid, but its plan or permissions", id="plan"),
        pytest.param(307, None, f"Redirects are not followed: check the base URL (host) of {SOURCE}", id="redirect"),
    ],
)
@pytest.mark.parametrize("call", [pytest.param(CREATE, id="create"), pytest.param(READ, id="read")])
def test_a_message_says_what_to_do_next(call, status, code, advice):
    assert advice in str(error(call, status, json.dumps({"message": "m", "code": code}).encode()))


def test_a_connection_never_made_points_at_the_host():
    caught = error_for(READ, Failure("no connection (ConnectError)", sent=False), source=SOURCE)
    assert f"Check the base URL (host) of {SOURCE} and the network" in str(caught)


def test_a_refusal_by_the_store_of_uploads_says_nothing_of_the_api_key():
    text = str(error(endpoints.put_file("https://x/put?sig=secret", open_nothing, 3), 401, HTML))
    assert text.startswith("Could not upload a file: HTTP 401")
    assert "key" not in text


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(CREATE, id="create"),
        pytest.param(READ, id="read"),
        pytest.param(endpoints.put_file("https://x/put?sig=secret", open_nothing, 3), id="put"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"message": "Unable to fetch https://x/a.png?sig=secret&b=1, sorry"}', id="echo"),
        pytest.param(b"<a href='https://x/a.png?sig=secret'>", id="html"),
        pytest.param(b'{"id": "https://x/a.png?sig=secret", "downloads": 5', id="half-json"),
    ],
)
def test_no_signature_reaches_a_message(call, status, body):
    outcome = answer(call, status, body)
    if isinstance(outcome, Failure):
        assert "secret" not in str(error_for(call, outcome, source=SOURCE))


def test_a_long_message_of_the_api_is_cut():
    assert len(str(error(READ, 400, json.dumps({"message": "x" * 10_000}).encode()))) < 700


def test_the_retry_after_of_an_answer_is_counted_from_its_own_date():
    caught = error(READ, 429, b"", retry_after="Wed, 21 Oct 2015 07:28:30 GMT", date="Wed, 21 Oct 2015 07:28:00 GMT")
    assert caught.retry_after == 30
