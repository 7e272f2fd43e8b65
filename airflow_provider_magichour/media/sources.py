"""Files to upload, from local paths and Airflow's object storage."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_magichour.api.capabilities import EXTENSIONS
from airflow_provider_magichour.api.library import project_at
from airflow_provider_magichour.api.signatures import discreet, shown, without_login, without_signatures
from airflow_provider_magichour.api.tools import Kind, Media, Request
from airflow_provider_magichour.compat import ObjectStoragePath
from airflow_provider_magichour.exceptions import MagicHourError, MagicHourInvalidRequestError, MagicHourStorageError
from airflow_provider_magichour.media.datasets import project_uri
from airflow_provider_magichour.media.stores import (
    URI,
    AnyPath,
    opened,
    path_of,
    sha256_of,
    storage_errors,
    uri_of,
)

if TYPE_CHECKING:
    from airflow_provider_magichour.api.schemas import UploadUrl
    from airflow_provider_magichour.hooks import MagicHourHook

MAGIC_HOUR_PATHS = ("api-assets/", "saved-items/")
WEB = ("http://", "https://")


@discreet
@dataclass(frozen=True)
class Source:
    """A file to upload, or one that was uploaded. It is read only when one of its properties is needed.

    :param path: where it is.
    :param extension: lower case, without the dot.
    :param type: what it is uploaded as.
    """

    path: AnyPath
    extension: str
    type: Kind = "image"

    @cached_property
    def size(self) -> int:
        """Bytes.

        :raises MagicHourStorageError: the file is missing or cannot be read.
        :raises MagicHourInvalidRequestError: it is not a file, or empty.
        """
        with storage_errors("read", self.path):
            size = self.path.stat().st_size
            if not self.path.is_file():
                raise MagicHourInvalidRequestError.unsent(f"{self.path} is not a file")
        if not size:
            raise MagicHourInvalidRequestError.unsent(f"{self.path} is empty")
        return int(size)

    def open(self) -> IO[bytes]:
        with storage_errors("read", self.path):
            stream: IO[bytes] = opened(self.path, "rb")
            return stream

    def identity(self) -> str:
        """Identify these bytes: by size and SHA-256 of a local file, read in a stream, or by what its store says.

        The modification time is used only if a store has nothing better: a fresh checkout of the same file must not pay
        again.

        :raises MagicHourStorageError: the file is missing or cannot be read.
        :raises MagicHourInvalidRequestError: it is not a file, or empty.
        """
        return self._identities[0]

    def old_identity(self) -> str:
        """Return :meth:`identity` by the rule of release 0.1.0, with the same errors."""
        return self._identities[1]

    @cached_property
    def _identities(self) -> tuple[str, str]:
        if not isinstance(self.path, ObjectStoragePath) or self.path.protocol in ("file", "local", ""):
            return (f"{self.size}:sha256:{self.sha256()}",) * 2
        size = self.size
        with storage_errors("read", self.path):
            info = self.path.fs.info(self.path.path)
        return f"{size}:{object_identity(info)}", f"{size}:{_old_object_identity(info)}"

    def sha256(self) -> str:
        """Return the checksum of the content, which is read for it.

        :raises MagicHourStorageError: the file is missing or cannot be read.
        """
        return sha256_of(self.path)


def object_identity(info: Mapping[str, Any]) -> str:
    """Identify an object's bytes by what its store says: a checksum of the content if there is one, else its ETag.

    The ETags of Google Cloud Storage and of Azure change with the metadata too; S3 has nothing but its ETag.

    :param info: as fsspec's file systems return it.
    """
    settings = info.get("content_settings")
    of_azure = settings.get("content_md5") if isinstance(settings, Mapping) else getattr(settings, "content_md5", None)
    for checksum in (info.get("md5Hash"), info.get("content_md5"), of_azure):
        if checksum:
            # Azure's library has it as bytes.
            is_text = isinstance(checksum, str)
            return f"md5:{checksum if is_text else base64.b64encode(checksum).decode()}"
    for name in ("ETag", "etag"):
        if info.get(name):
            return f"etag:{str(info[name]).strip(chr(34))}"
    return f"modified:{info.get('LastModified') or info.get('mtime') or info.get('updated')}"


def _old_object_identity(info: Mapping[str, Any]) -> str:
    """Identify an object's bytes by the rule of 0.1.0, for its records."""
    for name in ("ETag", "etag", "md5Hash", "content_md5"):
        if info.get(name):
            return f"etag:{str(info[name]).strip(chr(34))}"
    return f"modified:{info.get('LastModified') or info.get('mtime') or info.get('updated')}"


MEDIA: Mapping[Media, str] = {"image": "an image", "video": "a video", "audio": "audio", "gif": "a GIF"}


def source_of(argument: str, value: str, conn_id: str | None, media: tuple[Media, ...] = ("image",)) -> Source | None:
    """Return the file behind an argument, or None if the API fetches it itself. It is not read yet.

    URLs and Magic Hour's own paths are the API's to fetch; anything else is a local path or an object storage URI.

    :param argument: name of the argument, for messages.
    :param value: its value.
    :param conn_id: id of the storage's connection.
    :param media: what the field takes.
    :raises MagicHourInvalidRequestError: for an extension that the API does not take.
    :raises MagicHourStorageError: Airflow has no file system for it.
    """
    told = extension_of(argument, value, media)
    return told and Source(path_of(value, conn_id), *told)


def extension_of(argument: str, value: str, media: tuple[Media, ...]) -> tuple[str, Kind] | None:
    """Return the extension of a file and what it is uploaded as; None if the API fetches it; see :func:`source_of`.

    :raises MagicHourInvalidRequestError: for an extension that the API does not take.
    """
    if value.lower().startswith(WEB) or value.startswith(MAGIC_HOUR_PATHS):
        return None
    extension = os.path.splitext(value)[1].lstrip(".").lower()
    for each in media:
        if extension in EXTENSIONS[each]:
            # The API has no type for GIFs; only fields for videos take them.
            return extension, "video" if each == "gif" else each
    allowed = sorted(set().union(*(EXTENSIONS[each] for each in media)))
    raise MagicHourInvalidRequestError.unsent(
        f"{argument}={shown(value)}: the extension {shown(extension or '(none)')} is not that of "
        f"{' or '.join(MEDIA[each] for each in media)} that Magic Hour takes; allowed: {', '.join(allowed)}"
    )


def file_uris(request: Request) -> list[str]:
    """Return the URIs of a request's files: where they are stored, or as sent to the API, without signatures.

    What an earlier task has made is its project.

    Nothing is read, and no store is contacted.

    :param request: with the files as the user named them.
    """
    return uris_of(request.files.values())


def uris_of(values: Iterable[str]) -> list[str]:
    """Return the URIs of files as :func:`file_uris` does, except those that Magic Hour itself has."""
    return [_uri_named(value) for value in values if not value.startswith(MAGIC_HOUR_PATHS)]


def uploaded(hook: MagicHourHook, source: Source, opener: Callable[[], IO[bytes]] | None = None) -> UploadUrl:
    """Upload a file; costs nothing.

    :param opener: opens it in another way.
    :raises MagicHourStorageError: it cannot be read in full.
    :raises MagicHourApiError: the API or the network failed.
    """
    try:
        return hook.upload(opener or source.open, size=source.size, extension=source.extension, type=source.type)
    except MagicHourError:
        raise
    except Exception as error:
        raise MagicHourStorageError(
            f"Could not read {source.path} in full ({error}). Was it changed in the meantime? Nothing was submitted."
        ) from error


def _uri_named(value: str) -> str:
    if project := project_at(value):
        return project_uri(*project)
    if value.lower().startswith(WEB):
        return str(without_signatures(value))
    if URI.fullmatch(value) and not value.lower().startswith("file://"):
        return without_login(value)
    return uri_of(path_of(value, None))
