"""What runs Airflow is killed and started again, part by part, while clips are made."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests_production.clips import HELD, Clips
from tests_production.conftest import Size, Table
from tests_production.shape import Production
from tools.many_clips import ManyClips

SHORT = 50
EVERY = 30.0
"""Seconds from one kill to the next."""

KILLS = ("triggerer-1", "triggerer-2", "triggerer-1", "worker-1", "worker-2", "scheduler-1", "scheduler-2")


def test_fifty_clips_outlive_a_killed_celery_worker(airflow: Production, table: Table, tmp_path: Path) -> None:
    with ManyClips(median=5.0, held_after=SHORT - HELD) as api:
        clips = Clips(airflow, api, "worker_killed", SHORT, tmp_path / "clips")
        with table.row(f"{SHORT} clips, one Celery worker killed", clips):
            clips.start()
            clips.reach(0.2)
            airflow.kill("worker-1")
            clips.hold_no_worker()
            clips.end()
            clips.check()


@pytest.mark.long_only
def test_clips_outlive_triggerers_workers_and_schedulers_that_are_killed_and_keep_their_deadlines(
    airflow: Production, table: Table, size: Size, tmp_path: Path
) -> None:
    count = size.of(200)
    with ManyClips(median=20.0, seed=2, held_after=count - HELD) as api:
        clips = Clips(airflow, api, "killed", count, tmp_path / "clips")
        with table.row(f"{count} clips; every {EVERY:g} s killed: {', '.join(KILLS)}", clips):
            clips.start()
            clips.reach(0.05)
            for name in KILLS:
                clips.note_deadlines()
                airflow.kill(name)
                again = time.monotonic() + EVERY
                clips.until(lambda again=again: time.monotonic() > again)  # type: ignore[misc]
            clips.note_deadlines()
            clips.hold_no_worker()
            clips.end()
            clips.check()
            assert max(map(len, clips.deadlines.values())) == 1
