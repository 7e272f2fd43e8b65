"""Submit projects, and fetch results."""

from __future__ import annotations

from airflow_provider_magichour.operators.detect_faces import MagicHourDetectFacesOperator
from airflow_provider_magichour.operators.download import MagicHourDownloadOperator
from airflow_provider_magichour.operators.generate import MagicHourGenerateOperator
from airflow_provider_magichour.operators.image_to_video import MagicHourImageToVideoOperator

__all__ = [
    "MagicHourDetectFacesOperator",
    "MagicHourDownloadOperator",
    "MagicHourGenerateOperator",
    "MagicHourImageToVideoOperator",
]
