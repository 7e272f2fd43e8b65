"""One tool works on what another has made, without a download: a picture becomes a clip, and that a larger one.

**Costs** on the real API 240 credits for the clip (5 s of kling-3.0 at 720p, prices of August 2026), those of the
picture by its model, and those of the larger clip, whose price is not published.

**Needs** a connection `magichour_default`.
"""

from __future__ import annotations

from airflow.sdk import Param, dag

from airflow_provider_magichour.operators import (
    MagicHourDownloadOperator,
    MagicHourGenerateOperator,
    MagicHourImageToVideoOperator,
)


@dag(
    schedule=None,
    doc_md=__doc__,
    default_args={"retries": 2, "deferrable": True, "wait_for_completion": True},
    params={
        "clips": Param("clips/", type="string", pattern="/$", description="a folder, relative to the worker's folder")
    },
    tags=["magichour"],
)
def example_chain():
    image = MagicHourGenerateOperator(
        task_id="image",
        tool="ai-image-generator",
        image_count=1,
        style={"prompt": "a cat on a window sill"},
    )
    video = MagicHourImageToVideoOperator(
        task_id="video", image=image.output, model="kling-3.0", resolution="720p", end_seconds=5
    )
    larger = MagicHourGenerateOperator(
        task_id="larger",
        tool="ai-video-upscaler",
        assets={"video_file_path": video.output},
        end_seconds=5,
        resolution="1080p",
    )
    MagicHourDownloadOperator(task_id="download", project_id=larger.output, destination="{{ params.clips }}")


example_chain()
