"""Submit projects of the tools that make images."""

from __future__ import annotations

from typing import Any

from airflow_provider_magichour.operators.arguments import places
from airflow_provider_magichour.operators.tool import ToolOperator


class MagicHourImageGeneratorOperator(ToolOperator):
    """Submit a project that makes images from a text. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param prompt: what the images show. (templated)
    :param image_count: how many, 1 to 16; what is possible depends on ``model``. (templated)
    :param model: AI model, such as ``z-image-turbo``; the API's default may change. (templated)
    :param resolution: ``640px``, ``1k``, ``2k`` or ``4k``. (templated)
    :param aspect_ratio: ``1:1``, ``16:9`` or ``9:16``. (templated)
    :param style_tool: such as ``ai-anime-generator``. (templated)
    """

    tool = "ai-image-generator"
    arguments = places("prompt=style.prompt image_count model resolution aspect_ratio style_tool=style.tool")

    def __init__(
        self,
        *,
        prompt: str,
        image_count: int | str = 1,
        model: str | None = None,
        resolution: str | None = None,
        aspect_ratio: str | None = None,
        style_tool: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prompt, self.image_count, self.model = prompt, image_count, model
        self.resolution, self.aspect_ratio, self.style_tool = resolution, aspect_ratio, style_tool


class MagicHourImageEditorOperator(ToolOperator):
    """Submit a project that edits images. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param images: 1 to 10 images, each a URL, Magic Hour path, local path or object storage URI. (templated)
    :param prompt: what to change. (templated)
    :param image_count: how many to make. (templated)
    :param model: AI model, such as ``nano-banana``; the API's default may change. (templated)
    :param resolution: ``640px``, ``1k``, ``2k`` or ``4k``. (templated)
    :param aspect_ratio: such as ``1:1``, ``16:9``. (templated)
    """

    tool = "ai-image-editor"
    arguments = places("images=assets.image_file_paths prompt=style.prompt image_count model resolution aspect_ratio")

    def __init__(
        self,
        *,
        images: list[str],
        prompt: str,
        image_count: int | str | None = None,
        model: str | None = None,
        resolution: str | None = None,
        aspect_ratio: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.images, self.prompt, self.image_count = images, prompt, image_count
        self.model, self.resolution, self.aspect_ratio = model, resolution, aspect_ratio


class MagicHourFaceSwapPhotoOperator(ToolOperator):
    """Submit a project that swaps faces in a photo. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param target: the photo: URL, Magic Hour path, local path or object storage URI. (templated)
    :param source: the new face, for all faces: like ``target``. (templated)
    :param face_mappings: list of ``{"original_face": ..., "new_face": ...}``, instead of ``source``. (templated)
    :param face_swap_mode: ``all-faces`` (default) or ``individual-faces``. (templated)
    """

    tool = "face-swap-photo"
    arguments = places(
        """
        target=assets.target_file_path source=assets.source_file_path face_mappings=assets.face_mappings
        face_swap_mode=assets.face_swap_mode
        """
    )

    def __init__(
        self,
        *,
        target: str,
        source: str | None = None,
        face_mappings: list[dict[str, Any]] | None = None,
        face_swap_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target, self.source, self.face_mappings = target, source, face_mappings
        self.face_swap_mode = face_swap_mode


class MagicHourImageUpscalerOperator(ToolOperator):
    """Submit a project that enlarges an image. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param image: the image: URL, Magic Hour path, local path or object storage URI. (templated)
    :param scale_factor: 2 or 4. (templated)
    :param mode: ``preserve``, ``balanced`` (default) or ``creative``. (templated)
    :param prompt: what the image shows. (templated)
    """

    tool = "ai-image-upscaler"
    arguments = places("image=assets.image_file_path scale_factor mode=style.mode prompt=style.prompt")

    def __init__(
        self, *, image: str, scale_factor: int | str, mode: str | None = None, prompt: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.image, self.scale_factor, self.mode = image, scale_factor, mode
        self.prompt = prompt


class MagicHourBackgroundRemoverOperator(ToolOperator):
    """Submit a project that removes the background of an image. It costs credits and is paid for once.

    Otherwise as :class:`~airflow_provider_magichour.operators.MagicHourGenerateOperator`.

    :param image: the image: URL, Magic Hour path, local path or object storage URI. (templated)
    :param background_image: what to put behind it: like ``image``. (templated)
    """

    tool = "image-background-remover"
    arguments = places("image=assets.image_file_path background_image=assets.background_image_file_path")

    def __init__(self, *, image: str, background_image: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image, self.background_image = image, background_image
