"""Fetch results."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour import metrics
from airflow_provider_magichour.compat import BaseOperator
from airflow_provider_magichour.fields import Argument, ProjectIdField, SignedUrlField, told_kind, truth
from airflow_provider_magichour.links import MagicHourProjectLink, push_link

if TYPE_CHECKING:
    from airflow_provider_magichour.compat import Context


class MagicHourDownloadOperator(BaseOperator):
    """Fetch the results of a finished project into the user's own storage; costs nothing.

    Results are streamed; nothing partial is ever visible under a final name. In a folder a result is named after the
    project id. A file that already has the result's bytes is left as it is (the result is fetched to compare, unless a
    note on the file vouches for it); one that is named after the project and has other bytes is written again; any
    other file of that name is an error. Download URLs are requested again, so the task also works a day after the wait.
    Returns the files in the API's order, as absolute paths or URIs. The task's lineage leads from the project to those;
    an ``AssetAlias`` among its ``outlets`` gets an asset event for each URI, an ``Asset`` has them in its event's
    extra.

    :param project_id: the id, or what a waiting task returned. (templated)
    :param kind: ``video``, ``image`` or ``audio``; not needed with what a waiting task returned. (templated)
    :param destination: folder (ending in ``/``, or existing) or file; local or an object storage URI. (templated)
    :param conn_id: id of the connection of that storage. (templated)
    :param magichour_conn_id: id of the Magic Hour connection. (templated)
    :param overwrite: replace an existing file. (templated)
    :raises MagicHourInvalidRequestError: an argument or the connection cannot be used; not retried.
    :raises MagicHourStorageError: the storage cannot be written; the project can be fetched later.
    :raises MagicHourApiError: the project is not complete, or the API or the network failed.
    """

    template_fields: Sequence[str] = ("project_id", "kind", "destination", "conn_id", "magichour_conn_id", "overwrite")
    operator_extra_links = (MagicHourProjectLink(),)
    ui_color = "#e8e1fa"

    project_id = ProjectIdField()
    destination = SignedUrlField()
    conn_id = Argument()

    def __init__(
        self,
        *,
        project_id: Any,
        destination: str | PathLike[str],
        kind: str = "video",
        conn_id: str | None = None,
        magichour_conn_id: str = "magichour_default",
        overwrite: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.destination = destination
        self.kind = kind
        self.conn_id = conn_id
        self.magichour_conn_id = magichour_conn_id
        self.overwrite = overwrite

    def execute(self, context: Context) -> list[str]:
        """Fetch every result and return the files."""
        from airflow_provider_magichour.api.arguments import checked_text
        from airflow_provider_magichour.api.endpoints import checked_kind
        from airflow_provider_magichour.hooks import MagicHourHook
        from airflow_provider_magichour.media.datasets import project_uri
        from airflow_provider_magichour.media.download import Download
        from airflow_provider_magichour.media.lineage import note_inputs, note_outputs, tell_outlets
        from airflow_provider_magichour.media.stores import location_of, uri_of

        hook, kind = MagicHourHook(self.magichour_conn_id), checked_kind(told_kind(self))
        download = Download(
            hook=hook,
            project_id=self.project_id,
            kind=kind,
            destination=checked_text("destination", self.destination, "a folder or a file"),
            conn_id=self.conn_id and checked_text("conn_id", self.conn_id, "the id of a connection"),
            overwrite=truth("overwrite", self.overwrite),
        )
        push_link(context, self.project_id, kind)
        try:
            paths = download.run()
        finally:  # some may be written even if another failed
            metrics.downloaded(metrics.tags_of(self, context), download.sizes)
        uris = [uri_of(path) for path in paths]
        note_inputs(hook, [project_uri(kind, self.project_id)])
        note_outputs(hook, uris)
        tell_outlets(self, context, uris, {"project_id": self.project_id})
        return [location_of(path) for path in paths]
