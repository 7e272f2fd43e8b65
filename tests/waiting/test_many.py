"""A wait for many projects: when it ends, and whose end it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from airflow_provider_magichour.waiting.many import PATIENCE, BatchEvent, until_some_end
from airflow_provider_magichour.waiting.watch import Step, Watch
from tests.scenes.simulated_time import run_simulated


class Renders:
    """Looks at projects that end so many seconds after the first look was possible.

    :param seconds: by id.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = seconds

    async def look(self, watch: Watch) -> Step:
        loop = asyncio.get_running_loop()
        self.began = getattr(self, "began", loop.time())
        has_ended = loop.time() - self.began >= self.seconds[watch.project_id]
        return Step(watch, "finished") if has_ended else Step(watch, delay=0.5)


def waited(seconds: Mapping[str, float], at_least: float = 0.0) -> BatchEvent:
    watches = [Watch(each, started_at=0.0, deadline=2e9, interval=1.0) for each in seconds]
    return run_simulated(until_some_end(Renders(seconds), watches, at_least))  # type: ignore[arg-type]


def test_a_third_is_enough():
    event = waited({"a": 5.0, "b": 6.0, "c": 1000.0, "d": 1000.0, "e": 1000.0, "f": 1000.0})
    assert (event.ended, event.waiting) == (("a", "b"), 4)
    assert event.seconds == pytest.approx(7, abs=1)


def test_one_that_has_ended_waits_a_minute_for_others():
    event = waited({"a": 5.0, "b": 30.0, **dict.fromkeys("cdefgh", 1000.0)})
    assert event.ended == ("a", "b")
    assert event.seconds == pytest.approx(6 + PATIENCE, abs=1)


def test_those_that_end_while_it_may_not_end_yet_are_told_too():
    event = waited({"a": 0.0, "b": 0.0, "c": 4.0, "d": 6.0, "e": 1000.0}, at_least=8.0)
    assert event.ended == ("a", "b", "c", "d")
    assert event.seconds == pytest.approx(8, abs=1)


def test_nobody_is_waited_for_where_all_have_ended():
    assert waited({"a": 0.0, "b": 2.0}, at_least=8.0).seconds == pytest.approx(3, abs=1)


def test_many_that_take_long_are_told_of_every_ten_minutes(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    waited({"a": 1500.0, "b": 1500.0})
    assert [record.getMessage() for record in caplog.records] == [
        f"None of the 2 projects in flight has ended after {seconds} s" for seconds in (600, 1200)
    ]
