"""The files of a request: the identity of their bytes, and where the API has them."""

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
"""Most uploads at a time in a process: each needs a connection, and memory for some blocks of its file."""

_places = BoundedSemaphore(AT_ONCE)

K = TypeVar("K")
T = TypeVar("T")

Locate = Callable[[str, str], Source | None]
"""Takes the path of a field and its value; returns the file to upload, or None if the API fetches it itself."""


@discreet
@dataclass
class Files:
    """The files of a request that have to be uploaded, by the path of their field.

    :param sources: where each file is, or why it is out of reach, if an earlier run has uploaded it.
    :param identities: of each file's bytes.
    :param old_identities: the same by the rule of 0.1.0.
    """

    sources: dict[str, Source | MagicHourError] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    old_identities: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request, locate: Locate, record: Record | Unreadable | None) -> Files:
        """Find a request's files and identify their bytes.

        A file that is gone, empty or out of reach counts as what an earlier run uploaded from there: a retry may run on
        another machine, and must find the project that was paid for.

        :raises MagicHourStorageError: a file cannot be read, and no earlier run has uploaded it.
        :raises MagicHourInvalidRequestError: the API does not take such a file.
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
            log.warning("%s. It was uploaded at %s: using that upload", error, remembered.uploaded_at)
            self.sources[path], identity, old = error, remembered.file, remembered.file
        else:
            self.sources[path] = source
        self.identities[path] = identity
        # A record of 0.1.0 has identities by its own rule.
        self.old_identities[path] = remembered.file if remembered and identity == remembered.file else old

    def upload(self, hook: MagicHourHook, journal: Journal, record: Record) -> Record:
        """Upload what the API does not have yet, a few files at a time; costs nothing.

        Each file is recorded for a retry as soon as the API has it, even if another fails. A file that several fields
        name is uploaded once.

        :return: the record, with the uploads.
        :raises MagicHourError: a file is out of reach and its upload can no longer be used, or the first failure.
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
            # Whatever ends the task, Airflow's timeout included: nobody waits for the uploads under way.
            halted.set()
        return record

    def _due(self, record: Record, account: str) -> dict[Source, list[str]]:
        """Return what has to be uploaded, and for which fields."""
        due = defaultdict[Source, list[str]](list)
        for path, source in self.sources.items():
            remembered = record.uploads.get(key_of(path))
            if remembered and remembered.is_usable(self.identities[path], account, time.time()):
                log.info("%s is already uploaded, as %s", remembered.source, remembered.file_path)
            elif isinstance(source, MagicHourError):
                raise source
            else:
                due[source].append(path)
        return due

    def paths(self, record: Record) -> dict[str, str]:
        """Return where the API has each file, by the path of its field."""
        return {path: record.uploads[key_of(path)].file_path for path in self.sources}


def key_of(path: str) -> str:
    """Return the key under which the upload of a file field is recorded: that of 0.1.0 if the field is that old."""
    return path.removeprefix("assets.")


def _identity(source: Source, remembered: Upload | None) -> str:
    """Identify a file's bytes; the same bytes under another ETag, or by the rule of 0.1.0, keep their identity."""
    identity = source.identity()
    if remembered is None or identity == remembered.file:
        return identity
    if source.old_identity() == remembered.file:
        return remembered.file
    if remembered.sha256 is None:
        return identity
    # An ETag may change without the bytes: parts, metadata, another copy.
    if not remembered.file.startswith(f"{source.size}:") or source.sha256() != remembered.sha256:
        return identity
    log.info("%s has another ETag or date in its store, but the same bytes as before", source.path)
    return remembered.file


def _side_by_side(jobs: Mapping[K, Callable[[], T]], at_once: int) -> Iterator[tuple[K, T]]:
    """Run jobs in threads, and yield what each returns as soon as it ends.

    After a failure no more begin; the first one is raised once those under way have ended. The threads are daemons:
    neither the caller nor the end of the process waits for those of a task that has ended.
    """
    ended: SimpleQueue[tuple[K, T | None, BaseException | None]] = SimpleQueue()

    def run(key: K, job: Callable[[], T]) -> None:
        try:
            with _places:
                result = job()
            ended.put((key, result, None))
        except BaseException as error:  # any error at all: the caller waits for it
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
            log.warning("%s (other uploads were under way at that time)", failure)
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
    """Takes a file's checksum while it is uploaded, so that it is not read twice.

    :param stream: the file.
    :param note: gets the SHA-256 at the end.
    :param halted: set once nobody wants the rest.
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
