"""Where users keep their files: local paths and Airflow's object storage, and what stores do differently."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from airflow_provider_magichour.api.signatures import shown, without_secrets_of
from airflow_provider_magichour.compat import BaseHook, ObjectStoragePath
from airflow_provider_magichour.exceptions import MagicHourError, MagicHourStorageError

BLOCK = 13 << 19
"""Bytes of one request to an object store, 6.5 MiB: some five of them lie in memory at a time, and each costs a wait.

s3fs would take 50 MiB; S3 takes 10,000 parts from 5 MiB up.
"""


PUBLISHED_WHEN_CLOSED = ("s3fs", "gcsfs", "adlfs")
"""Libraries whose objects, new or overwritten, appear when their stream is closed, and never when it is discarded.

So their sources say: parts and a commit in s3fs 2025.9 to 2026.9; a resumable upload in gcsfs 2026.10, but for Google's
zonal buckets, which show all they have; blocks and a commit in adlfs 2024.12 to 2026.8 (2024.7 deleted the old blob
first). There, to move is to copy and delete, which costs more; and Azure may copy later than the source is deleted.
"""


# On Airflow 3.0 and 3.1 an ObjectStoragePath is a Path too, so it is what has to be asked for.
AnyPath = Path | ObjectStoragePath


URI = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]*://[^/]*)(.*)", re.DOTALL)
"""What is a URI and no path, in two parts: its scheme and host or bucket, and the path there."""

LOST = re.compile(r"[\t\r\n?#]")
"""What Airflow's ObjectStoragePath leaves out of a path that it is given in a URI, or cuts it at (3.3.2)."""


def path_of(value: str, conn_id: str | None) -> AnyPath:
    """Return a local path, or one of Airflow's object storage for a URI.

    What stands in a URI is the file's name as it is, as in ``ObjectStoragePath``. Only a ``file://`` URI may also be
    percent-encoded, as ``pathlib`` writes it: it is read so when the name as it is leads nowhere.

    :raises MagicHourStorageError: when Airflow knows no file system for the scheme, or not the connection.
    """
    parts = URI.fullmatch(value)
    if parts is None:
        # A name that begins with ~ is one; what the shell would make of it is the home directory.
        return Path(value).expanduser() if value == "~" or value.startswith("~/") else Path(value)
    try:
        # To Airflow 3.0 and 3.1 None would be a connection id that goes before the one in the URI.
        options = {"conn_id": conn_id} if conn_id else {}
        path = ObjectStoragePath(value, **options)
        if LOST.search(parts[2]) and not path.path.endswith(parts[2]):
            path = ObjectStoragePath(f"{parts[1]}/", **options) / parts[2].lstrip("/")
        path = _decoded_where_that_is_there(path)
        # Before Airflow 3.2 it is among the options alone, from then on never there.
        if used := getattr(path, "conn_id", path.storage_options.get("conn_id")):
            _check_connection(used)
        _ = path.fs  # otherwise a missing provider shows only later
    except Exception as error:
        # Without its cause: that names the login of a URI, which Airflow takes for the id of a connection.
        raise MagicHourStorageError(
            f"Could not open {shown(value)}: {without_secrets_of(value, str(error))}. Are the provider for "
            f"{value.split('://')[0]}:// and the connection there?"
        ) from None
    return path


@functools.cache
def _check_connection(conn_id: str) -> None:
    """Raise where Airflow has no such connection: the Amazon provider would go on, anonymously, to the real AWS (9.39).

    Once it was there it is not asked for again: Airflow keeps its file system for the life of the process, too (3.3.2).
    """
    BaseHook.get_connection(conn_id)


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
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise MagicHourStorageError(f"Could not {doing} {path}: {reason}") from error


def opened(path: AnyPath, mode: str) -> Any:
    """Open past ``ObjectStoragePath.open``, whose stream notes lineage at every piece, connection id included."""
    if not isinstance(path, ObjectStoragePath):
        return path.open(mode)
    if mode == "rb":
        forget(path)
    # To others a block may mean something else: sshfs has 128 of them under way.
    options = {"block_size": BLOCK} if is_published_when_closed(path) else {}
    return path.fs.open(path.path, mode, **options)


def forget(path: AnyPath) -> None:
    """Let a store be asked anew: its library keeps listings, and others write there too."""
    if isinstance(path, ObjectStoragePath):
        path.fs.invalidate_cache(path.path)


def is_published_when_closed(path: ObjectStoragePath) -> bool:
    # The protocol would not tell: a wrapped pyarrow file system is s3 as well.
    return type(path.fs).__module__.partition(".")[0] in PUBLISHED_WHEN_CLOSED


def is_shareable(path: AnyPath) -> bool:
    """Return whether threads may read from a store at a time: some libraries have one connection, as for FTP."""
    return not isinstance(path, ObjectStoragePath) or local_path(path) is not None or bool(path.fs.async_impl)


def local_path(path: AnyPath) -> Path | None:
    """Return the path in this machine's own file system, or None for one in a store."""
    if not isinstance(path, ObjectStoragePath):
        return path
    return Path(path.path) if path.protocol in ("file", "local") else None


def is_about_a_taken_name(error: BaseException) -> bool:
    """Return whether a store refused to write because something has that name; each library has its own word."""
    if isinstance(error, FileExistsError):
        return True
    # s3fs knows it by a field of the answer that not every store gives.
    answer = getattr(error.__cause__, "response", None)
    return isinstance(answer, dict) and answer.get("Error", {}).get("Code") in ("PreconditionFailed", "412")


def move(fs: Any, source: str, target: str) -> None:
    if getattr(fs.mv, "__func__", None) is not AbstractFileSystem.mv:
        fs.mv(source, target)
        return
    # fsspec's own mv, which copies and deletes, takes a name with [, * or ? for a pattern.
    fs.cp_file(source, target)
    fs.rm_file(source)


def location_of(path: AnyPath) -> str:
    """Return how a written file is named in XCom: an absolute local path, or the object's URI."""
    return uri_of(path) if isinstance(path, ObjectStoragePath) else str(path.absolute())


def uri_of(path: AnyPath) -> str:
    """Return the URI by which ``ObjectStoragePath`` opens a file: its name as it is, and no connection id.

    :func:`path_of` is the way back.
    """
    if not isinstance(path, ObjectStoragePath):
        return f"file://{path.absolute()}"
    host = path.storage_options.get("host")
    if not host or not path.path.startswith("/"):
        return f"{path.protocol}://{path.path}"
    port = path.storage_options.get("port")
    return f"{path.protocol}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{path.path}"


def size_of(path: AnyPath) -> int | None:
    """Return the size in bytes of a file, or None when there is none, or when only writing is allowed there."""
    with storage_errors("look at", path):
        forget(path)
        try:
            return int(path.stat().st_size)
        except (FileNotFoundError, PermissionError):
            return None


def names_in(path: AnyPath) -> set[str]:
    """Return the names of the files in a folder, none where there is no folder.

    :raises PermissionError: when looking is not allowed.
    :raises MagicHourStorageError: when its store does not answer.
    """
    with storage_errors("look into", path):
        forget(path)
        try:
            return {each.name for each in path.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except PermissionError:
            pass
    raise PermissionError


def is_folder(path: AnyPath) -> bool:
    """Return whether a folder is there; where looking is not allowed, a path is what its name says."""
    with storage_errors("look at", path):
        try:
            return path.is_dir()
        except PermissionError:
            return False


def sha256_of(path: AnyPath) -> str:
    """Return the SHA-256 of a file, read in a stream.

    :raises MagicHourStorageError: when it cannot be read.
    """
    with storage_errors("read", path), opened(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
