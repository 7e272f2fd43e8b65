"""Submit projects, and fetch results."""

from __future__ import annotations

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
