"""Submit projects and fetch results. Operators are imported lazily: a DAG file pays only for those that it names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_magichour.operators.batch import MagicHourBatchOperator
    from airflow_provider_magichour.operators.detect_faces import MagicHourDetectFacesOperator
    from airflow_provider_magichour.operators.download import MagicHourDownloadOperator
    from airflow_provider_magichour.operators.generate import MagicHourGenerateOperator
    from airflow_provider_magichour.operators.image_to_video import MagicHourImageToVideoOperator
    from airflow_provider_magichour.operators.images import (
        MagicHourBackgroundRemoverOperator,
        MagicHourFaceSwapPhotoOperator,
        MagicHourImageEditorOperator,
        MagicHourImageGeneratorOperator,
        MagicHourImageUpscalerOperator,
    )
    from airflow_provider_magichour.operators.videos import (
        MagicHourCharacterReplaceOperator,
        MagicHourFaceSwapOperator,
        MagicHourLipSyncOperator,
        MagicHourTalkingPhotoOperator,
        MagicHourTextToVideoOperator,
    )

__all__ = [
    "MagicHourBackgroundRemoverOperator",
    "MagicHourBatchOperator",
    "MagicHourCharacterReplaceOperator",
    "MagicHourDetectFacesOperator",
    "MagicHourDownloadOperator",
    "MagicHourFaceSwapOperator",
    "MagicHourFaceSwapPhotoOperator",
    "MagicHourGenerateOperator",
    "MagicHourImageEditorOperator",
    "MagicHourImageGeneratorOperator",
    "MagicHourImageToVideoOperator",
    "MagicHourImageUpscalerOperator",
    "MagicHourLipSyncOperator",
    "MagicHourTalkingPhotoOperator",
    "MagicHourTextToVideoOperator",
]

_NAMES = {
    "batch": ("MagicHourBatchOperator",),
    "detect_faces": ("MagicHourDetectFacesOperator",),
    "download": ("MagicHourDownloadOperator",),
    "generate": ("MagicHourGenerateOperator",),
    "image_to_video": ("MagicHourImageToVideoOperator",),
    "images": (
        "MagicHourBackgroundRemoverOperator",
        "MagicHourFaceSwapPhotoOperator",
        "MagicHourImageEditorOperator",
        "MagicHourImageGeneratorOperator",
        "MagicHourImageUpscalerOperator",
    ),
    "videos": (
        "MagicHourCharacterReplaceOperator",
        "MagicHourFaceSwapOperator",
        "MagicHourLipSyncOperator",
        "MagicHourTalkingPhotoOperator",
        "MagicHourTextToVideoOperator",
    ),
}


def __getattr__(name: str) -> Any:
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
