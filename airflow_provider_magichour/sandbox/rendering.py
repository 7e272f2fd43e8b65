"""Turns pictures into a clip that plays in a browser: a slow camera move over one, or the frames of a video."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Protocol, cast

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.sandbox.orders import FPS, SHORT_SIDES, UnreadablePictureError
from airflow_provider_magichour.sandbox.sounds import Sound, tone

WIDEST = 21 / 9
LEAST_SIDE = 64
ZOOM = 0.25
CROSS_FADE = 0.4

CODECS = {".mp4": ("libx264", "yuv420p"), ".webm": ("libvpx", "yuv420p"), ".gif": ("gif", "rgb8")}
PRESETS = {"libx264": {"preset": "veryfast", "crf": "23"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}

Plane = NDArray[np.uint8]
Point = tuple[float, float]


class RenderingStopped(Exception):
    """The sandbox was closed while a clip was rendered."""


class Film(Protocol):
    """What can be rendered."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, both even."""

    @property
    def seconds(self) -> float:
        """Its length in seconds."""

    @property
    def audio(self) -> bool:
        """Whether to add a quiet tone."""

    def shots(self) -> Iterator[VideoFrame]:
        """Yield its frames, :data:`FPS` of them for each second."""


@discreet
@dataclass(frozen=True)
class Clip:
    """A camera move over a picture: slowly into it, or across to the whole end picture.

    :param picture: the first frame.
    :param end_picture: the last frame, or None.
    :param seconds: length in seconds.
    :param resolution: such as ``720p``; empty for about the picture's own.
    :param audio: whether to add a quiet tone.
    :param exact: width and height in pixels that were asked for, or None.
    """

    picture: VideoFrame
    end_picture: VideoFrame | None
    seconds: float
    resolution: str
    audio: bool
    exact: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        if self.exact is not None:
            return _even(self.exact[0]), _even(self.exact[1])
        return clip_size(self.picture.width, self.picture.height, self.resolution)

    def shots(self) -> Iterator[VideoFrame]:
        frames = frame_count(self.seconds)
        camera = Camera(self.picture, *self.size)
        end_camera = Camera(self.end_picture, *self.size) if self.end_picture is not None else None
        for number in range(frames):
            progress = number / max(1, frames - 1)
            move = _eased(progress)
            frame = camera.frame(1 + ZOOM * move, (0.5 + 0.25 * move, 0.5 - 0.15 * move))
            if end_camera is not None and progress > 1 - CROSS_FADE:
                share = _eased((progress - 1 + CROSS_FADE) / CROSS_FADE)
                frame = _mixed(frame, end_camera.frame(1 + ZOOM * (1 - move), (0.5, 0.5)), share)
            yield frame


@discreet
@dataclass(frozen=True)
class Footage:
    """The frames of a video that was sent; if it is too short, its last frame stays.

    :param data: of the video.
    :param start: where in it to begin, in seconds.
    :param seconds: length in seconds.
    :param resolution: such as ``720p``; empty for about the video's own.
    :param audio: whether to add a quiet tone.
    """

    data: bytes
    start: float
    seconds: float
    resolution: str
    audio: bool

    @cached_property
    def size(self) -> tuple[int, int]:
        first = decode(self.data)
        return clip_size(first.width, first.height, self.resolution)

    def shots(self) -> Iterator[VideoFrame]:
        width, height = self.size
        with opened(self.data) as container:
            frames = container.decode(video=0)
            shown, coming = next(frames), next(frames, None)
            for number in range(frame_count(self.seconds)):
                while coming is not None and (coming.time or 0) <= self.start + number / FPS:
                    shown, coming = coming, next(frames, None)
                yield upright(shown).reformat(width, height, "yuv420p")


def frame_count(seconds: float) -> int:
    """Return how many frames a clip of this length has."""
    return max(1, round(seconds * FPS))


def clip_size(width: int, height: int, resolution: str) -> tuple[int, int]:
    """Return width and height in pixels: the picture's own shape, with the short side of the resolution.

    Both are even, as H.264 requires; shapes beyond 21:9 are cut to it.

    :param width: of the picture, in pixels.
    :param height: of the picture, in pixels.
    :param resolution: such as ``720p``; any other word stands for the picture's own, up to 1080p.
    """
    short = SHORT_SIDES.get(resolution) or max(LEAST_SIDE, min(1080, 2 * (min(width, height) // 2)))
    long = 2 * round(short * min(max(width, height) / min(width, height), WIDEST) / 2)
    return (long, short) if width >= height else (short, long)


@contextmanager
def opened(data: bytes) -> Iterator[InputContainer]:
    """Open a file that was sent.

    :raises UnreadablePictureError: it cannot be read, at once or later.
    """
    try:
        # A playlist or a subtitle could name other files or hosts: no protocol but the buffer itself.
        with av.open(BytesIO(data), "r", options={"protocol_whitelist": "none"}) as container:
            yield container
    except (av.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise UnreadablePictureError(f"not a readable file: {error}") from error


def decode(data: bytes) -> VideoFrame:
    """Return the first picture in the data, upright.

    :raises UnreadablePictureError: there is none.
    """
    with opened(data) as container:
        return upright(next(container.decode(video=0)))


def moves(data: bytes) -> bool:
    """Return whether there is more than one picture in the data.

    :raises UnreadablePictureError: there is none.
    """
    with opened(data) as container:
        frames = container.decode(video=0)
        next(frames)
        return next(frames, None) is not None


def check_audible(data: bytes) -> None:
    """Check that there is sound in the data.

    :raises UnreadablePictureError: there is none.
    """
    with opened(data) as container:
        next(container.decode(audio=0))


def upright(frame: VideoFrame) -> VideoFrame:
    """Return a picture upright."""
    turns = round(frame.rotation / 90) % 4
    return _turned(frame, turns) if turns else frame


def _turned(frame: VideoFrame, turns: int) -> VideoFrame:
    """Turn a picture by quarter turns counter-clockwise: phones only store the turn."""
    pixels = np.rot90(frame.reformat(format="rgb24").to_ndarray(), turns)
    return VideoFrame.from_ndarray(np.ascontiguousarray(pixels, dtype=np.uint8), format="rgb24")


def neutral_picture(seed: str, width: int = 1280, height: int = 720) -> VideoFrame:
    """Draw a picture for a prompt, or for an input that the sandbox does not fetch; equal seeds give equal ones."""
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pixels = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        pixels[..., channel] = 40 + digest[channel] / 3 + 60 * x / width + 40 * y / height
    for spot in range(6):
        a, b, c, d = digest[4 * spot + 3 : 4 * spot + 7]
        inside = np.hypot(x - a * width / 256, y - b * height / 257) < (40 + c / 2) * min(width, height) / 720
        pixels[inside] = pixels[inside] * 0.5 + np.array([d, 255 - c, a], np.float32) * 0.5
    return VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8), format="rgb24")


class Camera:
    """Shows a still picture through a window that moves by fractions of a pixel.

    The picture is enlarged first, so that the nearest sample is a fraction of a pixel off at most: in a move
    this slow, steps of whole pixels would look like a jitter, and interpolating each frame costs far more.

    :param picture: what to show; it fills the frame, and the surplus is cut off evenly.
    :param width: of the frames, in pixels.
    :param height: of the frames, in pixels.
    """

    def __init__(self, picture: VideoFrame, width: int, height: int) -> None:
        self._width = width
        self._height = height
        oversampling = 4 if min(width, height) <= 720 else 3 if min(width, height) <= 1080 else 2
        wanted_width, wanted_height = width * oversampling, height * oversampling
        scale = max(wanted_width / picture.width, wanted_height / picture.height)
        large = picture.reformat(
            max(wanted_width, _even(picture.width * scale)),
            max(wanted_height, _even(picture.height * scale)),
            "yuv420p",
            dst_color_range="MPEG",
            interpolation="BICUBIC",
        )
        self._planes = [
            _centre(_plane(large, index), wanted_width // part, wanted_height // part)
            for index, part in enumerate((1, 2, 2))
        ]

    def frame(self, zoom: float, centre: Point) -> VideoFrame:
        """Return one frame.

        :param zoom: 1 shows the whole picture, 2 half of its width.
        :param centre: position of the window in the room that the zoom leaves, 0 to 1 across and down.
        """
        frame = VideoFrame(self._width, self._height, "yuv420p")
        for index, plane in enumerate(self._planes):
            target = _plane(frame, index)
            rows = _samples(target.shape[0], plane.shape[0], zoom, centre[1])
            columns = _samples(target.shape[1], plane.shape[1], zoom, centre[0])
            target[:] = plane[rows].take(columns, axis=1)
        return frame


def _samples(count: int, available: int, zoom: float, centre: float) -> NDArray[np.intp]:
    places = (np.arange(count) + 0.5) / count / zoom + centre * (1 - 1 / zoom)
    return (places * available).astype(np.intp)


def _even(value: float) -> int:
    return 2 * math.ceil(value / 2)


def _plane(frame: VideoFrame, index: int) -> Plane:
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def _centre(plane: Plane, width: int, height: int) -> Plane:
    top, left = (plane.shape[0] - height) // 2, (plane.shape[1] - width) // 2
    return np.ascontiguousarray(plane[top : top + height, left : left + width])


def _mixed(first: VideoFrame, second: VideoFrame, share: float) -> VideoFrame:
    for index in range(3):
        target = _plane(first, index)
        target[:] = np.rint(target * (1 - share) + _plane(second, index) * share).astype(np.uint8)
    return first


def _eased(progress: float) -> float:
    return progress * progress * (3 - 2 * progress)


def render(film: Film, target: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Write 24 frames per second; an MP4 as H.264 (yuv420p), index first, so that it plays while it loads.

    :param target: file to write, with the suffix of an MP4, WebM or GIF.
    :param stopped: called before each frame; True ends the rendering with :class:`RenderingStopped`.
    """
    options = {"movflags": "+faststart"} if target.suffix == ".mp4" else {}
    with av.open(str(target), "w", format=target.suffix[1:], options=options) as output:
        video = _video_stream(output, *film.size, *CODECS[target.suffix])
        sound = Sound(output, film.seconds, "aac", tone) if film.audio else None
        for number, frame in enumerate(film.shots()):
            if stopped():
                raise RenderingStopped
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            output.mux(video.encode(frame))
            if sound is not None:
                sound.play_until((number + 1) / FPS)
        output.mux(video.encode(None))
        if sound is not None:
            sound.end()


def _video_stream(output: OutputContainer, width: int, height: int, codec: str, pixels: str) -> VideoStream:
    options = PRESETS.get(codec, {})
    if codec == "libx264" and min(width, height) > 1080:
        options = options | {"preset": "ultrafast"}
    stream = cast(VideoStream, output.add_stream(codec, rate=FPS, options=options))
    stream.width, stream.height, stream.pix_fmt = width, height, pixels
    stream.codec_context.thread_count = 1
    return stream
