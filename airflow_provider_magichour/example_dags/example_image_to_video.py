"""A folder of photos becomes a folder of clips: one mapped task group for each photo.

**Costs** 240 credits a photo on the real API (5 s of kling-3.0 at 720p, prices of August 2026). The last task adds up
what the run has cost; a clip that fails is refunded.

**Needs** a connection `magichour_default`, and a folder that the workers can read: three photos come with this example.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, task, task_group

from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.retries import magichour_retry_policy
from airflow_provider_magichour.sensors import MagicHourProjectSensor

PHOTOS = Path(__file__).parent / "photos"
# What Airflow's UI calls each copy.
PHOTO_NAME = "{{ ti.xcom_pull('photos')[ti.map_index].rpartition('/')[2] }}"


@dag(
    schedule=None,
    doc_md=__doc__,
    # Before Airflow 3.3 there is no retry policy, and it is ignored here.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "retry_policy": magichour_retry_policy()},
    params={
        "photos": Param(
            str(PHOTOS), type="string", description="a folder of .jpg files, relative to the worker's folder"
        ),
        "clips": Param("clips/", type="string", pattern="/$", description="a folder, relative to the worker's folder"),
    },
    tags=["magichour"],
)
def example_image_to_video():
    @task
    def photos(params: dict[str, str]) -> list[str]:
        return sorted(str(photo) for photo in Path(params["photos"]).glob("*.jpg"))

    @task_group(default_args={"map_index_template": PHOTO_NAME})
    def clip(photo: str):
        submit = MagicHourImageToVideoOperator(
            task_id="submit",
            image=photo,
            model="kling-3.0",
            resolution="720p",
            end_seconds=5,
            prompt="the camera moves slowly towards the subject",
            max_credits=300,
        )
        wait = MagicHourProjectSensor(
            task_id="wait",
            project_id=submit.output,
            deferrable=True,
            poke_interval=2,  # the sandbox renders in seconds; leave it out for the real API
            timeout=3600,
        )
        MagicHourDownloadOperator(task_id="download", project_id=wait.output, destination="{{ params.clips }}")
        return wait.output

    @task(trigger_rule="all_done")
    def cost(clips: Iterable[dict[str, Any]]) -> int:
        # A clip that fails is refunded; Airflow 3.0 has something else in its place, later ones leave it out.
        return sum(clip["credits_charged"] or 0 for clip in clips if isinstance(clip, dict))

    # A group for each photo: none waits for another, and one that fails takes none along.
    cost(clip.expand(photo=photos()))


example_image_to_video()
