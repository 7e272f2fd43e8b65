"""The record of a batch: an entry for each item, and a header. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from airflow_provider_magichour.api.schemas import Discreet
from airflow_provider_magichour.submission.record import Record

LONGEST_TOLD = 200
"""Most characters of an item's error that are kept."""

PREVIOUS_KEPT = 2
"""Most earlier projects of one item that are kept."""

Status = Literal["in_flight", "complete", "failed", "rejected", "unsure", "overdue", "not_submitted"]
"""What became of an item; only ``in_flight`` is not a result."""


class Entry(Record):
    """What is remembered of one item, in addition to the record of a single submission:

    :param status: None if the item has to be submitted.
    :param line: digest of its line in the manifest.
    :param tried: number of the task's last attempt that worked on it.
    :param attempts: how many projects were created for it.
    :param failures: how many of them failed in that attempt.
    :param spent: credits that its earlier projects cost.
    :param estimate: expected cost in credits of a project whose cost is not known.
    :param error: a code and what went wrong.
    :param files: names of the written files.
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
        """Credits that the item has cost, or may have cost."""
        known = self.credits_charged if self.project_id is not None else None
        may_cost = self.project_id is not None or self.is_unsure
        return self.spent + (known if known is not None else (self.estimate or 0) if may_cost else 0)

    @property
    def is_chosen(self) -> bool:
        """Whether a person has chosen its project."""
        return bool(self.adopted or self.is_adoption)

    def with_record(self, record: Record) -> Entry:
        """Return this entry with another submission; the cost of a replaced project is added to ``spent``."""
        new = {name: getattr(record, name) for name in Record.model_fields}
        is_replaced = self.project_id is not None and record.project_id != self.project_id
        spent = self.spent + (self.credits_charged or 0) if is_replaced else self.spent
        attempts = self.attempts + (record.project_id is not None and self.is_unsure)
        new |= {"request": None, "previous": record.previous[-PREVIOUS_KEPT:], "spent": spent, "attempts": attempts}
        if record.project_id is not None:
            new["uploads"] = {}  # to keep chunks small
        return self.model_copy(update=new)

    def without(self, spared: Mapping[str, Any]) -> Entry:
        """Return this entry with some fields reset; an unsure item can be found by its name only."""
        return self.model_copy(update={**spared, **({} if self.project_id else {"name": self.name})})

    def ended(self, status: Status | None, code: str | None = None, message: str = "") -> Entry:
        """Return this entry with its outcome."""
        error = (code, message[:LONGEST_TOLD]) if message else None
        return self.model_copy(update={"status": status, "error": error})


class Noted(Discreet):
    """The run of the task whose success Airflow has recorded."""

    try_number: int
    max_tries: int


class Header(Discreet):
    """What is remembered of the whole batch.

    :param digest: of the manifest when this attempt began.
    :param chunks: how many there are.
    :param begun: how many of them have more than ids: later ones need not be read.
    :param sealed: counts of the chunks in which this attempt has nothing more to do, by number.
    :param tried: number of the task's attempt that wrote this.
    :param max_tries: of that attempt: clearing the task raises it.
    :param began_at: when that attempt began, in seconds since the epoch.
    :param redo_since: the attempt in which a person had everything made again.
    :param returned: written once Airflow has recorded the task's success.
    :param stop: why this attempt submits nothing more.
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

    def redoes(self, entry: Entry) -> bool:
        """Whether a person wants a complete item made again."""
        return self.redo_since is not None and entry.tried < self.redo_since


def counted(entries: Sequence[Entry]) -> dict[str, int]:
    """Count items by status, and add up their credits."""
    counts = Counter[str](entry.status or "waiting" for entry in entries)
    return {**counts, "credits": sum(entry.cost for entry in entries)}
