"""Reports to Airflow what a task read and wrote: hook lineage (and so OpenLineage) and asset events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_magichour.compat import Asset, AssetAlias, get_hook_lineage_collector
from airflow_provider_magichour.informing import informing
from airflow_provider_magichour.media.datasets import project_uri
from airflow_provider_magichour.media.sources import file_uris

if TYPE_CHECKING:
    from airflow_provider_magichour.api.tools import Request
    from airflow_provider_magichour.compat import BaseOperator, Context


def note_submission(hook: Any, request: Request, project_id: str) -> None:
    """Add a request's files and its project to the task's lineage, which leads from those to this.

    :param hook: that sent it.
    :param request: with the files as the user named them; they are not read.
    :param project_id: of its project.
    """
    with informing("the lineage of the request's files"):
        note_inputs(hook, file_uris(request))
    note_outputs(hook, [project_uri(request.tool.kind, project_id)])


def note_inputs(reader: Any, uris: Iterable[str]) -> None:
    """Add what was read to the task's lineage. That belongs to a process: it is lost when the task defers.

    :param reader: the hook that read it.
    :param uris: of images, or of projects; without signatures.
    """
    for uri in uris:
        with informing(f"the lineage of {uri}"):
            get_hook_lineage_collector().add_input_asset(context=reader, uri=as_dataset(uri))


def note_outputs(writer: Any, uris: Iterable[str]) -> None:
    """Add what was written to the task's lineage; see :func:`note_inputs`.

    :param writer: the hook that wrote it.
    :param uris: of files, or of projects.
    """
    for uri in uris:
        with informing(f"the lineage of {uri}"):
            get_hook_lineage_collector().add_output_asset(context=writer, uri=as_dataset(uri))


def tell_outlets(operator: BaseOperator, context: Context, uris: Sequence[str], extra: dict[str, Any]) -> None:
    """Add what was written to the asset events of a task's outlets.

    An ``AssetAlias`` gets an event for an asset of each real URI; an ``Asset`` gets them in its event's extra. If an
    asset's URI cannot hold the real one, that is in the event's extra as ``uri``.

    :param operator: the task that wrote.
    :param context: of the task.
    :param uris: of what was written.
    :param extra: for each event.
    """
    for outlet in operator.outlets:
        if isinstance(outlet, AssetAlias):
            for uri in uris:
                with informing(f"the event of {uri} for the asset alias {outlet.name!r}"):
                    name = as_asset(uri)
                    known = extra if name == uri else {**extra, "uri": uri}
                    context["outlet_events"][outlet].add(Asset(name), extra=known)
        elif isinstance(outlet, Asset):
            with informing(f"the event of the asset {outlet.name!r}"):
                context["outlet_events"][outlet].extra.update({**extra, "uris": list(uris)})


def as_dataset(uri: str) -> str:
    """Return a file's name in lineage: its URI, percent-encoded if Airflow or OpenLineage would cut it.

    OpenLineage's converters drop what follows a ``?`` or ``#`` (Airflow 3.3.2, its providers).
    """
    return uri if is_kept(uri) and "?" not in uri else _encoded(uri)


def as_asset(uri: str) -> str:
    """Return a file's name as an asset: a URI that ``ObjectStoragePath`` opens, if Airflow accepts that.

    For a local file it also accepts a path. A URI of another store that it would cut is percent-encoded: the whole one,
    set past ``Asset``, would break readers that look the event up by a key made with ``Asset`` (3.3.2). So is any
    beyond ASCII: ``Asset`` takes it, but the API server's ``AssetModel`` does not, and the task would fail there.
    """
    if uri.isascii() and is_kept(uri):
        return uri
    return uri.removeprefix("file://") if uri.isascii() and uri.startswith("file:///") else _encoded(uri)


def is_kept(uri: str) -> bool:
    """Return whether an asset keeps this URI: it cuts it at a ``#``, and drops much of what follows a ``?``."""
    try:
        return Asset(uri).uri == uri
    except ValueError:  # MySQL takes only ASCII
        return False


def _encoded(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{quote(rest, safe='/:@[]')}"
