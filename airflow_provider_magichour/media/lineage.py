"""Tell Airflow what a task read and wrote: hook lineage (and so OpenLineage) and asset events."""

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
    """Add a request's files and the project that it made to the task's lineage: the one leads to the other.

    :param hook: that sent it.
    :param request: with the files as the user named them; they are not read.
    :param project_id: of what it made.
    """
    with informing("the files of the request to the lineage"):
        note_inputs(hook, file_uris(request))
    note_outputs(hook, [project_uri(request.tool.kind, project_id)])


def note_inputs(reader: Any, uris: Iterable[str]) -> None:
    """Add what was read to the task's lineage, which is of one process: what defers afterwards loses it.

    :param reader: the hook that read it.
    :param uris: of images, or of projects; no signature may be in them.
    """
    for uri in uris:
        with informing(f"{uri} to the lineage"):
            get_hook_lineage_collector().add_input_asset(context=reader, uri=as_dataset(uri))


def note_outputs(writer: Any, uris: Iterable[str]) -> None:
    """Add what was written to the task's lineage; see :func:`note_inputs`.

    :param writer: the hook that wrote it.
    :param uris: of files, or of projects.
    """
    for uri in uris:
        with informing(f"{uri} to the lineage"):
            get_hook_lineage_collector().add_output_asset(context=writer, uri=as_dataset(uri))


def tell_outlets(operator: BaseOperator, context: Context, uris: Sequence[str], extra: dict[str, Any]) -> None:
    """Add what was written to the events of a task's outlets.

    An ``AssetAlias`` gets an event of an asset with each real URI; an ``Asset`` gets them in its event's extra. What
    an asset's URI cannot hold has the real one in the extra of its event, as ``uri``.

    :param operator: the task that wrote.
    :param context: of the task.
    :param uris: written.
    :param extra: put into each event.
    """
    for outlet in operator.outlets:
        if isinstance(outlet, AssetAlias):
            for uri in uris:
                with informing(f"{uri} to the asset alias {outlet.name!r}"):
                    name = as_asset(uri)
                    known = extra if name == uri else {**extra, "uri": uri}
                    context["outlet_events"][outlet].add(Asset(name), extra=known)
        elif isinstance(outlet, Asset):
            with informing(f"the results to the asset {outlet.name!r}"):
                context["outlet_events"][outlet].extra.update({**extra, "uris": list(uris)})


def as_dataset(uri: str) -> str:
    """Return how lineage names a file: by its URI, percent-encoded where Airflow or OpenLineage would cut it.

    What follows a ``?`` or ``#`` is no part of a name to OpenLineage's converters (Airflow 3.3.2, its providers).
    """
    return uri if is_kept(uri) and "?" not in uri else _encoded(uri)


def as_asset(uri: str) -> str:
    """Return how an asset names a file: by a URI that ``ObjectStoragePath`` opens, wherever Airflow lets it have one.

    Of a local file it lets it have a path, too. A URI of another store that it would cut is percent-encoded: the whole
    one, put there past ``Asset``, would break what reads the event by a key that is made of ``Asset`` (3.3.2).
    """
    if is_kept(uri):
        return uri
    return uri.removeprefix("file://") if uri.startswith("file:///") else _encoded(uri)


def is_kept(uri: str) -> bool:
    """Return whether an asset's URI can be this one: it ends at a ``#``, and loses much of what follows a ``?``."""
    try:
        return Asset(uri).uri == uri
    except ValueError:  # MySQL takes ASCII alone
        return False


def _encoded(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{quote(rest, safe='/:@[]')}"
