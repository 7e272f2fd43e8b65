"""Reads texts of others liberally, and so that nothing fails on them later. Pure."""

from __future__ import annotations

import json
import logging
import re
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, WrapValidator
from pydantic_core import PydanticCustomError

from airflow_provider_magichour.api import signatures

T = TypeVar("T")

log = logging.getLogger(__name__)


# An escaped backslash, and whole pairs, match first: what is left are halves.
HALF_OR_NUL = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000)|\0"
)


LONGEST_NUMBER = 40
"""Most digits of a whole number that is read exactly."""


def loads(body: bytes) -> Any:
    """Parse a body as JSON.

    Bytes that are not text, halves of surrogate pairs and NULs become U+FFFD: logs and XComs, which are encoded as
    UTF-8, and PostgreSQL's JSON cannot hold them. Control characters, a byte order mark, NaN and repeated keys pass; a
    huge whole number becomes a float.

    :raises json.JSONDecodeError: it is not JSON, or nested too deep.
    """
    text = body.decode(json.detect_encoding(body), errors="replace")
    try:
        return json.loads(HALF_OR_NUL.sub(_kept, text), strict=False, parse_int=_number)
    except RecursionError:
        raise json.JSONDecodeError("nested too deep", "", 0) from None


def _kept(found: re.Match[str]) -> str:
    return found[1] or "\N{REPLACEMENT CHARACTER}"


def _number(digits: str) -> float | int:
    return int(digits) if len(digits) <= LONGEST_NUMBER else float(digits)


def _none_if_unreadable(value: Any, handler: Any) -> Any:
    try:
        return handler(value)
    except ValueError:
        return None


Lenient = Annotated[T | None, WrapValidator(_none_if_unreadable)]
"""A field that no decision depends on: None if it is missing or of an unexpected type."""


MOST_TOLD = 10
"""Most items of one list."""


def lenient_list(value: Any, handler: Any, info: ValidationInfo) -> Any:
    """Read a list without the items that cannot be read; the first of those are logged, without their text."""
    kept: list[Any] = []
    for number, item in enumerate(value if isinstance(value, list | tuple) else (), start=1):
        try:
            kept.extend(handler([item]))
        except ValueError:
            if number - len(kept) <= MOST_TOLD:
                log.warning("Entry %d of %s in the API's answer cannot be read: skipping it", number, info.field_name)
    return tuple(kept)


def _said(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("text", "a text is needed")
    # Long enough for the longest login or query that has to be removed.
    return signatures.said(value[: 10 * signatures.LONGEST_SHOWN])


Said = Annotated[str, WrapValidator(_said)]
"""A text from the API for messages: without signatures of URLs, and cut to a message's length."""


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, BeforeValidator(_id), Field(min_length=1)]
"""An id from the API; a number is accepted too."""
