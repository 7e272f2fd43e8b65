"""What the record of a batch says of an item, and of the whole. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from airflow_provider_magichour.api.schemas import Discreet
from airflow_provider_magichour.submission.record import Record

LONGEST_TOLD = 200
"""Characters of an item's error that are kept."""

PREVIOUS_KEPT = 2
"""Earlier projects of one item that are kept."""

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

    @property
    def is_chosen(self) -> bool:
        """Whether a person has said which project it has."""
        return bool(self.adopted or self.is_adoption)

    def with_record(self, record: Record) -> Entry:
        """Return this entry with another submission: what a replaced project cost is added up."""
        new = {name: getattr(record, name) for name in Record.model_fields}
        is_replaced = self.project_id is not None and record.project_id != self.project_id
        spent = self.spent + (self.credits_charged or 0) if is_replaced else self.spent
        attempts = self.attempts + (record.project_id is not None and self.is_unsure)
        new |= {"request": None, "previous": record.previous[-PREVIOUS_KEPT:], "spent": spent, "attempts": attempts}
        if record.project_id is not None:
            new["uploads"] = {}  # a chunk holds many of these
        return self.model_copy(update=new)

    def without(self, spared: Mapping[str, Any]) -> Entry:
        """Return this entry with some fields as in a new one; an unsure item is found by its name alone."""
        return self.model_copy(update={**spared, **({} if self.project_id else {"name": self.name})})

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

    def redoes(self, entry: Entry) -> bool:
        """Whether a person wants an item made anew that was complete before."""
        return self.redo_since is not None and entry.tried < self.redo_since


def counted(entries: Sequence[Entry]) -> dict[str, int]:
    """Count items by what became of them, and their credits."""
    counts = Counter[str](entry.status or "waiting" for entry in entries)
    return {**counts, "credits": sum(entry.cost for entry in entries)}
