"""Settings that may be changed while a sandbox runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from airflow_provider_magichour.api.signatures import discreet

DEFAULT_API_KEY = "mhk_sandbox"


@discreet
@dataclass
class Settings:
    """Behaviour of one sandbox. Every field may be set at run time and applies from the next request on.

    :param api_key: the one key that is accepted; replacing it revokes the old one at once.
    :param credits: that the account had before the first job.
    :param render_seconds: seconds from create to complete; rendering the file may take longer.
    :param render: False gives every job the same tiny clip and never reads the pictures, for load tests.
    :param deprecated_fields: whether GET has ``download`` and ``total_frame_cost``.
    :param error_codes: whether error bodies have ``code`` next to ``message``, as since September 2026.
    :param deleted: how GET shows a deleted project: ``disabled`` (``enabled: false``) or ``missing`` (404).
    :param upload_lifetime: seconds an upload URL lives.
    :param download_lifetime: seconds a download URL lives.
    :param expired_status: what an expired download URL answers: 403 or 404.
    :param requests_per_second: API calls per second before 429; None for no limit.
    :param retry_after: value in seconds of ``Retry-After`` on such a 429; None for no header.
    """

    api_key: str = DEFAULT_API_KEY
    credits: int = 1_000_000
    render_seconds: float = 3.0
    render: bool = True
    deprecated_fields: bool = True
    error_codes: bool = True
    deleted: Literal["disabled", "missing"] = "disabled"
    upload_lifetime: float = 3600.0
    download_lifetime: float = 86400.0
    expired_status: int = 403
    requests_per_second: float | None = None
    retry_after: int | None = None

    def __post_init__(self) -> None:
        check_values({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set the named fields, all or none.

        :param changes: field names and their new values.
        :raises TypeError: for a name that is not a setting, or a value of the wrong type.
        :raises ValueError: for a key that no request can have, or an impossible number.
        """
        check_fields(type(self), changes)
        check_values(changes)
        for name, value in changes.items():
            setattr(self, name, value)


def check_port(port: int) -> None:
    """Check that a number is a TCP port, or 0.

    :raises ValueError: it is not.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port: {port} is not a number from 0 to 65535")


def check_values(values: Mapping[str, Any]) -> None:
    """Check the values of settings.

    :param values: by the setting's name; of the right type.
    :raises ValueError: naming the setting and what is allowed.
    """
    key = values.get("api_key", DEFAULT_API_KEY)
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("api_key: it needs one or more ASCII characters, and no blanks")
    for name in ("credits", "render_seconds"):
        value = values.get(name, 0)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: {value} is not a number from 0 on")


def check_fields(kind: type[Any], values: Mapping[str, Any]) -> None:
    """Check names, and plain types, against a dataclass: they may come from JSON.

    :raises TypeError: naming the field.
    """
    hints = _field_types(kind)
    if unknown := sorted(set(values) - set(hints)):
        raise TypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(sorted(hints))}")
    for name, value in values.items():
        if not _fits(hints[name], value):
            raise TypeError(f"{name}: {value!r} is not a {hints[name]}")


def _field_types(kind: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _fits(hint: Any, value: Any) -> bool:
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(option, value) for option in get_args(hint))
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, int | float) if hint is float else isinstance(value, origin or hint)
