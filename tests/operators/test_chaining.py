"""What one task has made is what the next one works on, without a download."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_magichour.fields import chained
from airflow_provider_magichour.operators import MagicHourGenerateOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sandbox import Sandbox

SIGNED = "https://videos.example.com/a.mp4?X-Amz-Signature=5ecret"


def waited(project_id: str = "p1", kind: str = "video") -> dict[str, Any]:
    """What a waiting task returns."""
    return {"project_id": project_id, "kind": kind, "status": "complete", "download_urls": [SIGNED], "fps": None}


URL = "https://magichour.ai/my-library?videoId=p1"


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (waited(), URL),
        (str(waited()), URL),
        (json.dumps(waited()), URL),
        (waited("a/b", "image"), "https://magichour.ai/my-library?imageId=a%2Fb"),
        ({"video_file_path": waited(), "x": 1}, {"video_file_path": URL, "x": 1}),
        ({"references": [{"file_path": waited(), "name": "a"}]}, {"references": [{"file_path": URL, "name": "a"}]}),
    ],
)
def test_a_result_becomes_its_project_in_the_library(value: Any, meant: Any) -> None:
    assert chained(value) == meant


@pytest.mark.parametrize(
    "value",
    [
        "a.png",
        "{{ ti.xcom_pull('wait')['project_id'] }}",
        {"image_file_path": "a.png"},
        [{"file_path": ("a", 1)}],
        {"project_id": "p1"},
        {"project_id": "p1", "kind": "text"},
        {"project_id": "p1", "kind": ["video"]},
        {"project_id": 5, "kind": "video"},
        None,
    ],
)
def test_anything_else_stays_the_very_same_object(value: Any) -> None:
    assert chained(value) is value


def test_an_image_becomes_a_video_and_that_a_larger_one(sandbox: Sandbox, context: Callable[..., Any]) -> None:
    image = MagicHourGenerateOperator(
        task_id="image", tool="ai-image-generator", image_count=1, style={"prompt": "a cat"}, wait_for_completion=True
    ).execute(context())
    video = MagicHourImageToVideoOperator(
        task_id="video", image=image, end_seconds=5, wait_for_completion=True
    ).execute(context())
    upscale = MagicHourGenerateOperator(
        task_id="upscale",
        tool="ai-video-upscaler",
        assets={"video_file_path": "{{ video }}"},
        end_seconds=5,
        resolution="1080p",
        wait_for_completion=True,
    )
    upscale.render_template_fields({**context(), "video": video})
    larger = upscale.execute(context())

    _, second, third = (request.body.get("assets", {}) for request in sandbox.requests.to("create"))
    assert second["image_file_path"] == f"https://magichour.ai/my-library?imageId={image['project_id']}"
    assert third["video_file_path"] == f"https://magichour.ai/my-library?videoId={video['project_id']}"
    assert upscale.assets == third
    assert larger["status"] == "complete"
