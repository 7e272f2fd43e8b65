"""A night of clips in one task."""

from __future__ import annotations

import pytest

from tests_production.clips import Batch
from tests_production.conftest import Play

pytestmark = pytest.mark.long_only


def test_a_batch_makes_its_clips_once_and_holds_no_worker_while_it_waits(play: Play) -> None:
    with play("batch", 3000, "one batch", kind=Batch) as clips:
        clips.start()
