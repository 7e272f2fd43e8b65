"""Deliveries of Magic Hour's webhook: whether one is genuine, and what it says.

Source: the vendor's pages on webhooks and its webhook specification (August 2026). Deliveries have no id: a project's
event is identified by the project's id and the event's type. Each comes at least once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from pydantic import AliasChoices, Field, ValidationError

from airflow_provider_magichour.api.schemas import Discreet, Project
from airflow_provider_magichour.api.texts import loads

ASSETS = {"video.completed": "magichour://videos/completed", "video.errored": "magichour://videos/errored"}
"""URI of the asset that gets the event, by the type of the delivery; all other types are ignored."""

SIGNATURE_HEADER = "magic-hour-event-signature"


TIMESTAMP_HEADER = "magic-hour-event-timestamp"


HMAC = re.compile(r"[0-9a-f]{64}")


UNIX_SECONDS = re.compile(r"[0-9]{1,12}")


FINER_THAN_SECONDS = re.compile(r"[0-9]{13,19}")


LENGTH = re.compile(r"[0-9]{1,12}")


# A delivery is some 2 kB.
MOST_BYTES = 256 * 1024


# The vendor repeats a delivery for this long.
REPEATED = timedelta(hours=24)


DEFAULT_TOLERANCE = 300.0


# Twice what a repeated delivery needs if it keeps its first timestamp. A recorded one can be replayed for as long.
MOST_TOLERANCE = 172_800.0


class DeliveryRefusedError(Exception):
    """A delivery that must have no effect; the message contains nothing that the sender chose.

    :param status: HTTP status of the answer.
    :param reason: what is wrong, for the log and the sender.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Delivery(Discreet):
    """The body of a delivery. Older pages of the vendor call the payload ``object``."""

    type: str
    payload: Any = Field(default=None, validation_alias=AliasChoices("payload", "object"))

    def video(self) -> Project:
        """Return the payload of a ``video.*`` event.

        :raises DeliveryRefusedError: it is not a project.
        """
        try:
            return Project.model_validate(self.payload)
        except ValidationError as error:
            raise _unreadable(error) from None


def check_headers(headers: Mapping[str, str], *, tolerance: float, now: float) -> None:
    """Refuse what cannot be a genuine, recent delivery, before its body is read.

    :param headers: of the request, names in any case or in lower case.
    :param tolerance: seconds that the timestamp may lie before or after ``now``.
    :param now: Unix seconds.
    :raises DeliveryRefusedError: naming the header.
    """
    timestamp, signature = headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
    if not signature or not timestamp:
        raise DeliveryRefusedError(401, f"it lacks {SIGNATURE_HEADER} or {TIMESTAMP_HEADER}")
    if not HMAC.fullmatch(signature):
        raise DeliveryRefusedError(401, "its signature is not 64 hexadecimal digits in lower case")
    if FINER_THAN_SECONDS.fullmatch(timestamp):
        raise DeliveryRefusedError(401, "its timestamp is in milliseconds or finer; Unix seconds are needed")
    if not UNIX_SECONDS.fullmatch(timestamp):
        raise DeliveryRefusedError(401, "its timestamp is not a whole number of Unix seconds")
    age = now - int(timestamp)
    if not abs(age) <= tolerance:
        raise DeliveryRefusedError(401, f"its timestamp is {age:.0f} s old; {tolerance:g} s are allowed")
    length = headers.get("content-length", "0")
    if not LENGTH.fullmatch(length):
        raise DeliveryRefusedError(400, "its content-length is not a number of bytes")
    check_size(int(length))


def check_size(size: int) -> None:
    """Refuse a body that is larger than any delivery.

    :raises DeliveryRefusedError: it is too large.
    """
    if size > MOST_BYTES:
        raise DeliveryRefusedError(413, f"its body is larger than {MOST_BYTES // 1024} KiB")


def genuine_delivery(headers: Mapping[str, str], body: bytes, *, secret: str, tolerance: float, now: float) -> Delivery:
    """Return what a genuine, recent delivery says.

    :param headers: as for :func:`check_headers`, like ``tolerance`` and ``now``.
    :param body: as received: the signature covers its bytes.
    :param secret: of the webhook.
    :raises DeliveryRefusedError: for everything else.
    """
    check_headers(headers, tolerance=tolerance, now=now)
    # An environment variable may hold any bytes; this undoes Python's way of reading them.
    key = secret.encode("utf-8", "surrogateescape")
    expected = hmac.new(key, headers[TIMESTAMP_HEADER].encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, headers[SIGNATURE_HEADER]):
        raise DeliveryRefusedError(401, "its signature does not match")
    try:
        return Delivery.model_validate(loads(body))
    except ValidationError as error:
        raise _unreadable(error) from None
    except ValueError:
        raise DeliveryRefusedError(400, "signed, but unreadable: body") from None


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


def earliest_record(project: Project, tolerance: float, now: datetime) -> datetime:
    """Return the earliest time at which an event of this project can have been recorded.

    No event is older than its project, and our clock is within the tolerance of the sender's, or every delivery would
    be refused. If a project has no creation date, an event can be as old as its first delivery.
    """
    clocks = timedelta(seconds=tolerance)
    try:
        created = datetime.fromisoformat(project.created_at or "")
        created = created if created.tzinfo else created.replace(tzinfo=UTC)
        if created <= now + clocks:
            return created.astimezone(UTC) - clocks
    except (ValueError, OverflowError):
        pass
    return now - REPEATED - 2 * clocks


def sender(host: str | None) -> str:
    """Return the address of a client for the log: behind a proxy it may be any text that the client chose.

    :param host: from the server.
    """
    try:
        # After the percent sign of an IPv6 address any text may follow, too.
        return str(ip_address((host or "").partition("%")[0]))
    except ValueError:
        return "an unknown address"


def bounded_tolerance(configured: str) -> float | None:
    """Return a configured tolerance; None if it is not a number of seconds, or out of bounds."""
    try:
        seconds = float(configured)
    except ValueError:
        return None
    return seconds if 0 < seconds <= MOST_TOLERANCE else None
