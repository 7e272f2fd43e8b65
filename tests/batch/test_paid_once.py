"""Each item of a batch is paid for once: over retries, clears, changed items, a lost record and a person's word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenes.batches import items

pytest_plugins = ["tests.scenes.batches"]


@pytest.mark.parametrize("count", [1, 4, 5, 6, 12])
def test_items_that_all_may_be_in_flight_are_each_made_once(night: Any, count: int) -> None:
    task = night(items=items(count))

    assert task.run() == "success"
    assert task.clear() == "success"

    assert task.made == {f"i{number}": 1 for number in range(count)}
