"""What the demo shows while it runs: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tools.airflow.rest import TaskInstance

STEPS = ("submit", "wait", "download")
_STYLES = {"success": "green", "failed": "red", "upstream_failed": "red", "up_for_retry": "yellow"}
_BUSY = frozenset({"running", "deferred"})


class DemoView:
    """Shows the task instances of a run as they change; `update` is called with all of them again and again."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begin = time.monotonic()
        self._photos: Sequence[str] = ()
        self._shown: dict[str, str | None] = {}
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        seconds = time.monotonic() - self._begin
        self.console.print(f"[dim]{seconds:5.1f} s[/]  {text}", highlight=False, soft_wrap=True)

    def name_photos(self, photos: Sequence[str]) -> None:
        """Show the mapped groups under the names of their photos."""
        self._photos = photos

    def update(self, instances: Sequence[TaskInstance]) -> None:
        """Show where each task instance is now."""
        if self._live:
            self._live.update(self._table(instances), refresh=True)
            return
        for ti in instances:
            if self._shown.get(ti.label) != ti.state and ti.state is not None:
                photo = self._photo(ti.map_index) if ti.map_index >= 0 else ""
                self.say(f"{_step(ti):<9} {photo:<14} {ti.state}")
                self._shown[ti.label] = ti.state

    def _table(self, instances: Sequence[TaskInstance]) -> Table:
        table = Table(caption="deferred: the triggerer waits, and no worker is held", caption_justify="left")
        table.add_column("photo", min_width=12)
        for step in STEPS:
            table.add_column(step, min_width=18)
        by_place = {(_step(ti), ti.map_index): ti for ti in instances}
        for index in sorted({index for step, index in by_place if step in STEPS and index >= 0}):
            table.add_row(self._photo(index), *(_cell(by_place.get((step, index))) for step in STEPS))
        return table

    def _photo(self, index: int) -> str:
        return self._photos[index] if index < len(self._photos) else f"photo {index}"


def _step(ti: TaskInstance) -> str:
    """Return the name of a task within its group."""
    return ti.task_id.rpartition(".")[2]


def _cell(ti: TaskInstance | None) -> str:
    if ti is None or ti.state is None:
        return ""
    seconds = _seconds(ti)
    again = f", try {ti.try_number}" if ti.try_number > 1 else ""
    style = _STYLES.get(ti.state, "cyan" if ti.state in _BUSY else "dim")
    return f"[{style}]{ti.state}[/]" + (f" {seconds:.0f} s{again}" if seconds is not None else again)


def _seconds(ti: TaskInstance) -> float | None:
    if ti.start_date is None:
        return None
    return ((ti.end_date or datetime.now(UTC)) - ti.start_date).total_seconds()
