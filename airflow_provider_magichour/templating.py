"""What templates and upstream tasks hand over, made into what an argument means."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

SIGNATURE = re.compile(r"[?&](x-amz-|x-goog-|x-oss-|sig=|signature=|token=)", re.IGNORECASE)
QUERY_PART = re.compile(r"[?&]\S+")
LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")

LONGEST_RESULT = 100_000
"""Characters of a text that is read as what a waiting task returned: some fifty results with their signed URLs."""


class ProjectIdField:
    """An operator's ``project_id``: takes the id, or the dict that a waiting task returns, and keeps the id alone.

    Airflow sets template fields to their rendered values and stores those; the dict holds signed URLs. Without native
    rendering it comes as its text.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else getattr(instance, self._name, None)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = _project_id_of(value)


def _project_id_of(value: Any) -> Any:
    """Return the project id in what a waiting task returned, or in the text of it; in a list, of each.

    Anything else is returned without signatures: it is no id, and an error will say so.
    """
    if isinstance(value, str):
        returned = _returned(value)
        return without_signatures(value) if returned is None else _project_id_of(returned)
    if isinstance(value, Mapping) and "project_id" in value:
        return _project_id_of(value["project_id"])
    if isinstance(value, list | tuple):
        return [_project_id_of(each) for each in value]
    return without_signatures(value)


def _returned(text: str) -> dict[str, Any] | list[Any] | None:
    """Read the text of a dict or list, as Python or JSON writes it; None for any other, a template among them."""
    text = text.strip()
    if not text.startswith(("{", "[")) or "project_id" not in text or len(text) > LONGEST_RESULT:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, dict | list) else None
    return None


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
    return QUERY_PART.sub(lambda part: "" if _is_signed(part[0]) else part[0], LOGIN.sub("", value))


def _is_signed(text: str) -> bool:
    return bool(SIGNATURE.search(unquote(text)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


class SignedUrlField:
    """An operator's image, or further fields: signatures of URLs in it are masked in logs and in what Airflow stores.

    Airflow 3.3.2 masks in dicts and lists five levels deep.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else getattr(instance, self._name, None)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value
        for text in _texts(value):
            if "?" in text and _is_signed(text):
                from airflow.providers.common.compat.sdk import mask_secret

                mask_secret(text.partition("?")[2])


def credits(name: str, value: Any) -> float:
    """Return an argument that is a number of credits.

    :param name: of the argument, for the message.
    :param value: number, or a rendered template that is one.
    :raises MagicHourInvalidRequestError: for anything else, or a negative one.
    """
    number = _number(value)
    if not 0 <= number < math.inf:
        raise MagicHourInvalidRequestError(f"{name}={value!r}: a number of credits (from 0 on) is needed")
    return number


def _number(value: Any) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def seconds(name: str, value: Any) -> float:
    """Return an argument that is a time, in seconds.

    :param name: of the argument, for the message.
    :param value: number of seconds, ``timedelta``, or a rendered template that is a number.
    :raises MagicHourInvalidRequestError: for anything else, or a negative one.
    """
    number = _number(value.total_seconds() if isinstance(value, timedelta) else value)
    if not 0 <= number < math.inf:
        raise MagicHourInvalidRequestError(f"{name}={value!r}: seconds (a number from 0 on) or a timedelta is needed")
    return number
