"""What runs Airflow is killed and started again, part by part, while clips are made."""

from __future__ import annotations

import pytest

from tests_production.conftest import Play
from tests_production.shape import Production

EVERY = 30.0
"""Seconds from one kill to the next."""

KILLS = ("triggerer-1", "triggerer-2", "triggerer-1", "worker-1", "worker-2", "scheduler-1", "scheduler-2")


def test_fifty_clips_outlive_a_killed_celery_worker(airflow: Production, play: Play) -> None:
    with play("worker_killed", 50, "one Celery worker killed", median=5.0) as clips:
        clips.start()
        clips.reach(0.2)
        airflow.kill("worker-1")


@pytest.mark.long_only
def test_clips_outlive_triggerers_workers_and_schedulers_that_are_killed_and_keep_their_deadlines(
    airflow: Production, play: Play
) -> None:
    with play("killed", 200, f"every {EVERY:g} s killed: {', '.join(KILLS)}") as clips:
        clips.start()
        clips.until(lambda: clips.states()["deferred"] > 0)
        for name in KILLS:
            clips.note_deadlines()
            airflow.kill(name)
            clips.pause(EVERY)
        clips.note_deadlines()
        assert max(map(len, clips.deadlines.values())) == 1
