"""How an attempt at a batch begins: all items are checked, and what earlier attempts did is read once."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_magichour.api.arguments import checked_text
from airflow_provider_magichour.api.endpoints import checked_project_id
from airflow_provider_magichour.api.requests import estimated_cost
from airflow_provider_magichour.batch.entries import Entry
from airflow_provider_magichour.batch.ledger import Ledger
from airflow_provider_magichour.batch.manifest import Item, Problems, lines_of, listed
from airflow_provider_magichour.batch.plan import Plan
from airflow_provider_magichour.batch.policy import at_start
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.media.stores import names_in, opened, path_of, storage_errors

log = logging.getLogger(__name__)


def found(items: Any, conn_id: str | None) -> Iterator[tuple[str, Any]]:
    """Yield each entry of a list or a file, with its place.

    :param items: a list, the text of one, or the path or URI of a file.
    :param conn_id: id of the connection of its storage.
    :raises MagicHourInvalidRequestError: it is neither a list nor a file.
    :raises MagicHourStorageError: the file cannot be read.
    """
    if not isinstance(items, str) or items.lstrip().startswith("["):
        yield from listed(items)
        return
    path = path_of(checked_text("items", items, "a list, or the path or URI of a file of JSON Lines"), conn_id)
    with storage_errors("read", path), opened(path, "rb") as stream:
        yield from lines_of(stream)


def begin(
    ledger: Ledger,
    items: Mapping[str, Item],
    plan: Plan,
    *,
    digest: str,
    try_number: int,
    max_tries: int,
    redoes_all: bool,
    folder: tuple[str, str | None],
) -> list[str]:
    """Read the record, and mark in it what this attempt has to do.

    :param ledger: open.
    :param digest: of the manifest.
    :param redoes_all: whether clearing a batch that had succeeded makes all of it again.
    :param folder: of the results, and the id of its connection.
    :return: ids of complete items whose files are missing: to be fetched again.
    """
    header = ledger.header
    is_cleared = bool(header.tried) and max_tries > header.max_tries
    if is_cleared and header.returned is not None and redoes_all:
        header.redo_since = try_number
    if removed := [item_id for item_id in ledger.entries if item_id not in items]:
        log.warning("%d items of earlier attempts are no longer in the manifest: %s", len(removed), _some(removed))
    for item_id in removed:
        if ledger.entries[item_id].status == "in_flight":
            ledger.put(item_id, ledger.entries[item_id].ended("overdue"))
    ledger.add([item_id for item_id in items if item_id not in ledger.entries])
    there = _there(*folder) if any(entry.files for entry in ledger.entries.values()) else None
    missing = _classify(ledger, items, plan, is_cleared=is_cleared, there=there)
    touched = [number for number, ids in ledger.chunks.items() if any(ledger.entries[id] != Entry() for id in ids)]
    header.begun, header.sealed = max(touched, default=-1) + 1, {}
    header.digest, header.tried, header.max_tries, header.returned = digest, try_number, max_tries, None
    header.began_at, header.stop = time.time(), None
    ledger.seal()
    return missing


def _classify(
    ledger: Ledger, items: Mapping[str, Item], plan: Plan, *, is_cleared: bool, there: set[str] | None
) -> list[str]:
    """Mark what this attempt has to submit or poll; return the ids of complete items whose files are missing."""
    missing = []
    for item_id, item in items.items():
        entry = ledger.entries[item_id]
        is_there = there is None or all(name in there for name in entry.files)
        what = at_start(entry, ledger.header, line=plan.digest(item), is_cleared=is_cleared, is_there=is_there)
        if what == "fetched":
            missing.append(item_id)
        elif what == "worked" and (worked := entry.model_copy(update={"failures": 0}).ended(None)) != entry:
            ledger.put(item_id, worked)
    return missing


def check(items: Iterable[Item], plan: Plan, paid: Iterable[str], problems: Problems, *, priced: bool) -> None:
    """Refuse a batch with an impossible item, before anything is sent.

    :param paid: ids of items that have a project.
    :raises MagicHourInvalidRequestError: naming the first ten.
    """
    for warning in plan.check(items, problems, paid=set(paid), priced=priced):
        log.warning("%s", warning)
    problems.refuse()


def adopt(ledger: Ledger) -> None:
    """Apply a person's decisions about unsure items."""
    told = ledger.adoptions()
    if not told:
        return
    ledger.load_all()
    left: dict[str, Any] = {}
    for item_id, project_id in told.items():
        entry = ledger.entries.get(item_id, Entry())
        others = {each.project_id for each in ledger.entries.values() if each is not entry}
        if not _may_be_chosen(entry) or not (project_id is None or (_is_id(project_id) and project_id not in others)):
            left[item_id] = project_id
            continue
        kept = {name: getattr(entry, name) for name in ("spent", "line", "tried", "attempts", "name")}
        ledger.put(item_id, Entry(**kept, project_id=project_id))
        ledger.header.sealed.pop(str(ledger.chunk_of(item_id)), None)
        log.info("Item %s: %s", item_id, f"adopting project {project_id}" if project_id else "submitting it again")
    if left:
        log.warning(
            "Not adopted: %s. Each has to be an unsure item of this batch, with null or an id that no other item has",
            _some(left),
        )
    ledger.flush()
    ledger.forget_adoptions(left)


def _may_be_chosen(entry: Entry) -> bool:
    return entry.is_unsure or entry.status == "unsure" or (entry.is_chosen and entry.status != "complete")


def _is_id(value: Any) -> bool:
    try:
        return bool(checked_project_id(value) == value)
    except MagicHourInvalidRequestError:
        return False


def spent(ledger: Ledger, items: Mapping[str, Item], plan: Plan) -> int:
    """Return the credits that the batch has cost, or may have cost, over all attempts."""
    total = ledger.unread()["credits"]
    for item_id, entry in ledger.entries.items():
        if entry.is_unsure and entry.estimate is None and item_id in items:
            cost = estimated_cost(plan.request(items[item_id], "-"))
            total += cost.credits if cost else 0
        total += entry.cost
    return total


def _there(folder: str, conn_id: str | None) -> set[str] | None:
    """Return the names in a folder; None if listing is not allowed: then written files count as present."""
    with contextlib.suppress(PermissionError):
        return names_in(path_of(folder, conn_id))
    return None


def _some(ids: Iterable[str]) -> str:
    named = list(ids)
    return ", ".join(named[:10]) + (f" and {len(named) - 10} more" if len(named) > 10 else "")
