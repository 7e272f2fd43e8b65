"""What templates and upstream tasks hand over, made into what an argument means."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

SIGNATURE = re.compile(r"[?&](x-amz-|x-goog-|x-oss-|sig=|signature=|token=)", re.IGNORECASE)


class ProjectIdField:
    """An operator's ``project_id``: takes the id, or the dict that a waiting task returns, and keeps the id alone.

    Airflow sets template fields to their rendered values and stores those; the dict holds signed URLs.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else getattr(instance, self._name, None)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value.get("project_id", value) if isinstance(value, Mapping) else value


class SignedUrlField:
    """An operator's image: where it is a signed URL, its signature is masked in logs and in what Airflow stores."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else getattr(instance, self._name, None)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value
        if isinstance(value, str) and "?" in value and SIGNATURE.search(value):
            from airflow.providers.common.compat.sdk import mask_secret

            mask_secret(value.partition("?")[2])


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
