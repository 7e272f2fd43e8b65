"""Images from, and clips to, where users keep them: local paths and Airflow's object storage."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import BaseHook, ObjectStoragePath
from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from airflow_provider_magichour.api.calls import shown
from airflow_provider_magichour.api.capabilities import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from airflow_provider_magichour.api.schemas import ImageToVideoRequest, Kind
from airflow_provider_magichour.exceptions import MagicHourError, MagicHourInvalidRequestError, MagicHourStorageError
from airflow_provider_magichour.templating import without_signatures

MAGIC_HOUR_PATHS = ("api-assets/", "saved-items/")
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


@dataclass(frozen=True)
class Source:
    """A file to be uploaded, or one that was: nothing is read before it is asked about.

    :param path: where it is.
    :param extension: lower case, without the dot.
    """

    path: AnyPath
    extension: str

    @cached_property
    def size(self) -> int:
        """Bytes.

        :raises MagicHourStorageError: when the file is missing or cannot be read.
        :raises MagicHourInvalidRequestError: when it is no file, or empty.
        """
        with _storage_errors("read", self.path):
            size = self.path.stat().st_size
            if not self.path.is_file():
                raise MagicHourInvalidRequestError(f"{self.path} is not a file. Nothing was sent.")
        if not size:
            raise MagicHourInvalidRequestError(f"{self.path} is empty. Nothing was sent.")
        return int(size)

    def open(self) -> IO[bytes]:
        with _storage_errors("read", self.path):
            stream: IO[bytes] = _opened(self.path, "rb")
            return stream

    def identity(self) -> str:
        """Tell these bytes from others: size and SHA-256 of a local file, read in a stream; size and etag of an object.

        Modification time serves only where a store has no etag: a fresh checkout of the same file must not pay again.

        :raises MagicHourStorageError: when the file is missing or cannot be read.
        :raises MagicHourInvalidRequestError: when it is no file, or empty.
        """
        size = self.size
        if not isinstance(self.path, ObjectStoragePath) or self.path.protocol in ("file", "local", ""):
            with self.open() as stream:
                digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]  # IO[bytes] lacks readinto
                return f"{size}:sha256:{digest.hexdigest()}"
        with _storage_errors("read", self.path):
            info = self.path.fs.info(self.path.path)
        for name in ("ETag", "etag", "md5Hash", "content_md5"):
            if info.get(name):
                return f"{size}:etag:{str(info[name]).strip(chr(34))}"
        return f"{size}:modified:{info.get('LastModified') or info.get('mtime') or info.get('updated')}"


def source_of(argument: str, value: str, conn_id: str | None) -> Source | None:
    """Return the file behind an image argument, or None when the API fetches it itself. It is not read yet.

    URLs and Magic Hour's own paths are the API's to fetch; anything else is a local path or an object storage URI.

    :param argument: name of the argument, for messages.
    :param value: its value.
    :param conn_id: id of the storage's connection.
    :raises MagicHourInvalidRequestError: for an extension that the API does not take.
    :raises MagicHourStorageError: when Airflow knows no file system for it.
    """
    if value.lower().startswith(("http://", "https://")) or value.startswith(MAGIC_HOUR_PATHS):
        return None
    extension = os.path.splitext(urlsplit(value).path if "://" in value else value)[1].lstrip(".").lower()
    if extension not in IMAGE_EXTENSIONS:
        raise MagicHourInvalidRequestError(
            f"{argument}={shown(value)}: the extension {extension or '(none)'!r} is not an image that Magic Hour "
            f"takes; allowed: {', '.join(sorted(IMAGE_EXTENSIONS))}. Nothing was sent."
        )
    return Source(path_of(value, conn_id), extension)


def image_uris(request: ImageToVideoRequest, sources: Mapping[str, Source]) -> list[str]:
    """Return the URIs of a request's images: of the files, or as the API is told them, without signatures.

    :param request: with the images as the user named them.
    :param sources: files to upload, by asset field.
    """
    named = request.assets.model_dump(exclude_none=True)
    uris = [uri_of(sources[name].path) if name in sources else without_signatures(uri) for name, uri in named.items()]
    return [uri for uri in uris if isinstance(uri, str) and "://" in uri]


def path_of(value: str, conn_id: str | None) -> AnyPath:
    """Return a local path, or one of Airflow's object storage for a URI.

    :raises MagicHourStorageError: when Airflow knows no file system for the scheme, or not the connection.
    """
    if "://" not in value:
        return Path(value)
    try:
        # To Airflow 3.0 and 3.1 None would be a connection id that goes before the one in the URI.
        path = ObjectStoragePath(value, **({"conn_id": conn_id} if conn_id else {}))
        # Before Airflow 3.2 it is among the options alone, from then on never there.
        if used := getattr(path, "conn_id", path.storage_options.get("conn_id")):
            # Without it the Amazon provider would go on, anonymously and to the real AWS (9.39).
            BaseHook.get_connection(used)
        _ = path.fs  # otherwise a missing provider shows only later
    except Exception as error:
        raise MagicHourStorageError(
            f"Could not open {shown(value)}: {error}. Are the provider for {value.split('://')[0]}:// and the "
            "connection there?"
        ) from error
    return path


@contextlib.contextmanager
def _storage_errors(doing: str, path: AnyPath) -> Iterator[None]:
    try:
        yield
    except MagicHourError:
        raise
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise MagicHourStorageError(f"Could not {doing} {path}: {reason}") from error


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
    with _storage_errors("look at", base):
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


def _opened(path: AnyPath, mode: str) -> Any:
    """Open past ``ObjectStoragePath.open``, whose stream notes lineage at every piece, connection id included."""
    if not isinstance(path, ObjectStoragePath):
        return path.open(mode)
    # To others a block may mean something else: sshfs has 128 of them under way.
    options = {"block_size": BLOCK} if _is_published_when_closed(path) else {}
    return path.fs.open(path.path, mode, **options)


def _is_published_when_closed(path: ObjectStoragePath) -> bool:
    # The protocol would not tell: a wrapped pyarrow file system is s3 as well.
    return type(path.fs).__module__.partition(".")[0] in PUBLISHED_WHEN_CLOSED


def write_atomically(path: AnyPath, fill: Callable[[IO[bytes]], int]) -> int:
    """Write a file of which nothing is visible under its name before it is whole.

    It is written under a deterministic temporary name beside it, then moved: a retry overwrites what a killed try left.
    Only where an object appears when it is closed is it written under its own name.

    :param path: where it goes; missing folders are made.
    :param fill: writes the bytes and returns how many.
    :raises MagicHourStorageError: naming path and cause; nothing partial is left.
    """
    with _storage_errors("write", path):
        if not isinstance(path, ObjectStoragePath) or path.protocol in ("file", "local"):
            return _write_local(Path(path.path) if isinstance(path, ObjectStoragePath) else path, fill)
        return (_write_object if _is_published_when_closed(path) else _write_beside)(path, fill)


def _write_local(path: Path, fill: Callable[[IO[bytes]], int]) -> int:
    partial = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as stream:
            written = fill(stream)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return written


def _write_object(path: ObjectStoragePath, fill: Callable[[IO[bytes]], int]) -> int:
    stream = _opened(path, "wb")
    try:
        written = _filled_ahead(stream, fill)
        stream.close()
    except BaseException:
        # Closing would make an object of what was written so far.
        with contextlib.suppress(Exception):
            stream.discard()
        stream.closed = True
        raise
    return written


def _write_beside(path: ObjectStoragePath, fill: Callable[[IO[bytes]], int]) -> int:
    partial = path.parent / f".{path.name}.part"
    with contextlib.suppress(Exception):  # opening tells the cause
        path.fs.makedirs(path.parent.path, exist_ok=True)
    stream = _opened(partial, "wb")
    try:
        written = _filled_ahead(stream, fill)
        stream.close()
        _move(path.fs, partial.path, path.path)
    except BaseException:
        # What fails here now is not the cause.
        with contextlib.suppress(Exception):
            stream.close()
        with contextlib.suppress(Exception):
            path.fs.rm_file(partial.path)
        raise
    return written


def _move(fs: Any, source: str, target: str) -> None:
    if getattr(fs.mv, "__func__", None) is not AbstractFileSystem.mv:
        fs.mv(source, target)
        return
    # fsspec's own mv, which copies and deletes, takes a name with [, * or ? for a pattern.
    fs.cp_file(source, target)
    fs.rm_file(source)


def _filled_ahead(stream: IO[bytes], fill: Callable[[IO[bytes]], int]) -> int:
    with ThreadPoolExecutor(max_workers=1) as worker:
        ahead = _Ahead(stream, worker)
        written = fill(ahead)  # type: ignore[arg-type]  # it is written to alone
        ahead.flush()
    return written


class _Ahead:
    """Writes in a thread, block by block: a store's stream waits for each part, while the next can be fetched.

    Pieces are let go as they are written, or two blocks more would lie in memory.

    :param stream: to write to.
    :param worker: of one thread.
    """

    def __init__(self, stream: IO[bytes], worker: Executor) -> None:
        self._stream = stream
        self._worker = worker
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._writing: Future[None] | None = None

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= BLOCK:
            self._hand_over()

    def flush(self) -> None:
        """Return when all is written."""
        self._hand_over()
        self._wait()

    def _hand_over(self) -> None:
        self._wait()
        self._writing = self._worker.submit(self._stream.writelines, _drained(self._pieces))
        self._pieces, self._size = deque(), 0

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()


def _drained(pieces: deque[bytes]) -> Iterator[bytes]:
    while pieces:
        yield pieces.popleft()


def holds(path: AnyPath, fill: Callable[[IO[bytes]], int]) -> bool:
    """Return whether a file has the very bytes that ``fill`` writes. They are compared on their way, and not kept.

    :param path: of the file.
    :param fill: writes the bytes and returns how many.
    :raises MagicHourStorageError: when the file cannot be read.
    """
    with _storage_errors("read", path), _opened(path, "rb") as stream:
        try:
            fill(_Comparison(stream))  # type: ignore[arg-type]  # it is written to alone
        except _Different:
            return False
        return not stream.read(1)


class _Different(Exception):
    pass


class _Comparison:
    """Takes what is written only as long as another stream holds the same."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, piece: bytes) -> None:
        if self._stream.read(len(piece)) != piece:
            raise _Different


def location_of(path: AnyPath) -> str:
    """Return how a written file is named in XCom: an absolute local path, or the object's URI."""
    return uri_of(path) if isinstance(path, ObjectStoragePath) else str(path.absolute())


def uri_of(path: AnyPath) -> str:
    """Return the URI of a file, without the connection id that Airflow writes into it."""
    return f"{path.protocol}://{path.path}" if isinstance(path, ObjectStoragePath) else path.absolute().as_uri()


def size_of(path: AnyPath) -> int | None:
    """Return the size in bytes of a file, or None when there is none."""
    with _storage_errors("look at", path):
        try:
            return int(path.stat().st_size)
        except FileNotFoundError:
            return None
