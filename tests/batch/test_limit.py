"""``max_credits`` bounds a batch: what is above it is left for later, and is no fault of the item's."""

from __future__ import annotations

from typing import Any

from tests.scenes.batches import items

pytest_plugins = ["tests.scenes.batches"]

CLIP = {"model": "kling-3.0", "resolution": "720p"}


def test_items_above_max_credits_are_not_submitted_and_made_once_it_is_raised(night: Any, sandbox: Any) -> None:
    alone = night(items=items(1), **CLIP)
    assert alone.run() == "success"
    price = alone.result["credits_charged"]
    task = night(items=items(12), max_credits=7 * price, **CLIP)

    assert task.run() == "failed"

    assert list(task.statuses.values()) == ["complete"] * 7 + ["not_submitted"] * 5
    assert f"exceed max_credits={7 * price}" in str(task.error)
    assert sum(task.made.values()) == 7

    assert task.clear(max_credits=12 * price) == "success"

    assert task.made == {f"i{number}": 1 for number in range(12)}
