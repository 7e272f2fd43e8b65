"""The URL of a project in Magic Hour's web app: for people, and for the API, which accepts it in place of a file. Pure.

Source: inputs and outputs page, 2026-08-22.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlsplit

from airflow_provider_magichour.api.tools import KINDS, Kind

LIBRARY = "https://magichour.ai/my-library"


def library_url(project_id: str, kind: Kind) -> str:
    """Return the URL of a project; it is not signed."""
    return f"{LIBRARY}?{kind}Id={quote(project_id, safe='')}"


def project_at(url: str) -> tuple[Kind, str] | None:
    """Return kind and id of the project that such a URL leads to, None for any other URL."""
    if not url.startswith(f"{LIBRARY}?"):
        return None
    try:
        named = dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        return None
    return next(((kind, named[f"{kind}Id"]) for kind in KINDS if f"{kind}Id" in named), None)
