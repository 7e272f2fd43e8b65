"""What is remembered of a batch: a header, and its items in chunks that a person can read in the tab Storage."""

from __future__ import annotations

import json
import logging
import queue
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Literal

from pydantic import Field, ValidationError

from airflow_provider_magichour.api.schemas import Discreet
from airflow_provider_magichour.batch.purse import Share
from airflow_provider_magichour.exceptions import MagicHourError, MagicHourUnsureSubmissionError
from airflow_provider_magichour.submission.record import ABSENT, Journal, Record, Returned, Slot, Unreadable

log = logging.getLogger(__name__)

KEY = "magichour_batch"
ADOPT = "magichour_batch_adopt"

CHUNK = 100
"""Items under one key: what is written costs by the number of its values (16 to 40 ms of CPU for 200 items, 3.3.2)."""

LARGEST = 60_000
"""Bytes of one value: what is larger can be edited neither by REST nor in the UI (Airflow 3.3.2: 65,534 characters)."""

LONGEST_TOLD = 200
"""Characters of an item's error that are kept."""

PREVIOUS_KEPT = 2
"""Earlier projects of one item that are kept."""

LINGER = 0.25
"""Seconds that a write waits for those of other threads, to be one with them."""

Status = Literal["in_flight", "complete", "failed", "rejected", "unsure", "overdue", "not_submitted"]
"""What became of an item; the one that is none of a result's is ``in_flight``."""


class Entry(Record):
    """What is remembered of one item; besides what a single task remembers of its submission:

    :param status: None where the item is to be submitted.
    :param line: digest of what the manifest said.
    :param tried: the task's try that had to do with it last.
    :param attempts: how many projects were made for it.
    :param failures: how many of them failed in that try.
    :param spent: credits that earlier projects of it cost.
    :param estimate: credits that a project is expected to cost whose cost is not known.
    :param error: a code and what went wrong.
    :param files: names of what was written.
    """

    status: Status | None = None
    line: str | None = None
    tried: int = 0
    attempts: int = 0
    failures: int = 0
    spent: int = 0
    estimate: int | None = None
    error: tuple[str | None, str] | None = None
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def cost(self) -> int:
        """Credits that the item has cost, or may have."""
        known = self.credits_charged if self.project_id is not None else None
        may_cost = self.project_id is not None or self.is_unsure
        return self.spent + (known if known is not None else (self.estimate or 0) if may_cost else 0)

    def with_record(self, record: Record) -> Entry:
        """Return this entry with another submission: what a replaced project cost is added up."""
        new = {name: getattr(record, name) for name in Record.model_fields}
        is_replaced = self.project_id is not None and record.project_id != self.project_id
        spent = self.spent + (self.credits_charged or 0) if is_replaced else self.spent
        attempts = self.attempts + (record.project_id is not None and self.is_unsure)
        new |= {"request": None, "previous": record.previous[-PREVIOUS_KEPT:], "spent": spent, "attempts": attempts}
        if record.project_id is not None:
            new["uploads"] = {}  # a chunk holds a hundred of these
        return self.model_copy(update=new)

    def ended(self, status: Status | None, code: str | None = None, message: str = "") -> Entry:
        """Return this entry with what became of it."""
        error = (code, message[:LONGEST_TOLD]) if message else None
        return self.model_copy(update={"status": status, "error": error})


class Noted(Discreet):
    """The run of the task that Airflow has taken as succeeded."""

    try_number: int
    max_tries: int


class Header(Discreet):
    """What is remembered of the whole.

    :param digest: of what the manifest said when this try began.
    :param chunks: how many there are.
    :param begun: how many of them hold more than ids: later ones need not be read.
    :param sealed: counts of the chunks in which this try has nothing more to do, by number.
    :param tried: the task's try that wrote this.
    :param max_tries: of that try: a clear raises it.
    :param began_at: of that try, in seconds since the epoch.
    :param redo_since: the try in which a person had everything made anew.
    :param returned: noted once Airflow has taken the task as succeeded.
    :param stop: why this try submits nothing more.
    """

    version: Literal[1] = 1
    digest: str = ""
    chunks: int = 0
    begun: int = 0
    sealed: dict[str, dict[str, int]] = Field(default_factory=dict)
    tried: int = 0
    max_tries: int = 0
    began_at: float = 0.0
    redo_since: int | None = None
    returned: Noted | None = None
    stop: str | None = None


def counted(entries: Sequence[Entry]) -> dict[str, int]:
    """Count items by what became of them, and their credits."""
    counts = Counter[str](entry.status or "waiting" for entry in entries)
    return {**counts, "credits": sum(entry.cost for entry in entries)}


class Ledger:
    """Reads and writes the record of a batch. The store is written to by the thread that calls :meth:`serve` alone.

    :param store: Airflow's accessor; None remembers for the life of the process.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.header = Header()
        self.entries: dict[str, Entry] = {}
        self.chunks: dict[int, list[str]] = {}
        self._chunk_of: dict[str, int] = {}
        self._dirty: set[int] = set()
        self._wanted: queue.SimpleQueue[tuple[str, Entry, Future[None]]] = queue.SimpleQueue()

    def open(self) -> bool:
        """Read the header; return whether there is one.

        :raises MagicHourError: when the store does not answer.
        """
        value = Slot(self._store, KEY).value()
        if value is ABSENT:
            return False
        try:
            self.header = Header.model_validate(_object(value))
        except ValidationError:
            self.header = Header(chunks=self._found())
        return True

    def _found(self) -> int:
        number = 0
        while Slot(self._store, _key(number)).value() is not ABSENT:
            number += 1
        return number

    def load(self, number: int) -> None:
        """Read a chunk; one that a person has deleted is empty.

        :raises MagicHourUnsureSubmissionError: it is lost, or cannot be read.
        """
        value = Slot(self._store, _key(number)).value()
        if value is ABSENT:
            return
        items = _object(value)
        if not isinstance(items, dict):
            raise MagicHourUnsureSubmissionError(
                f"The record {_key(number)} of up to {CHUNK} items in the task state store is lost or cannot be read.\n"
                "It is not known what was made of them, so nothing was sent.\n"
                "If you know that nothing was made, delete that key (tab Storage, or REST) and clear the task:\n"
                "it submits those items anew."
            )
        for item_id, each in items.items():
            self._place(item_id, number)
            self.entries[item_id] = _entry(each)

    def _place(self, item_id: str, number: int) -> None:
        self._chunk_of[item_id] = number
        self.chunks.setdefault(number, []).append(item_id)

    def add(self, item_ids: Sequence[str]) -> None:
        """Remember new items, none of which is made yet; they are written with the next flush."""
        for first in range(0, len(item_ids), CHUNK):
            for item_id in item_ids[first : first + CHUNK]:
                self._place(item_id, self.header.chunks)
                self.put(item_id, Entry())
            self.header.chunks += 1

    def chunk_of(self, item_id: str) -> int:
        return self._chunk_of[item_id]

    def put(self, item_id: str, entry: Entry) -> None:
        """Change an entry; it is written with the next flush."""
        self.entries[item_id] = entry
        self._dirty.add(self._chunk_of[item_id])

    def commit(self, item_id: str, entry: Entry) -> None:
        """Write an entry, from another thread: returns once it is stored; raises what the store raises."""
        stored: Future[None] = Future()
        self._wanted.put((item_id, entry, stored))
        stored.result()

    def serve(self, others: int, patience: float) -> None:
        """Write what other threads commit: several at a time, as each write costs the same.

        :param others: how many threads may have something to commit.
        :param patience: seconds to wait for the first.
        """
        waiting = list(self._gathered(others, patience))
        for item_id, entry, _ in waiting:
            self.put(item_id, entry)
        try:
            self.flush() if waiting else None
        except BaseException as error:
            refused = error if isinstance(error, Exception) else MagicHourError("the task was ended")
            for _, _, stored in waiting:
                stored.set_exception(refused)
            if not isinstance(error, Exception):
                raise
        else:
            for _, _, stored in waiting:
                stored.set_result(None)

    def _gathered(self, others: int, patience: float) -> Iterator[tuple[str, Entry, Future[None]]]:
        until = time.monotonic() + LINGER
        for number in range(max(others, 1)):
            try:
                yield self._wanted.get(timeout=patience if not number else max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return

    def flush(self) -> None:
        """Write the chunks that have changed; raises what the store raises."""
        for number in sorted(self._dirty):
            Slot(self._store, _key(number)).keep(self._chunk(number))
            self._dirty.discard(number)

    def _chunk(self, number: int) -> dict[str, Any]:
        """Return what is written of a chunk: where it is too large, without what can be done without."""
        entries = {item_id: self.entries[item_id] for item_id in self.chunks[number]}
        spared: dict[str, Any] = {}
        for spare in ("", "uploads", "previous", "error"):
            spared |= {spare: Entry.model_fields[spare].get_default(call_default_factory=True)} if spare else {}
            written = {item_id: entry.model_copy(update=spared).to_json() for item_id, entry in entries.items()}
            if len(json.dumps(written)) <= LARGEST:
                break
        return written

    def seal(self) -> None:
        """Write all, and the header last: which chunks a later leg of this try need not read."""
        self.flush()
        for number in range(self.header.begun):
            if number in self.chunks and str(number) not in self.header.sealed:
                entries = [self.entries[item_id] for item_id in self.chunks[number]]
                if all(entry.status not in (None, "in_flight") for entry in entries):
                    self.header.sealed[str(number)] = counted(entries)
        Slot(self._store, KEY).keep(self.header.model_dump(mode="json", exclude_none=True))

    def note_returned(self, try_number: int, max_tries: int) -> None:
        """Note that Airflow has taken the task as succeeded, so that a clear of that can be told from a retry."""
        self.header.returned = Noted(try_number=try_number, max_tries=max_tries)
        try:
            self.seal()
        except Exception as error:
            log.warning("The success could not be noted (%s): a clear with redo='all' makes nothing anew", error)

    def counts(self, ids: Collection[str]) -> dict[str, int]:
        """Count all items by what became of them, without reading sealed chunks.

        :param ids: of the items that are wanted.
        """
        total = Counter(counted([entry for item_id, entry in self.entries.items() if item_id in ids]))
        for number, counts in self.header.sealed.items():
            if int(number) not in self.chunks:
                total.update(counts)
        waiting = len(ids) - sum(count for status, count in total.items() if status not in ("credits", "waiting"))
        return {**total, "waiting": max(waiting, 0)}

    def adoptions(self) -> dict[str, Any]:
        """Return what a person has put into the key for adoptions; {} for nothing, or what cannot be read."""
        value = Slot(self._store, ADOPT).value()
        adopted = {} if value is ABSENT else _object(value)
        if not isinstance(adopted, dict):
            log.warning('%s cannot be read: {"<item id>": "<project id>"} is needed, or null for the id', ADOPT)
            return {}
        return adopted

    def forget_adoptions(self, left: dict[str, Any]) -> None:
        """Remove the key for adoptions, or what was taken of it."""
        slot = Slot(self._store, ADOPT)
        slot.keep(left) if left else slot.remove()


class ItemJournal(Journal):
    """The record of one item's submission, for the thread that submits it.

    :param ledger: that it is a part of.
    :param item_id: of the item.
    :param share: says what a project of it is expected to cost.
    :param redone: whether a person wants it made anew, though it is complete.
    """

    def __init__(self, ledger: Ledger, item_id: str, share: Share, *, redone: bool) -> None:
        super().__init__(None, KEY)
        self._ledger = ledger
        self._id = item_id
        self._share = share
        self._redone = redone

    def read(self) -> Record | Unreadable | None:
        entry = self._ledger.entries[self._id]
        if self._redone and entry.project_id is not None:
            # To the decision it is a success that was cleared.
            returned = Returned(project_id=entry.project_id, try_number=0, max_tries=-1)
            return entry.model_copy(update={"returned": returned})
        return entry

    def _put(self, record: Record) -> None:
        entry = self._ledger.entries[self._id].with_record(record.model_copy(update={"returned": None}))
        self._ledger.commit(self._id, entry.model_copy(update={"estimate": self._share.taken}))


def _key(number: int) -> str:
    return f"{KEY}_{number:04}"


def _object(value: Any) -> Any:
    """Airflow's REST API and UI may hand over an object as JSON text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return None
    return value


def _entry(value: Any) -> Entry:
    try:
        return Entry.model_validate(value)
    except ValidationError:
        # Whatever it was, something may have been made.
        return Entry(intent_at="?", status="unsure", error=(None, "its record cannot be read"))
