"""How a batch is run, and how it logs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.batch.entries import Entry, Header
from airflow_provider_magichour.submission.record import epoch
from airflow_provider_magichour.submission.submit import OnUnsure


@discreet
@dataclass(frozen=True)
class Rules:
    """How a batch is run.

    :param destination: folder of the results, ending in ``/``.
    :param conn_id: id of the connection of its storage.
    :param in_flight: projects that may render at a time.
    :param submit_at_once: create requests at a time: that many may be unsure after a kill.
    :param item_attempts: projects that a task attempt makes for one item.
    :param item_timeout: seconds that a task attempt waits for one item.
    :param on_unsure: ``fail`` or ``resubmit``.
    :param name: returns a project's name in the library, for an item's id.
    :param until: when the attempt ends at the latest, in seconds since the epoch.
    """

    destination: str
    conn_id: str | None
    in_flight: int
    submit_at_once: int
    item_attempts: int
    item_timeout: float
    on_unsure: OnUnsure
    name: Callable[[str], str]
    until: float = math.inf

    def waits_since(self, entry: Entry, header: Header) -> float:
        """Return when this attempt's wait for an item began, in seconds since the epoch."""
        return max(epoch(entry.submitted_at or ""), header.began_at)

    def deadline(self, entry: Entry, header: Header) -> float:
        """Return when it ends, in seconds since the epoch."""
        return min(self.waits_since(entry, header) + self.item_timeout, self.until)


class ItemLog(logging.LoggerAdapter[logging.Logger]):
    """Names the item in each line; ordinary lines are left out, as each round logs a summary."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"Item {(self.extra or {})['item']}: {msg}", kwargs

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.INFO and super().isEnabledFor(level)
