"""Photos in a bucket become clips in another one, and a second DAG starts on each clip.

**Costs** 240 credits a photo on the real API (5 s of kling-3.0 at 720p, prices of August 2026).

**Needs** a connection `magichour_default`, and buckets that Airflow's object storage knows, with their connection
before the `@`: `s3://` with the Amazon provider, `gs://` with Google's, `file://` without either. On Airflow 3.0 the
second DAG starts, but is not told the clips.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import AssetAlias, ObjectStoragePath, Param, dag, task, task_group

from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

CLIPS = AssetAlias("magichour_clips")
# What Airflow's UI calls each copy.
PHOTO_NAME = "{{ ti.xcom_pull('photos')[ti.map_index].rpartition('/')[2] }}"


@dag(
    schedule=None,
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "photos": Param(
            "s3://aws_default@photos/new/", type="string", pattern="/$", description="a folder of .jpg files"
        ),
        "clips": Param("s3://aws_default@clips/", type="string", pattern="/$", description="where clips go"),
    },
    tags=["magichour"],
)
def example_bucket_to_bucket():
    @task
    def photos(params: dict[str, str]) -> list[str]:
        folder = ObjectStoragePath(params["photos"])
        return sorted(f"{params['photos']}{photo.name}" for photo in folder.iterdir() if photo.suffix == ".jpg")

    @task_group(default_args={"map_index_template": PHOTO_NAME})
    def clip(photo: str):
        submit = MagicHourImageToVideoOperator(
            task_id="submit",
            image=photo,
            model="kling-3.0",
            resolution="720p",
            end_seconds=5,
        )
        wait = MagicHourProjectSensor(
            task_id="wait",
            project_id=submit.output,
            deferrable=True,
            poke_interval=2,  # the sandbox renders in seconds; leave it out for the real API
        )
        MagicHourDownloadOperator(
            task_id="download", project_id=wait.output, destination="{{ params.clips }}", outlets=[CLIPS]
        )

    clip.expand(photo=photos())


@dag(schedule=[CLIPS], doc_md=__doc__, tags=["magichour"])
def example_on_new_clips():
    @task
    def publish(triggering_asset_events=None) -> list[str]:
        # Airflow lists an event under its asset and under the alias.
        return sorted({event.asset.uri for events in triggering_asset_events.values() for event in events})

    publish()


example_bucket_to_bucket()
example_on_new_clips()
