"""How long a real API server takes for the pages of a run of 200 clips: `python -m tests_ui.figures` prints it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx

from airflow_provider_magichour.sandbox import Sandbox
from tests.scenes.clips import RUN
from tools.airflow.local import LocalAirflow
from tools.airflow.settings import base_environment, migrated_database

TIMES = 30
DAG_ID = "many_clips"
FILL = """
import sys
from tests.scenes.clips import Runs

runs, dag_id, made = Runs(), *sys.argv[1:]
runs.run(dag_id)
for index in range(200):
    project = made if index == 0 else f"p{index}"
    given = {"prompt": "move", "model": "kling-3.0", "image": f"s3://photos/{index}.jpg"}
    runs.task(dag_id, "clip.submit", index, project=project, given=given, credits_charged=240)
    runs.task(dag_id, "clip.wait", index, project=project, operator="MagicHourProjectSensor")
    runs.task(dag_id, "clip.download", index, operator="MagicHourDownloadOperator", return_value=["s3://clips/x.mp4"])
"""


def main() -> None:
    """Fill a database, serve it, ask for each page some times in turn."""
    with TemporaryDirectory() as folder, Sandbox(render_seconds=0) as sandbox:
        home, dags = Path(folder) / "airflow", Path(folder) / "dags"
        home.mkdir()
        dags.mkdir()
        shutil.copyfile(migrated_database(), home / "airflow.db")
        fill = [sys.executable, "-c", FILL, DAG_ID, sandbox.add_job().id]
        subprocess.run(fill, env=base_environment(home), check=True)
        settings = {"AIRFLOW_CONN_MAGICHOUR_DEFAULT": sandbox.connection}
        with LocalAirflow(dags, home=home, env=settings) as airflow, httpx.Client(trust_env=False) as client:
            login = {"username": airflow.user, "password": airflow.password}
            token = client.post(f"{airflow.url}/auth/token", json=login).json()["access_token"]
            run = f"{airflow.url}/magichour-clips/dags/{DAG_ID}/runs/{quote(RUN)}"
            task = f"{run}/tasks/clip.submit"
            pages = {"run": run, "last page of it": f"{run}?page=9", "failed ones": f"{run}?show=failed"}
            pages |= {"one clip": f"{task}?map_index=0", "its file (302)": f"{task}/file?map_index=0"}
            for name, url in pages.items():
                seconds = []
                for _ in range(TIMES):
                    began = time.perf_counter()
                    answer = client.get(url, headers={"Authorization": f"Bearer {token}"})
                    seconds.append(time.perf_counter() - began)
                    assert answer.status_code in (200, 302), answer.text
                print(f"{name:16} median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s")


if __name__ == "__main__":
    main()
