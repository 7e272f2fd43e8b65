"""The URL of a project in Magic Hour's web app: for people, and for the API, which accepts it in place of a file. Pure.

Source: inputs and outputs page, 2026-08-22.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_magichour.api.tools import Kind

LIBRARY = "https://magichour.ai/my-library"


def library_url(project_id: str, kind: Kind) -> str:
    """Return the URL of a project; it is not signed."""
    return f"{LIBRARY}?{kind}Id={quote(project_id, safe='')}"
