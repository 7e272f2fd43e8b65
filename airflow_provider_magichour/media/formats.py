"""The format of a result, judged by its first bytes. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.media import endings
from airflow_provider_magichour.media.endings import Ending, Ends, is_box, is_mpeg_audio

HEAD = 32
"""Bytes that are enough to recognize every format of the table."""

ISO_IMAGES = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
ISO_AUDIO = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ")
ISO_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")
"""Boxes that a file may begin with: ``ftyp``, or those of QuickTime before it (QuickTime File Format, Apple)."""


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _riff(what: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == what


def is_iso_media(head: bytes) -> bool:
    """Return whether a file consists of boxes."""
    return head[4:8] in ISO_FIRST_BOXES and is_box(head[:8])


def _iso_of(*brands: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[4:8] == b"ftyp" and head[8:12] in brands


def _adts(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


FORMATS: tuple[tuple[str, frozenset[Kind], Callable[[bytes], bool], Ends | None], ...] = (
    ("HEIF or AVIF", frozenset({"image"}), _iso_of(*ISO_IMAGES), endings.ISO_MEDIA),
    ("MPEG-4 audio", frozenset({"audio"}), _iso_of(*ISO_AUDIO), endings.ISO_MEDIA),
    # Images too: the API's GIF generator also makes MP4 and WebM (SDK 0.90.0).
    ("MP4 or QuickTime", frozenset({"video", "image", "audio"}), is_iso_media, endings.ISO_MEDIA),
    ("WebM or Matroska", frozenset({"video", "image", "audio"}), _begins(b"\x1a\x45\xdf\xa3"), None),
    ("AVI", frozenset({"video"}), _riff(b"AVI "), endings.AVI),
    ("GIF", frozenset({"image", "video"}), _begins(b"GIF87a", b"GIF89a"), endings.GIF),
    ("PNG", frozenset({"image"}), _begins(b"\x89PNG\r\n\x1a\n"), endings.PNG),
    ("JPEG", frozenset({"image"}), _begins(b"\xff\xd8\xff"), endings.JPEG),
    ("WebP", frozenset({"image"}), _riff(b"WEBP"), endings.WEBP),
    ("BMP", frozenset({"image"}), _begins(b"BM"), None),
    ("TIFF", frozenset({"image"}), _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), None),
    ("JPEG 2000", frozenset({"image"}), _begins(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), None),
    ("WAV", frozenset({"audio"}), _riff(b"WAVE"), endings.WAV),
    ("AIFF", frozenset({"audio"}), lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"), endings.AIFF),
    ("FLAC", frozenset({"audio"}), _begins(b"fLaC"), None),
    ("Ogg", frozenset({"audio", "video"}), _begins(b"OggS"), None),
    ("AMR", frozenset({"audio"}), _begins(b"#!AMR"), None),
    ("MP3", frozenset({"audio"}), lambda head: head[:3] == b"ID3" or is_mpeg_audio(head), endings.MP3),
    ("AAC", frozenset({"audio"}), _adts, None),
    ("ZIP", frozenset(), _begins(b"PK\x03\x04", b"PK\x05\x06"), None),
    ("gzip", frozenset(), _begins(b"\x1f\x8b"), None),
    ("PDF", frozenset(), _begins(b"%PDF"), None),
)
"""Name, kinds of results, how it begins (the signatures of its own specification), how it ends."""

TEXTS = (
    ("an HTML page", re.compile(rb"<(!doctype html|html|head|body|title|script|!--)", re.IGNORECASE)),
    ("an XML document", re.compile(rb"<[?!a-zA-Z]")),
    ("a JSON document", re.compile(rb"[{\[]")),
)


def what_it_is_instead(head: bytes, kind: Kind) -> str | None:
    """Say what a file is if it cannot be a result of this kind; None if it can.

    :param head: its first bytes, at least :data:`HEAD` unless it is shorter.
    :param kind: of the project.
    """
    if not head:
        return "an empty file"
    for name, kinds, is_one, _ in FORMATS:
        if is_one(head):
            return None if kind in kinds else f"a file of the format {name}"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for name, pattern in TEXTS:
        if pattern.match(text):
            return name
    return f"a file of no known format, which begins with {head[:8].hex(' ')},"


def ending_of(head: bytes) -> Ending | None:
    """Return a check of whether a file that begins like this is whole; None for a format whose end is not checked."""
    ends = next((ends for _, _, is_one, ends in FORMATS if is_one(head)), None)
    return Ending(ends) if ends else None


def shown_type(content_type: str) -> str:
    """Return a Content-Type for a message: it is another's text, so only a short, plain type is repeated."""
    named = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,60}", content_type, re.ASCII)
    return named[0] if named else "no type"
