"""JSON of others, read as liberally as it can be, and so that nothing stumbles over it later. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

# A backslash that is itself escaped, and whole pairs, are taken first: what is left are halves.
HALF_OR_NUL = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000)|\0"
)


LONGEST_NUMBER = 40
"""Digits of a whole number that is read exactly."""


def loads(body: bytes) -> Any:
    """Return what a body says.

    Bytes that are no text, halves of surrogate pairs and NULs become U+FFFD: logs and XComs, which are encoded as
    UTF-8, and PostgreSQL's JSON cannot hold them. Control characters, a byte order mark, NaN and repeated keys pass; a
    whole number beyond reason becomes a float.

    :raises ValueError: it is no JSON, or nested too deep.
    """
    text = body.decode(json.detect_encoding(body), errors="replace")
    try:
        return json.loads(HALF_OR_NUL.sub(_kept, text), strict=False, parse_int=_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _kept(found: re.Match[str]) -> str:
    return found[1] or "\N{REPLACEMENT CHARACTER}"


def _number(digits: str) -> float | int:
    return int(digits) if len(digits) <= LONGEST_NUMBER else float(digits)
