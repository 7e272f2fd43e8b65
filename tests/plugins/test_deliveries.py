"""Whether a webhook delivery is genuine, and what it says."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.plugins.deliveries import (
    MOST_BYTES,
    Delivery,
    DeliveryRefusedError,
    bounded_tolerance,
    check_headers,
    earliest_record,
    event_extra,
    genuine_delivery,
    sender,
)
from tests.scenes.webhooks import SECRET, body, signed

NOW = 1_730_742_038.0


def read(content: bytes, headers: dict[str, str] | None = None, **changes: Any) -> Delivery:
    headers = signed(content, at=NOW) if headers is None else headers
    return genuine_delivery(headers, content, **{"secret": SECRET, "tolerance": 300, "now": NOW} | changes)


def refusal(content: bytes, headers: dict[str, str] | None = None, **changes: Any) -> DeliveryRefusedError:
    with pytest.raises(DeliveryRefusedError) as refused:
        read(content, headers, **changes).video()
    return refused.value


def test_the_signature_is_that_of_the_vendors_page():
    content = b'{"type":"video.started","payload":{}}'
    # printf '1730742038.{"type":"video.started","payload":{}}' | openssl dgst -sha256 -hmac whsec_abc
    headers = {
        "magic-hour-event-timestamp": "1730742038",
        "magic-hour-event-signature": "cdc06ef0d8aafce45591c3c0fa912df097d38bc206478206941815fa05fbe0c1",
    }
    assert read(content, headers, secret="whsec_abc").type == "video.started"


def test_a_genuine_delivery_is_read():
    delivery = read(body())
    assert (delivery.type, delivery.video().id) == ("video.completed", "clip1")


def test_the_older_shape_is_read():
    content = json.dumps({"type": "video.completed", "object": {"id": "p1", "status": "complete"}}).encode()
    assert read(content).video().id == "p1"


@pytest.mark.parametrize("age", [300, -300])
def test_a_delivery_at_the_edge_of_the_window_is_taken(age):
    assert read(body(), now=NOW + age)


@pytest.mark.parametrize("age", [301, -301, 86_400])
def test_a_delivery_outside_the_window_is_refused(age):
    refused = refusal(body(), now=NOW + age)
    assert refused.status == 401
    assert str(refused) == f"its timestamp is {age} s old; 300 s are allowed"


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in signed(body(), at=NOW).items() if key != name}


def instead(name: str, value: str) -> dict[str, str]:
    return signed(body(), at=NOW) | {name: value}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param(without("magic-hour-event-signature"), id="no signature"),
        pytest.param(without("magic-hour-event-timestamp"), id="no timestamp"),
        pytest.param(instead("magic-hour-event-signature", ""), id="empty signature"),
        pytest.param(instead("magic-hour-event-signature", "0" * 64), id="wrong signature"),
        pytest.param(instead("magic-hour-event-signature", "ä" * 64), id="signature not ASCII"),
        pytest.param(instead("magic-hour-event-timestamp", str(int(NOW) + 1)), id="other timestamp"),
        pytest.param(signed(body() + b" ", at=NOW), id="signature of another body"),
        pytest.param(signed(body(), secret="whsec_other", at=NOW), id="signature with another secret"),
    ],
)
def test_what_is_not_signed_is_refused(headers):
    assert refusal(body(), headers).status == 401


NONE = "its timestamp is not a whole number of Unix seconds"
FINER = "its timestamp is in milliseconds or finer; Unix seconds are needed"


@pytest.mark.parametrize(
    ("timestamp", "told"),
    [
        ("", "it lacks magic-hour-event-signature or magic-hour-event-timestamp"),
        ("soon", NONE),
        (f"{NOW}", NONE),
        (f"+{NOW:.0f}", NONE),
        (f" {NOW:.0f}", NONE),
        ("9" * 5000, NONE),
        ("٣" * 10, NONE),
        ("nan", NONE),
        (f"{NOW * 1e3:.0f}", FINER),
        (f"{NOW * 1e6:.0f}", FINER),
        (f"{NOW * 1e9:.0f}", FINER),
    ],
)
def test_what_is_signed_with_a_timestamp_that_is_none_is_refused_with_a_word_of_its_own(timestamp, told):
    signature = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body(), hashlib.sha256).hexdigest()
    headers = {"magic-hour-event-signature": signature, "magic-hour-event-timestamp": timestamp}
    assert str(refusal(body(), headers)) == told


@pytest.mark.parametrize(
    ("length", "status"), [("x", 400), ("", 400), ("-1", 400), ("9" * 5000, 400), (str(MOST_BYTES + 1), 413)]
)
def test_a_length_is_judged_without_the_body(length, status):
    with pytest.raises(DeliveryRefusedError) as refused:
        check_headers(signed(b"", at=NOW) | {"content-length": length}, tolerance=300, now=NOW)
    assert refused.value.status == status


def test_a_secret_of_any_bytes_signs():
    secret = b"whsec_\xff".decode(errors="surrogateescape")  # as Python reads an environment variable
    signature = hmac.new(b"whsec_\xff", f"{NOW:.0f}.".encode() + body(), hashlib.sha256).hexdigest()
    assert read(body(), instead("magic-hour-event-signature", signature), secret=secret).video().id == "clip1"


def payload(**fields: Any) -> bytes:
    return json.dumps({"type": "video.completed", "payload": fields}).encode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "body"),
        (b"hello", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 100_000, "body"),
        (b"[]", "body"),
        (b"{}", "type"),
        (b'{"type": 5}', "type"),
        (b'{"type": "video.completed"}', "body"),
        (b'{"type": "video.completed", "payload": []}', "body"),
        (payload(id="p1"), "status"),
        (payload(status="complete"), "id"),
        (payload(id="", status="complete"), "id"),
        (payload(id=7.5, status="complete"), "id"),
    ],
)
def test_what_is_signed_and_unreadable_is_refused(content, told):
    refused = refusal(content)
    assert refused.status == 400
    assert told in str(refused)


@pytest.mark.parametrize("project_id", ["../account", "a b", "clip/1:2=3", "ü", "x" * 5000, "two\nlines"])
def test_an_id_is_any_text(project_id):
    assert event_extra("video.completed", read(payload(id=project_id, status="complete")).video())["project_id"] == (
        project_id
    )


@pytest.mark.parametrize(
    ("name", "read_as"),
    [
        pytest.param(rb"half \ud83d of it", "half \ufffd of it", id="half an emoji"),
        pytest.param(rb"\ud83d\ude00", "\N{GRINNING FACE}", id="a whole one"),
        pytest.param(b"a\tb\x01\n", "a\tb\x01\n", id="control characters"),
        pytest.param(b"\x00\\u0000", "\ufffd\ufffd", id="what PostgreSQL cannot hold"),
        pytest.param(b"caf\xe9", "caf\ufffd", id="a bad byte"),
    ],
)
def test_a_name_that_is_no_proper_text_spoils_nothing_else(name, read_as):
    extra = event_extra("video.completed", read(body().replace(b"A cat", name)).video())
    assert (extra["project_id"], extra["credits_charged"], extra["name"]) == ("clip1", 240, read_as)
    json.dumps(extra, ensure_ascii=False).encode()


@pytest.mark.parametrize("number", [b"9" * 5000, b"1e999", b"-Infinity", b"NaN", b"9" * 41])
def test_a_number_beyond_reason_spoils_nothing_else(number):
    content = body().replace(b'"credits_charged": 240', b'"credits_charged": ' + number)
    assert event_extra("video.completed", read(content).video())["credits_charged"] is None


def test_an_event_tells_what_a_dag_needs_and_no_url():
    project = read(body()).video()
    extra = event_extra("video.completed", project)
    assert extra == {
        "event": "video.completed",
        "project_id": "clip1",
        "kind": "video",
        "status": "complete",
        "name": "A cat",
        "type": "IMAGE_TO_VIDEO",
        "credits_charged": 240,
        "width": 512,
        "height": 960,
        "fps": 30.0,
        "created_at": "2026-11-20T08:00:00.000Z",
        "error_code": None,
        "error_message": None,
    }
    assert json.loads(json.dumps(extra)) == extra


def test_an_event_of_a_failed_video_tells_why_without_signatures():
    error = {"code": "invalid_file_format", "message": "cannot read https://bucket/cat.jpg?Signature=s1gned at all"}
    extra = event_extra("video.errored", read(body("video.errored", error=error)).video())
    assert (extra["status"], extra["error_code"]) == ("error", "invalid_file_format")
    assert extra["error_message"] == "cannot read https://bucket/cat.jpg?... at all"


def test_numbers_that_json_does_not_know_are_not_passed_on():
    content = body().replace(b'"fps": 30', b'"fps": NaN')
    assert event_extra("video.completed", read(content).video())["fps"] is None


MORNING = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
A_DAY_EARLIER = MORNING - timedelta(hours=24, minutes=10)


@pytest.mark.parametrize(
    ("created_at", "since"),
    [
        ("2026-11-20T08:00:00.000Z", datetime(2026, 11, 20, 7, 55, tzinfo=UTC)),
        ("2026-11-20T08:00:00", datetime(2026, 11, 20, 7, 55, tzinfo=UTC)),
        ("2026-11-20T09:00:00+01:00", datetime(2026, 11, 20, 7, 55, tzinfo=UTC)),
        ("2026-11-21T08:05:00Z", datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),
        pytest.param("2026-11-21T08:05:01Z", A_DAY_EARLIER, id="not made yet"),
        ("9999-12-31T23:59:59-23:00", A_DAY_EARLIER),
        ("0001-01-01T00:00:00Z", A_DAY_EARLIER),
        ("yesterday", A_DAY_EARLIER),
        (None, A_DAY_EARLIER),
    ],
)
def test_earlier_records_are_looked_for_from_the_projects_creation(created_at, since):
    project = Project(id="p1", status="complete", created_at=created_at)
    assert earliest_record(project, timedelta(minutes=5).total_seconds(), MORNING) == since


@pytest.mark.parametrize(
    ("host", "logged"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%\nERROR forged", "fe80::1"),
        ("203.0.113.7\nERROR forged", "an unknown address"),
        ("203.0.113.7, 10.0.0.1", "an unknown address"),
        ("testclient", "an unknown address"),
        ("", "an unknown address"),
        (None, "an unknown address"),
    ],
)
def test_the_log_names_an_address_or_none(host, logged):
    assert sender(host) == logged


@pytest.mark.parametrize("configured", ["nan", "inf", "-inf", "-1", "0", "1e300", "172801", "", "soon", "5 min"])
def test_a_tolerance_without_bounds_is_none(configured):
    assert bounded_tolerance(configured) is None


@pytest.mark.parametrize("configured", ["300", " 0.5", "86400", "172800.0"])
def test_a_tolerance_up_to_two_days_is_taken(configured):
    assert bounded_tolerance(configured) == float(configured)
