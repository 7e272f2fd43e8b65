"""A night of clips in one task."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests_production.clips import HELD, Batch
from tests_production.conftest import Size, Table
from tests_production.shape import Production
from tools.many_clips import ManyClips

pytestmark = pytest.mark.long_only


def test_a_batch_makes_its_clips_once_and_holds_no_worker_while_it_waits(
    airflow: Production, table: Table, size: Size, tmp_path: Path
) -> None:
    count = size.of(3000)
    with ManyClips(median=20.0, seed=7, held_after=count - HELD) as api:
        clips = Batch(airflow, api, "batch", count, tmp_path / "clips")
        with table.row(f"{count} clips in one batch", clips):
            clips.start()
            clips.hold_no_worker()
            clips.end()
            clips.check()
