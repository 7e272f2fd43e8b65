"""Normalizes what people, templates and upstream tasks pass as an argument. Pure."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from airflow_provider_magichour.api.numbers import number_of
from airflow_provider_magichour.api.signatures import shown
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

NOTHING = frozenset({"None", "null"})
"""How a template renders None, also with ``tojson``."""

DEEPEST = 50
"""How deep objects and lists may be nested: no field of the API comes near."""


def given(value: Any) -> Any:
    """Return a value; None for the text of a rendered None: nobody wants to pay for the prompt ``None``.

    Airflow renders ``{{ params.prompt }}`` to text unless the DAG has ``render_template_as_native_obj``.
    """
    return None if isinstance(value, str) and value.strip() in NOTHING else value


def truth_of(value: Any) -> bool | None:
    """Return the boolean that a value means, also as text or from numpy; None if it means none."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    return value if isinstance(value, bool) else None


def literal(text: str) -> Any:
    """Return the value that a text holds as JSON or as a Python literal; None for any other text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def from_text(value: Any) -> Any:
    """Parse a text that is JSON; return anything else as it is.

    A value that a person has stored through Airflow's REST API or UI may come back as its text.
    """
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def text_of(value: Any) -> str | None:
    """Return the text that a value means; None if it means none.

    With ``render_template_as_native_obj`` a text of digits comes as a number.
    """
    if isinstance(value, str):
        return str.__str__(value)
    return None if number_of(value) is None else str(value)


def path_of(value: Any) -> Any:
    """Return the text of a path (``pathlib``, ``ObjectStoragePath``, ``UPath``); anything else as it is."""
    if hasattr(value, "protocol") and hasattr(value, "joinpath"):
        return str(value)
    named = os.fspath(value) if isinstance(value, os.PathLike) else value
    return named if isinstance(named, str) else value


def checked_text(name: str, value: Any, needed: str) -> str:
    """Return a text that is neither empty nor impossible to write.

    :param name: of the argument, for the message.
    :param needed: what the argument is, for the message, such as ``the id of a connection``.
    :raises MagicHourInvalidRequestError: for anything else.
    """
    text = text_of(path_of(value))
    if text is None or not text.strip() or "\0" in text or not is_writable(text):
        raise MagicHourInvalidRequestError(f"{name}={shown(value)}: {needed} is needed")
    return text


def is_writable(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(value: Any, where: str = "", names: Mapping[str, str] = MappingProxyType({}), depth: int = 0) -> Any:
    """Return a value converted to plain JSON types, at any depth.

    Paths become texts; numbers of ``decimal`` and numpy become Python's; tuples become lists.

    :param where: its place in the request, as a dotted path, for the message.
    :param names: of the arguments at such paths.
    :raises MagicHourInvalidRequestError: naming the field and its value, for what JSON cannot hold.
    """
    name = names.get(where, where)
    if depth > DEEPEST:
        steps = [step.partition("[")[0] for step in where.split(".")]
        longest_first = reversed(list(accumulate(steps, "{}.{}".format)))
        argument = next((names[path] for path in longest_first if path in names), steps[0])
        raise MagicHourInvalidRequestError.unsent(f"{argument} is nested deeper than {DEEPEST}")
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str) or not is_writable(key)]:
            raise MagicHourInvalidRequestError.unsent(
                f"{name} has the key {shown(odd[0])}: a text of valid Unicode is needed"
            )
        return {key: plain(each, f"{where}.{key}".lstrip("."), names, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, f"{where}[{index}]", names, depth + 1) for index, each in enumerate(value)]
    known = _scalar(value)
    if known is None and value is not None:
        raise MagicHourInvalidRequestError.unsent(
            f"{name}={shown(value)}: a value that JSON can hold is needed (a text of valid Unicode, a finite number, "
            "true, false, a list or a dict)"
        )
    return known


def _scalar(value: Any) -> str | float | int | bool | None:
    value = path_of(value)
    if isinstance(value, str):
        text = str.__str__(value)
        return text if is_writable(text) else None
    if (truth := truth_of(value)) is not None:
        return truth
    number = number_of(value)
    # 5.0 stays 5.0: the fingerprint depends on how a number is written.
    return float(value) if number is not None and isinstance(value, float) else number
