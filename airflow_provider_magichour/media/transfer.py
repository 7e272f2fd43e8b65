"""One file's way from a signed URL, over cuts and an expired URL."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import IO

import httpx

from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.exceptions import MagicHourApiError

log = logging.getLogger(__name__)


CUTS = 10
"""Interruptions of one file that are mended in place before the task fails."""


class Transfer:
    """One file's way from a signed URL, over cuts and an expired URL.

    :param client: opens the URL.
    :param url: signed URL.
    :param fresh_url: asks the API for a new one.
    :param project_id: of whose results it is, for messages.
    """

    def __init__(self, client: MagicHourClient, url: str, fresh_url: Callable[[], str], project_id: str) -> None:
        self._client = client
        self._url = url
        self._fresh_url = fresh_url
        self._project_id = project_id
        self._done = 0
        self._total: int | None = None

    def size(self) -> int | None:
        """Return the size in bytes that the store tells, or None."""
        try:
            with self._client.stream(self._url) as response:
                return _total(response) if response.status_code == 200 else None
        except (httpx.RequestError, httpx.InvalidURL):
            return None

    def copy_to(self, stream: IO[bytes]) -> int:
        """Write the whole file and return its size.

        :raises MagicHourApiError: when it cannot be had in full.
        """
        trouble = ""
        for attempt in range(CUTS + 1):
            if attempt:
                log.warning("Download interrupted after %d bytes (%s), going on", self._done, trouble)
                self._client.pause(attempt)
            try:
                self._read_on(stream)
            except (httpx.RequestError, httpx.InvalidURL) as error:
                # Its text may hold the URL.
                trouble = type(error).__name__
            except _Unusable as error:
                trouble = str(error)
                if isinstance(error, _Expired):
                    self._url = self._fresh_url()
            else:
                if self._total in (None, self._done):
                    return self._done
                trouble = f"{self._done} of {self._total} bytes"
        raise self._failure(f"broke off {CUTS + 1} times, last: {trouble}")

    def _read_on(self, stream: IO[bytes]) -> None:
        with self._client.stream(self._url, start=self._done) as response:
            status = response.status_code
            if status in (403, 404, 410):
                raise _Expired(f"HTTP {status}, the download URL has expired")
            self._agree_on(_total(response))
            if status == 416 and 0 < self._done == self._total:
                # All had come, of a file whose size the store had not told, but not the word that it was all.
                return
            if status not in (200, 206):
                raise _Unusable(f"HTTP {status}")
            start = _start(response)
            if start not in (0, self._done):
                raise _Unusable("a part that was not asked for")
            if status == 206 and self._total is None:
                raise _Unusable("a part of a file of unknown size")
            # A store without ranges sends the file again; an object store's stream cannot go back.
            known = self._done - start
            for chunk in response.iter_raw():
                fresh = chunk[known:]
                known -= min(known, len(chunk))
                stream.write(fresh)
                self._done += len(fresh)

    def _agree_on(self, total: int | None) -> None:
        if None not in (self._total, total) and total != self._total:
            # What was written so far is another file's.
            raise self._failure(f"changed at its store meanwhile, from {self._total} bytes to {total}")
        self._total = self._total if total is None else total

    def _failure(self, what: str) -> MagicHourApiError:
        return MagicHourApiError(
            f"The download of project {self._project_id} {what}. It is still there to download: a retry starts again"
        )


class _Unusable(Exception):
    """An answer does not carry the download on; the text says why, in words of ours."""


class _Expired(_Unusable):
    pass


def _start(response: httpx.Response) -> int:
    """Return the first byte of the file that an answer holds, -1 when a part does not say."""
    if response.status_code != 206:
        return 0
    part = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(part[1]) if part else -1


def _total(response: httpx.Response) -> int | None:
    """Return the size of the whole file, however little of it an answer holds, or None when it does not say."""
    is_whole = response.status_code == 200
    size = response.headers.get("content-length" if is_whole else "content-range", "").rpartition("/")[2]
    return int(size) if size.isdecimal() else None
