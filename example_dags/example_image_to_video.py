"""A folder of photos becomes a folder of clips: one mapped task group for each photo.

Needs a connection ``magichour_default``. On the real API it costs 240 credits a photo
(5 s of kling-3.0 at 720p, prices of August 2026).
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

    @task_group
    def clip(photo: str):
        submit = MagicHourImageToVideoOperator(
            task_id="submit",
            image=photo,
            model="kling-3.0",
            resolution="720p",
            end_seconds=5,
            prompt="the camera moves slowly towards the subject",
            max_credits=300,
            # What Airflow calls the copy; 3.0 has no text there yet.
            map_index_template="{{ task.image.rpartition('/')[2] if task.image is string else '' }}",
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
