"""Queries and logins of URLs are credentials: removes them from what is shown, stored or sent to others.

Pure. Texts of others pass through here, so each step takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote, unquote_plus

T = TypeVar("T")

WORD = re.compile(r"[^\s\"'<>]+")
"""A URL cannot reach beyond one."""

QUERY = re.compile(r"\?|%(?:25)*3f", re.IGNORECASE)
"""Where a query begins, also in a URL that is encoded within another."""

PARAMETER = re.compile(r"=|%(?:25)*3d", re.IGNORECASE)
SCHEME = re.compile(r"://|%(?:25)*3a%(?:25)*2f%(?:25)*2f", re.IGNORECASE)
LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")

WEB = re.compile(r"https?://\Z", re.IGNORECASE)

LEFT_OVER = re.compile(r"[?&#](?:x-amz-|x-goog-|x-oss-|sig=|signature=|token=|access_token=)[^\s\"<>]*", re.IGNORECASE)
"""The rest of a signed query after a quote, and a token in a fragment."""

DEEPEST = 60
"""How deep nested objects and lists are searched: a request has fewer levels, and a value may contain itself."""

LEAST_MASKED = 6
"""Characters: a shorter value of a query is an ordinary word that may be anywhere in a log."""

LONGEST_SHOWN = 500
"""Most characters of a value, or of a text from the API, in a message."""


def without_signatures(value: Any, depth: int = 0) -> Any:
    """Return a value whose URLs have neither query nor login, at any depth: for what is stored or sent to others.

    The fingerprint has rules of its own, which no release may change.
    """
    if depth > DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {key: without_signatures(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_signatures(each, depth + 1) for each in value]
    return _bare(value, "") if isinstance(value, str) else value


def without_login(uri: str) -> str:
    """Return a URI without its login; an object's key, which may have any character, is left as it is."""
    return LOGIN.sub("", uri)


def said(text: str) -> str:
    """Return a text of others for a message: without queries and logins of URLs, and cut if it is long."""
    text = _bare(text, "?...")
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def shown(value: object) -> str:
    """Return a value of any kind for a message; see :func:`said`."""
    try:
        text = repr(value)
    except Exception:  # nested too deep, or an object without a working repr
        text = f"<{type(value).__name__}>"
    return said(text)


def discreet(kind: type[T]) -> type[T]:
    """Give a class a ``repr`` without queries and logins of URLs."""
    told = kind.__repr__

    def __repr__(self: T) -> str:
        return _bare(told(self), "?...")

    setattr(kind, "__repr__", __repr__)  # noqa: B010 -- mypy lets no method be assigned
    return kind


def _bare(text: str, mark: str) -> str:
    return LEFT_OVER.sub(mark, WORD.sub(lambda word: _bare_word(word[0], mark), LOGIN.sub("", text)))


def _bare_word(word: str, mark: str) -> str:
    begin = QUERY.search(word)
    if begin is None:
        return word
    path = word[: begin.start()]
    # In other schemes a question mark is only that, unless ``name=`` follows.
    return path + mark if SCHEME.search(path) or PARAMETER.search(word, begin.end()) else word


def secrets_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield what logs must not show of the URLs in a value, at any depth: logins, queries and their values."""
    if depth > DEEPEST:
        return
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from secrets_in(each, depth + 1)
    elif isinstance(value, str):
        for found in LOGIN.finditer(value):
            login = found[0][:-1]
            # In other schemes it may be an Airflow connection's id, or Azure's container.
            if ":" in unquote(login) or WEB.search(value, 0, found.start()):
                yield from (part for part in {login, *unquote(login).split(":", 1)} if part)
        for word in WORD.findall(value):
            begin = QUERY.search(word)
            if begin and SCHEME.search(word, 0, begin.start()):
                yield from _parts(word[begin.end() :])


def without_secrets_of(value: str, text: str) -> str:
    """Return a text of others about a URL without the URL's secrets, wherever they are in the text."""
    for secret in sorted(secrets_in(value), key=len, reverse=True):
        text = text.replace(secret, "***") if len(secret) >= LEAST_MASKED else text
    return said(text)


def _parts(query: str) -> Iterator[str]:
    if query:
        yield query
    for part in query.split("&"):
        given = part.partition("=")[2]
        yield from (text for text in {given, unquote_plus(given)} if len(text) >= LEAST_MASKED)
