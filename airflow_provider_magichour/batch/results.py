"""What a batch reports: a line for each item, a summary, its progress."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from airflow_provider_magichour.api.signatures import without_signatures
from airflow_provider_magichour.batch.entries import Entry
from airflow_provider_magichour.batch.policy import RESULTS
from airflow_provider_magichour.media.stores import path_of
from airflow_provider_magichour.media.writing import write_atomically

MOST_FAILED = 20
"""Most failed items that the summary names."""

LONGEST_NAMES = 1000
"""Most characters of their ids together."""


def lines(entries: Mapping[str, Entry], ids: Sequence[str], folder: str) -> Iterator[dict[str, Any]]:
    """Yield each item's outcome, in the manifest's order.

    :param entries: of all items.
    :param ids: of the wanted items.
    :param folder: of the files, ending in ``/``.
    """
    for index, item_id in enumerate(ids):
        entry = entries.get(item_id, Entry())
        code, message = entry.error or (None, None)
        yield {
            "id": item_id,
            "index": index,
            # A task that was ended leaves some in flight: a retry waits for them.
            "status": {"in_flight": "overdue", None: "not_submitted"}.get(entry.status, entry.status),
            "project_id": entry.project_id,
            "files": [f"{folder}{name}" for name in entry.files] if entry.status == "complete" else [],
            "credits_charged": entry.cost,
            "code": code,
            "message": without_signatures(message),
            "attempts": entry.attempts,
        }


def write(uri: str, conn_id: str | None, told: Sequence[Mapping[str, Any]]) -> None:
    """Write result lines, replacing those of an earlier attempt.

    :raises MagicHourStorageError: the storage cannot be written.
    """
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in told).encode()

    def fill(stream: IO[bytes]) -> int:
        return stream.write(text) or len(text)

    write_atomically(path_of(uri, conn_id), fill, replaces=True)


def summary(told: Sequence[Mapping[str, Any]], **known: Any) -> dict[str, Any]:
    """Return what a batch returns: under 2 KB, without URLs of results.

    :param told: the result lines.
    :param known: further keys.
    """
    counts = {status: sum(line["status"] == status for line in told) for status in RESULTS}
    if sum(counts.values()) != len(told):
        raise AssertionError(f"{counts} do not add up to {len(told)} items")
    failed = [line["id"] for line in told if line["status"] != "complete"][:MOST_FAILED]
    while len(json.dumps(failed)) > LONGEST_NAMES:
        failed.pop()
    return {
        "schema_version": 1,
        "total": len(told),
        "counts": counts,
        "credits_charged": sum(line["credits_charged"] for line in told),
        "failed": failed,
        **known,
    }


def line(progress: Mapping[str, Any]) -> str:
    """Return a batch's progress in words."""
    told = [
        f"{progress[status]} {status.replace('_', ' ')}"
        for status in ("in_flight", *RESULTS[1:], "waiting")
        if progress.get(status)
    ]
    end = f"; done about {progress['ends_about']}" if progress["ends_about"] and progress["waiting"] else ""
    done = f"{progress.get('complete', 0)} of {progress['total']} complete"
    return f"{', '.join([done, *told])}; {progress['credits']} credits{end}"
