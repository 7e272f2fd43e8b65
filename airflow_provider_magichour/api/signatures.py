"""Signatures of URLs are credentials: what may be shown, kept and told to others. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

SIGNATURE = re.compile(r"[?&](x-amz-|x-goog-|x-oss-|sig=|signature=|token=)", re.IGNORECASE)


QUERY_PART = re.compile(r"[?&]\S+")


LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")


def without_signatures(value: Any) -> Any:
    """Return a value without logins and without the queries of URLs that look signed, at any depth.

    For what is kept, and told to others; the fingerprint has rules of its own, which no release may change.
    """
    if isinstance(value, Mapping):
        return {key: without_signatures(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_signatures(each) for each in value]
    if not isinstance(value, str):
        return value
    return QUERY_PART.sub(lambda part: "" if is_signed(part[0]) else part[0], LOGIN.sub("", value))


def is_signed(text: str) -> bool:
    return bool(SIGNATURE.search(unquote(text)))


LONGEST_SHOWN = 500
"""Characters of a value in a message."""


def shown(value: object) -> str:
    """Return a value for a message, without the signature of a URL in it; the start of a long one."""
    text = QUERY.sub("?...", repr(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


# Signed URLs are credentials; the API may repeat one that it could not fetch.
QUERY = re.compile(r"(?<=\S)\?[^\s\"'<>]+=[^\s\"'<>]*")
