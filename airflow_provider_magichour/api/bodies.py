"""Bodies: an answer's bytes, unpacked up to a limit; a file's bytes, counted."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

LONGEST = 1 << 20
"""Most bytes of an answer's body, as sent and as unpacked: the API's own have some kilobytes."""

EITHER = 32 + zlib.MAX_WBITS
"""Both gzip and deflate, told apart by their first bytes."""


CHUNK = 1 << 16


def measured(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the bytes of a file whose size was announced before.

    :raises OSError: its size has changed.
    """
    sent = 0
    while piece := stream.read(CHUNK):
        sent += len(piece)
        if sent > size:
            raise OSError(f"it has more than the expected {size} bytes")
        yield piece
    if sent < size:
        raise OSError(f"it has {sent} bytes instead of the expected {size}")


def unpacked(body: bytes, encoding: str | None) -> bytes:
    """Return a body without its compression.

    :param body: as sent, cut after :data:`LONGEST` and one more.
    :param encoding: the header ``Content-Encoding``.
    :raises ValueError: it is too long, damaged, or compressed in a way that was not asked for.
    """
    if len(body) > LONGEST:
        raise ValueError("longer than 1 MiB")
    match (encoding or "identity").strip().lower():
        case "identity":
            return body
        case "gzip" | "x-gzip" | "deflate" if body:
            return _inflated(body)
        case _ if not body:
            return body
    raise ValueError("compressed in a way that was not asked for")


def _inflated(body: bytes) -> bytes:
    inflate = zlib.decompressobj(EITHER)
    try:
        plain = inflate.decompress(body, LONGEST + 1)
    except zlib.error as error:
        raise ValueError("its compression is damaged") from error
    if len(plain) > LONGEST:
        raise ValueError("longer than 1 MiB")
    if not inflate.eof:
        raise ValueError("its compression ends too early")
    return plain
