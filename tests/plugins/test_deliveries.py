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
    EPOCH,
    Delivery,
    DeliveryRefusedError,
    earliest_record,
    event_extra,
    genuine_delivery,
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


@pytest.mark.parametrize("timestamp", ["", "soon", f"{NOW}", f"+{NOW:.0f}", f" {NOW:.0f}", "9" * 5000, "nan"])
def test_what_is_signed_with_a_timestamp_that_is_none_is_refused(timestamp):
    signature = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body(), hashlib.sha256).hexdigest()
    headers = {"magic-hour-event-signature": signature, "magic-hour-event-timestamp": timestamp}
    assert "it lacks" in str(refusal(body(), headers))


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
        (payload(id="../account", status="complete"), "project id"),
        (payload(id=7, status="complete"), "id"),
    ],
)
def test_what_is_signed_and_unreadable_is_refused(content, told):
    refused = refusal(content)
    assert refused.status == 400
    assert told in str(refused)
    assert "account" not in str(refused)


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


@pytest.mark.parametrize(
    ("created_at", "since"),
    [
        ("2026-11-20T08:00:00.000Z", datetime(2026, 11, 20, 7, 55, tzinfo=UTC)),
        ("2026-11-20T08:00:00", datetime(2026, 11, 20, 7, 55, tzinfo=UTC)),
        ("2026-11-20T09:00:00+01:00", datetime(2026, 11, 20, 7, 55, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", EPOCH),
        ("yesterday", EPOCH),
        (None, EPOCH),
    ],
)
def test_earlier_records_are_looked_for_from_the_projects_creation(created_at, since):
    project = Project(id="p1", status="complete", created_at=created_at)
    assert earliest_record(project, timedelta(minutes=5).total_seconds()) == since
