"""The files of a request: which bytes they are, and where the API has them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore, Event, Thread
from typing import IO, Self, TypeVar, cast

from airflow_provider_magichour.api.signatures import discreet, without_login
from airflow_provider_magichour.api.tools import Request
from airflow_provider_magichour.exceptions import (
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourStorageError,
)
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.media.sources import Source, uploaded
from airflow_provider_magichour.media.stores import is_shareable
from airflow_provider_magichour.submission.record import Journal, Record, Unreadable, Upload, timestamp

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Uploads under way at a time in a process: each has a connection, and some blocks of its file in memory."""

_places = BoundedSemaphore(AT_ONCE)

K = TypeVar("K")
T = TypeVar("T")

Locate = Callable[[str, str], Source | None]
"""Takes the path of a field and its value; returns the file to upload, None for what the API fetches itself."""


@discreet
@dataclass
class Files:
    """The files that a request names and that are uploaded, by the path of their field.

    :param sources: where each file is; why it is out of reach, where an earlier run has uploaded it.
    :param identities: which bytes each file holds.
    :param old_identities: the same as 0.1.0 told them.
    """

    sources: dict[str, Source | MagicHourError] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    old_identities: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request, locate: Locate, record: Record | Unreadable | None) -> Files:
        """Find a request's files, and tell their bytes.

        One that is gone, empty or out of reach is what an earlier run uploaded from there: a retry may run on another
        machine, and a project that was paid for must be found there too.

        :raises MagicHourStorageError: when a file cannot be read that no earlier run uploaded.
        :raises MagicHourInvalidRequestError: when it is none that the API takes.
        """
        files = cls()
        uploads = record.uploads if isinstance(record, Record) else {}
        for path, value in request.files.items():
            files._add(path, value, locate, uploads.get(key_of(path)))
        return files

    def _add(self, path: str, value: str, locate: Locate, remembered: Upload | None) -> None:
        named = {without_login(value), str(Path(value))}
        try:
            source = locate(path, value)
            if source is None:
                return
            named.add(without_login(str(source.path)))
            identity = _identity(source, remembered)
            old = source.old_identity()
        except (MagicHourStorageError, MagicHourInvalidRequestError) as error:
            if remembered is None or without_login(remembered.source) not in named:
                raise
            log.warning("%s. It was uploaded at %s, and is taken for unchanged", error, remembered.uploaded_at)
            self.sources[path], identity, old = error, remembered.file, remembered.file
        else:
            self.sources[path] = source
        self.identities[path] = identity
        # What 0.1.0 recorded is known by the identity that it recorded.
        self.old_identities[path] = remembered.file if remembered and identity == remembered.file else old

    def upload(self, hook: MagicHourHook, journal: Journal, record: Record) -> Record:
        """Upload what the API does not have yet, a few files side by side; costs nothing.

        Each file is remembered for a retry as soon as the API has it, also where another fails. One that several fields
        name is uploaded once.

        :return: the record, with the uploads.
        :raises MagicHourError: why a file is out of reach whose upload cannot be used any more, or the first failure.
        """
        account, halted = hook.settings().account, Event()
        due = self._due(record, account)
        jobs = {
            source: partial(_uploaded, hook, source, self.identities[paths[0]], account, halted)
            for source, paths in due.items()
        }
        at_once = AT_ONCE if all(is_shareable(source.path) for source in due) else 1
        try:
            for source, upload in _side_by_side(jobs, at_once):
                anew = {key_of(path): upload for path in due[source]}
                record = record.model_copy(update={"uploads": record.uploads | anew})
                journal.try_write(record, f"{source.path} was uploaded, but a retry will upload it again")
        finally:
            # Whatever ends the task, a timeout of Airflow's too: nobody waits for what is under way.
            halted.set()
        return record

    def _due(self, record: Record, account: str) -> dict[Source, list[str]]:
        """Return what is to be uploaded, and for which fields."""
        due = defaultdict[Source, list[str]](list)
        for path, source in self.sources.items():
            remembered = record.uploads.get(key_of(path))
            if remembered and remembered.is_usable(self.identities[path], account, time.time()):
                log.info("%s is uploaded already, as %s", remembered.source, remembered.file_path)
            elif isinstance(source, MagicHourError):
                raise source
            else:
                due[source].append(path)
        return due

    def paths(self, record: Record) -> dict[str, str]:
        """Return where the API has each file, by the path of its field."""
        return {path: record.uploads[key_of(path)].file_path for path in self.sources}


def key_of(path: str) -> str:
    """Return the name under which the upload of a file field is remembered: that of 0.1.0 where the field is old."""
    return path.removeprefix("assets.")


def _identity(source: Source, remembered: Upload | None) -> str:
    """Tell the bytes of a file; the same ones under another etag, or as 0.1.0 told them, are known."""
    identity = source.identity()
    if remembered is None or identity == remembered.file:
        return identity
    if source.old_identity() == remembered.file:
        return remembered.file
    if remembered.sha256 is None:
        return identity
    # What a store says of bytes may change without them: parts, metadata, another copy.
    if not remembered.file.startswith(f"{source.size}:") or source.sha256() != remembered.sha256:
        return identity
    log.info("%s has another mark at its store and the same bytes as before", source.path)
    return remembered.file


def _side_by_side(jobs: Mapping[K, Callable[[], T]], at_once: int) -> Iterator[tuple[K, T]]:
    """Run jobs in threads, and yield what each returns as soon as it ends.

    After a failure none begins any more; the first is raised once those under way have ended. The threads are daemons:
    neither the caller nor the end of the process waits for those of a task that has been ended.
    """
    ended: SimpleQueue[tuple[K, T | None, BaseException | None]] = SimpleQueue()

    def run(key: K, job: Callable[[], T]) -> None:
        try:
            with _places:
                result = job()
            ended.put((key, result, None))
        except BaseException as error:  # whatever it is, the caller waits for it
            ended.put((key, None, error))

    waiting, under_way, first = deque(jobs.items()), 0, None
    while waiting or under_way:
        while waiting and under_way < at_once:
            Thread(target=copy_context().run, args=(run, *waiting.popleft()), daemon=True).start()
            under_way += 1
        key, result, failure = ended.get()
        under_way -= 1
        if failure is None:
            yield key, cast("T", result)
            continue
        waiting.clear()
        if first or under_way:
            log.warning("%s (other uploads were under way beside it)", failure)
        first = first or failure
    if first:
        raise first


def _uploaded(hook: MagicHourHook, source: Source, identity: str, account: str, halted: Event) -> Upload:
    checksum = ""

    def opened() -> IO[bytes]:
        return cast("IO[bytes]", Checksummed(source.open(), note, halted))

    def note(digest: str) -> None:
        nonlocal checksum
        checksum = digest

    target = uploaded(hook, source, opened)
    return Upload(
        source=without_login(str(source.path)),
        file=identity,
        file_path=target.file_path,
        uploaded_at=timestamp(time.time()),
        account=account,
        sha256=checksum or None,
    )


class Checksummed:
    """A file on its way: what was read of it has a checksum at its end, so that it is not read twice.

    :param stream: the file.
    :param note: is told the SHA-256, once the end is reached.
    :param halted: set when nobody wants the rest any more.
    """

    def __init__(self, stream: IO[bytes], note: Callable[[str], None], halted: Event) -> None:
        self._stream = stream
        self._note = note
        self._halted = halted
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        if self._halted.is_set():
            raise InterruptedError("the task has ended")
        piece = self._stream.read(size)
        self._digest.update(piece)
        if not piece:
            self._note(self._digest.hexdigest())
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
