"""What takes the time of a real wait: the quick start, as the README shows it, and the example of a batch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.docs.test_readme import BINARIES, DAG_FILE, block, running_sandbox
from tests.scenes.dag_runs import DAGS_IN, new_airflow, python
from tests.scenes.examples import EXAMPLES, PHOTOS
from tools.airflow.settings import migrated_database


def test_the_quick_start_makes_a_clip_of_each_photo(tmp_path: Path) -> None:
    shutil.copytree(PHOTOS, tmp_path / "photos")
    # As `airflow db migrate` leaves it, which then has nothing to do.
    (tmp_path / "airflow").mkdir()
    shutil.copy(migrated_database(), tmp_path / "airflow" / "airflow.db")
    file = tmp_path / str(DAG_FILE.file_name)
    file.parent.mkdir()
    file.write_text(DAG_FILE.text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}", "NO_PROXY": "127.0.0.1,localhost"}
    with running_sandbox(block("magichour-sandbox").strip()) as greeting:
        url = re.search(r"http://127\.0\.0\.1:\d+", greeting)
        assert url, greeting
        shown = block("AIRFLOW_CONN").replace("http://127.0.0.1:8765", url[0]) + block("dags test")
        done = subprocess.run(
            ["bash", "-e", "-c", shown], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    photos, clips = list(PHOTOS.glob("*.jpg")), list((tmp_path / "clips").glob("*.mp4"))
    assert len(clips) == len(photos) == done.stdout.count("(240 credits)")
    assert sorted(done.stdout.split()[-len(clips) :]) == sorted(clip.name for clip in clips)


NIGHT = f"""
import sys
{DAGS_IN}
run = dag_in(sys.argv[1], "example_batch").test(run_conf={{"photos": sys.argv[2], "clips": sys.argv[3]}})
print("state:", run.state)
"""


def test_a_bucket_of_photos_becomes_clips_in_one_task(sandbox: Any, tmp_path: Path, needs_store: None) -> None:
    airflow = new_airflow(tmp_path / "airflow", EXAMPLES, magichour_default=sandbox.connection)
    said = python(airflow, "-c", NIGHT, str(EXAMPLES), f"file://{PHOTOS}/", f"file://{tmp_path}/clips/")
    assert "state: success" in said
    assert "3 of 3 clips for 720 credits" in said
    submitted = sandbox.requests.to("create")
    assert len(submitted) == 3
    made = sorted(path.name for path in (tmp_path / "clips").glob("*.mp4"))
    assert sorted(name.split("-")[0] for name in made) == ["cat", "coffee", "rocket"]
    assert {name.split("-")[1] for name in made} == {f"{request.job}.mp4" for request in submitted}
