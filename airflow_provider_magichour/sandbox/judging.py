"""Checks a create request against its tool's row, as strictly as JSON: null is not absent, and a text is no number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_magichour.api.fields import Reading
from airflow_provider_magichour.api.tools import Request, Tool
from airflow_provider_magichour.sandbox.answers import Refused


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_whole(value: Any) -> bool:
    # JSON has one kind of number: the vendor's SDK sends 2.0 for 2.
    return _is_number(value) and value == math.floor(value)


def _is_filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda value: isinstance(value, str), "a text is needed"),
    "word": (_is_filled, "a text that is not empty is needed"),
    "file": (_is_filled, "a text that is not empty is needed"),
    "number": (_is_number, "a number is needed"),
    "positive": (lambda value: _is_number(value) and value > 0, "a number above 0 is needed"),
    "integer": (_is_whole, "a whole number is needed"),
    "count": (lambda value: _is_whole(value) and value > 0, "a whole number above 0 is needed"),
    "boolean": (lambda value: isinstance(value, bool), "true or false is needed"),
    "object": (lambda value: isinstance(value, dict), "an object is needed"),
    "list": (lambda value: isinstance(value, list), "a list is needed"),
}
"""By a row's type of a field: whether a value is of it, and what is needed."""


NULLABLE = frozenset([("video-to-video", "style.prompt")])
"""Fields that are not deprecated and take null (specification of 2026-08-18, whose example sends it)."""


def judged(tool: Tool, body: Mapping[str, Any]) -> Request:
    """Return a body as its tool's request.

    :raises Refused: 400 for a missing field or a wrong type, 422 for an unmet condition between fields.
    """
    for name, value in body.items():
        _check(tool, value, name, name)
    read = Reading(tool, body)
    for path in read.missing():
        raise Refused(400, f"{path}: required")
    for unmet in read.unmet():
        raise Refused(422, unmet)
    if read.problems:
        raise Refused(400, read.problems[0])
    return Request(tool, read.body)


def _check(tool: Tool, value: Any, where: str, at: str) -> None:
    """Refuse a value of a wrong type; unknown fields pass, as do nulls in fields where the API once wrote them.

    :param where: its path, with the number of each item.
    :param at: its path in the row.
    """
    wanted = tool.fields.get(at)
    if wanted is None or (value is None and (at in tool.deprecated or (tool.name, at) in NULLABLE)):
        return
    is_one, needed = TYPES[wanted]
    if not is_one(value):
        raise Refused(400, f"{where}: {needed}")
    if isinstance(value, dict):
        for name, each in value.items():
            _check(tool, each, f"{where}.{name}", f"{at}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            _check(tool, each, f"{where}[{number}]", f"{at}[]")
