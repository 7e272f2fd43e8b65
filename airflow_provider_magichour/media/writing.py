"""Writes files of which nothing is visible before they are whole."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from airflow_provider_magichour.compat import ObjectStoragePath
from airflow_provider_magichour.exceptions import MagicHourStorageError
from airflow_provider_magichour.media.stores import (
    BLOCK,
    AnyPath,
    is_about_a_taken_name,
    is_published_when_closed,
    local_path,
    move,
    opened,
    storage_errors,
)

DAY = 24 * 3600.0
"""Seconds after which a temporary file that nobody writes to counts as left by a killed attempt."""

LONGEST_NAME = 255
"""Most bytes of a file's name, on nearly every file system."""


class NameTakenError(MagicHourStorageError):
    """The name was taken in the meantime; the file that has it is unchanged."""


def write_atomically(path: AnyPath, fill: Callable[[IO[bytes]], int], *, replaces: bool) -> int:
    """Write a file of which nothing is visible under its name before it is whole.

    It is written under a unique temporary name next to it, then moved; what attempts killed a day ago have left is
    removed. Only where an object appears when it is closed, it is written under its final name.

    :param path: where it goes; missing folders are created.
    :param fill: writes the bytes and returns how many.
    :param replaces: whether to replace an existing file; otherwise the name must be free, which local file systems, S3,
        Google Cloud Storage and Azure check atomically.
    :raises NameTakenError: the name is taken; that file is unchanged.
    :raises MagicHourStorageError: naming path and cause; nothing partial is left.
    """
    with storage_errors("write", path):
        if local := local_path(path):
            return _write_local(local, fill, replaces)
        assert isinstance(path, ObjectStoragePath)
        return (_write_object if is_published_when_closed(path) else _write_beside)(path, fill, replaces)


def _write_local(path: Path, fill: Callable[[IO[bytes]], int], replaces: bool) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_old(path)
    partial = path.with_name(partial_name(path.name))
    try:
        # Exclusive creation follows no link and touches no existing file.
        with partial.open("xb") as stream:
            written = fill(stream)
        if replaces:
            partial.replace(path)
        else:
            _take_name(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return written


def _take_name(partial: Path, path: Path) -> None:
    try:
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError:
            # No hard links there: an empty file reserves the name until the whole one replaces it.
            path.open("xb").close()
            partial.replace(path)
    except FileExistsError as error:
        raise NameTakenError(f"{path} already exists") from error


def partial_name(name: str) -> str:
    """Return a unique temporary name for a file; a long one is shortened to a valid length."""
    end = f".{secrets.token_hex(8)}.part"
    return f".{_stem(name)}{end}"


def _stem(name: str) -> str:
    room = LONGEST_NAME - len("..part.") - 16
    raw = os.fsencode(name)
    if len(raw) <= room:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return f"{raw[: room - 8].decode(errors='ignore')}{digest}"


def is_old_partial(candidate: str, age: float, name: str) -> bool:
    """Return whether a file was left by a killed attempt to write this name, and belongs to no living one.

    :param candidate: name of a file next to it.
    :param age: seconds since the last write to it.
    :param name: final name of the file to write.
    """
    # Until 0.1 the temporary name was the same for all attempts.
    return age > DAY and bool(re.fullmatch(rf"\.{re.escape(_stem(name))}(\.[0-9a-f]{{16}})?\.part", candidate))


def _remove_old(path: Path) -> None:
    now = time.time()
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if not entry.name.endswith(".part") or not entry.is_file(follow_symlinks=False):
                continue
            if is_old_partial(entry.name, now - entry.stat(follow_symlinks=False).st_mtime, path.name):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _write_object(path: ObjectStoragePath, fill: Callable[[IO[bytes]], int], replaces: bool) -> int:
    stream = opened(path, "wb" if replaces else "xb")
    try:
        written = _filled_ahead(stream, fill)
        stream.close()
    except BaseException as error:
        # Closing would create an object from what was written so far.
        with contextlib.suppress(Exception):
            stream.discard()
        stream.closed = True
        if is_about_a_taken_name(error):
            raise NameTakenError(f"{path} already exists") from error
        raise
    return written


def _write_beside(path: ObjectStoragePath, fill: Callable[[IO[bytes]], int], replaces: bool) -> int:
    fs, partial = path.fs, path.parent / partial_name(path.name)
    with contextlib.suppress(Exception):  # opening the file will raise the cause
        fs.makedirs(path.parent.path, exist_ok=True)
    with contextlib.suppress(Exception):  # tidying up must not fail the task
        _remove_old_beside(path)
    stream = opened(partial, "wb")
    try:
        written = _filled_ahead(_Joined(stream), fill)
        stream.close()
        # These stores have no common way to take a name exclusively: checking just before the move has to do.
        if not replaces and fs.exists(path.path):
            raise NameTakenError(f"{path} already exists")
        move(fs, partial.path, path.path)
    except BaseException:
        # An error here is not the cause.
        with contextlib.suppress(Exception):
            stream.close()
        with contextlib.suppress(Exception):
            fs.rm_file(partial.path)
        raise
    return written


def _remove_old_beside(path: ObjectStoragePath) -> None:
    for name in path.fs.ls(path.parent.path, detail=False):
        candidate = name.rstrip("/").rpartition("/")[2]
        if is_old_partial(candidate, math.inf, path.name):
            written = path.fs.modified(name)
            if is_old_partial(candidate, time.time() - written.timestamp(), path.name):
                path.fs.rm_file(name)


class _Joined:
    """Writes a block at once: sshfs waits for the server's answer to each write (2026.8)."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self._stream.write(b"".join(pieces))


def _filled_ahead(stream: IO[bytes] | _Joined, fill: Callable[[IO[bytes]], int]) -> int:
    with ThreadPoolExecutor(max_workers=1) as worker:
        ahead = _Ahead(stream, worker)
        written = fill(ahead)  # type: ignore[arg-type]  # only written to
        ahead.flush()
    return written


class _Ahead:
    """Writes in a thread, block by block: while a store's stream waits for a part, the next one is fetched.

    Pieces are released as they are written; otherwise two more blocks would be in memory.

    :param stream: to write to.
    :param worker: of one thread.
    """

    def __init__(self, stream: IO[bytes] | _Joined, worker: Executor) -> None:
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
        """Return once all is written."""
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
    """Return whether a file has exactly the bytes that ``fill`` writes. They are compared as they come, and not kept.

    :param path: of the file.
    :param fill: writes the bytes and returns how many.
    :raises MagicHourStorageError: the file cannot be read.
    """
    with storage_errors("read", path), opened(path, "rb") as stream:
        try:
            fill(_Comparison(stream))  # type: ignore[arg-type]  # only written to
        except _Different:
            return False
        return not stream.read(1)


class _Different(Exception):
    pass


class _Comparison:
    """Accepts what is written as long as another stream has the same bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, piece: bytes) -> None:
        if self._stream.read(len(piece)) != piece:
            raise _Different
