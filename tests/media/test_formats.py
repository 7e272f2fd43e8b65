"""What bytes are taken for a result of a kind, and where an MP4 ends."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from airflow_provider_magichour.media.formats import HEAD, ending_of, shown_type, what_it_is_instead
from tests.scenes.media import FTYP, movie

FILES = {
    "mp4": (FTYP, "via"),
    "quicktime": (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "via"),
    "old quicktime": (b"\0\0\0\x08wide\0\0\1\0mdat", "via"),
    "m4a": (b"\0\0\0\x18ftypM4A \0\0\2\0isomiso2", "a"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "i"),
    "avif": (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "i"),
    "webm": (b"\x1a\x45\xdf\xa3\x01\0\0\0", "via"),
    "gif": (b"GIF89a\x01\0\x01\0", "vi"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "i"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF", "i"),
    "webp": (b"RIFF\x24\0\0\0WEBPVP8 ", "i"),
    "bmp": (b"BM\x46\0\0\0", "i"),
    "tiff": (b"II*\0\x08\0\0\0", "i"),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", "i"),
    "wav": (b"RIFF\x24\0\0\0WAVEfmt ", "a"),
    "mp3 with tags": (b"ID3\x04\0\0\0\0\0\0", "a"),
    "mp3": (b"\xff\xfb\x90\x64", "a"),
    "aac": (b"\xff\xf1\x50\x80", "a"),
    "flac": (b"fLaC\0\0\0\x22", "a"),
    "ogg": (b"OggS\0\x02", "va"),
    "aiff": (b"FORM\0\0\0\x2eAIFFCOMM", "a"),
    "amr": (b"#!AMR\n", "a"),
}


@pytest.mark.parametrize("name", FILES)
def test_each_format_is_a_result_of_its_kinds_alone(name: str) -> None:
    head, kinds = FILES[name]
    for kind in ("video", "image", "audio"):
        assert (what_it_is_instead(head.ljust(HEAD, b"\1"), kind) is None) == (kind[0] in kinds), kind  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n <HTML lang=en>", "an HTML page"),
        (b'<?xml version="1.0"?><Error>', "an XML document"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "an XML document"),
        (b'{"message": "no"}', "a JSON document"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
        (b"PK\x03\x04", "ZIP"),
        (bytes(32), "no known format"),
        (b"\0\0\0\x18ftyp", None),
        (b"not found", "no known format"),
        (b"\xff\xff\xff\xff", "no known format"),
    ],
)
def test_what_is_no_result_is_named(head: bytes, told: str | None) -> None:
    found = what_it_is_instead(head, "video")
    assert found is None if told is None else told in str(found)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("text/html; charset=utf-8", "text/html"),
        ("", "no type"),
        ("a b\r\nX", "no type"),
        ("x" * 900 + "/y", "no type"),
        ("ä/ö", "no type"),
    ],
)
def test_a_content_type_is_repeated_only_when_it_is_one(text: str, shown: str) -> None:
    assert shown_type(text) == shown


def fed(body: bytes, pieces: int, seed: int = 1) -> str | None:
    ending = ending_of(FTYP)
    assert ending
    places = sorted(random.Random(seed).choices(range(len(body) + 1), k=pieces))
    for start, end in pairwise([0, *places, len(body)]):
        ending.feed(body[start:end])
    return ending.trouble()


LARGE = b"\0\0\0\1mdat" + (16 + 500).to_bytes(8, "big") + bytes(500)
OPEN = b"\0\0\0\0mdat" + bytes(99)
EMPTY = b"\0\0\0\x08free"


@pytest.mark.parametrize("pieces", [0, 3, 400])
@pytest.mark.parametrize("body", [movie(1000), FTYP + LARGE + EMPTY, FTYP + LARGE + OPEN, FTYP])
def test_mp4_whose_boxes_end_with_the_file_is_whole_however_it_comes(body: bytes, pieces: int) -> None:
    assert fed(body, pieces) is None


@pytest.mark.parametrize("pieces", [0, 3, 400])
@pytest.mark.parametrize(
    "body",
    [
        movie(1000)[:-1],
        movie(1000) + b"\0",
        movie(1000) + bytes(8),
        FTYP + LARGE[:-1],
        FTYP + b"\0\0\0\1mdat" + (8).to_bytes(8, "big") + bytes(500),
        FTYP + b"\0\0\0\7free",
        FTYP + bytes(600),
        FTYP[:-3],
        FTYP + b"\0\0\0\1mda",
    ],
)
def test_mp4_whose_boxes_do_not_end_with_the_file_is_not_whole(body: bytes, pieces: int) -> None:
    assert fed(body, pieces)
