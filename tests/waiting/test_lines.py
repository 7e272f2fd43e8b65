"""What waits log in a triggerer: it must not hold up what else waits there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_magichour.waiting.lines import SILENCE, SLOW, Lines

log = logging.getLogger("a.trigger")


class Pipe(logging.Handler):
    """Whoever writes to it waits until it is read.

    :param wait: lets time pass.
    """

    def __init__(self, wait: Callable[[float], None]) -> None:
        super().__init__()
        self.wait, self.taking = wait, 0.0
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.wait(self.taking)
        self.lines.append(record.getMessage())


@pytest.fixture
def pipe(clock: Any) -> Iterator[Pipe]:
    made = Pipe(clock.move)
    log.addHandler(made)
    yield made
    log.removeHandler(made)


def test_lines_that_are_read_are_all_told(pipe: Pipe) -> None:
    lines = Lines()
    pipe.taking = SLOW / 2
    for number in range(1000):
        lines.tell(log, logging.WARNING, "line %d", number)
    assert pipe.lines == [f"line {number}" for number in range(1000)]


def test_a_pipe_that_is_full_holds_up_one_line_a_minute(pipe: Pipe, clock: Any) -> None:
    lines = Lines()
    pipe.taking = 1.0
    began = clock.monotonic()
    for number in range(600):
        lines.tell(log, logging.WARNING, "line %d", number)
        clock.move(1.0)
    assert clock.monotonic() - began < 600 + 11
    assert 9 <= len(pipe.lines) <= 11


def test_once_it_is_read_again_all_is_told_again(pipe: Pipe, clock: Any) -> None:
    lines = Lines()
    pipe.taking = 1.0
    lines.tell(log, logging.WARNING, "slow")
    pipe.taking = 0.0
    lines.tell(log, logging.WARNING, "left out")
    clock.move(SILENCE)
    lines.tell(log, logging.WARNING, "first")
    lines.tell(log, logging.WARNING, "second")
    assert pipe.lines == ["slow", "first", "second"]


def test_lines_that_nobody_wants_cost_nothing(pipe: Pipe) -> None:
    Lines().tell(log, logging.DEBUG, "%s", "a detail")
    assert pipe.lines == []
