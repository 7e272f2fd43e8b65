"""The stored record of a batch: a header, and items in chunks that a person can read in the tab Storage."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import Any

from pydantic import ValidationError

from airflow_provider_magichour.api.arguments import from_text
from airflow_provider_magichour.batch.entries import Entry, Header, Noted, counted
from airflow_provider_magichour.batch.purse import Share
from airflow_provider_magichour.exceptions import MagicHourError, MagicHourUnsureSubmissionError
from airflow_provider_magichour.submission.record import (
    ABSENT,
    Journal,
    Record,
    Returned,
    Slot,
    Unreadable,
)

log = logging.getLogger(__name__)

KEY = "magichour_batch"
ADOPT = "magichour_batch_adopt"

CHUNK = 50
"""Items under one key: a write costs by the number of values in it (16 to 40 ms of CPU for 200 items, 3.3.2)."""

LARGEST = 60_000
"""Most bytes of one value: a larger one can be edited neither by REST nor in the UI (Airflow 3.3.2: 65,534
characters)."""

USUAL_ENTRY = 600
"""Bytes of an item's entry without the names that contain its id."""

LINGER = 0.25
"""Seconds that a write waits for those of other threads, to be combined with them."""


class Ledger:
    """Reads and writes the record of a batch. Only the thread that calls :meth:`serve` writes to the store.

    :param store: Airflow's accessor; None remembers for the life of the process.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.header = Header()
        self.entries: dict[str, Entry] = {}
        self.chunks: dict[int, list[str]] = {}
        self._chunk_of: dict[str, int] = {}
        self._dirty: set[int] = set()
        self._wanted: deque[tuple[str, Entry, Future[None]]] = deque()
        self._news = threading.Event()
        self._is_closed = False

    def open(self) -> bool:
        """Read the header; return whether there is one, or chunks of a lost one.

        :raises MagicHourError: the store does not answer.
        """
        value = Slot(self._store, KEY).value()
        try:
            self.header = Header.model_validate(None if value is ABSENT else from_text(value))
        except ValidationError:
            found = self._found()
            self.header = Header(chunks=found, begun=found)
        return value is not ABSENT or bool(self.header.chunks)

    def _found(self) -> int:
        number = 0
        while Slot(self._store, _key(number)).value() is not ABSENT:
            number += 1
        return number

    def load(self, number: int, *, may_be_deleted: bool = False) -> None:
        """Read a chunk, unless it was read already.

        :param may_be_deleted: whether a missing chunk counts as deleted by a person, and so as empty.
        :raises MagicHourUnsureSubmissionError: it is lost or cannot be read.
        """
        if number in self.chunks:
            return
        value = Slot(self._store, _key(number)).value()
        if value is ABSENT and may_be_deleted:
            self._dirty.add(number)
            value = {}
        items = from_text(value)
        if not isinstance(items, dict):
            raise MagicHourUnsureSubmissionError(
                f"The record {_key(number)} of up to {CHUNK} items in the task state store is lost or cannot be read.\n"
                "It is not known which projects they have, so nothing was sent.\n"
                "If you know that they have none, delete that key (tab Storage, or REST) and clear the task:\n"
                "it submits those items again."
            )
        self.chunks[number] = []
        for item_id, each in items.items():
            self._place(item_id, number)
            self.entries[item_id] = _entry(each)

    def load_all(self, *, may_be_deleted: bool = False) -> None:
        """Read all chunks that were not read yet; see :meth:`load`."""
        for number in range(self.header.chunks):
            self.load(number, may_be_deleted=may_be_deleted)

    def load_open(self) -> None:
        """Read the chunks in which this attempt still has work; see :meth:`load`."""
        for number in self._open():
            self.load(number)

    def _open(self) -> list[int]:
        return [number for number in range(self.header.begun) if str(number) not in self.header.sealed]

    def _place(self, item_id: str, number: int) -> None:
        self._chunk_of[item_id] = number
        self.chunks.setdefault(number, []).append(item_id)

    def add(self, item_ids: Sequence[str]) -> None:
        """Remember new items; they are written with the next flush."""
        # The names of results contain the id too, and there may be several.
        most = min(CHUNK, LARGEST // (USUAL_ENTRY + 6 * max(map(len, item_ids), default=0)))
        for first in range(0, len(item_ids), most):
            for item_id in item_ids[first : first + most]:
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
        """Write an entry from another thread: returns once it is stored; raises what the store raises."""
        stored: Future[None] = Future()
        self._wanted.append((item_id, entry, stored))
        self._news.set()
        if self._is_closed:
            raise MagicHourError("The task has ended")
        stored.result()

    def serve(self, others: int, patience: float, *, is_ending: bool = False) -> None:
        """Write what other threads commit: several entries at a time, as each write costs the same.

        A commit stays queued until it is answered, wherever an exception of Airflow's (a timeout) interrupts this.

        :param others: how many threads may have something to commit.
        :param patience: seconds to wait for the first.
        :param is_ending: whether intents are refused, so that nothing more is sent.
        """
        if not self._wanted:
            self._news.clear()
            self._news.wait(patience)
            if not self._wanted:
                return
        for _ in range(others):
            self._news.clear()
            if len(self._wanted) < others:
                self._news.wait(LINGER / others)
        waiting = list(self._wanted)
        ended = MagicHourError("The task has ended")
        answers = [ended if is_ending and entry.is_unsure else None for _, entry, _ in waiting]
        for (item_id, entry, _), refused in zip(waiting, answers, strict=True):
            if refused is None:
                self.put(item_id, entry)
        try:
            # What was fetched in the meantime is written at the end: after a kill the next attempt finds the files.
            self.flush({self._chunk_of[item_id] for item_id, _, _ in waiting})
        except MagicHourError as error:
            answers = [error] * len(answers)
        self._answer(answers)

    def _answer(self, answers: Sequence[MagicHourError | None]) -> None:
        for refused in answers:
            stored = self._wanted[0][2]
            if not stored.done():
                stored.set_exception(refused) if refused else stored.set_result(None)
            self._wanted.popleft()

    def close(self) -> None:
        """Refuse what other threads commit from now on: nobody serves them."""
        self._is_closed = True
        self._answer([MagicHourError("The task has ended")] * len(self._wanted))

    def flush(self, only: Collection[int] | None = None) -> None:
        """Write the chunks that have changed.

        :param only: numbers of those that cannot wait; None for all.
        :raises MagicHourError: the store refuses it.
        """
        for number in sorted(self._dirty if only is None else self._dirty.intersection(only)):
            self._keep(_key(number), self._chunk(number))
            self._dirty.discard(number)

    def _keep(self, key: str, value: Any) -> None:
        try:
            Slot(self._store, key).keep(value)
        except Exception as error:
            raise MagicHourError(f"The task state store could not be written ({error})") from error

    def _chunk(self, number: int) -> dict[str, Any]:
        """Return a chunk as it is written; if it is too large, without optional fields."""
        entries = {item_id: self.entries[item_id] for item_id in self.chunks[number]}
        spared: dict[str, Any] = {}
        for spare in ("", "uploads", "previous", "error", "name"):
            spared |= {spare: Entry.model_fields[spare].get_default(call_default_factory=True)} if spare else {}
            written = {item_id: entry.without(spared).to_json() for item_id, entry in entries.items()}
            if len(json.dumps(written)) <= LARGEST:
                break
        return written

    def seal(self) -> None:
        """Write all, and last the header: it says which chunks a later round of this attempt need not read."""
        self.flush()
        for number in self._open():
            entries = [self.entries[item_id] for item_id in self.chunks.get(number, ())]
            if number in self.chunks and all(entry.status not in (None, "in_flight") for entry in entries):
                self.header.sealed[str(number)] = counted(entries)
        self._keep(KEY, self.header.model_dump(mode="json", exclude_none=True))

    def note_returned(self, try_number: int, max_tries: int) -> None:
        """Record the task's success, to tell a cleared success from a retry."""
        self.header.returned = Noted(try_number=try_number, max_tries=max_tries)
        try:
            self.seal()
        except Exception as error:
            log.warning("The success could not be recorded (%s): a clear with redo='all' will not pay again", error)

    def unread(self) -> Counter[str]:
        """Return the counts of sealed chunks that were not read."""
        unread = (counts for number, counts in self.header.sealed.items() if int(number) not in self.chunks)
        return sum((Counter(counts) for counts in unread), Counter())

    def counts(self, ids: Collection[str]) -> dict[str, int]:
        """Count all items by status, without reading sealed chunks.

        :param ids: of the wanted items.
        """
        total = Counter(counted([entry for item_id, entry in self.entries.items() if item_id in ids]))
        total.update(self.unread())
        waiting = len(ids) - sum(count for status, count in total.items() if status not in ("credits", "waiting"))
        return {**total, "waiting": max(waiting, 0)}

    def adoptions(self) -> dict[str, Any]:
        """Return what a person has put into the key for adoptions; {} if it is empty or cannot be read."""
        value = Slot(self._store, ADOPT).value()
        adopted = {} if value is ABSENT else from_text(value)
        if not isinstance(adopted, dict):
            log.warning('%s cannot be read: {"<item id>": "<project id>"} is needed, or null for the id', ADOPT)
            return {}
        return adopted

    def forget_adoptions(self, left: dict[str, Any]) -> None:
        """Remove the key for adoptions, or the part that was applied."""
        slot = Slot(self._store, ADOPT)
        slot.keep(left) if left else slot.remove()


class ItemJournal(Journal):
    """The record of one item's submission, for the thread that submits it.

    :param ledger: that it belongs to.
    :param item_id: of the item.
    :param share: knows the expected cost of its project.
    :param line: digest of its line in the manifest.
    """

    def __init__(self, ledger: Ledger, item_id: str, share: Share, *, line: str) -> None:
        super().__init__(None, KEY)
        self._ledger = ledger
        self._id = item_id
        self._share = share
        self._line = line
        entry = ledger.entries[item_id]
        self._may_have_cost = entry.cost - entry.spent if entry.is_unsure else 0

    def read(self) -> Record | Unreadable | None:
        entry = self._ledger.entries[self._id]
        if self._ledger.header.redoes(entry) and entry.project_id is not None:
            # To the decision this is a cleared success.
            returned = Returned(project_id=entry.project_id, try_number=0, max_tries=-1)
            return entry.model_copy(update={"returned": returned})
        return entry

    def _put(self, record: Record) -> None:
        entry = self._ledger.entries[self._id].with_record(record.model_copy(update={"returned": None}))
        known = {
            "estimate": self._share.taken,
            "line": self._line,
            "tried": self._ledger.header.tried,
            "spent": entry.spent + self._may_have_cost,
        }
        self._may_have_cost = 0  # from here on included in the cost of what is submitted in its place
        self._ledger.commit(self._id, entry.model_copy(update=known))


def _key(number: int) -> str:
    return f"{KEY}_{number:04}"


def _entry(value: Any) -> Entry:
    try:
        return Entry.model_validate(value)
    except ValidationError:
        # Whatever it was, a project may exist.
        return Entry(intent_at="?", status="unsure", error=(None, "its record cannot be read"))
