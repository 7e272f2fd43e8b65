"""Airflow's database and its queue go down while clips are made, as crashes have it, and come back."""

from __future__ import annotations

import time

import pytest

from tests_production.conftest import Play
from tests_production.shape import Production

pytestmark = pytest.mark.long_only

DOWN = 5.0
"""Seconds."""


def test_nothing_is_paid_twice_when_postgresql_and_then_redis_are_restarted(airflow: Production, play: Play) -> None:
    with play("restarted", 200, f"PostgreSQL down for {DOWN:g} s, then Redis, its queue lost") as clips:
        clips.start()
        clips.reach(0.2)
        airflow.postgres.stop()
        time.sleep(DOWN)
        airflow.postgres.start()
        clips.reach(0.5)
        airflow.redis.kill()
        time.sleep(DOWN)
        airflow.redis.start()
