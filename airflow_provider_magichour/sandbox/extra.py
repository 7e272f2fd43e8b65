"""Packages that only the extra ``[sandbox]`` is sure to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

EXTRA = 'pip install "airflow-provider-magichour[sandbox]"'
RENDERING = frozenset({"av", "numpy"})
SERVING = frozenset({"starlette", "uvicorn"})


@contextmanager
def extra_explained() -> Iterator[None]:
    """Say how to install a missing module.

    :raises ImportError: instead of a ModuleNotFoundError for a module of the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in RENDERING:
            without = "Sandbox(render=False), on the command line --no-render, does not need it"
            raise ImportError(f"rendering clips needs {module}: {EXTRA}; {without}") from error
        if module in SERVING:
            raise ImportError(f"the sandbox needs {module}: {EXTRA}") from error
        raise
