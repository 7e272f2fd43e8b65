"""The transfer of one file from a signed URL, across interruptions and an expired URL."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import IO

import httpx

from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.media.endings import Ending
from airflow_provider_magichour.media.formats import HEAD, ending_of, shown_type, what_it_is_instead

log = logging.getLogger(__name__)


CUTS = 10
"""Interruptions in a row without any progress after which the task fails."""

MISFITS = 2
"""Answers with something other than the result, after each of which it is requested again with a fresh URL."""

MOST_ANSWERS = 10_000
"""Most answers for one file: a store that sends a byte at a time must not keep the task forever."""


class Transfer:
    """The transfer of one file from a signed URL, across interruptions and an expired URL.

    :param client: opens the URL.
    :param url: signed URL.
    :param fresh_url: asks the API for a new one.
    :param project_id: whose result it is, for messages.
    :param kind: of the project: decides what its results can be.
    """

    def __init__(
        self, client: MagicHourClient, url: str, fresh_url: Callable[[], str], *, project_id: str, kind: Kind
    ) -> None:
        self._client = client
        self._url = url
        self._fresh_url = fresh_url
        self._project_id = project_id
        self._kind = kind
        self._begin(None)

    def _begin(self, stream: IO[bytes] | None) -> None:
        self._arrived = _Arrived(stream, self._kind)
        self._total: int | None = None
        self._validator: str | None = None
        self._type = ""

    def copy_to(self, stream: IO[bytes]) -> int:
        """Write the whole file and return its size; nothing is written before its first bytes look like a result.

        :raises SpoiltResultError: it came in full and is not a result.
        :raises MagicHourApiError: it cannot be downloaded in full.
        """
        self._begin(stream)
        in_a_row = misfits = furthest = 0
        for _ in range(MOST_ANSWERS):
            trouble = self._read_on()
            if trouble is None:
                return self._arrived.size
            misfits += isinstance(trouble, _Misfit)
            in_a_row = 1 if self._arrived.size > furthest else in_a_row + 1
            furthest = max(furthest, self._arrived.size)
            if misfits > MISFITS:
                raise self._failure(f"returned {trouble}, {misfits} times")
            if in_a_row > CUTS:
                raise self._failure(f"broke off {in_a_row} times, last: {trouble}")
            if isinstance(trouble, _Expired | _Misfit):
                self.renew()
            log.warning("Download interrupted after %d bytes (%s): resuming", self._arrived.size, trouble)
            self._client.pause(in_a_row)
        raise self._failure(f"broke off {MOST_ANSWERS} times, last: {trouble}")

    def renew(self) -> None:
        """Use a fresh URL from now on."""
        self._url = self._fresh_url()

    @property
    def sha256(self) -> str:
        """Of what was copied."""
        return self._arrived.sha256

    def seen_at_the_store(self) -> tuple[int | None, str | None]:
        """Return size and strong ETag from the store, by requesting one byte; None for what it does not send."""
        try:
            with self._client.stream(self._url, end=0) as response:
                if response.status_code in (200, 206):
                    return _total(response), strong_etag(response.headers)
        except (httpx.RequestError, httpx.InvalidURL):
            pass
        return None, None

    @property
    def etag(self) -> str | None:
        """Strong ETag of what was copied."""
        return self._validator if self._validator and self._validator.startswith('"') else None

    def _read_on(self) -> _Unusable | None:
        """Take one answer's bytes, and return why the file is not complete; None if it is."""
        try:
            self._take_answer()
            if self._total not in (None, self._arrived.size):
                return _Unusable(f"{self._arrived.size} of {self._total} bytes")
            self._arrived.end()
        except (httpx.RequestError, httpx.InvalidURL) as error:
            # The error's text may contain the URL.
            return _Unusable(type(error).__name__)
        except _Misfit as error:
            size = "" if self._total is None else f", {self._total:,} bytes"
            misfit = _Misfit(f"{error} ({self._type}{size}) instead of its {self._kind}")
            if self._arrived.is_written:
                raise self._failure(f"returned {misfit}", SpoiltResultError) from None
            self._begin(self._arrived.stream)
            return misfit
        except _Unusable as error:
            return error
        return None

    def _take_answer(self) -> None:
        # Without a validator two versions could be joined unnoticed: then all is sent again and compared.
        wanted = self._arrived.size if self._validator else 0
        with self._client.stream(self._url, start=wanted, if_range=self._validator) as response:
            status = response.status_code
            if status in (403, 404, 410):
                raise _Expired(f"HTTP {status}, the download URL has expired")
            self._agree_on(_total(response))
            if status == 416 and 0 < self._arrived.size == self._total:
                # The file was complete, but the store had not said so: its size was unknown.
                return
            if status not in (200, 206):
                raise _Unusable(f"HTTP {status}")
            self._type = shown_type(response.headers.get("content-type", ""))
            start = self._start_of(response, wanted)
            repeat = _Repeat(self._arrived.size - start, self._arrived.sha256)
            for piece in response.iter_raw():
                self._take(repeat.rest_of(piece))
            if repeat.is_unfinished:
                self._take(None)

    def _start_of(self, response: httpx.Response, wanted: int) -> int:
        """Return the position of an answer's first byte in the file, once the version is certain."""
        start = _start(response)
        if start not in (0, wanted):
            raise _Unusable("a part that was not asked for")
        if response.status_code == 206 and self._total is None:
            raise _Unusable("a part of a file of unknown size")
        validator = _validator(response.headers)
        if start and validator != self._validator:
            self._validator = None
            raise _Unusable("a part of a possibly different version")
        self._validator = validator
        return start

    def _take(self, piece: bytes | None) -> None:
        if piece is None:
            raise self._failure("changed in its store in the meantime, though not in size", SpoiltResultError)
        if piece:
            self._arrived.take(piece)

    def _agree_on(self, total: int | None) -> None:
        if None not in (self._total, total) and total != self._total:
            # What was written so far belongs to another file.
            raise self._failure(f"changed in its store in the meantime, from {self._total} bytes to {total}")
        self._total = self._total if total is None else total

    def _failure(self, what: str, error: type[MagicHourApiError] = MagicHourApiError) -> MagicHourApiError:
        return error(
            f"The download of project {self._project_id} {what}. It can still be downloaded: a retry starts again"
        )


class SpoiltResultError(MagicHourApiError):
    """What was written is not the result: it has to be written again, from its first byte."""


class _Unusable(Exception):
    """An answer does not advance the download; the text says why, in our own words."""


class _Expired(_Unusable):
    pass


class _Misfit(_Unusable):
    """The answer is not a result."""


class _Arrived:
    """The received part of a file: written once its first bytes look like a result.

    :param stream: to write to.
    :param kind: of the result.
    """

    def __init__(self, stream: IO[bytes] | None, kind: Kind) -> None:
        self.stream = stream
        self.size = 0
        self.is_written = False
        self._kind = kind
        self._head = b""
        self._digest = hashlib.sha256()
        self._ending: Ending | None = None

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def take(self, piece: bytes) -> None:
        self.size += len(piece)
        self._digest.update(piece)
        if self.is_written:
            self._write(piece)
            return
        self._head += piece
        if len(self._head) >= HEAD:
            self._judge()

    def end(self) -> None:
        if not self.is_written:
            self._judge()
        if self._ending and (trouble := self._ending.trouble()):
            raise _Misfit(trouble)

    def _judge(self) -> None:
        if wrong := what_it_is_instead(self._head, self._kind):
            raise _Misfit(wrong)
        self._ending = ending_of(self._head)
        self.is_written = True
        self._write(self._head)

    def _write(self, piece: bytes) -> None:
        assert self.stream is not None
        if self._ending:
            self._ending.feed(piece)
        self.stream.write(piece)


class _Repeat:
    """Bytes that are sent once more, and must be the same as before.

    :param size: how many were sent before.
    :param sha256: of those.
    """

    def __init__(self, size: int, sha256: str) -> None:
        self._left = size
        self._digest = hashlib.sha256()
        self._expected = sha256

    @property
    def is_unfinished(self) -> bool:
        return self._left > 0

    def rest_of(self, piece: bytes) -> bytes | None:
        """Return what is new in the next bytes, or None if the earlier ones differ."""
        if not self._left:
            return piece
        self._digest.update(piece[: self._left])
        rest, self._left = piece[self._left :], max(0, self._left - len(piece))
        return rest if self._left or self._digest.hexdigest() == self._expected else None


def _start(response: httpx.Response) -> int:
    """Return the position of an answer's first byte in the file; -1 if a part does not say."""
    if response.status_code != 206:
        return 0
    part = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("content-range", ""))
    return int(part[1]) if part else -1


def _total(response: httpx.Response) -> int | None:
    """Return the size of the whole file, even from an answer with a part of it; None if it does not say."""
    is_whole = response.status_code == 200
    size = response.headers.get("content-length" if is_whole else "content-range", "").rpartition("/")[2]
    return int(size) if re.fullmatch("[0-9]{1,18}", size) else None


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what identifies a file's version (RFC 9110, 8.8): a strong ETag, or the date of an older change."""
    if etag := strong_etag(headers):
        return etag
    try:
        changed, now = (parsedate_to_datetime(headers[name]) for name in ("last-modified", "date"))
        is_old = now.replace(tzinfo=UTC) - changed.replace(tzinfo=UTC) >= timedelta(seconds=1)
    except (KeyError, ValueError, OverflowError):
        return None
    return headers["last-modified"] if is_old else None


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the ETag of an answer; None for a weak or malformed one."""
    etag = headers.get("etag", "")
    return etag if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', etag) else None
