"""Submit image-to-video projects."""

from __future__ import annotations

from typing import Any

from airflow_provider_magichour.operators.arguments import places
from airflow_provider_magichour.operators.tool import ToolOperator


class MagicHourImageToVideoOperator(ToolOperator):
    """Submit an image-to-video project to Magic Hour. It costs credits and is paid for once.

    A local image or one in object storage is uploaded first. On Airflow 3.3 the submission is remembered in the task
    state store, so that after a retry, a crash or a clear the task finds its project instead of paying for another.
    Returns the project id, or with ``wait_for_completion`` the finished project as a dict; pushes ``project_id``,
    ``credits_charged`` and ``kind`` as soon as the API has answered. Killing the task leaves the project running and
    paid: the API cannot cancel. Leaves behind: the record ``magichour_submission`` in the task state store, which never
    expires, and uploads, which Magic Hour keeps for 7 days (inputs and outputs page, 2026-08-22).

    None means "not sent". Numbers and booleans may be text, as templates render them.

    :param image: first frame: URL, Magic Hour path (``api-assets/...``), local path or object storage URI. (templated)
    :param end_seconds: length of the clip in seconds; what is possible depends on ``model``. (templated)
    :param end_image: last frame, like ``image``. (templated)
    :param model: AI model, such as ``kling-3.0``; the API's default may change. (templated)
    :param resolution: such as ``480p``, ``720p``, ``1080p``. (templated)
    :param audio: whether to make audio. (templated)
    :param prompt: what should happen. (templated)
    """

    tool = "image-to-video"
    arguments = places(
        """
        image=assets.image_file_path end_image=assets.end_image_file_path end_seconds model resolution audio
        prompt=style.prompt
        """
    )

    def __init__(
        self,
        *,
        image: str,
        end_seconds: float | str,
        end_image: str | None = None,
        model: str | None = None,
        resolution: str | None = None,
        audio: bool | str | None = None,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image, self.end_seconds, self.end_image = image, end_seconds, end_image
        self.model, self.resolution, self.audio = model, resolution, audio
        self.prompt = prompt
