"""Magic Hour is away, takes the key no more, or answers badly, while clips are made."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests_production.clips import HELD, Clips
from tests_production.conftest import Size, Table
from tests_production.shape import Production
from tools.many_clips import ManyClips

pytestmark = pytest.mark.long_only

RATE = 5
"""Requests a second that each of two triggerers may send."""

SHORT_LIVED = 6
"""Requests that a worker's connection has at most: first poll, result, and those of a download."""

AWAY = 60.0
REVOKED = 30.0


def test_clips_outlive_an_api_that_is_away_and_both_triggerers_keep_their_rate_after_it(
    airflow: Production, table: Table, size: Size, tmp_path: Path
) -> None:
    count = size.of(200)
    with ManyClips(median=20.0, seed=4, held_after=count - HELD) as api:
        clips = Clips(airflow, api, "away", count, tmp_path / "clips", extra={"requests_per_second": RATE})
        with table.row(f"{count} clips, the API away for {AWAY:g} s", clips):
            clips.start()
            clips.until(lambda: len(api.jobs()) >= count // 2)
            api.be_away(True)
            time.sleep(AWAY)
            api.be_away(False)
            back = time.time()
            clips.hold_no_worker()
            clips.end()
            clips.check()
            clips.notes.append(
                f"both triggerers sent {(most := fastest(api.requests(), back))} requests in a second at most"
            )
            assert most <= 2 * RATE


def fastest(requests: list[dict[str, Any]], since: float) -> int:
    """Return the most requests that triggerers, whose connections live long, have sent in any second."""
    used = Counter(request["connection"] for request in requests)
    at = [each["at"] for each in requests if each["at"] > since and used[each["connection"]] > SHORT_LIVED]
    return max((sum(1 for other in at[number:] if other < moment + 1) for number, moment in enumerate(at)), default=0)


def test_a_revoked_key_that_is_replaced_makes_nothing_be_paid_twice(
    airflow: Production, table: Table, size: Size, tmp_path: Path
) -> None:
    count = size.of(200)
    with ManyClips(median=20.0, seed=5, held_after=count - HELD) as api:
        clips = Clips(airflow, api, "key", count, tmp_path / "clips", retries=2, retry_delay=30.0)
        with table.row(f"{count} clips, the key revoked and replaced after {REVOKED:g} s, retries=2", clips):
            clips.start()
            clips.until(lambda: len(api.jobs()) >= count // 2)
            api.change_key("mhk_replaced")
            time.sleep(REVOKED)
            airflow.airflow.rest.change_connection(clips.name, password=api.api_key)
            clips.hold_no_worker()
            clips.end()
            clips.check()


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


def test_faults_in_each_twentieth_answer_leave_all_clips_right(
    airflow: Production, table: Table, size: Size, tmp_path: Path
) -> None:
    count = size.of(200)
    with ManyClips(median=20.0, seed=6, held_after=count - HELD) as api:
        for route, answers, most in (("get", READS, 15), ("create", CREATES, 2), ("download", DOWNLOADS, 2)):
            for nth, answer in zip(range(EACH // 2, most * count, EACH), itertools.cycle(answers), strict=False):
                api.fault(route=route, nth=nth, **answer)
        clips = Clips(airflow, api, "faults", count, tmp_path / "clips")
        with table.row(f"{count} clips, each {EACH}th answer of the API faulty", clips):
            clips.start()
            clips.hold_no_worker()
            clips.end()
            clips.check()
            clips.notes.append(
                f"{sum(fault['hits'] for fault in api.faults())} of {len(api.requests())} answers were faulty"
            )
