"""A local Magic Hour on 127.0.0.1 that really renders, for demos and tests without credits.

It needs its extra: ``pip install "airflow-provider-magichour[sandbox]"``. Only :class:`Sandbox`
does; importing this package costs nothing, because pytest loads the plugin wherever it is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.sandbox.faults import Fault, JobScript
from airflow_provider_magichour.sandbox.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.server import Sandbox

__all__ = ["Fault", "JobScript", "Sandbox", "Settings"]

NEEDS_EXTRA = 'the sandbox needs its extra: pip install "airflow-provider-magichour[sandbox]"'
EXTRA_MODULES = frozenset({"av", "numpy", "starlette", "uvicorn"})


def __getattr__(name: str) -> Any:
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from airflow_provider_magichour.sandbox.server import Sandbox
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA_MODULES:
            raise
        raise ImportError(f"{NEEDS_EXTRA} ({error.name} is missing)") from error
    return Sandbox
