"""Each clip is published once a person has approved it, on the tab "Clips" of the run, below the clip itself.

**Costs** 240 credits a photo on the real API (5 s of kling-3.0 at 720p, prices of August 2026), approved or not.

**Needs** Airflow 3.1 or newer, a connection `magichour_default`, and a folder that the workers can read: three photos
come with this example.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import ObjectStoragePath, Param, dag, task, task_group

from airflow_provider_magichour.compat import AirflowSkipException
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

PHOTOS = Path(__file__).parent / "photos"
# What Airflow's UI calls each copy.
PHOTO_NAME = "{{ ti.xcom_pull('photos')[ti.map_index].rpartition('/')[2] }}"


@dag(
    schedule=None,
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "photos": Param(
            str(PHOTOS), type="string", description="a folder of .jpg files, relative to the worker's folder"
        ),
        "clips": Param("clips/", type="string", pattern="/$", description="a folder, relative to the worker's folder"),
        "published": Param("published/", type="string", pattern="/$", description="where approved clips go"),
    },
    tags=["magichour"],
)
def example_review():
    @task
    def photos(params: dict[str, str]) -> list[str]:
        return sorted(str(photo) for photo in Path(params["photos"]).glob("*.jpg"))

    @task
    def publish(clips: list[str], review: dict[str, Any], params: dict[str, str]) -> list[str]:
        # Airflow 3.3.2 runs this in a mapped group after a rejection too: the answer decides.
        if review["chosen_options"] != ["Approve"]:
            raise AirflowSkipException("It was not approved")
        target = ObjectStoragePath(params["published"])
        target.mkdir(parents=True, exist_ok=True)
        for clip in map(ObjectStoragePath, clips):
            clip.copy(target / clip.name)
        return [str(target / ObjectStoragePath(clip).name) for clip in clips]

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
        wait = MagicHourProjectSensor(task_id="wait", project_id=submit.output, deferrable=True, timeout=3600)
        download = MagicHourDownloadOperator(
            task_id="download", project_id=wait.output, destination="{{ params.clips }}"
        )
        review = ApprovalOperator(
            task_id="review",
            subject=f"Publish the clip of {PHOTO_NAME}?",
            # A retry would ask again.
            retries=0,
        )
        download >> review
        publish(download.output, review.output)

    clip.expand(photo=photos())


example_review()
