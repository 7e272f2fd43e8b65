"""The example DAG that finds faces and swaps one, in an Airflow of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.airflow.test_example_dag import airflow
from tests.scenes.dag_runs import DAGS_IN, python
from tests.scenes.examples import EXAMPLES, PHOTOS

__all__ = ["airflow"]

FACE_SWAP = f"""
import sys
{DAGS_IN}
files = dict(zip(("video", "face", "clips"), sys.argv[2:]))
run = dag_in(sys.argv[1], "example_face_swap").test(run_conf=files)
print("state:", run.state)
"""


@pytest.fixture
def video(sandbox: Any, tmp_path: Path) -> Path:
    path = tmp_path / "friends.mp4"
    path.write_bytes(sandbox.add_job().result.file.read_bytes())
    return path


def test_the_first_face_that_is_found_in_a_video_is_swapped(
    sandbox: Any, airflow: dict[str, str], tmp_path: Path, video: Path
) -> None:
    said = python(airflow, "-c", FACE_SWAP, str(EXAMPLES), str(video), str(PHOTOS / "cat.jpg"), f"{tmp_path}/clips/")
    assert "state: success" in said
    detection, swap = sandbox.requests.to("create")
    (mapping,) = swap.body["assets"]["face_mappings"]
    assert mapping["original_face"] == f"api-assets/{detection.job}/0-0.png"
    assert sandbox.uploads.find(mapping["new_face"]).read_bytes() == (PHOTOS / "cat.jpg").read_bytes()
    for path in (detection.body["assets"]["target_file_path"], swap.body["assets"]["video_file_path"]):
        assert sandbox.uploads.find(path).read_bytes() == video.read_bytes()
    assert [path.name for path in (tmp_path / "clips").iterdir()] == [f"{swap.job}.mp4"]


def test_without_a_face_nothing_is_paid(sandbox: Any, airflow: dict[str, str], tmp_path: Path, video: Path) -> None:
    sandbox.faults.add("get", patch={"faces": []})
    said = python(airflow, "-c", FACE_SWAP, str(EXAMPLES), str(video), str(PHOTOS / "cat.jpg"), f"{tmp_path}/clips/")
    assert "state: failed" in said
    assert "face_mappings" in said
    assert len(sandbox.requests.to("create")) == 1
