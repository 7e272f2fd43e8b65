"""Renders orders in the background, one after the other, and remembers what it has rendered."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from av.video.frame import VideoFrame

from airflow_provider_magichour.sandbox import rendering
from airflow_provider_magichour.sandbox.orders import Order
from airflow_provider_magichour.sandbox.rendering import Clip, UnreadablePictureError
from airflow_provider_magichour.sandbox.uploads import Uploads

FETCH_TIMEOUT = 10.0
MEDIA_TYPES: Mapping[str, str] = {".mp4": "video/mp4", ".png": "image/png", ".wav": "audio/wav"}


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
        self._samples: dict[str, Future[Output]] = {}

    def film(self, order: Order) -> Future[Output]:
        """Render an order; the future fails with :class:`UnreadablePictureError` when a picture is none."""
        return self._thread.submit(self._film, order)

    def sample(self, kind: str) -> Future[Output]:
        """Return a small result that shows nothing in particular, the same each time.

        :param kind: ``video``, ``image`` or ``audio``.
        """
        makers: dict[str, Callable[[], Output]] = {
            "video": self._sample_video,
            "image": self._sample_image,
            "audio": self._sample_audio,
        }
        if kind not in self._samples:
            self._samples[kind] = self._thread.submit(makers[kind])
        return self._samples[kind]

    def close(self) -> None:
        """Stop rendering; what is under way is given up."""
        self._stopped.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _film(self, order: Order) -> Output:
        picture = self._picture(order.image)
        end_picture = self._picture(order.end_image) if order.end_image is not None else None
        key = (picture.key, end_picture and end_picture.key, order.seconds, order.resolution, order.audio)
        if key not in self._clips:
            end_frame = end_picture.frame() if end_picture is not None else None
            clip = Clip(picture.frame(), end_frame, order.seconds, order.resolution, order.audio)
            self._clips[key] = self._rendered(clip)
        return self._clips[key]

    def _rendered(self, clip: Clip) -> Output:
        file = self._new_file(".mp4")
        rendering.render(clip, file, self._stopped.is_set)
        return Output(file, *clip.size)

    def _sample_video(self) -> Output:
        return self._rendered(Clip(rendering.neutral_picture("sample"), None, 1.0, "360p", False))

    def _sample_image(self) -> Output:
        file = self._new_file(".png")
        picture = rendering.neutral_picture("sample")
        rendering.write_picture(file, picture)
        return Output(file, picture.width, picture.height)

    def _sample_audio(self) -> Output:
        file = self._new_file(".wav")
        rendering.write_sound(file, 1.0)
        return Output(file)

    def _new_file(self, suffix: str) -> Path:
        return self._folder / f"{secrets.token_hex(8)}{suffix}"

    def _picture(self, path: str) -> _Picture:
        if path.startswith("saved-items/"):
            return _Picture(path, None)
        if path.startswith(("http://", "https://")):
            return _Picture(path, _fetched(path) if is_loopback(path) else None)
        file = self._uploads.find(path)
        if file is None:
            raise UnreadablePictureError(f"nothing was uploaded to {path}")
        return _Picture(path, file.read_bytes())


@dataclass(frozen=True)
class _Picture:
    """An input of a job: its bytes, or None where a picture is drawn in its place."""

    path: str
    data: bytes | None

    @property
    def key(self) -> str:
        return self.path if self.data is None else hashlib.sha256(self.data).hexdigest()

    def frame(self) -> VideoFrame:
        return rendering.neutral_picture(self.path) if self.data is None else rendering.decode(self.data)


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
