"""Paying once: what the next run of a task does about an earlier submission."""

from __future__ import annotations

import pytest

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.submission.decision import project_to_look_at, unsure_message
from airflow_provider_magichour.submission.record import (
    KEY,
    Record,
    Unreadable,
    timestamp,
)
from tests.scenes.records import FINGERPRINT, MAX_TRIES, NOW, decided, record, returned


def project(status, **fields):
    return Project.model_validate({"id": "p1", "status": status, "credits_charged": 240, **fields})


def complete():
    return project("complete", downloads=[{"url": "https://videos.example.com/output.mp4?sig=secret"}])


def trouble(status=None, *, own=False):
    return MagicHourApiError(f"Could not look: HTTP {status}", status_code=status, from_api=own)


UNKNOWN = trouble(404, own=True)
DELETED = project("complete", enabled=False)
BY_HAND = Record(project_id="p1")


@pytest.mark.parametrize(
    ("kept", "seen", "max_tries", "action"),
    [
        # Nothing is recorded.
        pytest.param(None, None, MAX_TRIES, "submit", id="nothing"),
        pytest.param(record().without_submission([FINGERPRINT]), None, MAX_TRIES, "submit", id="uploads-alone"),
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
        pytest.param(record(), project("error"), 9, "submit", id="error-cleared"),
        pytest.param(record(), project("canceled"), MAX_TRIES, "fail", id="canceled-retry"),
        pytest.param(record(), project("canceled"), 4, "submit", id="canceled-cleared"),
        pytest.param(record(max_tries=None), project("canceled"), 9, "fail", id="canceled-max-tries-not-noted"),
        pytest.param(BY_HAND, project("error"), MAX_TRIES, "fail", id="error-put-there-by-hand"),
        pytest.param(record(adopted=True), project("error"), MAX_TRIES, "fail", id="error-adopted"),
        pytest.param(record(adopted=True), project("error"), 9, "fail", id="error-adopted-cleared"),
        pytest.param(record(adopted=True), project("canceled"), 9, "fail", id="canceled-adopted-cleared"),
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
    assert project_to_look_at(kept, (FINGERPRINT,)) == expected


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


def test_what_was_paid_for_is_remembered_when_another_request_takes_its_place():
    (paid,) = record().without_submission([FINGERPRINT]).previous
    assert (paid.project_id, paid.fingerprint, paid.credits_charged) == ("p1", FINGERPRINT, 240)
    assert paid.submitted_at == record().submitted_at


def test_the_last_twenty_are_remembered():
    kept = record()
    for number in range(2, 30):
        kept = kept.without_submission([FINGERPRINT]).model_copy(
            update={"project_id": f"p{number}", "fingerprint": f"v2:{number}"}
        )
    assert [paid.project_id for paid in kept.previous] == [f"p{number}" for number in range(9, 29)]


def test_a_request_that_was_paid_for_before_finds_its_project_again():
    other = (
        record().without_submission([FINGERPRINT]).model_copy(update={"project_id": "p2", "fingerprint": "v2:other"})
    )
    recalled = other.recalled((FINGERPRINT,))
    assert recalled.project_id == "p1"
    assert [paid.project_id for paid in recalled.previous] == ["p2"]
    assert project_to_look_at(recalled, (FINGERPRINT,)) == "p1"
    assert decided(recalled, complete()).action == "return"
    assert recalled.recalled(("v2:other",)).project_id == "p2"


def test_a_refused_request_leaves_what_was_paid_for_to_be_found():
    refused = record().without_submission([FINGERPRINT])
    assert decided(refused.recalled(("v2:other",))).action == "submit"
    assert refused.recalled((FINGERPRINT,)).project_id == "p1"


def test_a_cleared_success_is_not_returned_in_place_of_a_new_one_that_was_refused():
    refused = record(returned=returned()).without_submission([FINGERPRINT])
    again = refused.recalled((FINGERPRINT,))
    assert decided(again, complete(), max_tries=9).action == "submit"


def test_an_intent_is_not_forgotten_for_a_request_that_is_known():
    unsure = (
        record()
        .without_submission([FINGERPRINT])
        .model_copy(update={"intent_at": timestamp(NOW), "fingerprint": "v2:other"})
    )
    assert unsure.recalled((FINGERPRINT,)) is unsure
    assert decided(unsure).action == "unsure"
