"""Still pictures: their size, what is drawn on them, and their file."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from airflow_provider_magichour.sandbox.orders import LARGEST

LONG_EDGES = {"640px": 640, "1k": 1024, "2k": 2048, "4k": 4096}
"""The API's words for the longest edge (SDK 0.90.0, image generator)."""
DEFAULT_EDGE = 1024
LEAST_EDGE = 16
SHAPES = {"landscape": "16:9", "portrait": "9:16", "square": "1:1"}
RATIO = re.compile(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})")
CODECS = {".png": ("png", "rgb24"), ".webp": ("libwebp", "yuv420p")}
TINT = 0.25
"""How much the colour of each of several outputs differs from the first."""
INSET = 4
"""Share of the width for each further picture that was sent."""

Pixels = NDArray[np.uint8]


def picture_size(body: Mapping[str, Any], sent: tuple[int, int] | None) -> tuple[int, int]:
    """Return width and height in pixels.

    :param body: of the request; its fields for shape and size count, for any tool.
    :param sent: width and height of the picture that was sent; None if there is none.
    """
    word = body.get("aspect_ratio") or SHAPES.get(body.get("orientation", ""), "")
    ratio = RATIO.fullmatch(word)
    shape = (int(ratio[1]), int(ratio[2])) if ratio else sent or (1, 1)
    edge = LONG_EDGES.get(body.get("resolution", "")) or (max(sent) if sent else DEFAULT_EDGE)
    wanted = min(edge * body.get("scale_factor", 1), body.get("max_resolution", LARGEST), LARGEST)
    scale = max(LEAST_EDGE, wanted) / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def composed(pictures: Sequence[VideoFrame], size: tuple[int, int], number: int = 0) -> VideoFrame:
    """Return the first picture at this size, with the others along its lower edge.

    :param number: of this output among several, which differ in colour.
    """
    width, height = size
    pixels = _filling(pictures[0], width, height)
    side = min(width, height) // INSET
    for place, picture in enumerate(pictures[1 : INSET + 1]):
        if side:
            pixels[-side:, place * side : (place + 1) * side] = _filling(picture, side, side)
    if number:
        colour = np.frombuffer(hashlib.sha256(str(number).encode()).digest()[:3], np.uint8)
        pixels = (pixels * (1 - TINT) + colour * TINT).astype(np.uint8)
    return VideoFrame.from_ndarray(pixels, format="rgb24")


def face(picture: VideoFrame, number: int) -> VideoFrame:
    """Cut out where a face might be: left of the middle, or right of it."""
    side = max(1, min(picture.width, picture.height) // 2)
    pixels: Pixels = picture.to_ndarray(format="rgb24").astype(np.uint8)
    top = (picture.height - side) // 2
    left = max(0, min(picture.width - side, picture.width * (1 + 2 * number) // 4 - side // 2))
    return VideoFrame.from_ndarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]), format="rgb24")


def write(picture: VideoFrame, target: Path) -> None:
    """Write a picture.

    :param target: file to write, with the suffix of a PNG or WebP.
    """
    codec, pixels = CODECS[target.suffix]
    encoder = cast(VideoCodecContext, VideoCodecContext.create(codec, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, pixels
    encoder.time_base = Fraction(1, 1)
    packets = [*encoder.encode(picture.reformat(format=pixels)), *encoder.encode(None)]
    target.write_bytes(b"".join(bytes(packet) for packet in packets))


def _filling(picture: VideoFrame, width: int, height: int) -> Pixels:
    """Return a picture that fills this size; the surplus is cut off evenly."""
    scale = max(width / picture.width, height / picture.height)
    across, down = (max(1, math.ceil(round(each * scale, 6))) for each in (picture.width, picture.height))
    pixels = picture.reformat(max(across, width), max(down, height), "rgb24").to_ndarray()
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
