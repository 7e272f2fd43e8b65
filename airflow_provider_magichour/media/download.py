"""Images from, and clips to, where users keep them: local paths and Airflow's object storage."""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_provider_magichour.api.capabilities import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.api.endpoints import checked_kind, checked_project_id
from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourInvalidRequestError, MagicHourStorageError
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.media.stores import AnyPath, path_of, size_of, storage_errors
from airflow_provider_magichour.media.transfer import Transfer
from airflow_provider_magichour.media.writing import holds, write_atomically

log = logging.getLogger(__name__)

EXTENSIONS: dict[Kind, tuple[str, frozenset[str]]] = {
    "video": ("mp4", VIDEO_EXTENSIONS | {"gif"}),
    "image": ("png", IMAGE_EXTENSIONS | {"gif"}),
    "audio": ("mp3", AUDIO_EXTENSIONS),
}


def destination_paths(
    destination: str, conn_id: str | None, *, project_id: str, kind: Kind, urls: list[str]
) -> list[AnyPath]:
    """Name the files that a project's results become, in the API's order.

    In a folder they are named after the project id; a path that names a file is used as it is. Several results
    are numbered. Of the URLs only a known extension is used: no answer of the API can leave the destination.

    :param destination: folder (ending in ``/``, or existing) or file; local or an object storage URI.
    :param conn_id: id of the storage's connection.
    :param urls: signed URLs of the results.
    """
    base = path_of(destination, conn_id)
    with storage_errors("look at", base):
        is_folder = destination.endswith("/") or base.is_dir()
    paths = []
    for index, url in enumerate(urls):
        number = f"-{index + 1}" if len(urls) > 1 else ""
        if is_folder:
            paths.append(base / f"{project_id}{number}.{_extension(url, kind)}")
        else:
            paths.append(base.parent / f"{base.stem}{number}{base.suffix}" if number else base)
    return paths


def _extension(url: str, kind: Kind) -> str:
    default, known = EXTENSIONS[kind]
    try:
        extension = os.path.splitext(urlsplit(url).path)[1].lstrip(".").lower()
    except ValueError:
        return default
    return extension if extension in known else default


@dataclass
class Download:
    """One project's results on their way into the user's storage.

    :param hook: way to the API.
    :param project_id: id that the submit returned.
    :param kind: ``video``, ``image`` or ``audio``.
    :param destination: folder or file.
    :param conn_id: id of the connection of that storage.
    :param overwrite: write over a file that is there.
    """

    hook: MagicHourHook
    project_id: str
    kind: str
    destination: str
    conn_id: str | None
    overwrite: bool

    def run(self) -> list[AnyPath]:
        """Fetch every result and return where they are, in the API's order."""
        if not isinstance(self.destination, str) or not self.destination.strip():
            raise MagicHourInvalidRequestError(
                f"destination={self.destination!r}: a folder (ending in /) or a file is needed, local or as a URI"
            )
        kind, project_id = checked_kind(self.kind), checked_project_id(self.project_id)
        urls = [output.url for output in self._complete(kind).outputs]
        try:
            paths = destination_paths(self.destination, self.conn_id, project_id=project_id, kind=kind, urls=urls)
            with self.hook.client() as client:
                for index, path in enumerate(paths):
                    self._fetch(client, kind, urls[index], index, path)
        except MagicHourStorageError as error:
            left = f"Project {project_id} is still there to download."
            raise MagicHourStorageError(f"{str(error).rstrip('.')}. {left}") from error.__cause__
        return paths

    def _complete(self, kind: Kind) -> Project:
        project = self.hook.get_project(self.project_id, kind)
        if project.is_deleted or not project.is_complete:
            state = "deleted" if project.is_deleted else project.status
            raise MagicHourApiError(
                f"Magic Hour project {project.id} is {state}: there is nothing to download. "
                "Let a MagicHourProjectSensor wait for it first."
            )
        return project

    def _fetch(self, client: MagicHourClient, kind: Kind, url: str, index: int, path: AnyPath) -> None:
        began = time.monotonic()
        transfer = Transfer(client, url, lambda: self._complete(kind).outputs[index].url, self.project_id)
        there = size_of(path)
        if there is not None and not self.overwrite:
            is_named = bool(re.search(rf"(?<![a-zA-Z0-9]){re.escape(self.project_id)}(?![a-zA-Z0-9])", path.name))
            size = transfer.size()
            # Under another name, a try that died after the rename left it, or it is not ours: only its bytes tell.
            if size == there if is_named else size in (None, there) and holds(path, transfer.copy_to):
                log.info("%s is there already, in full", path)
                return
            if not is_named:
                raise MagicHourStorageError(
                    f"{path} is there already and is not this project's. Set overwrite=True, or name a destination "
                    "that ends in / to have files named after projects"
                )
        written = write_atomically(path, transfer.copy_to)
        log.info("Downloaded %s: %d bytes in %.1f s", path, written, time.monotonic() - began)
