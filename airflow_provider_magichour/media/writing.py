"""Files of which nothing is visible before they are whole."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from airflow_provider_magichour.compat import ObjectStoragePath
from airflow_provider_magichour.media.stores import (
    BLOCK,
    AnyPath,
    is_published_when_closed,
    move,
    opened,
    storage_errors,
)


def write_atomically(path: AnyPath, fill: Callable[[IO[bytes]], int]) -> int:
    """Write a file of which nothing is visible under its name before it is whole.

    It is written under a deterministic temporary name beside it, then moved: a retry overwrites what a killed try left.
    Only where an object appears when it is closed is it written under its own name.

    :param path: where it goes; missing folders are made.
    :param fill: writes the bytes and returns how many.
    :raises MagicHourStorageError: naming path and cause; nothing partial is left.
    """
    with storage_errors("write", path):
        if not isinstance(path, ObjectStoragePath) or path.protocol in ("file", "local"):
            return _write_local(Path(path.path) if isinstance(path, ObjectStoragePath) else path, fill)
        return (_write_object if is_published_when_closed(path) else _write_beside)(path, fill)


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
    stream = opened(path, "wb")
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
    stream = opened(partial, "wb")
    try:
        written = _filled_ahead(stream, fill)
        stream.close()
        move(path.fs, partial.path, path.path)
    except BaseException:
        # What fails here now is not the cause.
        with contextlib.suppress(Exception):
            stream.close()
        with contextlib.suppress(Exception):
            path.fs.rm_file(partial.path)
        raise
    return written


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
    with storage_errors("read", path), opened(path, "rb") as stream:
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
