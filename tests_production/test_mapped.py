"""A night of clips, each three mapped tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests_production.clips import HELD, THREE_TASKS, Clips
from tests_production.conftest import Size, Table
from tests_production.shape import Production
from tools.many_clips import ManyClips

pytestmark = pytest.mark.long_only


def test_mapped_clips_are_made_once_and_hold_no_worker_while_they_wait(
    airflow: Production, table: Table, size: Size, tmp_path: Path
) -> None:
    count = size.of(600)
    with ManyClips(median=20.0, seed=1, held_after=count - HELD) as api:
        clips = Clips(airflow, api, "mapped", count, tmp_path / "clips", tasks=THREE_TASKS)
        with table.row(f"{count} mapped clips: submit, wait, download", clips):
            clips.start()
            clips.hold_no_worker()
            clips.end()
            clips.check()
