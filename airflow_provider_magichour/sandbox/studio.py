"""Renders orders in the background, one after the other, and remembers what it has rendered."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.sandbox.extra import extra_explained
from airflow_provider_magichour.sandbox.orders import Order, UnreadablePictureError
from airflow_provider_magichour.sandbox.uploads import Uploads

# PyAV and numpy are imported to render, and for nothing else: a sandbox that does not render works without them.
if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from airflow_provider_magichour.sandbox.rendering import Clip

FETCH_TIMEOUT = 10.0
MEDIA_TYPES: Mapping[str, str] = {".mp4": "video/mp4", ".png": "image/png", ".wav": "audio/wav"}


@discreet
@dataclass(frozen=True)
class Output:
    """One rendered file.

    :param width: in pixels, -1 where that says nothing.
    :param height: in pixels, -1 where that says nothing.
    """

    file: Path
    width: int = -1
    height: int = -1

    @property
    def name(self) -> str:
        """Last segment of the download URL; the real service's is the same for all videos, too."""
        return f"output{self.file.suffix}"

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.file.suffix]


# Rendered once by this sandbox, of a picture that shows nothing in particular.
SAMPLES = {
    "video": Output(Path(__file__).parent / "samples" / "output.mp4", 640, 360),
    "image": Output(Path(__file__).parent / "samples" / "output.png", 320, 180),
    "audio": Output(Path(__file__).parent / "samples" / "output.wav"),
}


def check_rendering() -> None:
    """Import what renders.

    :raises ImportError: saying what is missing, and that not rendering does without.
    """
    with extra_explained():
        from airflow_provider_magichour.sandbox import rendering  # noqa: F401


class Studio:
    """Renders in a thread of its own, one clip after the other; equal orders are rendered once.

    :param folder: where results are written; it is the caller's to remove, after :meth:`close`.
    :param uploads: where pictures that were uploaded are found.
    """

    def __init__(self, folder: Path, uploads: Uploads) -> None:
        self._folder = folder
        self._uploads = uploads
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="magichour-sandbox-render")
        self._clips: dict[tuple[object, ...], Output] = {}

    def film(self, order: Order) -> Future[Output]:
        """Render an order; the future fails with :class:`UnreadablePictureError` when a picture is none."""
        return self._thread.submit(self._film, order)

    def sample(self, kind: str) -> Future[Output]:
        """Return a small result that shows nothing in particular, the same each time.

        :param kind: ``video``, ``image`` or ``audio``.
        """
        done: Future[Output] = Future()
        done.set_result(SAMPLES[kind])
        return done

    def close(self) -> None:
        """Stop rendering; what is under way is given up."""
        self._stopped.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _film(self, order: Order) -> Output:
        picture = self._picture(order.image)
        end_picture = self._picture(order.end_image) if order.end_image is not None else None
        key = (picture.key, end_picture and end_picture.key, order.seconds, order.resolution, order.audio)
        if key not in self._clips:
            check_rendering()
            from airflow_provider_magichour.sandbox.rendering import Clip

            end_frame = end_picture.frame() if end_picture is not None else None
            clip = Clip(picture.frame(), end_frame, order.seconds, order.resolution, order.audio)
            self._clips[key] = self._rendered(clip)
        return self._clips[key]

    def _rendered(self, clip: Clip) -> Output:
        from airflow_provider_magichour.sandbox.rendering import render

        file = self._folder / f"{secrets.token_hex(8)}.mp4"
        render(clip, file, self._stopped.is_set)
        return Output(file, *clip.size)

    def _picture(self, path: str) -> _Picture:
        if path.startswith("saved-items/"):
            return _Picture(path, None)
        if path.startswith(("http://", "https://")):
            return _Picture(path, _fetched(path) if is_loopback(path) else None)
        file = self._uploads.find(path)
        if file is None:
            raise UnreadablePictureError(f"nothing was uploaded to {path}")
        return _Picture(path, file.read_bytes())


@discreet
@dataclass(frozen=True)
class _Picture:
    """An input of a job: its bytes, or None where a picture is drawn in its place."""

    path: str
    data: bytes | None

    @property
    def key(self) -> str:
        return self.path if self.data is None else hashlib.sha256(self.data).hexdigest()

    def frame(self) -> VideoFrame:
        from airflow_provider_magichour.sandbox.rendering import decode, neutral_picture

        return neutral_picture(self.path) if self.data is None else decode(self.data)


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine by a loopback address or as ``localhost``; no name is looked up."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fetched(url: str) -> bytes:
    # No proxy and no redirect, which could lead off this machine; and nobody certifies 127.0.0.1.
    try:
        answer = httpx.get(url, timeout=FETCH_TIMEOUT, trust_env=False, follow_redirects=False, verify=False)
    except httpx.HTTPError as error:
        raise UnreadablePictureError(f"the image URL cannot be fetched: {type(error).__name__}") from error
    if answer.status_code != 200:
        raise UnreadablePictureError(f"the image URL answers {answer.status_code}")
    return answer.content
