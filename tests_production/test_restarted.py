"""Airflow's database and its queue go down while clips are made, as crashes have it, and come back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests_production.clips import HELD, Clips
from tests_production.conftest import Size, Table
from tests_production.shape import Production
from tools.many_clips import ManyClips

pytestmark = pytest.mark.long_only

DOWN = 5.0
"""Seconds."""


def test_nothing_is_paid_twice_when_postgresql_and_then_redis_go_down(
    airflow: Production, table: Table, size: Size, tmp_path: Path
) -> None:
    count = size.of(200)
    with ManyClips(median=20.0, seed=3, held_after=count - HELD) as api:
        clips = Clips(airflow, api, "restarted", count, tmp_path / "clips")
        with table.row(f"{count} clips; PostgreSQL down for {DOWN:g} s, then Redis, its queue lost", clips):
            clips.start()
            clips.reach(0.2)
            airflow.postgres.stop()
            time.sleep(DOWN)
            airflow.postgres.start()
            clips.reach(0.5)
            airflow.redis.kill()
            time.sleep(DOWN)
            airflow.redis.start()
            clips.hold_no_worker()
            clips.end()
            clips.check()
