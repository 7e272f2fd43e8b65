"""The record of a submission: what is remembered, and where Airflow keeps it (task state store, Airflow 3.3)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from airflow_provider_magichour.api.schemas import Discreet

log = logging.getLogger(__name__)

KEY = "magichour_submission"


UPLOAD_KEPT = 7 * 24 * 3600
"""Seconds for which Magic Hour keeps an uploaded file (inputs and outputs page, 2026-08-22)."""


UPLOAD_MARGIN = 3600
"""Seconds before that in which a remembered upload is no longer relied on."""


class Upload(Discreet):
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
        age = now - epoch(self.uploaded_at)
        return self.file == file and 0 <= age < UPLOAD_KEPT - UPLOAD_MARGIN


class Returned(Discreet):
    """Noted just before the task returns: with it a cleared success is told from a retry."""

    model_config = ConfigDict(frozen=True)

    project_id: str
    try_number: int
    max_tries: int


class Record(Discreet):
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


def timestamp(now: float) -> str:
    """Write seconds since the epoch as ISO 8601, UTC."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def epoch(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


class Journal:
    """Read and write the record of one task instance; it survives retries, crashes and clears.

    :param store: Airflow's accessor, or None where there is none: then nothing is remembered.
    :param key: under which the store has it.
    """

    def __init__(self, store: Any, key: str = KEY) -> None:
        self._store = store
        self._key = key

    def read(self) -> Record | Unreadable | None:
        return None if self._store is None else read_record(self._store.get(self._key))

    def write(self, record: Record) -> None:
        """Write the record; raises what the store raises.

        Airflow refuses the write of a task process that another one has replaced, so such a process cannot go on.
        """
        if self._store is None:
            return
        # Compared by identity in 3.3, so it has to be this very object.
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._store.set(self._key, record.to_json(), retention=NEVER_EXPIRE)

    def try_write(self, record: Record, otherwise: str) -> None:
        """Write the record where a failure must not stop what has been paid for.

        :param record: what to write.
        :param otherwise: the line to log at WARNING when it cannot be written.
        """
        try:
            self.write(record)
        except Exception as error:
            log.warning("%s (the task state store refused the write: %s)", otherwise, error)
