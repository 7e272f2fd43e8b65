"""Tell Airflow what a task read and wrote: hook lineage (and so OpenLineage) and asset events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.compat import Asset, AssetAlias, get_hook_lineage_collector
from airflow_provider_magichour.informing import informing

if TYPE_CHECKING:
    from airflow_provider_magichour.compat import BaseOperator, Context


def note_inputs(reader: Any, uris: Iterable[str]) -> None:
    """Add what was read to the task's lineage.

    :param reader: the hook that read it.
    :param uris: of images; no signature may be in them.
    """
    for uri in uris:
        with informing(f"{uri} to the lineage"):
            get_hook_lineage_collector().add_input_asset(context=reader, uri=uri)


def note_outputs(
    operator: BaseOperator, context: Context, writer: Any, uris: Sequence[str], extra: dict[str, Any]
) -> None:
    """Add what was written to the task's lineage, and to the events of its outlets.

    An ``AssetAlias`` gets an event of an asset with each real URI; an ``Asset`` gets them in its event's extra.

    :param operator: the task that wrote.
    :param context: of the task.
    :param writer: the hook that fetched them.
    :param uris: written.
    :param extra: put into each event.
    """
    for uri in uris:
        with informing(f"{uri} to the lineage"):
            get_hook_lineage_collector().add_output_asset(context=writer, uri=uri)
    for outlet in operator.outlets:
        if isinstance(outlet, AssetAlias):
            for uri in uris:
                with informing(f"{uri} to the asset alias {outlet.name!r}"):
                    context["outlet_events"][outlet].add(Asset(uri), extra=extra)
        elif isinstance(outlet, Asset):
            with informing(f"the results to the asset {outlet.name!r}"):
                context["outlet_events"][outlet].extra.update({**extra, "uris": list(uris)})
