"""Paying once: what the next run of a task does about an earlier submission."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.signatures import without_signatures
from airflow_provider_magichour.api.tools import IMAGE_TO_VIDEO, Request
from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.submission.decision import decide, project_to_look_at, unsure_message
from airflow_provider_magichour.submission.fingerprint import fingerprint, unsigned
from airflow_provider_magichour.submission.record import (
    KEY,
    Record,
    Returned,
    Unreadable,
    Upload,
    read_record,
    timestamp,
)

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC).timestamp()
FINGERPRINT = "v1:mine"
MAX_TRIES = 3


def record(**changes):
    """A record of a submission an hour ago, answered."""
    fields = {
        "intent_at": timestamp(NOW - 3600),
        "name": "shop.clip[2] scheduled__2026-09-01 a1b2",
        "request": {"end_seconds": 5, "assets": {"image_file_path": "api-assets/1.png"}},
        "fingerprint": FINGERPRINT,
        "project_id": "p1",
        "submitted_at": timestamp(NOW - 3599),
        "credits_charged": 240,
        "max_tries": MAX_TRIES,
    }
    return Record.model_validate({key: value for key, value in {**fields, **changes}.items() if value is not None})


def returned(project_id="p1", max_tries=MAX_TRIES):
    return Returned(project_id=project_id, try_number=1, max_tries=max_tries)


def project(status, **fields):
    return Project.model_validate({"id": "p1", "status": status, "credits_charged": 240, **fields})


def complete():
    return project("complete", downloads=[{"url": "https://videos.example.com/output.mp4?sig=secret"}])


def trouble(status=None, *, own=False):
    return MagicHourApiError(f"Could not look: HTTP {status}", status_code=status, from_api=own)


def decided(kept, seen=None, *, max_tries=MAX_TRIES, now=NOW):
    return decide(kept, fingerprint=FINGERPRINT, seen=seen, max_tries=max_tries, now=now)


UNKNOWN = trouble(404, own=True)
DELETED = project("complete", enabled=False)
BY_HAND = Record(project_id="p1")


@pytest.mark.parametrize(
    ("kept", "seen", "max_tries", "action"),
    [
        # Nothing is recorded.
        pytest.param(None, None, MAX_TRIES, "submit", id="nothing"),
        pytest.param(record().without_submission(), None, MAX_TRIES, "submit", id="uploads-alone"),
        # A project that is still active.
        pytest.param(record(), project("draft"), MAX_TRIES, "reattach", id="active-draft"),
        pytest.param(record(), project("queued"), MAX_TRIES, "reattach", id="active-queued"),
        pytest.param(record(), project("rendering"), MAX_TRIES, "reattach", id="active-rendering"),
        pytest.param(record(), project("polishing"), MAX_TRIES, "reattach", id="active-unknown-word"),
        pytest.param(record(), project("complete"), MAX_TRIES, "reattach", id="active-complete-without-downloads"),
        pytest.param(record(), project("queued"), 9, "reattach", id="active-and-cleared"),
        pytest.param(record(returned=returned()), project("queued"), 9, "reattach", id="active-though-returned"),
        pytest.param(BY_HAND, project("rendering"), MAX_TRIES, "reattach", id="active-adopted"),
        # A complete project whose success was cleared.
        pytest.param(record(returned=returned()), complete(), 4, "submit", id="success-cleared"),
        pytest.param(record(returned=returned()), complete(), 2, "submit", id="success-cleared-retries-lowered"),
        # A complete project in any other case.
        pytest.param(record(), complete(), MAX_TRIES, "return", id="complete-retry"),
        pytest.param(record(), complete(), 9, "return", id="complete-cleared-before-it-returned"),
        pytest.param(record(returned=returned()), complete(), MAX_TRIES, "return", id="complete-killed-after-noting"),
        pytest.param(
            record(returned=returned("p0", 1)), complete(), MAX_TRIES, "return", id="complete-returned-another-project"
        ),
        pytest.param(BY_HAND, complete(), MAX_TRIES, "return", id="complete-adopted"),
        # A project that failed.
        pytest.param(record(), project("error"), MAX_TRIES, "submit", id="error"),
        pytest.param(record(), project("canceled"), MAX_TRIES, "submit", id="canceled"),
        pytest.param(BY_HAND, project("error"), MAX_TRIES, "submit", id="error-adopted"),
        # A project that the API does not know, or that was deleted.
        pytest.param(record(), UNKNOWN, MAX_TRIES, "unsure", id="unknown-retry"),
        pytest.param(record(), DELETED, MAX_TRIES, "unsure", id="deleted-retry"),
        pytest.param(record(), UNKNOWN, 4, "submit", id="unknown-cleared"),
        pytest.param(record(), DELETED, 4, "submit", id="deleted-cleared"),
        pytest.param(record(), UNKNOWN, 2, "unsure", id="unknown-max-tries-lowered"),
        pytest.param(record(max_tries=None), UNKNOWN, 9, "unsure", id="unknown-max-tries-not-noted"),
        pytest.param(record(adopted=True), UNKNOWN, MAX_TRIES, "fail", id="unknown-adopted"),
        pytest.param(record(adopted=True), DELETED, 9, "fail", id="deleted-adopted-cleared"),
        pytest.param(BY_HAND, UNKNOWN, MAX_TRIES, "fail", id="unknown-put-there-by-hand"),
        pytest.param(BY_HAND, DELETED, 9, "fail", id="deleted-put-there-by-hand"),
        # The API does not say.
        pytest.param(record(), trouble(), MAX_TRIES, "blocked", id="not-reachable"),
        pytest.param(record(), trouble(500, own=True), MAX_TRIES, "blocked", id="500"),
        pytest.param(record(), trouble(503), MAX_TRIES, "blocked", id="503"),
        pytest.param(record(), trouble(401, own=True), MAX_TRIES, "blocked", id="401"),
        pytest.param(record(), trouble(403, own=True), MAX_TRIES, "blocked", id="403"),
        pytest.param(record(), trouble(429, own=True), MAX_TRIES, "blocked", id="429"),
        pytest.param(record(), trouble(200), MAX_TRIES, "blocked", id="unreadable-answer"),
        pytest.param(record(), trouble(404), MAX_TRIES, "blocked", id="404-of-a-gateway"),
        pytest.param(record(), trouble(404), 9, "blocked", id="404-of-a-gateway-cleared"),
        pytest.param(BY_HAND, trouble(503), MAX_TRIES, "blocked", id="not-reachable-adopted"),
        # A project of a different request.
        pytest.param(record(fingerprint="v1:other"), None, MAX_TRIES, "submit", id="other-request"),
        pytest.param(record(fingerprint="v1:other", adopted=True), None, 9, "submit", id="other-request-adopted"),
        # An intent without a project.
        pytest.param(record(project_id=None), None, MAX_TRIES, "unsure", id="intent-alone"),
        pytest.param(record(project_id=None), None, 9, "unsure", id="intent-alone-cleared"),
        pytest.param(
            record(project_id=None, fingerprint="v1:other"), None, MAX_TRIES, "unsure", id="intent-of-other-request"
        ),
        # A record that cannot be read.
        pytest.param(Unreadable(), None, MAX_TRIES, "unsure", id="unreadable"),
        pytest.param(Unreadable(), None, 9, "unsure", id="unreadable-cleared"),
    ],
)
def test_the_next_run_of_a_task_does(kept, seen, max_tries, action):
    assert decided(kept, seen, max_tries=max_tries).action == action


@pytest.mark.parametrize(
    ("age", "action"),
    [
        pytest.param(0, "blocked", id="at-once"),
        pytest.param(60, "blocked", id="after-a-minute"),
        pytest.param(60.1, "unsure", id="later"),
        pytest.param(-2, "blocked", id="clock-behind-that-of-the-submit"),
        pytest.param(-9e6, "unsure", id="clock-far-behind"),
    ],
)
def test_a_404_right_after_the_submit_proves_nothing(age, action):
    assert decided(record(submitted_at=timestamp(NOW)), UNKNOWN, now=NOW + age).action == action


@pytest.mark.parametrize(
    "submitted_at",
    [pytest.param(None, id="missing"), pytest.param("yesterday", id="words"), pytest.param("", id="empty")],
)
def test_a_404_counts_where_the_time_of_the_submit_is_not_known(submitted_at):
    assert decided(record(submitted_at=submitted_at), UNKNOWN).action == "unsure"


@pytest.mark.parametrize(
    ("kept", "seen", "max_tries"),
    [
        pytest.param(record(returned=returned()), complete(), 4, id="success-cleared"),
        pytest.param(record(), UNKNOWN, 4, id="unknown-cleared"),
        pytest.param(record(fingerprint="v1:other"), None, MAX_TRIES, id="other-request"),
    ],
)
def test_paying_again_warns_with_the_old_id_and_what_it_cost(kept, seen, max_tries):
    decision = decided(kept, seen, max_tries=max_tries)
    assert decision.warn
    assert "p1" in decision.why
    assert "240 credits" in decision.why


def test_submitting_after_a_failure_says_what_the_failed_one_cost():
    decision = decided(record(), project("error", credits_charged=0))
    assert "p1 ended as error and cost 0 credits" in decision.why


def test_an_adopted_project_that_is_not_there_is_named_with_the_way_out():
    why = decided(BY_HAND, UNKNOWN).why
    assert all(part in why for part in ("p1", "Nothing was submitted", KEY, "clear the task"))


def test_what_the_api_said_is_passed_on_where_nothing_may_be_sent():
    assert decided(record(), trouble(503)).why == "Could not look: HTTP 503"


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param(Unreadable(), None, id="unreadable"),
        pytest.param(record(project_id=None), None, id="intent-alone"),
        pytest.param(record(), "p1", id="project"),
        pytest.param(record(fingerprint="v1:other"), None, id="other-request"),
        pytest.param(BY_HAND, "p1", id="put-there-by-hand"),
        pytest.param(record(fingerprint="v1:other", adopted=True), None, id="adopted-for-an-earlier-request"),
    ],
)
def test_only_a_project_of_this_request_is_looked_at(kept, expected):
    assert project_to_look_at(kept, FINGERPRINT) == expected


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


def test_no_record_is_none():
    assert read_record(None) is None


FULL = record(
    adopted=True,
    returned=returned(),
    uploads={
        "image_file_path": Upload(
            source="/data/a.png", file="sha256:aa", file_path="api-assets/1.png", uploaded_at=timestamp(NOW)
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
    left = FULL.without_submission()
    assert left.uploads == FULL.uploads
    assert set(left.to_json()) <= {"version", "adopted", "uploads"}
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
    assert FULL.uploads["image_file_path"].is_usable(file, NOW + age) is usable


@pytest.mark.parametrize("uploaded_at", ["", "yesterday", "2026-13-01T00:00:00"])
def test_an_upload_of_an_unreadable_time_is_not_used(uploaded_at):
    upload = Upload(source="/data/a.png", file="sha256:aa", file_path="p", uploaded_at=uploaded_at)
    assert not upload.is_usable("sha256:aa", NOW)


REQUEST = {
    "end_seconds": 5,
    "assets": {"image_file_path": "https://bucket.example.com/a.png?v=1"},
    "model": "kling-3.0",
    "resolution": "720p",
    "style": {"prompt": "ein Hund läuft"},
    "name": "shop.clip run a1b2",
}


def print_of(*, files=None, conn_id="magichour_default", host="https://api.magichour.ai", image=None, **changes):
    request = {**REQUEST, **changes}
    if image is not None:
        request["assets"] = {**request["assets"], "image_file_path": image}
    return fingerprint(Request(IMAGE_TO_VIDEO, request), files=files or {}, conn_id=conn_id, host=host)


def test_the_fingerprint_is_the_same_in_every_release():
    """A change of this digest makes every task in flight submit, and pay, again after an upgrade."""
    assert print_of() == "v1:bbe342377ff9e22468f963b9675639af3b789d1db3fd3d35cf9c9b73e498d97a"


def test_the_name_does_not_count():
    assert print_of(name="shop.clip run c3d4") == print_of()


def test_the_order_of_keys_does_not_count():
    reversed_request = {key: REQUEST[key] for key in reversed(REQUEST)}
    assert list(reversed_request) != list(REQUEST)
    request = Request(IMAGE_TO_VIDEO, reversed_request)
    assert fingerprint(request, files={}, conn_id="magichour_default", host="https://api.magichour.ai") == print_of()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"end_seconds": 6}, id="end_seconds"),
        pytest.param({"model": "veo3.1"}, id="model"),
        pytest.param({"resolution": "1080p"}, id="resolution"),
        pytest.param({"audio": False}, id="audio"),
        pytest.param({"style": {"prompt": "run"}}, id="prompt"),
        pytest.param({"seed": 7}, id="extra"),
        pytest.param({"image": "https://bucket.example.com/b.png?v=1"}, id="image"),
        pytest.param({"assets": {**REQUEST["assets"], "end_image_file_path": "b"}}, id="end_image"),
        pytest.param({"conn_id": "magichour_other"}, id="connection"),
        pytest.param({"host": "http://127.0.0.1:8000"}, id="host"),
    ],
)
def test_everything_else_counts(changes):
    assert print_of(**changes) != print_of()


SIGNATURES = {
    "s3": "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=K%2F20260901%2Fus&X-Amz-Date=20260901T000000Z"
    "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature=",
    "s3-version-2": "AWSAccessKeyId=K&Expires=1788220800&Signature=",
    "gcs": "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=c&X-Goog-Date=d&X-Goog-Expires=3600"
    "&X-Goog-SignedHeaders=host&X-Goog-Signature=",
    "gcs-version-2": "GoogleAccessId=a%40b&Expires=1788220800&Signature=",
    "azure": "sv=2025-01-05&st=2026-09-01T00%3A00%3A00Z&se=2026-09-02T00%3A00%3A00Z&sr=b&sp=r&spr=https&sig=",
    "azure-user-delegation": "skoid=o&sktid=t&skt=2026-09-01&ske=2026-09-02&sks=b&skv=2025-01-05&sv=v&sr=b&sp=r&sig=",
    "cloudfront": "Policy=p&Key-Pair-Id=K&Signature=",
    "cloudfront-canned": "Expires=1788220800&Key-Pair-Id=K&Signature=",
    "lower-case": "x-amz-date=d&x-amz-signature=",
}


@pytest.mark.parametrize("parameters", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_signing_a_url_again_does_not_count(parameters):
    plain = "https://bucket.example.com/a.png?v=1"
    prints = {print_of(image=f"{plain}&{parameters}{value}") for value in ("first", "second")}
    assert prints == {print_of(image=plain)}


@pytest.mark.parametrize("parameters", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_nothing_of_a_signature_is_left_in_what_is_recorded(parameters):
    signed = f"https://bucket.example.com/a.png?{parameters}secret"
    assert unsigned(signed) == "https://bucket.example.com/a.png"


@pytest.mark.parametrize("parameters", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_nothing_of_a_signed_query_is_left_in_what_a_person_may_read(parameters):
    signed = f"https://bucket.example.com/a.png?v=1&{parameters}secret"
    assert without_signatures(signed) == "https://bucket.example.com/a.png"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("?v=1", "?v=2", id="version"),
        pytest.param("?versionId=1&X-Amz-Signature=s", "?versionId=2&X-Amz-Signature=s", id="object-version"),
        pytest.param("?w=100", "?w=200", id="width"),
        pytest.param("?token=1", "?token=2", id="token"),
        pytest.param("?v=", "?", id="empty-value"),
        pytest.param("?id=1&id=2", "?id=1", id="repeated"),
        pytest.param("?response-content-type=a", "?response-content-type=b", id="response-header"),
    ],
)
def test_other_query_parameters_count(one, other):
    base = "https://bucket.example.com/a.png"
    assert print_of(image=base + one) != print_of(image=base + other)


@pytest.mark.parametrize("value", [None, 5, "", "api-assets/1.png", "s3://bucket/a.png", "https://x.example.com/a.png"])
def test_what_has_no_query_stays_as_it_is(value):
    assert unsigned(value) == value


def test_a_url_that_cannot_be_parsed_stays_as_it_is():
    assert unsigned("http://[bad/a.png?v=1") == "http://[bad/a.png?v=1"


def test_the_identity_of_a_file_counts_and_not_its_path():
    same = {"files": {"assets.image_file_path": "sha256:aa"}}
    assert print_of(image="/checkout-1/a.png", **same) == print_of(image="/checkout-2/a.png", **same)
    assert print_of(**same) != print_of(files={"assets.image_file_path": "sha256:bb"})
    assert print_of(**same) != print_of()


def test_each_file_counts_for_its_own_field():
    assets = {"image_file_path": "a.png", "end_image_file_path": "b.png"}
    first, last = "assets.image_file_path", "assets.end_image_file_path"
    one = print_of(assets=assets, files={first: "sha256:aa", last: "sha256:bb"})
    swapped = print_of(assets=assets, files={first: "sha256:bb", last: "sha256:aa"})
    assert one != swapped


def test_the_unsure_message_says_what_is_known_and_both_ways_out():
    text = unsure_message(record(project_id=None), "its answer was never recorded")
    parts = (
        "2026-09-01T11:00:00.000+00:00",
        "shop.clip[2] scheduled__2026-09-01 a1b2",
        "its answer was never recorded",
        '"end_seconds": 5',
        f'Put {{"project_id": "<its id>"}} into the key\n  {KEY} ',
        "delete that key and clear the task",
        "on_unsure_submission='resubmit'",
        "https://magichour.ai/my-library",
    )
    assert [part for part in parts if part not in text] == []


def test_the_unsure_message_needs_no_scrolling_but_for_the_request():
    lines = unsure_message(record(project_id=None), "its answer was never recorded").splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("Request: ")] == []


def test_the_unsure_message_shows_the_request_as_a_person_wrote_it():
    text = unsure_message(record(project_id=None, request={"style": {"prompt": "ein Hund läuft"}}), "why")
    assert "ein Hund läuft" in text


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(None, id="nothing"),
        pytest.param(Unreadable(), id="unreadable"),
        pytest.param(Record(intent_at=timestamp(NOW)), id="intent-alone"),
    ],
)
def test_the_unsure_message_does_not_show_what_is_not_known(kept):
    text = unsure_message(kept, "the record cannot be read")
    assert "None" not in text
    assert "null" not in text


@pytest.mark.parametrize("url", ["https://h.example/a.png?st=red", "https://h.example/a.png?policy=1&expires=2"])
def test_a_parameter_that_only_may_be_part_of_a_signature_counts_where_there_is_none(url):
    assert unsigned(url) == url


def test_a_login_in_a_url_is_not_remembered():
    assert unsigned("https://u:p@h.example/a.png") == "https://h.example/a.png"
