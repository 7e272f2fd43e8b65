"""Magic Hour is away, takes the key no more, or answers badly, while clips are made."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from typing import Any

import pytest

from tests_production.conftest import Play
from tests_production.shape import Production

pytestmark = pytest.mark.long_only

RATE = 5
"""Requests a second that each of two triggerers may send."""

SHORT_LIVED = 6
"""Requests that a worker's connection has at most: first poll, result, and those of a download."""

AWAY = 60.0
REVOKED = 30.0


def test_clips_outlive_an_api_that_is_away_and_both_triggerers_keep_their_rate_after_it(play: Play) -> None:
    with play("away", 200, f"the API away for {AWAY:g} s", extra={"requests_per_second": RATE}) as clips:
        clips.start()
        clips.until(lambda: len(clips.api.jobs()) >= clips.count // 2)
        clips.api.be_away(True)
        time.sleep(AWAY)
        clips.api.be_away(False)
        back = time.time()
        clips.hold_no_worker()
        most = fastest(clips.api.requests(), back)
        clips.notes.append(f"both triggerers sent {most} requests in a second at most")
        assert most <= 2 * RATE


def fastest(requests: list[dict[str, Any]], since: float) -> int:
    """Return the most requests that triggerers, whose connections live long, have sent in any second."""
    used = Counter(request["connection"] for request in requests)
    at = [each["at"] for each in requests if each["at"] > since and used[each["connection"]] > SHORT_LIVED]
    return max((sum(1 for other in at[number:] if other < moment + 1) for number, moment in enumerate(at)), default=0)


def test_a_revoked_key_that_is_replaced_makes_nothing_be_paid_twice(airflow: Production, play: Play) -> None:
    what = f"the key revoked and replaced after {REVOKED:g} s, retries=2"
    with play("key", 200, what, retries=2, retry_delay=REVOKED) as clips:
        clips.start()
        clips.until(lambda: len(clips.api.jobs()) >= clips.count // 2)
        clips.api.change_key("mhk_replaced")
        time.sleep(REVOKED)
        airflow.airflow.rest.change_connection(clips.name, password=clips.api.api_key)


READS: tuple[dict[str, Any], ...] = (
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 500},
    {"cut": True},
    {"status": 502, "text": "<html><h1>502 Bad Gateway</h1></html>"},
    {"half_body": True},
    {"delay": 3.0},
    {"status": 200, "text": json.dumps({"name": "a half \ud83d"})},
)
# What a lost answer to a create means only a person can say: these say that nothing was made, or come late.
CREATES: tuple[dict[str, Any], ...] = ({"status": 429, "headers": {"Retry-After": "1"}}, {"delay": 3.0})
DOWNLOADS: tuple[dict[str, Any], ...] = (
    {"status": 500},
    {"cut": True},
    {"status": 502, "text": "<html></html>"},
    {"half_body": True},
    {"delay": 3.0},
)
EACH = 20
"""One of so many answers is faulty."""


def test_faults_in_each_twentieth_answer_leave_all_clips_right(play: Play) -> None:
    with play("faults", 200, f"each {EACH}th answer of the API faulty") as clips:
        for route, answers, most in (("get", READS, 15), ("create", CREATES, 2), ("download", DOWNLOADS, 2)):
            for nth, answer in zip(range(EACH // 2, most * clips.count, EACH), itertools.cycle(answers), strict=False):
                clips.api.fault(route=route, nth=nth, **answer)
        clips.start()
        clips.hold_no_worker()
        faulty = sum(fault["hits"] for fault in clips.api.faults())
        clips.notes.append(f"{faulty} of {len(clips.api.requests())} answers were faulty")
