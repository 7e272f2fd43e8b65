"""What an answer means, which error a failure becomes, and what is read of Retry-After."""

from __future__ import annotations

import io
import json

import pytest

from airflow_provider_magichour.api import endpoints
from airflow_provider_magichour.api.answers import Failure, error_for, read_answer, retry_after_seconds
from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.api.schemas import CreatedProject, Project
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
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


WHEN = "Wed, 21 Oct 2015 07:28:00 GMT"
EPOCH = 1445412480.0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(None, None, id="missing"),
        pytest.param("0", 0.0, id="zero"),
        pytest.param("120", 120.0, id="seconds"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param(" 5 ", 5.0, id="blanks"),
        pytest.param("-5", 0.0, id="negative"),
        pytest.param("inf", None, id="inf"),
        pytest.param("-inf", None, id="minus-inf"),
        pytest.param("nan", None, id="nan"),
        pytest.param("1e400", None, id="beyond-float"),
        pytest.param("", None, id="empty"),
        pytest.param("soon", None, id="junk"),
        pytest.param("5, 10", None, id="two"),
        pytest.param("Wed, 99 Oct 2015 07:28:00 GMT", None, id="no-such-day"),
        pytest.param("Wed, 21 Oct 99999 07:28:00 GMT", None, id="no-such-year"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 +9999", None, id="no-such-zone"),
    ],
)
def test_retry_after_is_read_or_ignored(header, expected):
    assert retry_after_seconds(header, date=None, now=EPOCH) == expected


@pytest.mark.parametrize(
    ("date", "now", "expected"),
    [
        pytest.param("Wed, 21 Oct 2015 07:27:00 GMT", EPOCH, 60.0, id="own-date"),
        pytest.param("Wed, 21 Oct 2015 07:27:00 GMT", EPOCH + 9e6, 60.0, id="own-date-and-a-wrong-clock"),
        pytest.param("Wed, 21 Oct 2015 07:27:00 GMT", 0.0, 60.0, id="own-date-and-a-clock-of-1970"),
        pytest.param("Wed, 21 Oct 2015 07:30:00 GMT", EPOCH, 0.0, id="already-past"),
        pytest.param("Wed, 21 Oct 2015 09:27:00 +0200", EPOCH, 60.0, id="other-zone"),
        pytest.param(None, EPOCH - 30, 30.0, id="no-date"),
        pytest.param("junk", EPOCH - 30, 30.0, id="junk-date"),
        pytest.param(None, EPOCH + 30, 0.0, id="no-date-already-past"),
    ],
)
def test_an_http_date_is_counted_from_the_answers_own_date(date, now, expected):
    assert retry_after_seconds(WHEN, date=date, now=now) == expected


def test_a_date_without_a_zone_is_utc():
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 -0000", date=None, now=EPOCH - 30) == 30
