"""Turn a picture into a clip: a slow camera move over it, as H.264 in an MP4 that plays in a browser."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.sandbox.orders import FPS, SHORT_SIDES, UnreadablePictureError

WIDEST = 21 / 9
ZOOM = 0.25
CROSS_FADE = 0.4
SAMPLE_RATE = 44100
TONE_HERTZ = 220.0
TONE_LEVEL = 0.02

Plane = NDArray[np.uint8]
Point = tuple[float, float]


class RenderingStopped(Exception):
    """The sandbox ends while a clip is rendered."""


@discreet
@dataclass(frozen=True)
class Clip:
    """What to render.

    :param picture: the first frame.
    :param end_picture: the last frame, or None.
    :param seconds: length in seconds.
    :param resolution: such as ``720p``.
    :param audio: whether to add a quiet tone.
    """

    picture: VideoFrame
    end_picture: VideoFrame | None
    seconds: float
    resolution: str
    audio: bool

    @property
    def size(self) -> tuple[int, int]:
        return clip_size(self.picture.width, self.picture.height, self.resolution)

    @property
    def frames(self) -> int:
        return max(1, round(self.seconds * FPS))


def clip_size(width: int, height: int, resolution: str) -> tuple[int, int]:
    """Return width and height in pixels: the picture's own shape, its short side as the resolution says.

    Both are even, as H.264 needs; shapes beyond 21:9 are cut to it.

    :param width: of the picture, in pixels.
    :param height: of the picture, in pixels.
    :param resolution: such as ``720p``.
    """
    short = SHORT_SIDES[resolution]
    long = 2 * round(short * min(max(width, height) / min(width, height), WIDEST) / 2)
    return (long, short) if width >= height else (short, long)


def decode(data: bytes) -> VideoFrame:
    """Return the first picture in the data, upright.

    :raises UnreadablePictureError: when there is none.
    """
    try:
        # A playlist or a subtitle could name other files or hosts: no protocol but the buffer itself.
        with av.open(BytesIO(data), "r", options={"protocol_whitelist": "none"}) as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise UnreadablePictureError(f"not a readable picture: {error}") from error
    turns = round(frame.rotation / 90) % 4
    return _turned(frame, turns) if turns else frame


def _turned(frame: VideoFrame, turns: int) -> VideoFrame:
    """Turn a picture by quarter turns counter-clockwise: phones note the turn rather than turning it."""
    pixels = np.rot90(frame.reformat(format="rgb24").to_ndarray(), turns)
    return VideoFrame.from_ndarray(np.ascontiguousarray(pixels, dtype=np.uint8), format="rgb24")


def neutral_picture(seed: str) -> VideoFrame:
    """Draw a picture for an input that the sandbox does not fetch; the same seed gives the same picture."""
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
    y, x = np.mgrid[0:720, 0:1280].astype(np.float32)
    pixels = np.empty((720, 1280, 3), np.float32)
    for channel in range(3):
        pixels[..., channel] = 40 + digest[channel] / 3 + 60 * x / 1280 + 40 * y / 720
    for spot in range(6):
        a, b, c, d = digest[4 * spot + 3 : 4 * spot + 7]
        inside = np.hypot(x - a * 5, y - b * 2.8) < 40 + c / 2
        pixels[inside] = pixels[inside] * 0.5 + np.array([d, 255 - c, a], np.float32) * 0.5
    return VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8), format="rgb24")


class Camera:
    """Looks at a still picture through a window that moves by fractions of a pixel.

    The picture is enlarged first, so that the nearest sample is a fraction of a pixel off at most: in a move
    this slow, steps of whole pixels would be seen as a jitter, and interpolating each frame costs far more.

    :param picture: what to look at; it fills the frame, what stands out is cut off evenly.
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
        :param centre: where the window lies in the room that the zoom leaves, 0 to 1 across and down.
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


def frames_of(clip: Clip) -> Iterator[VideoFrame]:
    """Yield the frames: from the whole picture slowly into it, or across to the whole end picture."""
    camera = Camera(clip.picture, *clip.size)
    end_camera = Camera(clip.end_picture, *clip.size) if clip.end_picture is not None else None
    for number in range(clip.frames):
        progress = number / max(1, clip.frames - 1)
        move = _eased(progress)
        frame = camera.frame(1 + ZOOM * move, (0.5 + 0.25 * move, 0.5 - 0.15 * move))
        if end_camera is not None and progress > 1 - CROSS_FADE:
            share = _eased((progress - 1 + CROSS_FADE) / CROSS_FADE)
            frame = _mixed(frame, end_camera.frame(1 + ZOOM * (1 - move), (0.5, 0.5)), share)
        frame.pts = number
        frame.time_base = Fraction(1, FPS)
        yield frame


def render(clip: Clip, target: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Write the clip as H.264 (yuv420p, 24 frames a second), index first, so that it plays while it loads.

    :param target: file to write.
    :param stopped: asked before each frame; True ends the rendering by :class:`RenderingStopped`.
    """
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        video = _video_stream(output, *clip.size)
        tone = _Tone(output, clip.seconds) if clip.audio else None
        for frame in frames_of(clip):
            if stopped():
                raise RenderingStopped
            output.mux(video.encode(frame))
            if tone is not None and frame.time is not None:
                tone.play_until(frame.time + 1 / FPS)
        output.mux(video.encode(None))
        if tone is not None:
            tone.end()


def _video_stream(output: OutputContainer, width: int, height: int) -> VideoStream:
    preset = "veryfast" if min(width, height) <= 1080 else "ultrafast"
    stream: VideoStream = output.add_stream("libx264", rate=FPS, options={"preset": preset, "crf": "23"})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.thread_count = 1
    return stream


class _Tone:
    """A quiet tone as AAC, written piece by piece so that sound and picture lie side by side in the file."""

    def __init__(self, output: OutputContainer, seconds: float) -> None:
        self._output = output
        self._stream: AudioStream = output.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        self._total = round(seconds * SAMPLE_RATE)
        self._written = 0

    def play_until(self, seconds: float) -> None:
        end = min(self._total, round(seconds * SAMPLE_RATE))
        if end > self._written:
            frame = av.AudioFrame.from_ndarray(tone(self._written, end)[None, :], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = (
                SAMPLE_RATE,
                self._written,
                Fraction(1, SAMPLE_RATE),
            )
            self._output.mux(self._stream.encode(frame))
            self._written = end

    def end(self) -> None:
        self.play_until(self._total / SAMPLE_RATE)
        self._output.mux(self._stream.encode(None))


def tone(start: int, end: int) -> NDArray[np.float32]:
    """Return the samples of a quiet tone from one sample number to another."""
    wave_form = np.sin(np.arange(start, end) * (2 * math.pi * TONE_HERTZ / SAMPLE_RATE)) * TONE_LEVEL
    return np.asarray(wave_form, dtype=np.float32)
