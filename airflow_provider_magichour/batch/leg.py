"""One round of a batch on the worker: fetch what is finished, submit as much as may be in flight, record all of it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_magichour.api.answers import is_unknown
from airflow_provider_magichour.api.schemas import Project, cost_text
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.batch.entries import Entry
from airflow_provider_magichour.batch.ledger import ItemJournal, Ledger
from airflow_provider_magichour.batch.manifest import Item
from airflow_provider_magichour.batch.plan import Plan
from airflow_provider_magichour.batch.policy import after_error, after_failure
from airflow_provider_magichour.batch.purse import LimitReachedError, Purse, Share
from airflow_provider_magichour.batch.rules import ItemLog, Rules
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourRejectedError,
    MagicHourStorageError,
)
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.media.download import Download
from airflow_provider_magichour.submission.submit import Submission, Submitted

log = logging.getLogger(__name__)

FETCHED_AT_ONCE = 4
"""Downloads at a time: each needs memory for some blocks of its file."""

TICK = 0.05
"""Most seconds until a thread's work is noticed."""

REFUSED = (401, 403)


class AllRefusedError(MagicHourInvalidRequestError):
    """Every one of the first items was refused: what is wrong with them is probably wrong with all."""


@discreet
@dataclass
class Leg:
    """One round: what a worker does before it defers or ends.

    :param hook: calls the API.
    :param plan: from an item to its request.
    :param rules: how the batch is run.
    :param ledger: the record, opened.
    :param items: the wanted ones, by id.
    :param purse: what may be spent.
    :param stopping: set once the task has to end: what is under way ends, nothing new begins.
    :ivar stopped: why nothing more is submitted.
    :ivar refusal: of the key, at a poll: no wait is possible.
    :ivar events: counts of events, by the names of metrics.
    """

    hook: MagicHourHook
    plan: Plan
    rules: Rules
    ledger: Ledger
    items: Mapping[str, Item]
    purse: Purse
    stopping: threading.Event
    stopped: MagicHourError | None = None
    refusal: MagicHourError | None = None
    events: Counter[str] = field(default_factory=Counter)
    _is_proven: bool = False
    _queue: deque[str] = field(default_factory=deque)
    _known: set[str] = field(default_factory=set)
    _lost: int = 0
    _refused: int = 0

    def run(self, ended: Iterable[str]) -> None:
        """Do all that can be done now.

        :param ended: ids of items whose project is finished, or whose files have to be fetched again.
        :raises MagicHourError: the store refuses what has to be recorded.
        """
        if self.ledger.header.stop is not None:
            self.stopped = MagicHourApiError(self.ledger.header.stop)
        self._is_proven = bool(self.ledger.header.sealed) or any(e.project_id for e in self.ledger.entries.values())
        for number in range(self.ledger.header.begun):
            self._enqueue(number)
        with (
            ThreadPoolExecutor(self.rules.submit_at_once, "submit") as senders,
            ThreadPoolExecutor(FETCHED_AT_ONCE, "fetch") as fetchers,
        ):
            sending: dict[Future[Any], tuple[str, Share]] = {}
            fetching = {fetchers.submit(self._fetch, item_id): item_id for item_id in ended}
            try:
                while self._begin(senders, sending) or sending or fetching:
                    self.ledger.serve(len(sending), TICK)
                    for sent in [each for each in sending if each.done()]:
                        item_id, share = sending.pop(sent)
                        if self._note_sent(item_id, share, sent) and not self.stopping.is_set():
                            fetching[fetchers.submit(self._fetch, item_id)] = item_id
                    if self.stopping.is_set():
                        fetchers.shutdown(wait=False, cancel_futures=True)
                    for fetched in [each for each in fetching if each.done()]:
                        self._note_fetched(fetching.pop(fetched), fetched)
            except BaseException:
                self.stopping.set()
                fetchers.shutdown(wait=False, cancel_futures=True)
                self._let_end(sending)
                raise
        self.ledger.flush()

    def _let_end(self, sending: Iterable[Future[Any]]) -> None:
        """Wait for the answers to what was sent, which must not be lost; no thread waits forever."""
        try:
            while any(not each.done() for each in sending):
                self.ledger.serve(1, TICK, is_ending=True)
            with contextlib.suppress(MagicHourError):
                self.ledger.flush()
        finally:
            self.ledger.close()

    @property
    def flying(self) -> list[str]:
        """Ids of the items whose projects are in flight."""
        return [item_id for item_id, entry in self.ledger.entries.items() if entry.status == "in_flight"]

    def _begin(self, senders: ThreadPoolExecutor, sending: dict[Future[Any], tuple[str, Share]]) -> bool:
        """Begin to submit as much as may be under way; return whether anything was begun."""
        begun = False
        while self._may_send(len(sending)) and (item_id := self._next()) is not None:
            entry = self.ledger.entries[item_id]
            share = Share(self.purse, entry.cost)
            if entry.is_unsure and self.rules.on_unsure == "fail":
                self._known.add(item_id)  # nothing is sent for it, so it says nothing about the others
            sending[senders.submit(self._send, item_id, share)] = (item_id, share)
            begun = True
        return begun

    def _may_send(self, sending: int) -> bool:
        if self.stopped is not None or self.stopping.is_set():
            return False
        if not self._is_proven and sending + self._refused >= self.rules.submit_at_once:
            return False  # the first few are submitted alone
        return sending < self.rules.submit_at_once and len(self.flying) + sending < self.rules.in_flight

    def _next(self) -> str | None:
        header = self.ledger.header
        while not self._queue and header.begun < header.chunks:
            self.ledger.load(header.begun)
            self._enqueue(header.begun)
            header.begun += 1
        return self._queue.popleft() if self._queue else None

    def _enqueue(self, number: int) -> None:
        """Queue the items of a chunk that have to be submitted."""
        ids = self.ledger.chunks.get(number, ())
        self._queue.extend(id for id in ids if id in self.items and self.ledger.entries[id].status is None)

    def _send(self, item_id: str, share: Share) -> Submitted:
        """Submit an item's project, unless there is one; in a thread."""
        entry, item = self.ledger.entries[item_id], self.items[item_id]
        submission = Submission(
            hook=self.hook,
            journal=ItemJournal(self.ledger, item_id, share, line=self.plan.digest(item)),
            request=self.plan.request(item, self.rules.name(item_id)),
            locate=self.plan.locate,
            max_tries=self.ledger.header.max_tries,
            on_unsure=self.rules.on_unsure,
            waits=True,
            budget=share,
            validate=self.plan.validate,
            log=ItemLog(log, {"item": item_id}),
        )
        try:
            return submission.run()
        except MagicHourStorageError as error:
            if entry.project_id is None or entry.line != self.plan.digest(item):
                raise
            log.warning("Item %s: %s. Its project %s keeps running", item_id, error, entry.project_id)
            return Submitted(entry.project_id, entry.credits_charged)

    def _note_sent(self, item_id: str, share: Share, sent: Future[Any]) -> bool:
        """Record the outcome of a submission; return whether its result can be fetched."""
        entry = self.ledger.entries[item_id]
        line, tried = self.plan.digest(self.items[item_id]), self.ledger.header.tried
        entry = entry.model_copy(update={"line": line, "tried": tried})
        submitted: Submitted | None = None
        try:
            submitted = sent.result()
        except MagicHourError as error:
            entry = self._after_error(item_id, entry, error)
        else:
            self._is_proven, self._lost, entry = True, 0, entry.ended("in_flight")
            self.events["submitted" if submitted.is_new else "reattached"] += 1
            self.events["credits"] += (submitted.credits_charged or 0) if submitted.is_new else 0
            self.events["unsure"] += submitted.was_unsure
        share.settle(entry.cost)
        self.ledger.put(item_id, entry)
        return bool(submitted and submitted.project and submitted.project.is_finished)

    def _after_error(self, item_id: str, entry: Entry, error: MagicHourError) -> Entry:
        entry, stops = after_error(entry, error)
        if entry.is_unsure and entry.status is None:
            # on_unsure_submission="resubmit": it is submitted again after the others.
            log.warning("Item %s: %s", item_id, error)
            self._queue.append(item_id)
            stops = None
        elif entry.status is not None:
            log.warning("Item %s is %s: %s", item_id, entry.status, entry.error and entry.error[1])
        self.events["unsure"] += entry.status == "unsure"
        if entry.status == "unsure" and item_id in self._known:
            return entry
        self._lost = self._lost + 1 if entry.is_unsure else 0
        self.events["refused"] += entry.status == "rejected"
        self._refused += entry.status == "rejected"
        self._is_proven |= entry.status not in (None, "rejected")
        if self._lost > self.rules.submit_at_once:
            stops = MagicHourApiError(f"the answers to {self._lost} create requests in a row were lost")
        if not self._is_proven and self._refused >= min(self.rules.submit_at_once, len(self.items)):
            stops = AllRefusedError(f"all of the first {self._refused} items were refused; {item_id}: {error}")
        if isinstance(stops, MagicHourRejectedError):
            self.ledger.header.stop = stops.args[0]
        if isinstance(stops, MagicHourApiError | AllRefusedError | LimitReachedError):
            self.stopped = self.stopped or stops
        elif stops is not None:
            raise stops  # the store does not answer, or no longer belongs to this attempt
        return entry

    def _fetch(self, item_id: str) -> tuple[Project | MagicHourError, list[str], list[int]]:
        """Get an item's project, and write its results; in a thread.

        :return: the project, or why it cannot be read or written; the names of its files; the bytes of those written.
        """
        project_id = self.ledger.entries[item_id].project_id
        assert project_id is not None
        kind = self.plan.tool.kind
        try:
            project = self.hook.get_project(project_id, kind)
        except MagicHourApiError as error:
            return error, [], []
        if project.is_deleted or not project.is_complete:
            return project, [], []
        download = Download(
            self.hook,
            project_id,
            kind,
            self.rules.destination,
            self.rules.conn_id,
            overwrite=False,
            prefix=f"{item_id}-",
            project=project,
            log=ItemLog(log, {"item": item_id}),
        )
        try:
            return project, [path.name for path in download.run()], download.sizes
        except MagicHourError as error:
            return error, [], download.sizes

    def _note_fetched(self, item_id: str, fetched: Future[Any]) -> None:
        if fetched.cancelled():
            return
        entry = self.ledger.entries[item_id]
        seen, files, sizes = fetched.result()
        self.events["downloads"] += len(sizes)
        self.events["bytes"] += sum(sizes)
        since = self.rules.waits_since(entry, self.ledger.header)
        if isinstance(seen, Project):
            self._note_project(item_id, entry, seen, files)
        elif isinstance(seen, MagicHourApiError) and is_unknown(seen, since, time.time()):
            self._again(item_id, entry)
        elif isinstance(seen, MagicHourStorageError):
            log.warning("Item %s: %s", item_id, seen)
            self.ledger.put(item_id, entry.ended("overdue", "storage", str(seen)))
        else:
            if getattr(seen, "status_code", None) in REFUSED:
                self.refusal = seen
                self.stopped = self.stopped or seen
            self._note_unfinished(item_id, entry, str(seen))

    def _note_project(self, item_id: str, entry: Entry, project: Project, files: list[str]) -> None:
        if project.credits_charged is not None:
            before = entry.cost
            entry = entry.model_copy(update={"credits_charged": project.credits_charged})
            self.purse.give(entry.cost - before)
        if project.is_deleted:
            self._again(item_id, entry)
        elif project.is_complete:
            self.ledger.put(item_id, entry.model_copy(update={"files": tuple(files)}).ended("complete"))
        elif project.is_failed:
            entry = after_failure(entry, project, self.rules.item_attempts)
            told = f"its project {project.id} {project.ending} ({entry.error and entry.error[1]})"
            if entry.status is None:
                log.info("Item %s: %s: submitting it again", item_id, told)
                self._again(item_id, entry)
            else:
                log.warning("Item %s failed: %s, for %s", item_id, told, cost_text(project.credits_charged))
                self.ledger.put(item_id, entry)
        else:
            self._note_unfinished(item_id, entry, f"its project {project.id} is {project.status}")

    def _note_unfinished(self, item_id: str, entry: Entry, why: str) -> None:
        if time.time() < self.rules.deadline(entry, self.ledger.header):
            self.ledger.put(item_id, entry.ended("in_flight"))
            return
        log.warning("Item %s is overdue: %s. It keeps running and costs credits; a retry waits for it", item_id, why)
        self.ledger.put(item_id, entry.ended("overdue", "timeout", why))

    def _again(self, item_id: str, entry: Entry) -> None:
        """Submit an item again whose project failed or is gone, if the decision allows it."""
        self.ledger.put(item_id, entry.ended(None))
        if item_id in self.items:
            self._queue.append(item_id)
