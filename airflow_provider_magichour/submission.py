"""Paying once: what is remembered of a submission, and what the next run of the task does about it. Pure.

The record is kept in Airflow's task state store under :data:`KEY`, as JSON that a person can read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.waiting import YOUNG
from airflow_provider_magichour.exceptions import MagicHourApiError

KEY = "magichour_submission"

UPLOAD_KEPT = 7 * 24 * 3600
"""Seconds for which Magic Hour keeps an uploaded file (inputs and outputs page, 2026-08-22)."""

UPLOAD_MARGIN = 3600
"""Seconds before that in which a remembered upload is no longer relied on."""

# Query parameters that change at each signing. The first two kinds are S3's and Google's own; the short names of Azure,
# CloudFront and others count only beside a signature, as they may mean anything elsewhere.
SIGNATURE_PARAMETERS = frozenset(
    "signature expires key-pair-id policy awsaccesskeyid ossaccesskeyid googleaccessid security-token "
    "se sp sv sr sig st spr skoid sktid skt ske sks skv ses sip".split()
)
SIGNATURE_PREFIXES = ("x-amz-", "x-goog-", "x-oss-")


class Upload(BaseModel):
    """A file that was uploaded for this task.

    :param source: where it was read.
    :param file: which bytes: size and checksum.
    :param file_path: where the API has them.
    :param uploaded_at: when (ISO 8601).
    """

    model_config = ConfigDict(frozen=True)

    source: str
    file: str
    file_path: str
    uploaded_at: str

    def is_usable(self, file: str, now: float) -> bool:
        """Whether the API still has these very bytes."""
        age = now - _epoch(self.uploaded_at)
        return self.file == file and 0 <= age < UPLOAD_KEPT - UPLOAD_MARGIN


class Returned(BaseModel):
    """Noted just before the task returns: with it a cleared success is told from a retry."""

    model_config = ConfigDict(frozen=True)

    project_id: str
    try_number: int
    max_tries: int


class Record(BaseModel):
    """What is remembered of a submission.

    :param intent_at: when the create was about to be sent (ISO 8601).
    :param name: the project's name in the library.
    :param request: what was sent, signatures removed.
    :param fingerprint: of the request.
    :param project_id: the API's answer; alone in a record, it was put there by a person to be adopted.
    :param submitted_at: when the API answered (ISO 8601).
    :param credits_charged: what the API said it costs.
    :param adopted: whether a person put the project id there.
    :param max_tries: of the task's last run.
    :param uploads: files already uploaded, by argument.
    :param returned: the result that the task has returned.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    intent_at: str | None = None
    name: str | None = None
    request: dict[str, Any] | None = None
    fingerprint: str | None = None
    project_id: str | None = Field(default=None, min_length=1)
    submitted_at: str | None = None
    credits_charged: int | None = None
    adopted: bool | None = None
    max_tries: int | None = None
    uploads: dict[str, Upload] = Field(default_factory=dict)
    returned: Returned | None = None

    @property
    def is_adoption(self) -> bool:
        """Whether a person put this id there; it belongs to whatever request the task makes."""
        return self.project_id is not None and self.intent_at is None and self.fingerprint is None

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)

    def without_submission(self) -> Record:
        """Return what is left when it is sure that no project exists: the uploads."""
        return Record(uploads=self.uploads)


class Unreadable:
    """A record that is there but cannot be read: a project may exist."""


def read_record(value: Any) -> Record | Unreadable | None:
    """Read what the state store holds; a plain project id counts as one to adopt."""
    if value is None:
        return None
    if isinstance(value, str) and value:
        value = _json_or({"project_id": value}, value)
    if isinstance(value, Mapping) and "version" not in value and "project_id" not in value:
        return Unreadable()
    try:
        return Record.model_validate(value)
    except ValidationError:
        return Unreadable()


def _json_or(default: Any, text: str) -> Any:
    """Airflow's REST API and UI may hand over an object as JSON text."""
    try:
        value = json.loads(text)
    except ValueError:
        return default
    return {"project_id": value} if isinstance(value, str) else value if isinstance(value, dict) else default


Action = Literal["submit", "reattach", "return", "unsure", "blocked", "fail"]


@dataclass(frozen=True)
class Decision:
    """What this run of the task does.

    :param action: ``submit`` anew; ``reattach`` to an active project; ``return`` a complete one; ``unsure``: a project
        may exist; ``blocked``: the API does not say, nothing may be sent; ``fail``: for good.
    :param why: one line for the log or the error.
    :param warn: whether the line is a warning.
    """

    action: Action
    why: str = ""
    warn: bool = False


def project_to_look_at(record: Record | Unreadable | None, fingerprint: str) -> str | None:
    """Return the id of the recorded project, when what the API says of it matters."""
    if not isinstance(record, Record) or record.project_id is None:
        return None
    return record.project_id if _is_ours(record, fingerprint) else None


def _is_ours(record: Record, fingerprint: str) -> bool:
    return record.fingerprint == fingerprint or record.is_adoption


def decide(
    record: Record | Unreadable | None,
    *,
    fingerprint: str,
    seen: Project | MagicHourApiError | None,
    max_tries: int,
    now: float,
) -> Decision:
    """Decide what this run of the task does about an earlier submission.

    :param record: what the state store holds.
    :param fingerprint: of the request that this run would send.
    :param seen: what the API says of the recorded project, or its error; None where there is nothing to ask.
    :param max_tries: of this run: an automatic retry leaves it, a clear sets it to tries used plus retries.
    :param now: seconds since the epoch.
    """
    if record is None:
        return Decision("submit")
    if isinstance(record, Unreadable):
        return Decision("unsure", f"the record {KEY} in the task state store cannot be read")
    if record.project_id is None:
        if record.intent_at is None:
            return Decision("submit")
        return Decision("unsure", "its answer was never recorded")
    if not _is_ours(record, fingerprint):
        return Decision(
            "submit",
            f"The request has changed since project {record.project_id} was submitted: submitting a new one. "
            f"The old one still exists and cost {_cost(record.credits_charged)}",
            warn=True,
        )
    if isinstance(seen, Project):
        return _about_project(record, seen, max_tries)
    return _about_error(record, seen, max_tries, now)


def _about_project(record: Record, project: Project, max_tries: int) -> Decision:
    cost = _cost(project.credits_charged)
    if project.is_deleted:
        return _about_missing(record, max_tries, "was deleted")
    if project.is_failed:
        return Decision(
            "submit", f"Project {project.id} ended as {project.status} and cost {cost}: submitting a new one"
        )
    if not project.is_complete:
        return Decision("reattach", f"Reattached to project {project.id}, {project.status}, {cost}")
    returned = record.returned
    if returned and returned.project_id == project.id and returned.max_tries != max_tries:
        return Decision(
            "submit",
            f"This task had returned project {project.id} ({cost}) and was cleared: submitting a new one",
            warn=True,
        )
    return Decision("return", f"Project {project.id} is complete, {cost}: returning it, nothing is submitted")


def _about_error(record: Record, error: MagicHourApiError | None, max_tries: int, now: float) -> Decision:
    if error is not None and error.status_code == 404 and error.from_api and not _is_young(record, now):
        return _about_missing(record, max_tries, "is not known to the API")
    return Decision("blocked", str(error))


def _is_young(record: Record, now: float) -> bool:
    return record.submitted_at is not None and abs(now - _epoch(record.submitted_at)) <= YOUNG


def _about_missing(record: Record, max_tries: int, what: str) -> Decision:
    if record.adopted or record.is_adoption:
        return Decision(
            "fail",
            f"The adopted project {record.project_id} {what}. Nothing was submitted. "
            f"Put the right id into {KEY}, or delete that key, and clear the task",
        )
    if record.max_tries is not None and max_tries > record.max_tries:
        return Decision(
            "submit",
            f"Project {record.project_id} ({_cost(record.credits_charged)}) {what} and the task was cleared: "
            "submitting a new one",
            warn=True,
        )
    return Decision("unsure", f"its project {record.project_id} {what}")


def _cost(credits: int | None) -> str:
    return "an unknown number of credits" if credits is None else f"{credits} credits"


def unsure_message(record: Record | Unreadable | None, why: str, *, resubmits: bool = False) -> str:
    """Say what is not known, and both ways out; in short lines, as Airflow's log page does not wrap them.

    :param record: what the state store holds.
    :param why: what became of the answer.
    :param resubmits: whether the next try submits anew by itself.
    """
    known = record if isinstance(record, Record) else Record()
    facts = [
        "It is not known whether Magic Hour made a project.",
        f"A create was sent at {known.intent_at or 'an unknown time'} and {why}.",
        f"Name: {known.name}" if known.name else "",
        f"Request: {json.dumps(known.request, ensure_ascii=False)}" if known.request else "",
    ]
    ways_out = [
        "Nothing more was sent, so nothing is paid twice.",
        f"Look for {'that name' if known.name else 'a clip of this task'} at https://magichour.ai/my-library.",
        '- It is there: adopt it. Put {"project_id": "<its id>"} into the key',
        f"  {KEY} of this task (tab Storage, or REST) and clear the task.",
        "- It is not: delete that key and clear the task. It submits anew.",
        "With on_unsure_submission='resubmit' it submits anew by itself, and may pay twice.",
    ]
    if resubmits:
        ways_out = ["The next try submits anew, as on_unsure_submission='resubmit' says, and may pay twice."]
    return "\n".join(line for line in [*facts, *ways_out] if line)


def fingerprint(request: Mapping[str, Any], *, files: Mapping[str, str], conn_id: str, host: str) -> str:
    """Return what tells one request from another, stable over releases.

    :param request: the body; its ``name`` does not count.
    :param files: identity of the bytes behind an asset field, by field name; replaces what the body says there.
    :param conn_id: the connection, as another account is another project.
    :param host: the API's base URL.
    """
    body = {key: value for key, value in request.items() if key != "name"}
    body["assets"] = {key: files.get(key, unsigned(value)) for key, value in request["assets"].items()}
    canonical = json.dumps(
        {"conn_id": conn_id, "host": host, "request": body},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return "v1:" + hashlib.sha256(canonical.encode()).hexdigest()


def unsigned(url: Any) -> Any:
    """Return a URL without known signature parameters and login: signing again must not pay again.

    For the fingerprint alone; a change of what is left would pay again for what is in flight.
    """
    if not isinstance(url, str) or "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    query = parse_qsl(parts.query, keep_blank_values=True)
    is_signed = any(key.lower() in ("sig", "signature") for key, _ in query)
    kept = [
        (key, value)
        for key, value in query
        if not key.lower().startswith(SIGNATURE_PREFIXES) and not (is_signed and key.lower() in SIGNATURE_PARAMETERS)
    ]
    return urlunsplit(parts._replace(query=urlencode(kept), netloc=parts.netloc.rpartition("@")[2]))


def timestamp(now: float) -> str:
    """Write seconds since the epoch as ISO 8601, UTC."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def _epoch(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
