"""Submit projects of the tools that make videos."""

from __future__ import annotations

from typing import Any

from airflow_provider_magichour.operators.arguments import places
from airflow_provider_magichour.operators.tool import ToolOperator


class MagicHourTextToVideoOperator(ToolOperator):
    """Submit a text-to-video project. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param prompt: what should happen. (templated)
    :param end_seconds: length of the clip in seconds; what is possible depends on ``model``. (templated)
    :param model: AI model, such as ``kling-3.0``; the API's default may change. (templated)
    :param resolution: such as ``480p``, ``720p``, ``1080p``. (templated)
    :param aspect_ratio: ``16:9``, ``9:16`` or ``1:1``. (templated)
    :param audio: whether to make audio. (templated)
    :param references: up to 10 of ``{"name": ..., "file_path": ...}``, cited as ``@name`` in the prompt.
        (templated)
    """

    tool = "text-to-video"
    arguments = places("prompt=style.prompt end_seconds model resolution aspect_ratio audio references")

    def __init__(
        self,
        *,
        prompt: str,
        end_seconds: float | str,
        model: str | None = None,
        resolution: str | None = None,
        aspect_ratio: str | None = None,
        audio: bool | str | None = None,
        references: list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prompt, self.end_seconds, self.model = prompt, end_seconds, model
        self.resolution, self.aspect_ratio, self.audio = resolution, aspect_ratio, audio
        self.references = references


class MagicHourFaceSwapOperator(ToolOperator):
    """Submit a project that swaps faces in a video. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param start_seconds: where the clip begins in the video, in seconds. (templated)
    :param end_seconds: where it ends, in seconds. (templated)
    :param video: the video or GIF: URL, Magic Hour path, local path or object storage URI. (templated)
    :param image: the new face, for all faces: like ``video``. (templated)
    :param face_mappings: up to 5 of ``{"original_face": ..., "new_face": ...}``, instead of ``image``. (templated)
    :param video_source: ``file`` or ``youtube``. (templated)
    :param youtube_url: the video, with ``youtube``. (templated)
    :param face_swap_mode: ``all-faces`` (default) or ``individual-faces``. (templated)
    """

    tool = "face-swap"
    arguments = places(
        """
        start_seconds end_seconds video=assets.video_file_path image=assets.image_file_path
        face_mappings=assets.face_mappings video_source=assets.video_source youtube_url=assets.youtube_url
        face_swap_mode=assets.face_swap_mode
        """
    )

    def __init__(
        self,
        *,
        start_seconds: float | str,
        end_seconds: float | str,
        video: str | None = None,
        image: str | None = None,
        face_mappings: list[dict[str, Any]] | None = None,
        video_source: str = "file",
        youtube_url: str | None = None,
        face_swap_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.start_seconds, self.end_seconds, self.video = start_seconds, end_seconds, video
        self.image, self.face_mappings, self.video_source = image, face_mappings, video_source
        self.youtube_url, self.face_swap_mode = youtube_url, face_swap_mode


class MagicHourTalkingPhotoOperator(ToolOperator):
    """Submit a project that makes a photo speak. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param image: the photo: URL, Magic Hour path, local path or object storage URI. (templated)
    :param audio: what it says: like ``image``. (templated)
    :param end_seconds: where the clip ends in the audio, in seconds. (templated)
    :param start_seconds: where it begins, in seconds. (templated)
    :param generation_mode: ``realistic`` (up to 300 s) or ``prompted`` (45 s). (templated)
    :param prompt: what should happen, with ``prompted``. (templated)
    :param resolution: ``480p`` or ``720p``. (templated)
    """

    tool = "ai-talking-photo"
    arguments = places(
        """
        image=assets.image_file_path audio=assets.audio_file_path end_seconds start_seconds
        generation_mode=style.generation_mode prompt=style.prompt resolution
        """
    )

    def __init__(
        self,
        *,
        image: str,
        audio: str,
        end_seconds: float | str,
        start_seconds: float | str = 0,
        generation_mode: str | None = None,
        prompt: str | None = None,
        resolution: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image, self.audio, self.end_seconds = image, audio, end_seconds
        self.start_seconds, self.generation_mode, self.prompt = start_seconds, generation_mode, prompt
        self.resolution = resolution


class MagicHourLipSyncOperator(ToolOperator):
    """Submit a project that fits lips to a sound. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param audio: the sound: URL, Magic Hour path, local path or object storage URI. (templated)
    :param start_seconds: where the clip begins in the video, in seconds. (templated)
    :param end_seconds: where it ends, in seconds. (templated)
    :param video: the video: like ``audio``. (templated)
    :param video_source: ``file`` or ``youtube``. (templated)
    :param youtube_url: the video, with ``youtube``. (templated)
    :param generation_mode: ``lite``, ``standard`` or ``pro``. (templated)
    :param max_fps_limit: most frames per second. (templated)
    """

    tool = "lip-sync"
    arguments = places(
        """
        audio=assets.audio_file_path start_seconds end_seconds video=assets.video_file_path
        video_source=assets.video_source youtube_url=assets.youtube_url
        generation_mode=style.generation_mode max_fps_limit
        """
    )

    def __init__(
        self,
        *,
        audio: str,
        start_seconds: float | str,
        end_seconds: float | str,
        video: str | None = None,
        video_source: str = "file",
        youtube_url: str | None = None,
        generation_mode: str | None = None,
        max_fps_limit: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audio, self.start_seconds, self.end_seconds = audio, start_seconds, end_seconds
        self.video, self.video_source, self.youtube_url = video, video_source, youtube_url
        self.generation_mode, self.max_fps_limit = generation_mode, max_fps_limit


class MagicHourCharacterReplaceOperator(ToolOperator):
    """Submit a project that replaces a character in a video. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param image: the new character: URL, Magic Hour path, local path or object storage URI. (templated)
    :param video: the video: like ``image``. (templated)
    :param end_seconds: where the clip ends in the video, in seconds. (templated)
    :param start_seconds: where it begins, in seconds. (templated)
    :param model: ``wan-animate`` or ``kling-3.0``. (templated)
    :param resolution: ``480p``, ``720p`` or ``1080p``. (templated)
    :param mode: ``replace`` or ``animate``. (templated)
    :param points: where the character is: list of ``position_x``, ``position_y`` and ``time_seconds``. (templated)
    :param selection_mode: ``auto`` or, with ``points``, ``point``. (templated)
    """

    tool = "character-replace"
    arguments = places(
        """
        image=assets.image_file_path video=assets.video_file_path end_seconds start_seconds model resolution
        mode=style.mode points=style.points selection_mode=style.selection_mode
        """
    )

    def __init__(
        self,
        *,
        image: str,
        video: str,
        end_seconds: float | str,
        start_seconds: float | str | None = None,
        model: str | None = None,
        resolution: str | None = None,
        mode: str | None = None,
        points: list[dict[str, Any]] | None = None,
        selection_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image, self.video, self.end_seconds = image, video, end_seconds
        self.start_seconds, self.model, self.resolution = start_seconds, model, resolution
        self.mode, self.points, self.selection_mode = mode, points, selection_mode
