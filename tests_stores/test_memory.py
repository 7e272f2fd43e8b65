"""What a large file takes of a worker's memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.scenes.media import MIB, give_result, movie
from tests_stores.places import Place

pytest_plugins = ["tests.conftest", "tests.scenes.media_fixtures"]

SIZE = 96 * MIB
MOST_MIB = 64

WORKER = """
import re, sys
from pathlib import Path
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.media.sources import source_of
from airflow_provider_magichour.operators import MagicHourDownloadOperator

direction, root, conn_id, small, big = sys.argv[1:]

def mib(name):
    return int(re.search(rf"{name}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

def move(name):
    if direction == "in":
        source = source_of("image", f"{root}/{name}.png", conn_id)
        MagicHourHook().upload(source.open, size=source.size, extension=source.extension)
    else:
        destination = f"{root}/clips/{name}.mp4"
        MagicHourDownloadOperator(
            task_id="download", project_id=name, destination=destination, conn_id=conn_id
        ).execute({})

move(small)
rest = mib("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
move(big)
print("MIB", mib("VmHWM") - rest)
"""


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_large_file_takes_no_more_memory_than_some_blocks(
    sandbox: Any, place: Place, conn_id: str, project: str, tmp_path: Path, direction: str
) -> None:
    small, big = project, str(sandbox.add_job().id)
    give_result(sandbox, big, tmp_path / "big" / "clip.mp4", SIZE)
    if direction == "in":
        place.put(f"{small}.png", b"a cat")
        place.put(f"{big}.png", movie(SIZE))
    command = [sys.executable, "-W", "ignore", "-c", WORKER, direction, place.root, conn_id, small, big]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (taken,) = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("MIB "))
    assert taken < MOST_MIB
