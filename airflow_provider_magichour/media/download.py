"""Writes a project's results to local paths and Airflow's object storage."""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_magichour.api.capabilities import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.api.endpoints import checked_kind, checked_project_id, escaped_id
from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.signatures import discreet, shown
from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourInvalidRequestError, MagicHourStorageError
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.media.notes import note, vouches
from airflow_provider_magichour.media.stores import AnyPath, is_folder, is_refusal, path_of, sha256_of, size_of
from airflow_provider_magichour.media.transfer import SpoiltResultError, Transfer
from airflow_provider_magichour.media.writing import NameTakenError, holds, write_atomically

log = logging.getLogger(__name__)

STARTS = 3
"""Times that a result is written from its first byte, if only its end shows that it is not valid."""

EXTENSIONS: dict[Kind, tuple[str, frozenset[str]]] = {
    "video": ("mp4", VIDEO_EXTENSIONS | {"gif"}),
    "image": ("png", IMAGE_EXTENSIONS | {"gif", "mp4", "webm"}),
    "audio": ("mp3", AUDIO_EXTENSIONS),
}


def destination_paths(
    destination: str, conn_id: str | None, *, project_id: str, kind: Kind, urls: list[str], prefix: str = ""
) -> list[AnyPath]:
    """Return the files for a project's results, in the API's order.

    In a folder they are named after the project id; a path that names a file is used as it is. Several results are
    numbered. Of the URLs only a known extension is used, so no answer of the API can lead out of the destination.

    :param destination: folder (ending in ``/``, or existing) or file; local or an object storage URI.
    :param conn_id: id of the storage's connection.
    :param urls: signed URLs of the results.
    :param prefix: of the names in a folder.
    """
    base = path_of(destination, conn_id)
    is_in_folder = destination.endswith("/") or is_folder(base)
    paths = []
    for index, url in enumerate(urls):
        number = f"-{index + 1}" if len(urls) > 1 else ""
        if is_in_folder:
            paths.append(base / f"{prefix}{escaped_id(project_id)}{number}.{_extension(url, kind)}")
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


@discreet
@dataclass
class Download:
    """The download of one project's results into the user's storage.

    :param hook: calls the API.
    :param project_id: id that the submit returned.
    :param kind: ``video``, ``image`` or ``audio``.
    :param destination: folder or file.
    :param conn_id: id of the connection of that storage.
    :param overwrite: replace an existing file.
    :param prefix: of the names in a folder, before the project id.
    :param project: as the API has just shown it, if it was read.
    :param log: where to log.
    """

    hook: MagicHourHook
    project_id: str
    kind: str
    destination: str
    conn_id: str | None
    overwrite: bool
    prefix: str = ""
    project: Project | None = None
    log: logging.Logger | logging.LoggerAdapter[Any] = log
    sizes: list[int] = field(default_factory=list, init=False)
    """Bytes of each result that was written."""

    def run(self) -> list[AnyPath]:
        """Fetch every result and return the files, in the API's order."""
        if not isinstance(self.destination, str) or not self.destination.strip():
            raise MagicHourInvalidRequestError(
                f"destination={shown(self.destination)}: a folder (ending in /) or a file is needed, local or as a URI"
            )
        kind, project_id = checked_kind(self.kind), checked_project_id(self.project_id)
        urls = [output.url for output in (self.project or self._complete(kind)).outputs]
        try:
            paths = destination_paths(
                self.destination, self.conn_id, project_id=project_id, kind=kind, urls=urls, prefix=self.prefix
            )
            with self.hook.client() as client:
                for index, path in enumerate(paths):
                    self._fetch(client, kind, urls[index], index, path)
        except MagicHourStorageError as error:
            left = f"Project {project_id} can still be downloaded."
            raise MagicHourStorageError(f"{str(error).rstrip('.')}. {left}") from error.__cause__
        return paths

    def _complete(self, kind: Kind) -> Project:
        project = self.hook.get_project(self.project_id, kind)
        if project.is_deleted or not project.is_complete:
            state = "deleted" if project.is_deleted else project.status
            raise MagicHourApiError(
                f"Magic Hour project {project.id} is {state}: there is nothing to download. "
                "Wait for it with a MagicHourProjectSensor first."
            )
        return project

    def _fetch(self, client: MagicHourClient, kind: Kind, url: str, index: int, path: AnyPath) -> None:
        began = time.monotonic()
        transfer = Transfer(
            client, url, lambda: self._url_of(kind, index), project_id=checked_project_id(self.project_id), kind=kind
        )
        for start in range(STARTS):
            try:
                self._write(transfer, path, began)
                return
            except SpoiltResultError as error:
                if start == STARTS - 1:
                    raise
                log.warning("%s", error)
                transfer.renew()

    def _url_of(self, kind: Kind, index: int) -> str:
        outputs = self._complete(kind).outputs
        if index >= len(outputs):
            raise MagicHourApiError(
                f"Magic Hour project {self.project_id} has fewer results than before. A retry fetches what is left"
            )
        return outputs[index].url

    def _write(self, transfer: Transfer, path: AnyPath, began: float) -> None:
        there = None if self.overwrite else size_of(path)
        is_ours = is_named_after(path.name, self.project_id)
        if there is not None and is_there(path, there, transfer):
            self.log.info("%s already exists in full", path)
            return
        if there is not None and not is_ours:
            raise MagicHourStorageError(_not_ours(path))
        try:
            written = write_atomically(path, transfer.copy_to, replaces=self.overwrite or there is not None)
        except NameTakenError:
            self._settle(transfer, path, is_ours)
            return
        self.sizes.append(written)
        note(path, transfer.etag, transfer.sha256)
        self.log.info("Downloaded %s: %d bytes in %.1f s", path, written, time.monotonic() - began)

    def _settle(self, transfer: Transfer, path: AnyPath, is_ours: bool) -> None:
        """Handle a name that was taken in the meantime, or before where only writing is allowed."""
        try:
            is_same = sha256_of(path) == transfer.sha256
        except MagicHourStorageError as error:
            if not (is_ours and is_refusal(error.__cause__)):
                raise
            is_same = False
        if is_same:
            log.info("%s was written by another task in the meantime, with the same bytes", path)
        elif is_ours:
            write_atomically(path, transfer.copy_to, replaces=True)
        else:
            raise MagicHourStorageError(_not_ours(path))


def is_named_after(name: str, project_id: str) -> bool:
    """Return whether a file's name contains this project's id, and not a longer one that contains it."""
    return bool(re.search(rf"(?<![a-zA-Z0-9]){re.escape(project_id)}(?![a-zA-Z0-9])", name))


def _not_ours(path: AnyPath) -> str:
    return (
        f"{path} already exists and is not this project's. Set overwrite=True, or end the destination with / to "
        "name files after projects"
    )


def is_there(path: AnyPath, size: int, transfer: Transfer) -> bool:
    """Return whether a file has exactly the result's bytes; with a note on the file one byte is enough to know.

    :param path: of the file.
    :param size: of the file.
    :param transfer: of the result.
    """
    told, etag = transfer.seen_at_the_store()
    if told == size and vouches(path, etag):
        return True
    return told in (None, size) and holds(path, transfer.copy_to)
