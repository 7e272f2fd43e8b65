"""A night in one task: every photo in a bucket becomes a clip in another one, up to 10,000 of them.

**Costs** 240 credits a photo on the real API (5 s of kling-3.0 at 720p, prices of August 2026), and never more than
`max_credits` in all.

**Needs** Airflow 3.3, a connection `magichour_default`, and buckets that Airflow's object storage knows, with their
connection before the `@`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider_magichour.operators import MagicHourBatchOperator


@dag(
    schedule=None,
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "photos": Param(
            "s3://aws_default@photos/new/", type="string", pattern="/$", description="a folder of .jpg files"
        ),
        "clips": Param("s3://aws_default@clips/", type="string", pattern="/$", description="where clips go"),
    },
    tags=["magichour"],
)
def example_batch():
    @task
    def photos(params: dict[str, str]) -> list[dict[str, str]]:
        folder = ObjectStoragePath(params["photos"])
        names = sorted(photo.name for photo in folder.iterdir() if photo.suffix == ".jpg")
        return [{"id": name.removesuffix(".jpg"), "image": f"{params['photos']}{name}"} for name in names]

    night = MagicHourBatchOperator(
        task_id="night",
        items=photos(),
        tool="image-to-video",
        # What holds for every item; one that says otherwise has its own.
        model="kling-3.0",
        resolution="720p",
        end_seconds=5,
        destination="{{ params.clips }}",
        in_flight=50,
        tolerated_failures="2%",
        max_credits=100_000,
        deferrable=True,
    )

    @task
    def report(night: dict) -> None:
        made, total = night["counts"]["complete"], night["total"]
        print(f"{made} of {total} clips for {night['credits_charged']} credits; each one is told in {night['results']}")

    report(night.output)


example_batch()
