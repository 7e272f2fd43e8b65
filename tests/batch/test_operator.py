"""A batch as a task runs it: what is submitted, fetched, remembered and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_provider_magichour.batch.ledger import CHUNK
from tests.scenes.batches import items

pytest_plugins = ["tests.scenes.batches"]


def test_a_batch_makes_each_item_once_and_tells_what_became_of_each(night: Any, sandbox: Any) -> None:
    task = night(in_flight=5)

    assert task.run() == "success"

    lines, told = task.lines, task.result
    assert len(sandbox.requests.to("create")) == 12
    assert [line["id"] for line in lines] == [f"i{number}" for number in range(12)]
    assert {line["status"] for line in lines} == {"complete"}
    assert all(Path(file).stat().st_size for line in lines for file in line["files"])
    assert told["counts"]["complete"] == told["total"] == 12


def test_a_batch_of_many_chunks_reads_only_those_that_are_open(night: Any, sandbox: Any) -> None:
    task = night(items=items(5 * CHUNK), in_flight=30, submit_at_once=8)
    read: list[str] = []
    kept = task.store.get
    task.store.get = lambda key, default=None: read.append(key) or kept(key, default)
    task.between = lambda: read.append("leg")

    assert task.run() == "success"

    legs = " ".join(read).split("leg")[1:]
    assert task.result["counts"]["complete"] == len(sandbox.requests.to("create")) == 5 * CHUNK
    assert max(leg.count("magichour_batch_0") for leg in legs[:-1]) <= 3
