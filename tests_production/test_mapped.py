"""A night of clips, each three mapped tasks."""

from __future__ import annotations

import pytest

from tests_production.clips import THREE_TASKS
from tests_production.conftest import Play

pytestmark = pytest.mark.long_only


def test_mapped_clips_are_made_once_and_hold_no_worker_while_they_wait(play: Play) -> None:
    with play("mapped", 600, "mapped tasks: submit, wait, download", tasks=THREE_TASKS) as clips:
        clips.start()
