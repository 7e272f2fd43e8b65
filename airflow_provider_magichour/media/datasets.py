"""A project as a dataset: a submit writes it and a download reads it, so that lineage leads from image to clip.

Airflow loads this module with the URI handlers of all providers: it imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from airflow_provider_magichour.compat import Asset

SCHEME = "magichour"


def project_uri(kind: str, project_id: str) -> str:
    """Return the URI of a project, such as ``magichour://video/cm1234``.

    :raises MagicHourInvalidRequestError: for an invalid id.
    """
    from airflow_provider_magichour.api.endpoints import escaped_id

    return f"{SCHEME}://{kind}/{escaped_id(project_id)}"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the URI of a project as it is, for Airflow's assets.

    :raises ValueError: it has no kind or no id.
    """
    if not uri.netloc or not uri.path.strip("/"):
        raise ValueError(f"URI format {SCHEME}:// must contain a kind and a project id")
    return uri


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:
    """Return a project as OpenLineage's dataset: the kind in its namespace, the id as its name."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{parts.netloc}", name=parts.path.lstrip("/"))
