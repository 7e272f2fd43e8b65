"""Paying once, proven by killing things: the rows that play side by side."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from tests_crash.rows import ROWS


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str, played: Mapping[str, Future[None]]) -> None:
    played[name].result(timeout=600)
