"""Where users keep their files: local paths and Airflow's object storage, and what stores do differently."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from airflow_provider_magichour.api.signatures import shown, without_secrets_of
from airflow_provider_magichour.compat import BaseHook, ObjectStoragePath
from airflow_provider_magichour.exceptions import MagicHourError, MagicHourStorageError

BLOCK = 13 << 19
"""Bytes of one request to an object store, 6.5 MiB: some five are in memory at a time, and each costs a round trip.

s3fs and adlfs would use 50 MiB; S3 takes up to 10,000 parts of at least 5 MiB.
"""


SILENCE = 60.0
"""Seconds after which an SFTP server that is silent is given up; sshfs 2026.8 and gcsfs 2026.10 would wait for ever."""

READ_AHEAD = 1 << 20
"""Bytes that are read at a time from a store, at least."""

PUBLISHED_WHEN_CLOSED = ("s3fs", "gcsfs", "adlfs")
"""Libraries whose objects, new or overwritten, appear when their stream is closed, and never if it is discarded.

According to their sources: parts and a commit in s3fs 2025.9 to 2026.9; a resumable upload in gcsfs 2026.10, except for
Google's zonal buckets, which show partial objects; blocks and a commit in adlfs 2024.12 to 2026.8 (2024.7 deleted the
old blob first). There a move is a copy and a delete, which costs more; and Azure may copy after the source is deleted.
"""


# On Airflow 3.0 and 3.1 an ObjectStoragePath is a Path too, so check for ObjectStoragePath.
AnyPath = Path | ObjectStoragePath


URI = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]*://[^/]*)(.*)", re.DOTALL)
"""A URI, as opposed to a path, in two parts: scheme and host or bucket, and the path there."""

LOST = re.compile(r"[\t\r\n?#]")
"""Characters that Airflow's ObjectStoragePath drops from a URI's path, or cuts it at (3.3.2)."""


def path_of(value: str, conn_id: str | None) -> AnyPath:
    """Return a local path, or one of Airflow's object storage for a URI.

    A URI contains the file's name as it is, as in ``ObjectStoragePath``. Only a ``file://`` URI may also be
    percent-encoded, as ``pathlib`` writes it: it is decoded if the name as it is leads nowhere.

    :raises MagicHourStorageError: Airflow has no file system for the scheme, or no such connection.
    """
    parts = URI.fullmatch(value)
    if parts is None:
        # Only ~ and ~/ mean the home directory; any other name may begin with ~.
        return Path(value).expanduser() if value == "~" or value.startswith("~/") else Path(value)
    try:
        # On Airflow 3.0 and 3.1 an explicit None would override the connection id in the URI.
        options = {"conn_id": conn_id} if conn_id else {}
        path = ObjectStoragePath(value, **options)
        if LOST.search(parts[2]) and not path.path.endswith(parts[2]):
            path = ObjectStoragePath(f"{parts[1]}/", **options) / parts[2].lstrip("/")
        path = _decoded_where_that_is_there(path)
        # Before Airflow 3.2 it is only among the options, since then never.
        if used := getattr(path, "conn_id", path.storage_options.get("conn_id")):
            _check_connection(used)
        _give_up_on_silence(path.fs)  # a missing provider fails here, not later
    except Exception as error:
        # Without its cause: that names the login of a URI, which Airflow takes for the id of a connection.
        raise MagicHourStorageError(
            f"Could not open {shown(value)}: {without_secrets_of(value, _reason(error))}. Is the provider for "
            f"{value.split('://')[0]}:// installed, and does the connection exist?"
        ) from None
    return path


@functools.cache
def _check_connection(conn_id: str) -> None:
    """Raise if Airflow has no such connection: the Amazon provider would use the real AWS anonymously (9.39).

    Checked once per process: Airflow also keeps the file system for the life of the process (3.3.2).
    """
    BaseHook.get_connection(conn_id)


def _give_up_on_silence(fs: Any) -> None:
    """Let a file system give up a server that has gone silent. S3's and Azure's do so on their own, after a minute."""
    library = _library(fs)
    # Another version may have other names for it: then it waits as it does by itself.
    with contextlib.suppress(AttributeError):
        if library == "sshfs":
            fs.loop.call_soon_threadsafe(fs.client.set_keepalive, SILENCE / 4, 3)
        elif library == "gcsfs":
            # Of a whole request, which carries one block: that is slow, and no silence.
            fs.requests_timeout = fs.requests_timeout or 5 * SILENCE


def _library(fs: Any) -> str:
    # The protocol is not enough: a wrapped pyarrow file system is s3 as well.
    return type(fs).__module__.partition(".")[0]


def _decoded_where_that_is_there(path: ObjectStoragePath) -> ObjectStoragePath:
    if local_path(path) is None or "%" not in path.path:
        return path
    decoded = os.fsdecode(unquote_to_bytes(path.path))

    def found(name: str) -> tuple[bool, bool]:
        return os.path.exists(name), os.path.exists(os.path.dirname(name.rstrip("/")))

    return ObjectStoragePath("file:///") / decoded.lstrip("/") if found(decoded) > found(path.path) else path


@contextlib.contextmanager
def storage_errors(doing: str, path: AnyPath) -> Iterator[None]:
    try:
        yield
    except MagicHourError:
        raise
    except Exception as error:
        # A path of this machine has no connection, and no bucket that somebody has to make.
        hint = (
            ""
            if local_path(path)
            else f". Make sure that its bucket or folder is there, and that its connection may {doing} it"
        )
        raise MagicHourStorageError(f"Could not {doing} {path}: {_reason(error).rstrip('.: ')}{hint}") from error


def _reason(error: Exception) -> str:
    """Return what an error says, but no file's name in it: sshfs takes a private key for one."""
    return error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"


def is_refusal(error: BaseException | None) -> bool:
    """Return whether a store does not allow something; each library has its own word."""
    if isinstance(error, OSError):  # gcsfs has no number for it
        return isinstance(error, PermissionError) or str(error).startswith("Forbidden: ")
    return getattr(error, "status_code", None) == 403 or type(error).__name__ == "SFTPPermissionDenied"


def opened(path: AnyPath, mode: str) -> Any:
    """Open without ``ObjectStoragePath.open``, whose stream adds lineage at every piece, connection id included."""
    if not isinstance(path, ObjectStoragePath):
        return path.open(mode)
    if mode == "rb":
        forget(path)
    # To others a block may mean something else: sshfs has 128 of them in flight.
    options = {"block_size": BLOCK} if is_published_when_closed(path) else {}
    stream = path.fs.open(path.path, mode, **options)
    return io.BufferedReader(_Raw(stream), READ_AHEAD) if mode == "rb" and not local_path(path) else stream


class _Raw(io.RawIOBase):
    """Reads as Python's own files do from a stream that has ``read``.

    fsspec's own streams have no longest line, and sshfs asks for a line byte by byte (2026.9, 2026.8).

    :param stream: which it closes.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._stream.close()


def forget(path: AnyPath) -> None:
    """Drop cached listings: others write to the store too."""
    if isinstance(path, ObjectStoragePath):
        path.fs.invalidate_cache(path.path)


def is_published_when_closed(path: ObjectStoragePath) -> bool:
    return _library(path.fs) in PUBLISHED_WHEN_CLOSED


def is_shareable(path: AnyPath) -> bool:
    """Return whether several threads may read from a store at a time: some libraries have one connection (FTP)."""
    return not isinstance(path, ObjectStoragePath) or local_path(path) is not None or bool(path.fs.async_impl)


def local_path(path: AnyPath) -> Path | None:
    """Return the path in this machine's own file system, or None for one in a store."""
    if not isinstance(path, ObjectStoragePath):
        return path
    return Path(path.path) if path.protocol in ("file", "local") else None


def is_about_a_taken_name(error: BaseException) -> bool:
    """Return whether a store refused to write because the name is taken; each library says so differently."""
    if isinstance(error, FileExistsError):
        return True
    # s3fs relies on a field of the answer that not every store sends.
    answer = getattr(error.__cause__, "response", None)
    return isinstance(answer, dict) and answer.get("Error", {}).get("Code") in ("PreconditionFailed", "412")


def move(fs: Any, source: str, target: str) -> None:
    if getattr(fs.mv, "__func__", None) is not AbstractFileSystem.mv:
        fs.mv(source, target)
        return
    # fsspec's own mv, which copies and deletes, treats a name with [, * or ? as a pattern.
    fs.cp_file(source, target)
    fs.rm_file(source)


def location_of(path: AnyPath) -> str:
    """Return how a written file is named in XCom: an absolute local path, or the object's URI."""
    return uri_of(path) if isinstance(path, ObjectStoragePath) else str(path.absolute())


def uri_of(path: AnyPath) -> str:
    """Return the URI by which ``ObjectStoragePath`` opens a file: its name as it is, without a connection id.

    The inverse of :func:`path_of`.
    """
    if not isinstance(path, ObjectStoragePath):
        return f"file://{path.absolute()}"
    host = path.storage_options.get("host")
    if not host or not path.path.startswith("/"):
        return f"{path.protocol}://{path.path}"
    port = path.storage_options.get("port")
    return f"{path.protocol}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{path.path}"


def size_of(path: AnyPath) -> int | None:
    """Return the size in bytes of a file, or None if there is none, or only writing is allowed there."""
    with storage_errors("check", path):
        forget(path)
        try:
            return int(path.stat().st_size)
        except Exception as error:
            if isinstance(error, FileNotFoundError) or is_refusal(error):
                return None
            raise


def names_in(path: AnyPath) -> set[str]:
    """Return the names of the files in a folder; none if there is no folder.

    :raises PermissionError: listing is not allowed.
    :raises MagicHourStorageError: its store does not answer.
    """
    with storage_errors("list", path):
        forget(path)
        try:
            return {each.name for each in path.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except Exception as error:
            if not is_refusal(error):
                raise
    raise PermissionError


def is_folder(path: AnyPath) -> bool:
    """Return whether a folder exists; if reading is not allowed, only a path that ends in ``/`` is one."""
    with storage_errors("check", path):
        try:
            return path.is_dir()
        except Exception as error:
            if is_refusal(error):
                return False
            raise


def sha256_of(path: AnyPath) -> str:
    """Return the SHA-256 of a file, read in a stream.

    :raises MagicHourStorageError: it cannot be read.
    """
    with storage_errors("read", path), opened(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
