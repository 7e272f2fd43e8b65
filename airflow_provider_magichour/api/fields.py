"""Checks a request's body against its tool's row: types, required and unknown fields, conditions. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from airflow_provider_magichour.api.arguments import given, text_of, truth_of
from airflow_provider_magichour.api.numbers import number_of
from airflow_provider_magichour.api.signatures import shown
from airflow_provider_magichour.api.tools import Tool, value_at, values_at

NO_NAMES: Mapping[str, str] = MappingProxyType({})


def _filled(value: Any) -> str | None:
    text = text_of(value)
    return text if text and text.strip() else None


def _above_zero(value: Any) -> float | None:
    number = number_of(value)
    return number if number is not None and number > 0 else None


def _whole(value: Any) -> int | None:
    number = number_of(value)
    return number if isinstance(number, int) else None


def _count(value: Any) -> int | None:
    number = _whole(value)
    return number if number is not None and number > 0 else None


# How to read each type (None: not a value of it), and what to say otherwise. Whole numbers are sent as such, as the
# vendor documents.
SCALARS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "text": (text_of, "a text is needed"),
    "word": (_filled, "a text that is not empty is needed"),
    "file": (_filled, "a text that is not empty is needed"),
    "number": (number_of, "a number is needed, such as 5 or '5'"),
    "positive": (_above_zero, "a number above 0 is needed, such as 5 or '5'"),
    "integer": (_whole, "a whole number is needed, such as 5 or '5'"),
    "count": (_count, "a whole number above 0 is needed, such as 5 or '5'"),
    "boolean": (truth_of, "true or false is needed"),
}


class Reading:
    """Reads a body by its tool's row.

    :param tool: whose row it is.
    :param body: JSON.
    :param names: of arguments, by path.
    """

    def __init__(self, tool: Tool, body: Mapping[str, Any], names: Mapping[str, str] = NO_NAMES) -> None:
        self._tool = tool
        self._names = names
        self.problems: list[str] = []
        """What is wrong, one text for each field."""
        self.unknown: list[str] = []
        """Paths of fields that are not in the row."""
        self.body: dict[str, Any] = self._object(body, "", "")
        """The body with each known field in its type."""
        if not self.problems:
            self.problems += [f"{self._name(path)} is missing" for path in self.missing()]
            self.problems += self.unmet()

    def _name(self, where: str) -> str:
        return self._names.get(where, where)

    def _object(self, value: Mapping[str, Any], where: str, at: str) -> dict[str, Any]:
        read = {
            name: self._value(each, f"{where}.{name}".lstrip("."), f"{at}.{name}".lstrip("."))
            for name, each in value.items()
        }
        return {name: each for name, each in read.items() if each is not None}

    def _value(self, value: Any, where: str, at: str) -> Any:
        wanted, value = self._tool.fields.get(at), given(value)
        if wanted is None:
            self.unknown.append(where)
        if wanted is None or value is None:
            return value
        if wanted == "object":
            return (
                self._object(value, where, at)
                if isinstance(value, Mapping)
                else self._refuse(where, value, "a dict is needed")
            )
        if wanted == "list":
            if not isinstance(value, list):
                return self._refuse(where, value, "a list is needed")
            items = [self._value(each, f"{where}[{index}]", f"{at}[]") for index, each in enumerate(value)]
            return [each for each in items if each is not None]
        read, needed = SCALARS[wanted]
        if isinstance(value, list):
            self.problems.append(
                f"{self._name(where)} is a list of {len(value)}: {needed}; to make one clip of each, use .expand()"
            )
            return None
        known = read(value)
        return self._refuse(where, value, needed) if known is None else known

    def _refuse(self, where: str, value: Any, needed: str) -> None:
        self.problems.append(f"{self._name(where)}={shown(value)}: {needed}")

    def missing(self) -> Iterator[str]:
        """Yield the path of each required field that is missing."""
        for path in self._tool.required:
            parent, _, name = path.rpartition(".")
            if not path.count("[]"):
                if value_at(self.body, path) is None:
                    yield path
                continue
            for where, item in values_at(self.body, parent):
                if not isinstance(item, Mapping) or item.get(name) is None:
                    yield f"{where}.{name}"

    def unmet(self) -> Iterator[str]:
        """Yield each unmet condition between fields, in words."""
        for need in self._tool.needs:
            if need.where and value_at(self.body, need.where) != need.value:
                continue
            if not any(value_at(self.body, path) not in (None, [], {}) for path in need.of):
                reason = f"{self._name(need.where)}={need.value!r} needs " if need.where else ""
                wanted = " or ".join(map(self._name, need.of))
                yield f"{reason}{wanted}" if reason else f"{wanted} is needed"
