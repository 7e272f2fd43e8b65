"""The files that a request names: uploads, URLs, results of other projects."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from airflow_provider_magichour.api.library import project_at
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.tools import Media
from airflow_provider_magichour.sandbox.orders import UnreadablePictureError
from airflow_provider_magichour.sandbox.uploads import Uploads

# PyAV and numpy are imported only for rendering: a sandbox that does not render works without them.
if TYPE_CHECKING:
    from av.video.frame import VideoFrame

FETCH_TIMEOUT = 10.0


@discreet
@dataclass(frozen=True)
class Input:
    """An input of a job: its bytes, or None if a picture is drawn instead."""

    path: str
    media: tuple[Media, ...]
    data: bytes | None

    @property
    def key(self) -> str:
        return self.path if self.data is None else hashlib.sha256(self.data).hexdigest()

    @property
    def is_sound(self) -> bool:
        """Whether it is a sound, and not a picture or video.

        :raises UnreadablePictureError: it is neither, or not what its field takes.
        """
        from airflow_provider_magichour.sandbox.rendering import check_audible, decode

        if "audio" not in self.media or self.data is None:
            return self.media == ("audio",)
        if len(self.media) > 1:
            try:
                decode(self.data)
            except UnreadablePictureError:
                pass
            else:
                return False
        check_audible(self.data)
        return True

    @property
    def moves(self) -> bool:
        """Whether it is a video, if its field takes one."""
        from airflow_provider_magichour.sandbox.rendering import moves

        return self.data is not None and not {"video", "gif"}.isdisjoint(self.media) and moves(self.data)

    def frame(self) -> VideoFrame:
        """Return the picture, or the first one.

        :raises UnreadablePictureError: there is none.
        """
        from airflow_provider_magichour.sandbox.rendering import decode, neutral_picture

        return neutral_picture(self.path) if self.data is None else decode(self.data)


class Inputs:
    """Finds files.

    :param uploads: the uploaded files.
    :param result_of: returns a project's first result by its id, None if there is none.
    """

    def __init__(self, uploads: Uploads, result_of: Callable[[str], Path | None]) -> None:
        self._uploads = uploads
        self._result_of = result_of

    def find(self, path: str, media: tuple[Media, ...]) -> Input:
        """Return a file.

        :param path: or URL, as in the request.
        :param media: what its field takes.
        :raises UnreadablePictureError: it does not exist.
        """
        if path.startswith("saved-items/"):
            return Input(path, media, None)
        project = project_at(path)
        if project and (result := self._result_of(project[1])):
            return Input(path, media, result.read_bytes())
        if path.startswith(("http://", "https://")):
            return Input(path, media, _fetched(path) if is_loopback(path) else None)
        file = self._uploads.find(path)
        if file is None:
            raise UnreadablePictureError(f"nothing was uploaded to {path}")
        return Input(path, media, file.read_bytes())


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine by a loopback address or as ``localhost``; no name is resolved."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fetched(url: str) -> bytes:
    # No proxy and no redirect, which could lead off this machine; and 127.0.0.1 has no trusted certificate.
    try:
        answer = httpx.get(url, timeout=FETCH_TIMEOUT, trust_env=False, follow_redirects=False, verify=False)
    except httpx.HTTPError as error:
        raise UnreadablePictureError(f"the URL cannot be fetched: {type(error).__name__}") from error
    if answer.status_code != 200:
        raise UnreadablePictureError(f"the URL answers {answer.status_code}")
    return answer.content
