"""The record of a submission: what it holds, and where Airflow keeps it (task state store, Airflow 3.3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from airflow_provider_magichour.api.arguments import from_text
from airflow_provider_magichour.api.schemas import Discreet
from airflow_provider_magichour.exceptions import MagicHourError

log = logging.getLogger(__name__)

KEY = "magichour_submission"


UPLOAD_KEPT = 7 * 24 * 3600
"""Seconds for which Magic Hour keeps an uploaded file (inputs and outputs page, 2026-08-22)."""


PREVIOUS_KEPT = 20
"""How many earlier paid projects are remembered besides the current one."""

UPLOAD_MARGIN = 3600
"""Seconds before its expiry from which a remembered upload is no longer used."""


class Upload(Discreet):
    """A file that was uploaded for this task.

    :param source: where it was read.
    :param file: identity of its bytes: size and checksum, or what its store has instead.
    :param file_path: where the API has them.
    :param uploaded_at: when (ISO 8601).
    :param account: a digest of the connection, host and key that uploaded it: no other can use it; without one it is
        never reused.
    :param sha256: checksum of what was uploaded, to recognize the same bytes under another ETag.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    file: str
    file_path: str
    uploaded_at: str
    account: str | None = None
    sha256: str | None = None

    def is_usable(self, file: str, account: str, now: float) -> bool:
        """Whether the API still has these very bytes, for this account."""
        age = now - epoch(self.uploaded_at)
        return self.file == file and self.account == account and 0 <= age < UPLOAD_KEPT - UPLOAD_MARGIN


class Returned(Discreet):
    """Written once Airflow has recorded the task's success: tells a cleared success from a retry."""

    model_config = ConfigDict(frozen=True)

    project_id: str
    try_number: int
    max_tries: int


class Paid(Discreet):
    """A project that the task instance has paid for.

    :param project_id: the API's answer; alone in a record, a person put it there to be adopted.
    :param fingerprint: of the request.
    :param submitted_at: when the API answered (ISO 8601).
    :param credits_charged: what it costs, as the API said.
    :param adopted: whether a person put the project id there.
    :param max_tries: of the last run of the task that used it.
    :param returned: the result that the task has returned.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    project_id: str | None = Field(default=None, min_length=1)
    fingerprint: str | None = None
    submitted_at: str | None = None
    credits_charged: int | None = None
    adopted: bool | None = None
    max_tries: int | None = None
    returned: Returned | None = None


class Record(Paid):
    """What is remembered of a submission; the fields of :class:`Paid` are those of the current one.

    :param intent_at: when the create request was about to be sent (ISO 8601).
    :param name: the project's name in the library.
    :param request: what was sent, without queries of URLs.
    :param uploads: files already uploaded, by argument.
    :param previous: what this task instance has paid for before, newest last.
    :param gateway_failures: how many create requests since the last project got a gateway's 502 or 503.
    :param not_before: when the next create request may be sent (ISO 8601), after such an answer.
    """

    version: Literal[1] = 1
    intent_at: str | None = None
    name: str | None = None
    request: dict[str, Any] | None = None
    uploads: dict[str, Upload] = Field(default_factory=dict)
    previous: tuple[Paid, ...] = ()
    gateway_failures: int | None = None
    not_before: str | None = None

    @property
    def is_adoption(self) -> bool:
        """Whether a person put this id there; it counts for any request of the task."""
        return self.project_id is not None and self.intent_at is None and self.fingerprint is None

    @property
    def is_unsure(self) -> bool:
        """Whether a create request was about to be sent, and its answer is not known."""
        return self.intent_at is not None and self.project_id is None

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)

    def without_uploads(self) -> Record:
        """Return this record with uploads that are not reused; the identities of their bytes are kept."""
        spoilt = {name: upload.model_copy(update={"account": None}) for name, upload in self.uploads.items()}
        return self.model_copy(update={"uploads": spoilt})

    def without_submission(self, fingerprints: Sequence[str]) -> Record:
        """Return this record without a current project; what was paid for moves to ``previous``.

        ``returned`` is kept only with a project that is replaced by one of the same request: a user who goes back to an
        earlier request wants its project.

        :param fingerprints: of the current request, by the rules of all releases.
        """
        previous = self.previous
        if self.project_id is not None:
            paid = Paid.model_validate(self.model_dump(include=set(Paid.model_fields)))
            if self.fingerprint not in fingerprints:
                paid = paid.model_copy(update={"returned": None})
            previous = _newest_of(*previous, paid)
        return Record(
            uploads=self.uploads,
            previous=previous,
            gateway_failures=self.gateway_failures,
            not_before=self.not_before,
        )

    def recalled(self, fingerprints: Sequence[str]) -> Record:
        """Return this record, or if the task has paid for these fingerprints before, one about that project.

        :param fingerprints: of the current request, by the rules of all releases.
        """
        if self.is_unsure or self.is_adoption or self.fingerprint in fingerprints:
            return self
        known = next((paid for paid in reversed(self.previous) if paid.fingerprint in fingerprints), None)
        if known is None:
            return self
        others = tuple(paid for paid in self.previous if paid is not known)
        kept = self.model_copy(update={"previous": others}).without_submission(fingerprints)
        return kept.model_copy(update={name: getattr(known, name) for name in Paid.model_fields})


def _newest_of(*paid: Paid) -> tuple[Paid, ...]:
    """Return the projects to remember: those replaced by a later one of the same request are dropped first."""
    kept = list(paid)
    while len(kept) > PREVIOUS_KEPT:
        prints = [each.fingerprint for each in kept]
        del kept[next((at for at, each in enumerate(prints) if each in prints[at + 1 :]), 0)]
    return tuple(kept)


class Unreadable:
    """A record that is there but cannot be read: a project may exist.

    :param why: what is wrong with it, for messages.
    """

    def __init__(self, why: str = "cannot be read") -> None:
        self.why = why


def read_record(value: Any) -> Record | Unreadable:
    """Read what the state store holds; a plain project id counts as one to adopt."""
    if value is None:
        return Unreadable("is lost: the store has its key, but no value")
    if isinstance(value, str) and value:
        said = from_text(value)
        value = said if isinstance(said, dict) else {"project_id": said if isinstance(said, str) else value}
    names_project = isinstance(value, Mapping) and ("version" not in value or "project_id" in value)
    if names_project and value.get("project_id") is None:
        return Unreadable()  # null is never written by us
    try:
        return Record.model_validate(value)
    except ValidationError:
        return Unreadable()


def timestamp(now: float) -> str:
    """Write seconds since the epoch as ISO 8601, UTC."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def epoch(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


_keys: tuple[Any, dict[int, tuple[Any, str]]] = (None, {})


def key_for(ti: Any, operator: Any) -> str:
    """Return the key of an operator's record in the store of a task instance.

    A second operator inside one ``@task`` has a key of its own: otherwise each would take the other's project for that
    of a changed request.

    :param ti: the task instance; a process runs one at a time.
    :param operator: that submits.
    """
    global _keys
    if _keys[0] is not ti:
        _keys = (ti, {})
    taken = _keys[1]
    if id(operator) not in taken:
        key = KEY if not taken else f"{KEY}_{operator.task_id}"
        others = {each for _, each in taken.values()}
        number = 2
        while key in others:
            key, number = f"{KEY}_{operator.task_id}_{number}", number + 1
        taken[id(operator)] = (operator, key)
    return taken[id(operator)][1]


ABSENT = object()
"""What :meth:`Slot.value` returns for a missing key: None means that the store's backend has lost the value (Airflow
3.3.2)."""


class Slot:
    """One key of the task state store.

    :param store: Airflow's accessor, or None if there is none: then nothing is remembered.
    :param key: under which the store has it.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self.key = key

    def value(self) -> Any:
        """Return what the store holds; :data:`ABSENT` for a missing key.

        :raises MagicHourError: the store does not answer.
        """
        if self._store is None:
            return ABSENT
        try:
            return self._store.get(self.key, ABSENT)
        except Exception as error:
            raise MagicHourError(f"The task state store could not be read ({error})") from error

    def keep(self, value: Any) -> None:
        """Write a value that never expires; raises what the store raises.

        Airflow refuses the write of a task process that another one has replaced, so such a process cannot continue.
        """
        if self._store is None:
            return
        # Airflow 3.3 compares it by identity, so it has to be this very object.
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._store.set(self.key, value, retention=NEVER_EXPIRE)

    def remove(self) -> None:
        """Delete the key; raises what the store raises."""
        if self._store is not None:
            self._store.delete(self.key)


class Journal(Slot):
    """Read and write the record of one task instance; it survives retries, crashes and clears.

    :param store: Airflow's accessor, or None if there is none: then nothing is remembered.
    :param key: under which the store has it.
    """

    def __init__(self, store: Any, key: str = KEY) -> None:
        super().__init__(store, key)
        self._unwritten: Record | None = None

    def read(self) -> Record | Unreadable | None:
        """Return the record; None if there is none.

        :raises MagicHourError: the store does not answer.
        """
        value = self.value()
        return None if value is ABSENT else read_record(value)

    def write(self, record: Record) -> None:
        """Write the record; raises what the store raises."""
        self._unwritten = record
        self._put(record)
        self._unwritten = None

    def _put(self, record: Record) -> None:
        self.keep(record.to_json())

    def try_write(self, record: Record, otherwise: str) -> None:
        """Write the record, but let no failure stop a task that has paid.

        :param record: what to write.
        :param otherwise: the line to log at WARNING if it cannot be written.
        """
        try:
            self.write(record)
        except Exception as error:
            log.warning("%s (the task state store refused the write: %s)", otherwise, error)

    def settle(self) -> None:
        """Write what the store refused last, so that a brief outage loses nothing."""
        if self._unwritten is not None:
            self.try_write(self._unwritten, "The record of this submission could still not be written")
