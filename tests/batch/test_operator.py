"""A batch as a task runs it: what is submitted, fetched, remembered and told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.batch.ledger import CHUNK
from airflow_provider_magichour.compat import TaskDeferred
from airflow_provider_magichour.operators import MagicHourBatchOperator

pytestmark = pytest.mark.usefixtures("clock")


def items(count: int) -> list[dict[str, Any]]:
    return [{"id": f"i{number}", "image": "https://example.com/1.png"} for number in range(count)]


def batch(folder: Path, **arguments: Any) -> MagicHourBatchOperator:
    known = {"task_id": "night", "items": items(12), "end_seconds": 5, "destination": str(folder), "deferrable": True}
    return MagicHourBatchOperator(**{**known, **arguments})


def posts(sandbox: Any) -> int:
    return sum(request.method == "POST" and request.path == "/v1/image-to-video" for request in sandbox.requests)


def run_through(operator_: Any, make: Any, run: Any) -> Any:
    """Run a task, its trigger, and each leg of it in an object of its own, as in as many processes."""
    try:
        return operator_.execute(run)
    except TaskDeferred as deferred:
        waiting = deferred
    for _ in range(100):
        event = asyncio.run(first_event(waiting.trigger))
        try:
            return getattr(make(), waiting.method_name)(run, event.payload)
        except TaskDeferred as deferred:
            waiting = deferred
    raise AssertionError("it does not end")


async def first_event(trigger: Any) -> Any:
    return await anext(trigger.run())


def test_a_batch_makes_each_item_once_and_tells_what_became_of_each(
    sandbox: Any, context: Any, store: Any, tmp_path: Path
) -> None:
    run = context(store)

    told = run_through(batch(tmp_path, in_flight=5), lambda: batch(tmp_path, in_flight=5), run)

    lines = [json.loads(line) for line in Path(told["results"]).read_text().splitlines()]
    assert posts(sandbox) == 12
    assert [line["id"] for line in lines] == [f"i{number}" for number in range(12)]
    assert {line["status"] for line in lines} == {"complete"}
    assert all(Path(file).stat().st_size for line in lines for file in line["files"])
    assert told["counts"]["complete"] == told["total"] == 12


def test_a_batch_of_many_chunks_reads_only_those_that_are_open(
    sandbox: Any, context: Any, store: Any, tmp_path: Path
) -> None:
    arguments = {"items": items(5 * CHUNK), "in_flight": 30, "submit_at_once": 8}
    read: list[str] = []
    kept = store.get
    store.get = lambda key, default=None: read.append(key) or kept(key, default)
    run = context(store)

    told = run_through(batch(tmp_path, **arguments), lambda: read.append("leg") or batch(tmp_path, **arguments), run)

    legs = " ".join(read).split("leg")[1:]
    assert told["counts"]["complete"] == posts(sandbox) == 5 * CHUNK
    assert max(leg.count("magichour_batch_0") for leg in legs[:-1]) <= 3
