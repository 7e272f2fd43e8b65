"""Whether a file is whole, judged as it streams by: its format says where it ends. Pure.

What real encoders write passes: bytes after the end, open sizes. Only a file that was cut off is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import NamedTuple

OPEN_RIFF = 0x7FFFF000
"""Sizes from here on, and 0, are those of a WAV whose writer could not go back: FFmpeg's and SoX's to a pipe."""

MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
"""The end of a JPEG's coded data: no stuffed byte, no restart (ITU-T T.81, B.1.1.2 to B.1.1.5)."""

RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
LOW_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
VERSIONS = {3: (RATES, 1152, 0), 2: (LOW_RATES, 576, 1), 0: (LOW_RATES, 576, 2)}
"""MPEG-1, MPEG-2 and the unofficial MPEG-2.5: kilobits per second of Layer III, samples of a frame, and how often the
sampling rate is halved (ISO/IEC 11172-3 and 13818-3, 2.4.2.3)."""

SAMPLING_RATES = (44100, 48000, 32000)


class OrEnd(int):
    """So many bytes, or none, as the file may end before them."""


Walk = Generator[int | re.Pattern[bytes], bytes, None]
"""Asks for a number of bytes, for the next match of a pattern of two bytes, or, below 0, for so many to be skipped.

Bytes after it returns are ignored.
"""


class _HoleError(Exception):
    pass


class Ends(NamedTuple):
    """How files of a format end.

    :param what: such a file, for messages.
    :param walk: goes through its parts.
    :param amid: where an incomplete one ends, for messages.
    """

    what: str
    walk: Callable[[], Walk]
    amid: str


class Ending:
    """Follows a file to its end; keeps only a few bytes of it."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._walk = ends.walk()
        self._wanted: int | re.Pattern[bytes] | None = next(self._walk)
        self._held = b""
        self._size = 0
        self._has_hole = False

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file."""
        self._size += len(piece)
        at = 0
        while at < len(piece) and (wanted := self._wanted) is not None:
            if isinstance(wanted, re.Pattern):
                at = self._search(wanted, piece, at)
            elif wanted < 0:
                step = min(-wanted, len(piece) - at)
                at += step
                self._wanted = wanted + step
                if not self._wanted:
                    self._go_on(b"")
            else:
                taken = piece[at : at + wanted - len(self._held)]
                at += len(taken)
                self._held += taken
                if len(self._held) == wanted:
                    self._go_on(self._held)

    def _search(self, wanted: re.Pattern[bytes], piece: bytes, at: int) -> int:
        # Only a byte of the previous piece can be held.
        text = self._held + piece
        found = wanted.search(text, at)
        if found is None:
            self._held = text[-1:]
            return len(piece)
        at = found.end() - len(self._held)
        self._go_on(found[0])
        return at

    def _go_on(self, got: bytes) -> None:
        self._held = b""
        try:
            self._wanted = self._walk.send(got)
            while self._wanted == 0:
                self._wanted = self._walk.send(b"")
        except StopIteration:
            self._wanted = None
        except _HoleError:
            self._wanted, self._has_hole = None, True

    def trouble(self) -> str | None:
        """Say what is wrong with the file, once all of it was fed."""
        if self._has_hole:
            return f"{self._ends.what} with a gap: there is no box where one should begin"
        if self._wanted is None or (isinstance(self._wanted, OrEnd) and not self._held):
            return None
        return f"{self._ends.what} that ends after {self._size:,} bytes, {self._ends.amid}"


def is_box(header: bytes) -> bool:
    return len(header) == 8 and all(0x20 <= each != 0x7F for each in header[4:])


def is_mpeg_audio(head: bytes) -> bool:
    """Eleven set bits begin a frame; its layer, bit rate and sampling rate are not the values that are reserved."""
    return (
        len(head) > 2
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x06 != 0
        and head[2] & 0xF0 != 0xF0
        and head[2] & 0x0C != 0x0C
    )


def _boxes() -> Walk:
    """The last box ends with the file, also if its size is 0; after size 1 the real one follows (ISO/IEC 14496-12)."""
    while True:
        header = yield OrEnd(8)
        size, told = int.from_bytes(header[:4], "big"), 8
        if size == 1:
            size, told = int.from_bytes((yield 8), "big"), 16
        if not is_box(header) or 0 < size < told:
            raise _HoleError
        if not size:
            return
        yield told - size


def _chunks() -> Walk:
    """IEND is the last chunk (W3C PNG, third edition, 5.2 to 5.6)."""
    yield -8
    kind = b""
    while kind != b"IEND":
        header = yield 8
        kind = header[4:]
        yield -(int.from_bytes(header[:4], "big") + 4)


def _segments() -> Walk:
    """A marker ends the image (ITU-T T.81, B.1.1.3, B.2.1): a thumbnail's is inside a segment, which has a length.

    Cameras append further images, and decoders skip bytes between segments.
    """
    while (yield MARKER) != b"\xff\xd9":
        yield -max(0, int.from_bytes((yield 2), "big") - 2)


def _blocks() -> Walk:
    """A trailer ends the stream (GIF89a, 17 to 27); unknown bytes between blocks are skipped."""
    screen = yield 13
    yield -_colours(screen[10])
    while (kind := (yield 1)) != b";":
        if kind == b",":
            image = yield 9
            yield -(_colours(image[8]) + 1)
        elif kind == b"!":
            yield -1
        else:
            continue
        while size := (yield 1)[0]:
            yield -size


def _colours(packed: int) -> int:
    """Return the bytes of a GIF's table of colours."""
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _riff() -> Walk:
    """The size is in the header (RFC 9649, 2.4: what follows may be ignored; EBU Tech 3306 for RF64; AIFF 1.3)."""
    head = yield 12
    size, told = int.from_bytes(head[4:8], "big" if head[:4] == b"FORM" else "little"), 12
    if head[:4] == b"RF64":
        size, told = int.from_bytes((yield 16)[8:], "little"), 28
    elif size == 0 or size >= OPEN_RIFF:
        return
    yield -max(0, size + 8 - told)


def _frames() -> Walk:
    """Frames follow each other after the tags (ID3v2.4.0, 3.1; ISO/IEC 11172-3, 2.4.1.2); anything else ends them."""
    header = yield 4
    while header[:3] == b"ID3":
        _, flags, *sevens = yield 6
        size = sum(seven << 7 * (3 - place) for place, seven in enumerate(sevens))
        yield -(size + (10 if flags & 0x10 else 0))
        header = yield 4
    while size := _frame_size(header):
        yield 4 - size
        first = yield OrEnd(1)
        header = first + (yield 3) if first == b"\xff" else b""


def _frame_size(header: bytes) -> int:
    """Return the bytes of a frame of Layer III; 0 for anything else, and for a free bit rate."""
    if not is_mpeg_audio(header) or header[1] & 6 != 2 or not header[2] >> 4:
        return 0
    version = header[1] >> 3 & 3
    if version not in VERSIONS:
        return 0
    rates, samples, halvings = VERSIONS[version]
    sampling = SAMPLING_RATES[header[2] >> 2 & 3] >> halvings
    return samples // 8 * 1000 * rates[(header[2] >> 4) - 1] // sampling + (header[2] >> 1 & 1)


ISO_MEDIA = Ends("an MP4", _boxes, "in the middle of a box")
PNG = Ends("a PNG", _chunks, "before its last chunk")
JPEG = Ends("a JPEG", _segments, "before its end marker")
GIF = Ends("a GIF", _blocks, "before its trailer")
WEBP, WAV, AVI, AIFF = (
    Ends(what, _riff, "short of the size in its header") for what in ("a WebP", "a WAV", "an AVI", "an AIFF")
)
MP3 = Ends("an MP3", _frames, "in the middle of a frame")
