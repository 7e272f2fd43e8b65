"""An attempt at a batch: how it begins, continues round by round, and ends."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.batch import begin, results
from airflow_provider_magichour.batch.entries import Entry
from airflow_provider_magichour.batch.ledger import KEY, Ledger
from airflow_provider_magichour.batch.leg import Leg
from airflow_provider_magichour.batch.manifest import Item, Problems, digest_of
from airflow_provider_magichour.batch.plan import Plan
from airflow_provider_magichour.batch.policy import verdict
from airflow_provider_magichour.batch.purse import Purse
from airflow_provider_magichour.batch.rules import Rules
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourBatchError,
    MagicHourError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.hooks import READ_PATIENCE, MagicHourHook
from airflow_provider_magichour.submission.record import timestamp
from airflow_provider_magichour.waiting.lookout import AsyncLookout
from airflow_provider_magichour.waiting.many import until_some_end
from airflow_provider_magichour.waiting.schedule import EXPECTED
from airflow_provider_magichour.waiting.watch import Watch

log = logging.getLogger(__name__)

LONGEST = 48_900
"""Most characters of a trigger's arguments as JSON: MySQL keeps 65,535 bytes of them encrypted (Airflow 3.3.2)."""


@discreet
@dataclass
class Night:
    """One attempt at a batch.

    :param hook: calls the API.
    :param plan: from an item to its request.
    :param rules: how it is run.
    :param ledger: the record.
    :param items: the wanted ones, by id.
    :param results: path or URI of the result lines.
    :param limit: ``max_credits``.
    :param checks_balance: whether to check the account's credits.
    :param tolerated: how many items may fail.
    :param stopping: set once the task has to end.
    """

    hook: MagicHourHook
    plan: Plan
    rules: Rules
    ledger: Ledger
    items: Mapping[str, Item]
    results: str
    limit: float | None
    checks_balance: bool
    tolerated: int
    stopping: threading.Event
    _leg: Leg | None = field(default=None, init=False)

    def _digest(self) -> str:
        """A digest of the manifest as it was read: each round computes it over all items."""
        return digest_of([self.plan.digest(Item("", "", {})), [[item.id, item.fields] for item in self.items.values()]])

    def begin(self, problems: Problems, *, try_number: int, max_tries: int, redoes_all: bool) -> list[str]:
        """Check all items, and read what earlier attempts did.

        :param problems: what is already known to be wrong.
        :return: ids of items whose files have to be fetched again.
        :raises MagicHourInvalidRequestError: an item is impossible; nothing was sent.
        """
        self.ledger.open()
        self.ledger.load_all(may_be_deleted=True)
        begin.adopt(self.ledger)
        paid = [item_id for item_id, entry in self.ledger.entries.items() if entry.project_id is not None]
        begin.check(self.items.values(), self.plan, paid, problems, priced=self.limit is not None)
        return begin.begin(
            self.ledger,
            self.items,
            self.plan,
            digest=self._digest(),
            try_number=try_number,
            max_tries=max_tries,
            redoes_all=redoes_all,
            folder=(self.rules.destination, self.rules.conn_id),
        )

    def resume(self, ended: Sequence[str] | None) -> list[str]:
        """Read what this attempt has under way.

        :param ended: ids of projects; None for all.
        :return: ids of their items.
        :raises MagicHourUnsureSubmissionError: the record is gone, so its projects are no longer known.
        """
        if not self.ledger.open():
            raise MagicHourUnsureSubmissionError(
                f"The record {KEY} was deleted while this batch was under way: its projects are no longer known.\n"
                "Nothing more was sent. Clear the task to submit all items again, which pays again."
            )
        digest = self._digest()
        if self.ledger.header.digest != digest:
            # A template that reads the clock changes in each round, and must not pay in each.
            log.warning("The items have changed since this attempt began: what it has submitted stays as it is")
            self.ledger.header.digest = digest
        self.ledger.load_open()
        begin.adopt(self.ledger)
        now, wanted = time.time(), None if ended is None else set(ended)
        return [
            item_id
            for item_id, entry in self.ledger.entries.items()
            if entry.status == "in_flight"
            and (wanted is None or entry.project_id in wanted or now >= self.rules.deadline(entry, self.ledger.header))
        ]

    @property
    def events(self) -> Mapping[str, int]:
        """Counts of events in the last round, by the names of metrics."""
        return self._leg.events if self._leg else {}

    def leg(self, ended: Sequence[str]) -> bool:
        """Do one round: all that can be done now; return whether to wait for more.

        :param ended: ids of items to fetch.
        """
        self.hook.settings()  # otherwise each thread would resolve the connection
        purse = Purse(self.limit, begin.spent(self.ledger, self.items, self.plan))
        leg = self._leg = Leg(self.hook, self.plan, self.rules, self.ledger, self.items, purse, stopping=self.stopping)
        if self.checks_balance:
            try:
                purse.balance = self.hook.get_account(patience=READ_PATIENCE).credits
            except MagicHourApiError as error:
                leg.stopped = error  # only submitting stops: what renders is still fetched
        leg.run(ended)
        for item_id in leg.flying if leg.refusal else ():
            # The trigger has polled for two minutes while the key was refused: a retry waits with another key.
            entry = self.ledger.entries[item_id]
            self.ledger.put(item_id, entry.ended("overdue", None, str(leg.refusal)))
        self.ledger.seal()
        return bool(leg.flying) and not self.stopping.is_set()

    def waits(self) -> dict[str, Any]:
        """Return the trigger's arguments for waiting for what is in flight."""
        header = self.ledger.header

        def since(entry: Entry) -> float:
            return self.rules.waits_since(entry, header)

        entries = [entry for entry in self.ledger.entries.values() if entry.status == "in_flight" and entry.project_id]
        entries.sort(key=since)
        started = since(entries[0])
        kind = self.plan.tool.kind
        arguments: dict[str, Any] = {
            "ids": [entry.project_id for entry in entries],
            "offsets": [round(since(entry) - started) for entry in entries],
            "kind": kind,
            "magichour_conn_id": self.hook.magichour_conn_id,
            "started_at": started,
            "deadline": max(self.rules.deadline(entry, header) for entry in entries),
            "item_timeout": self.rules.item_timeout,
            "expected_render": self.plan.tool.expected_render or EXPECTED[kind],
        }
        while len(json.dumps(arguments)) > LONGEST:
            count = len(arguments["ids"]) * 9 // 10
            arguments |= {name: arguments[name][:count] for name in ("ids", "offsets")}
        return arguments

    def wait(self, watches: Sequence[Watch]) -> list[str]:
        """Wait on the worker; return the ids of items whose projects have ended."""

        async def settings() -> ClientSettings:
            self.hook.forget_settings()
            return self.hook.settings()

        async def waited() -> tuple[str, ...]:
            lookout = AsyncLookout(self.hook, resolve=settings, tells=False)
            try:
                return (await until_some_end(lookout, watches)).ended
            finally:
                await lookout.aclose()

        ended = set(asyncio.run(waited()))
        return [item_id for item_id, entry in self.ledger.entries.items() if entry.project_id in ended]

    def progress(self) -> dict[str, Any]:
        """Return the batch's progress."""
        counts = self.ledger.counts(self.items)
        done = len(self.items) - counts["waiting"] - counts.get("in_flight", 0)
        since = time.time() - self.ledger.header.began_at
        left = since / done * (len(self.items) - done) if done and since > 0 else math.nan
        until = datetime.fromtimestamp(time.time() + left, UTC).strftime("%H:%M UTC") if math.isfinite(left) else None
        return {**counts, "total": len(self.items), "ends_about": until}

    def end(self) -> tuple[dict[str, Any], MagicHourBatchError | None]:
        """Write each item's outcome.

        :return: the summary, and the error if the batch did not succeed.
        :raises MagicHourStorageError: the result lines cannot be written.
        """
        header, ledger = self.ledger.header, self.ledger
        ledger.load_all()
        told = list(results.lines(ledger.entries, list(self.items), self.rules.destination))
        results.write(self.results, self.rules.conn_id, told)
        summary = results.summary(
            told,
            results=self.results,
            destination=self.rules.destination,
            started_at=timestamp(header.began_at),
            ended_at=timestamp(time.time()),
        )
        bad = {
            line["id"]: ledger.entries.get(line["id"], Entry()).model_copy(update={"status": line["status"]})
            for line in told
            if line["status"] != "complete"
        }
        stopped = self._stopped(bad)
        counts = {**summary["counts"], "credits": summary["credits_charged"]}
        return summary, verdict(counts, bad, tolerated=self.tolerated, stopped=stopped, results=self.results)

    def _stopped(self, bad: Mapping[str, Any]) -> MagicHourError | None:
        if not any(entry.status == "not_submitted" and not entry.error for entry in bad.values()):
            return None
        return (self._leg and self._leg.stopped) or MagicHourApiError("the task was ended, or its items have changed")
