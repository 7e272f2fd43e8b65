"""What a run has left behind, found without asking those who clear away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the live processes that have to do with a folder: by command, environment, place of work or open files.

    No single one of these tells: Airflow writes its titles over command and environment.
    """
    return [process for process in psutil.process_iter() if any(str(folder) in text for text in _tell_tales(process))]


def _tell_tales(process: psutil.Process) -> Iterator[str]:
    of = Path("/proc", str(process.pid))
    for name in ("cmdline", "environ"):
        try:
            yield (of / name).read_text(errors="replace")
        except OSError:  # it is gone, or a zombie
            return
    for link in (of / "cwd", *_entries(of / "fd")):
        try:
            yield os.readlink(link)
        except OSError:
            continue


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def eventually(condition: Callable[[], T], patience: float = 90) -> T:
    """Return what the condition is once it is true, or in the end."""
    end = time.monotonic() + patience
    while not (result := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return result
