"""A local Magic Hour on 127.0.0.1 that really renders, for demos and tests without credits.

Rendering needs its extra: ``pip install "airflow-provider-magichour[sandbox]"``; with ``render=False`` Starlette and
uvicorn, which Airflow has, are enough. Importing this package costs nothing, because pytest loads the plugin wherever
it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.sandbox.faults import Fault, JobScript
from airflow_provider_magichour.sandbox.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.server import Sandbox

__all__ = ["Fault", "JobScript", "Sandbox", "Settings"]

EXTRA = 'pip install "airflow-provider-magichour[sandbox]"'
RENDERING = frozenset({"av", "numpy"})
SERVING = frozenset({"starlette", "uvicorn"})


@contextmanager
def extra_explained() -> Iterator[None]:
    """Say of a module that is missing how to get it.

    :raises ImportError: in place of a ModuleNotFoundError for a module of the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in RENDERING:
            without = "Sandbox(render=False), on the command line --no-render, does without"
            raise ImportError(f"rendering clips needs {module}: {EXTRA}; {without}") from error
        if module in SERVING:
            raise ImportError(f"the sandbox needs {module}: {EXTRA}") from error
        raise


def __getattr__(name: str) -> Any:
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extra_explained():
        from airflow_provider_magichour.sandbox.server import Sandbox
    return Sandbox
