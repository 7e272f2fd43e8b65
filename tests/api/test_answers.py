"""What an answer means, which error a failure becomes, and what is read of Retry-After."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    assert answer(READ, 200, b'{"id": "clx7", "status": "queued"}') == Project(id="clx7", status="queued")


@pytest.mark.parametrize(
    ("project_id", "other"),
    [("clx7", '"clx8"'), ("clx7", '"CLX7"'), ("clx7", '"clx7 "'), ("7", "8"), ("7", "7.0"), ("clx7", '"x?sig=secret"')],
)
def test_an_answer_about_another_project_is_not_believed(project_id, other):
    call = endpoints.get_project(project_id)
    caught = error(call, 200, b'{"id": %s, "status": "complete", "downloads": [{"url": "u"}]}' % other.encode())
    assert (type(caught), caught.from_api) == (MagicHourApiError, False)
    assert "secret" not in str(caught)
    if other != "7.0":
        assert "an answer about another project" in str(caught)


def test_an_id_that_comes_as_a_number_is_the_same_id():
    assert answer(endpoints.get_project("7"), 200, b'{"id": 7, "status": "queued"}').id == "7"
    assert answer(CREATE, 200, b'{"id": 7}').id == "7"


READABLE = [
    pytest.param(rb'"name": "\ud83d"', id="half-emoji"),
    pytest.param(b'"name": "\x01\0\t"', id="control-characters"),
    pytest.param(b'"name": "caf\xe9"', id="bad-byte"),
    pytest.param(b'"name": null, "name": 7, "fps": NaN', id="nan-and-repeated-key"),
    pytest.param(b'"credits_charged": ' + b"9" * 5_000, id="huge-number"),
    pytest.param(b'"name": ' + b"[" * 300 + b"]" * 300, id="nested"),
    pytest.param(b'"name": "' + b"x" * 900_000 + b'"', id="long-text"),
    pytest.param(b'"error": {"message": ' + b"7" * 5_000 + b"}", id="odd-error"),
]


@pytest.mark.parametrize("odd", READABLE)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte-order-mark"])
@pytest.mark.parametrize(
    ("call", "needed"),
    [
        pytest.param(CREATE, b'"id": "clx7"', id="create"),
        pytest.param(READ, b'"id": "clx7", "status": "complete", "downloads": [{"url": "https://x/1"}]', id="look"),
        pytest.param(
            endpoints.upload_urls("png"),
            b'"items": [{"upload_url": "https://x/1", "file_path": "p", "expires_at": "\xff"}]',
            id="upload-urls",
        ),
        pytest.param(endpoints.get_account(), b'"tier": "PRO"', id="account"),
    ],
)
def test_only_what_is_needed_can_make_an_answer_unreadable(call, needed, mark, odd):
    read = answer(call, 200, mark + b"{" + odd + b", " + needed + b"}")
    assert not isinstance(read, Failure)
    assert len(repr(read)) < 3_000
    json.dumps(read.model_dump(), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("call", [READ, CREATE, endpoints.get_account(), endpoints.upload_urls("png")])
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"id":' * 100_000, b"9" * 5_000, b'"clx7"', b"null", b"\xff\xfe\0"])
def test_an_answer_that_is_none_is_a_failure_that_can_be_told(call, body):
    assert "cannot be read" in str(error(call, 200, body))


def test_an_answer_without_a_place_for_the_upload_is_none():
    assert "cannot be read (HTTP 200; items)" in str(error(endpoints.upload_urls("png"), 200, b'{"items": []}'))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda each: st.lists(each) | st.dictionaries(st.text(st.characters(codec=None)), each),
)
ANSWERS = st.fixed_dictionaries(
    {"id": st.just("clx7") | JSON, "status": st.sampled_from(["complete", "error", "queued", "new"]) | JSON},
    optional={
        **dict.fromkeys(("credits_charged", "total_frame_cost", "width", "fps", "name", "message", "code"), JSON),
        "error": JSON | st.fixed_dictionaries({}, optional={"code": JSON, "message": JSON}),
        "downloads": JSON | st.lists(st.fixed_dictionaries({"url": JSON}, optional={"expires_at": JSON})),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([READ, CREATE, endpoints.get_account(), endpoints.upload_urls("png")]),
    st.integers(100, 999),
    ANSWERS.map(lambda value: json.dumps(value).encode()) | st.binary(),
    st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text()),
)
def test_whatever_is_answered_means_something(call, status, body, headers):
    outcome = read_answer(call, status, headers, body, now=0.0)
    if isinstance(outcome, Failure):
        str(error_for(call, outcome, source=SOURCE)).encode()
    elif isinstance(outcome, Project):
        assert (outcome.is_complete, outcome.is_failed).count(True) == outcome.is_finished
        text = json.dumps(outcome.result("video"), allow_nan=False, ensure_ascii=False)
        assert "\0" not in text
        assert text.encode()
        assert len(f"{outcome.ending} {outcome.failure_code}") < 2_500


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_answer_without_a_body_is_enough_where_nothing_is_read(status):
    assert answer(endpoints.delete_project("a"), status, b"") is None


OWN = {"code": "the_code", "message": "The text"}
OLD = {"message": "The text"}
HTML = b"<html><body>The text</body></html>"


# status, class of a create's error where the API itself said it, class of a read's error
STATUSES = [
    (301, MagicHourUnsureSubmissionError, MagicHourApiError),
    (303, MagicHourUnsureSubmissionError, MagicHourApiError),
    (307, MagicHourUnsureSubmissionError, MagicHourApiError),
    (400, MagicHourRejectedError, MagicHourApiError),
    (401, MagicHourRejectedError, MagicHourApiError),
    (402, MagicHourRejectedError, MagicHourApiError),
    (403, MagicHourRejectedError, MagicHourApiError),
    (404, MagicHourRejectedError, MagicHourApiError),
    (405, MagicHourRejectedError, MagicHourApiError),
    (407, MagicHourRejectedError, MagicHourApiError),
    (410, MagicHourRejectedError, MagicHourApiError),
    (413, MagicHourRejectedError, MagicHourApiError),
    (415, MagicHourRejectedError, MagicHourApiError),
    (451, MagicHourRejectedError, MagicHourApiError),
    (408, MagicHourUnsureSubmissionError, MagicHourApiError),
    (422, MagicHourRejectedError, MagicHourApiError),
    (429, MagicHourApiError, MagicHourApiError),
    (500, MagicHourUnsureSubmissionError, MagicHourApiError),
    (502, MagicHourUnsureSubmissionError, MagicHourApiError),
    (503, MagicHourUnsureSubmissionError, MagicHourApiError),
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
    pytest.param(b'{"code": "the_code"}', "the_code", True, "the_code", id="code-alone"),
    pytest.param(b'{"message": 7, "code": "the_code"}', "the_code", True, "the_code", id="odd-message"),
    pytest.param(rb'{"message": "The \ud83d text", "code": "the_code"}', "the_code", True, "text", id="half-emoji"),
    pytest.param(b'{"message": "The \x01 text \xff"}', None, True, "text", id="bad-byte"),
    pytest.param(b'{"message": ""}', None, False, "HTTP ", id="nothing-said"),
    pytest.param(b"[" * 100_000, None, False, "HTTP ", id="deep"),
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
    if expected is MagicHourRejectedError and not from_api:
        expected = MagicHourApiError  # a gateway's page: the next try may get through
    assert type(caught) is expected
    assert text in caught.args[0]
    assert f"HTTP {status}" in caught.args[0]
    assert "<html>" not in str(caught)
    if isinstance(caught, MagicHourApiError):
        assert (caught.status_code, caught.code, caught.from_api) == (status, code, from_api)
        assert caught.retry_after == 7
        assert caught.message == caught.args[0]


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
    assert "Could not get project clx7: an answer that cannot be read (HTTP 200; status)" in str(caught)


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
    assert advice in error(call, status, json.dumps({"message": "m", "code": code}).encode()).args[0]


def test_a_connection_never_made_points_at_the_host():
    caught = error_for(READ, Failure("no connection (ConnectError)", sent=False), source=SOURCE)
    assert f"Check the base URL (host) of {SOURCE} and the network" in str(caught)


@pytest.mark.parametrize("call", [pytest.param(CREATE, id="create"), pytest.param(READ, id="read")])
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Failure("no connection (refused)", sent=False), id="unreachable"),
        pytest.param(Failure("HTTP 404: no message from the API", status=404), id="another-server"),
        pytest.param(Failure("HTTP 403: no message from the API", status=403), id="a-gateway"),
    ],
)
def test_a_wrong_host_is_named(call, failure):
    caught = error_for(call, failure, source=SOURCE, host="api.example.com:8443")
    assert f"base URL (host) of {SOURCE} (api.example.com:8443)" in str(caught)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
@pytest.mark.parametrize("call", [pytest.param(CREATE, id="create"), pytest.param(READ, id="read")])
def test_what_is_wrong_comes_before_what_a_server_calls_it(call, status):
    told = str(error(call, status, json.dumps({"message": "Nope"}).encode()))
    assert told.index(SOURCE) < told.index(f"HTTP {status}") < told.index("Nope")


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


ODD_DATE = (
    r"\A(Mon|Wed|X)?,? ?[0-9]{1,12}[ -](Jan|Feb|Dec)[ -][0-9]{1,25} "
    r"[0-9]{1,9}:?[0-9]*:?[0-9]* ?(GMT|-0000|[+-][0-9]{1,20})?\Z"
)
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
        pytest.param("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None, id="year-beyond-c"),
        pytest.param("Mon, 01 Jan 0001 00:00:00 +2359", 0.0, id="before-all-time"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0, id="after-all-time"),
        pytest.param("99999999", 86_400.0, id="years"),
        pytest.param("9" * 500_000, None, id="very-long"),
        pytest.param("Wed, " * 100_000, None, id="very-long-date"),
        pytest.param("٣", None, id="digits-of-another-script"),
        pytest.param("0x10", None, id="hexadecimal"),
        pytest.param("1_0", None, id="underscore"),
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


@settings(deadline=None)
@given(
    st.none() | st.text() | st.from_regex(ODD_DATE) | st.floats().map(str) | st.integers().map(str),
    st.none() | st.text() | st.from_regex(ODD_DATE),
    st.floats(0, 1e11),
)
def test_whatever_a_header_says_the_pause_is_bounded(header, date, now):
    pause = retry_after_seconds(header, date=date, now=now)
    assert pause is None or 0 <= pause <= 86_400
