"""What Magic Hour posts to a webhook: whether it is genuine, and what it says.

Source: the vendor's pages on webhooks and its webhook specification (August 2026). Deliveries have no id of their
own: a project's event is known by the project's id and the event's type. They come at least once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from airflow_provider_magichour.api.endpoints import PROJECT_ID
from airflow_provider_magichour.api.schemas import Project

SIGNATURE_HEADER = "magic-hour-event-signature"


TIMESTAMP_HEADER = "magic-hour-event-timestamp"


UNIX_SECONDS = re.compile(r"[0-9]{1,12}")


EPOCH = datetime.fromtimestamp(0, UTC)


class DeliveryRefusedError(Exception):
    """A delivery that must leave nothing behind; the message holds nothing that the sender chose.

    :param status: HTTP status of the answer.
    :param reason: what is wrong, for the log and the sender.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Delivery(BaseModel):
    """The body of a delivery. Older texts of the vendor's call the payload ``object``."""

    type: str
    payload: Any = Field(default=None, validation_alias=AliasChoices("payload", "object"))

    def video(self) -> Project:
        """Return the payload of a ``video.*`` event.

        :raises DeliveryRefusedError: it is no project.
        """
        try:
            project = Project.model_validate(self.payload)
        except ValidationError as error:
            raise _unreadable(error) from None
        if not PROJECT_ID.fullmatch(project.id):
            raise DeliveryRefusedError(400, "signed, but its project id is none")
        return project


def genuine_delivery(headers: Mapping[str, str], body: bytes, *, secret: str, tolerance: float, now: float) -> Delivery:
    """Return what a genuine, recent delivery says.

    :param headers: of the request, names in any case or in lower case.
    :param body: as received: the signature covers its bytes.
    :param secret: of the webhook.
    :param tolerance: seconds that the timestamp may lie before or after ``now``.
    :param now: Unix seconds.
    :raises DeliveryRefusedError: for everything else.
    """
    timestamp, signature = headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
    if not signature or not UNIX_SECONDS.fullmatch(timestamp):
        raise DeliveryRefusedError(401, f"it lacks {SIGNATURE_HEADER} or {TIMESTAMP_HEADER}")
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise DeliveryRefusedError(401, "its signature does not match")
    if abs(now - int(timestamp)) > tolerance:
        raise DeliveryRefusedError(
            401, f"its timestamp is {now - int(timestamp):.0f} s old; {tolerance:g} s are allowed"
        )
    try:
        return Delivery.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(error) from None


def _unreadable(error: ValidationError) -> DeliveryRefusedError:
    fields = sorted({".".join(map(str, each["loc"])) or "body" for each in error.errors()})
    return DeliveryRefusedError(400, f"signed, but unreadable: {', '.join(fields)}")


def event_extra(delivered: str, project: Project) -> dict[str, Any]:
    """Return the extra of the asset event: JSON only, never a URL with a signature.

    :param delivered: type of the delivery.
    """
    result = project.result("video")
    error = project.error
    return {
        "event": delivered,
        "project_id": project.id,
        "kind": "video",
        "status": project.status,
        "name": project.name,
        "type": project.type,
        **{key: result[key] for key in ("credits_charged", "width", "height", "fps", "created_at")},
        "error_code": project.failure_code,
        "error_message": error.message if error else None,
    }


def earliest_record(project: Project, tolerance: float) -> datetime:
    """Return the earliest time at which an event of this project can have been recorded.

    No event is older than its project, and our clock is within the tolerance of the sender's, or every delivery
    would be refused.
    """
    try:
        created = datetime.fromisoformat(project.created_at or "")
        return (created if created.tzinfo else created.replace(tzinfo=UTC)) - timedelta(seconds=tolerance)
    except (ValueError, OverflowError):
        return EPOCH
