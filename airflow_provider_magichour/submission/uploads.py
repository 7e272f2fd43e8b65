"""The files of a request: which bytes they are, and where the API has them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self, cast

from airflow_provider_magichour.api.signatures import discreet, without_login
from airflow_provider_magichour.api.tools import Request
from airflow_provider_magichour.exceptions import (
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourStorageError,
)
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.media.sources import Source, uploaded
from airflow_provider_magichour.submission.record import Journal, Record, Unreadable, Upload, timestamp

log = logging.getLogger(__name__)

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
        """Upload what the API does not have yet, remembering each file for a retry; costs nothing.

        :return: the record, with the uploads.
        :raises MagicHourError: why a file is out of reach whose upload cannot be used any more.
        """
        account = hook.settings().account
        for path, source in self.sources.items():
            key, identity = key_of(path), self.identities[path]
            remembered = record.uploads.get(key)
            if remembered and remembered.is_usable(identity, account, time.time()):
                log.info("%s is uploaded already, as %s", remembered.source, remembered.file_path)
                continue
            if isinstance(source, MagicHourError):
                raise source
            upload = _uploaded(hook, source, identity, account)
            record = record.model_copy(update={"uploads": {**record.uploads, key: upload}})
            journal.try_write(record, f"{source.path} was uploaded, but a retry will upload it again")
        return record

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


def _uploaded(hook: MagicHourHook, source: Source, identity: str, account: str) -> Upload:
    checksum = ""

    def opened() -> IO[bytes]:
        return cast("IO[bytes]", Checksummed(source.open(), note))

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
    """

    def __init__(self, stream: IO[bytes], note: Callable[[str], None]) -> None:
        self._stream = stream
        self._note = note
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._digest.update(piece)
        if not piece:
            self._note(self._digest.hexdigest())
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
