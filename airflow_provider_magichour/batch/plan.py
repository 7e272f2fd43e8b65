"""From an item to its request: defaults, names of arguments, checks before anything is sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_provider_magichour.api.requests import (
    estimated_cost,
    field_warnings,
    merge_extra,
    refuse_impossible,
    tool_request,
)
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.tools import Request, Tool
from airflow_provider_magichour.batch.manifest import Item, Problems, digest_of
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.media.sources import Source, extension_of, source_of
from airflow_provider_magichour.submission.budget import unpriced


@discreet
@dataclass(frozen=True)
class Plan:
    """How items become requests.

    :param tool: that makes them.
    :param places: dotted path in the API's body of each argument that an item may name.
    :param defaults: fields of the API, or arguments, for items that do not set them.
    :param conn_id: id of the connection of the storage that files are read from.
    :param validate: whether to check against the table of AI models.
    """

    tool: Tool
    places: Mapping[str, str]
    defaults: Mapping[str, Any]
    conn_id: str | None
    validate: bool

    def request(self, item: Item, name: str) -> Request:
        """Return an item's request.

        :param name: in the library, if the item has none.
        :raises MagicHourInvalidRequestError: naming the field, its value and what is allowed.
        """
        fields = self._fields(item)
        return tool_request(self.tool.name, fields, name=fields.get("name", name), validate=False, names=self._names)

    def digest(self, item: Item) -> str:
        """Return a digest of an item's request, without reading its files; the name does not count."""
        fields = {name: value for name, value in self._fields(item).items() if name != "name"}
        return digest_of([self.tool.name, fields])

    def check(self, items: Iterable[Item], problems: Problems, *, paid: Collection[str], priced: bool) -> list[str]:
        """Add what is wrong with items, as far as can be known without reading files or sending anything.

        :param paid: ids of those that have a project: they only have to be readable.
        :param priced: whether each of the others needs a known price.
        :return: warnings to log.
        """
        warnings: dict[str, None] = {}
        for item in items:
            try:
                request = self.request(item, "-")
                if item.id in paid:
                    continue
                if self.validate:
                    refuse_impossible(request)
                for path, value in request.files.items():
                    extension_of(self._names.get(path, path), value, self._media(path))
                if priced and estimated_cost(request) is None:
                    problems.add(item.named, f"max_credits cannot be enforced: {unpriced(request)[0]}")
                warnings.update(dict.fromkeys(field_warnings(request)))
            except MagicHourInvalidRequestError as error:
                problems.add(item.named, error.args[0].removesuffix(" Nothing was sent."))
        return list(warnings)

    def locate(self, path: str, value: str) -> Source | None:
        """Return the file behind a field of a request."""
        return source_of(self._names.get(path, path), value, self.conn_id, self._media(path))

    def _media(self, path: str) -> Any:
        return self.tool.files[re.sub(r"\[\d+\]", "[]", path)]

    @cached_property
    def _names(self) -> dict[str, str]:
        return {path: name for name, path in self.places.items()}

    @cached_property
    def _shared(self) -> dict[str, Any]:
        return self._body(self.defaults)

    def _fields(self, item: Item) -> dict[str, Any]:
        return _over(self._shared, self._body(item.fields))

    def _body(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Put arguments at their paths in the API's body."""
        body: dict[str, Any] = {}
        for name, value in fields.items():
            path = self.places.get(name, name)
            for step in reversed(path.split(".")):
                value = {step: value}
            body = merge_extra(body, value, self._names) if isinstance(value, Mapping) else body
        return body


def _over(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults overridden by an item's own fields, at any depth."""
    merged = dict(default)
    for name, value in own.items():
        below = merged.get(name)
        merged[name] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
