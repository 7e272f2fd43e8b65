"""A submission's record as an earlier run of the task has left it, and what the next one decides."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_magichour.submission.decision import decide
from airflow_provider_magichour.submission.record import (
    Record,
    Returned,
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


def decided(kept, seen=None, *, max_tries=MAX_TRIES, now=NOW):
    return decide(kept, fingerprints=(FINGERPRINT,), seen=seen, max_tries=max_tries, now=now)
