"""A local Magic Hour on 127.0.0.1 that really renders, for demos and tests without credits.

Rendering needs its extra: ``pip install "airflow-provider-magichour[sandbox]"``; with ``render=False`` Starlette and
uvicorn, which Airflow has, are enough. Importing this package costs nothing, because pytest loads the plugin wherever
it is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.sandbox.extra import extra_explained
from airflow_provider_magichour.sandbox.faults import Fault, JobScript
from airflow_provider_magichour.sandbox.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.server import Sandbox

__all__ = ["Fault", "JobScript", "Sandbox", "Settings"]


def __getattr__(name: str) -> Any:
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extra_explained():
        from airflow_provider_magichour.sandbox.server import Sandbox
    return Sandbox
