"""The provider is replaced by a newer one, process by process, while clips wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_magichour.submission.record import KEY
from tests_production.conftest import Play
from tests_production.shape import ROOT, Production

pytestmark = pytest.mark.long_only

OLD = "65ec3c4"
"""The commit of version 0.1.0."""

REPLACED = ("worker-1", "triggerer-1", "worker-2", "triggerer-2")


@pytest.fixture(scope="module")
def old_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel of 0.1.0 unpacked, built from the history."""
    folder = tmp_path_factory.mktemp("old")
    if subprocess.run(["git", "cat-file", "-e", OLD], cwd=ROOT, capture_output=True).returncode:
        pytest.skip(f"the history is not here: version 0.1.0 is built of commit {OLD}")
    (folder / "source").mkdir()
    archive = subprocess.run(["git", "archive", OLD], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder / "source")], input=archive, check=True)
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "build", "-q", "--wheel", "-o", str(folder), str(folder / "source")], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "--target", str(folder / "installed"), wheel], check=True)
    return folder / "installed"


def test_what_waits_goes_on_when_version_0_1_0_is_replaced_by_this_one(
    airflow: Production, play: Play, old_version: Path
) -> None:
    with play("upgrade", 100, "all wait while 0.1.0 is replaced by this version", all_held=True) as clips:
        for name in REPLACED:
            airflow.airflow.restart(name, {"PYTHONPATH": f"{old_version}{os.pathsep}{ROOT}"})
        try:
            clips.start()
            clips.until(lambda: clips.states()["deferred"] == clips.count)
            kept = airflow.airflow.rest.state_store(clips.name, clips.run_id, "clip.make", map_index=0)
            assert kept[KEY]["fingerprint"].startswith("v1:")
        finally:
            for name in REPLACED:
                airflow.airflow.restart(name, {"PYTHONPATH": str(ROOT)})
