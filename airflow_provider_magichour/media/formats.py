"""What a result's bytes are, told by how they begin, and for ISO media by whether their boxes end with them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from airflow_provider_magichour.api.tools import Kind

HEAD = 32
"""Bytes by which every format of the table is known."""

ISO_IMAGES = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
ISO_AUDIO = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ")
ISO_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")
"""Boxes that a file may begin with: ``ftyp``, or those of QuickTime before it (QuickTime File Format, Apple)."""

LARGE = b"\0\0\0\1"
"""In place of a box's size: the real one follows its type, in 64 bits."""


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _riff(what: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == what


def is_iso_media(head: bytes) -> bool:
    """Return whether a file is made of boxes."""
    return head[4:8] in ISO_FIRST_BOXES and _is_box(head[:8])


def _iso_of(*brands: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[4:8] == b"ftyp" and head[8:12] in brands


def _mpeg_audio(head: bytes) -> bool:
    """Eleven set bits begin a frame; its layer, bit rate and sampling rate are not the values that are reserved."""
    return (
        len(head) > 2
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x06 != 0
        and head[2] & 0xF0 != 0xF0
        and head[2] & 0x0C != 0x0C
    )


def _adts(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


FORMATS: tuple[tuple[str, frozenset[Kind], Callable[[bytes], bool]], ...] = (
    ("HEIF or AVIF", frozenset({"image"}), _iso_of(*ISO_IMAGES)),
    ("MPEG-4 audio", frozenset({"audio"}), _iso_of(*ISO_AUDIO)),
    # Images too: the API's tool for GIFs makes those of its results that are asked for as MP4 or WebM (SDK 0.90.0).
    ("MP4 or QuickTime", frozenset({"video", "image", "audio"}), is_iso_media),
    ("WebM or Matroska", frozenset({"video", "image", "audio"}), _begins(b"\x1a\x45\xdf\xa3")),
    ("AVI", frozenset({"video"}), _riff(b"AVI ")),
    ("GIF", frozenset({"image", "video"}), _begins(b"GIF87a", b"GIF89a")),
    ("PNG", frozenset({"image"}), _begins(b"\x89PNG\r\n\x1a\n")),
    ("JPEG", frozenset({"image"}), _begins(b"\xff\xd8\xff")),
    ("WebP", frozenset({"image"}), _riff(b"WEBP")),
    ("BMP", frozenset({"image"}), _begins(b"BM")),
    ("TIFF", frozenset({"image"}), _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("JPEG 2000", frozenset({"image"}), _begins(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")),
    ("WAV", frozenset({"audio"}), _riff(b"WAVE")),
    ("AIFF", frozenset({"audio"}), lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")),
    ("FLAC", frozenset({"audio"}), _begins(b"fLaC")),
    ("Ogg", frozenset({"audio", "video"}), _begins(b"OggS")),
    ("AMR", frozenset({"audio"}), _begins(b"#!AMR")),
    ("MP3", frozenset({"audio"}), lambda head: head[:3] == b"ID3" or _mpeg_audio(head)),
    ("AAC", frozenset({"audio"}), _adts),
    ("ZIP", frozenset(), _begins(b"PK\x03\x04", b"PK\x05\x06")),
    ("gzip", frozenset(), _begins(b"\x1f\x8b")),
    ("PDF", frozenset(), _begins(b"%PDF")),
)
"""Name, kinds of results that it may be, and how it is known: by the signatures that its own specification gives."""

TEXTS = (
    ("an HTML page", re.compile(rb"<(!doctype html|html|head|body|title|script|!--)", re.IGNORECASE)),
    ("an XML document", re.compile(rb"<[?!a-zA-Z]")),
    ("a JSON document", re.compile(rb"[{\[]")),
)


def what_it_is_instead(head: bytes, kind: Kind) -> str | None:
    """Say what a file is that cannot be a result of this kind, or None for one that can.

    :param head: its first bytes, at least :data:`HEAD` unless it is shorter.
    :param kind: of the project.
    """
    if not head:
        return "an empty file"
    for name, kinds, is_one in FORMATS:
        if is_one(head):
            return None if kind in kinds else f"a file of the format {name}"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for name, pattern in TEXTS:
        if pattern.match(text):
            return name
    return f"a file of no known format, which begins with {head[:8].hex(' ')},"


def shown_type(content_type: str) -> str:
    """Return a Content-Type for a message: another's text, of which a short, plain type alone is repeated."""
    named = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,60}", content_type, re.ASCII)
    return named[0] if named else "no type"


class Boxes:
    """Walks the boxes of an ISO media file (ISO/IEC 14496-12) as it streams by: the last one ends with the file."""

    def __init__(self) -> None:
        self._size = 0
        self._left: int | None = 0
        """Bytes of the box at hand that are still to come; None once a box reaches to the end of the file."""
        self._header = b""
        self._is_broken = False

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file."""
        self._size += len(piece)
        at = 0
        while self._left is not None and at < len(piece):
            if self._left:
                step = min(self._left, len(piece) - at)
                self._left -= step
                at += step
                continue
            wanted = 16 if len(self._header) >= 8 else 8
            taken = piece[at : at + wanted - len(self._header)]
            self._header += taken
            at += len(taken)
            if len(self._header) == wanted and (wanted == 16 or self._header[:4] != LARGE):
                self._begin_box()

    def _begin_box(self) -> None:
        header, self._header = self._header, b""
        size = int.from_bytes(header[8:] or header[:4], "big")
        if not _is_box(header[:8]) or 0 < size < len(header):
            self._is_broken, self._left = True, None
        else:
            self._left = size - len(header) if size else None

    def trouble(self) -> str | None:
        """Say what is wrong with the file that was fed, now that it is whole."""
        if self._is_broken:
            return "an MP4 with a hole: where a box should begin is none"
        if self._left or self._header:
            return f"an MP4 that ends after {self._size:,} bytes, in the middle of a box"
        return None


def _is_box(header: bytes) -> bool:
    return len(header) == 8 and all(0x20 <= each != 0x7F for each in header[4:])
