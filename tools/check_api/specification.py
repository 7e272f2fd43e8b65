"""Reads an OpenAPI document: the vendor's file, or what its wheel says in the same form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_magichour.api.tools import KINDS
from tools.check_api.facts import ROUTES, Endpoint, Facts, Field, settled

METHODS = ("get", "post", "put", "patch", "delete")

# How the vendor's texts begin where a field is deprecated.
DEPRECATED = re.compile(r"\W*(`\w+` is )?deprecated\b", re.IGNORECASE)

TOOL = re.compile(r"POST /v1/([\w-]+)")

DEEPEST = 20


def read(path: Path) -> dict[str, Any]:
    """Read a file.

    :raises ValueError: when it is no OpenAPI document in JSON.
    """
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); an OpenAPI document in JSON is needed") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ValueError(f"{path} has no paths; an OpenAPI document is needed")
    return document


def facts(document: Mapping[str, Any], source: str) -> Facts:
    """Return what a document says.

    A POST right below ``/v1`` is a tool, its tag the family of its projects; all else is another endpoint.

    :param source: its name, for people.
    """
    tools, routes = {}, set()
    for path, operations in document["paths"].items():
        for method in (each for each in METHODS if each in operations):
            operation = operations[method]
            route = f"{method.upper()} {re.sub(r'{[^}]*}', '{id}', path)}"
            if (found := TOOL.fullmatch(route)) and route not in ROUTES:
                name = found[1]
                fields = settled(dict(_fields(_body(operation, document), "", True, document)))
                tools[name] = Endpoint(name, _kind(operation), operation.get("summary") or name, fields)
            else:
                routes.add(route)
    return Facts(source, tools, frozenset(routes))


def _kind(operation: Mapping[str, Any]) -> str:
    tags = {str(tag).lower() for tag in operation.get("tags") or ()}
    return next((kind for kind in KINDS if f"{kind} projects" in tags), "")


def _body(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    contents = _resolved(operation.get("requestBody") or {}, document).get("content") or {}
    return next((each.get("schema") or {} for media, each in contents.items() if "json" in media), {})


def _fields(
    schema: Mapping[str, Any], path: str, required: bool, document: Mapping[str, Any], depth: int = 0
) -> Iterator[tuple[str, Field]]:
    """Yield each field below a schema, and the schema itself unless it is the whole body."""
    schema = _resolved(schema, document)
    if path:
        yield path, _field(schema, required)
    if depth > DEEPEST:
        return
    for name, inner in (schema.get("properties") or {}).items():
        where = f"{path}.{name}".lstrip(".")
        yield from _fields(inner, where, name in (schema.get("required") or ()), document, depth + 1)
    if schema.get("items"):
        yield from _fields(schema["items"], f"{path}[]", False, document, depth + 1)


def _field(schema: Mapping[str, Any], required: bool) -> Field:
    text = schema.get("description") or ""
    words = schema.get("enum")
    return Field(
        _type(schema),
        required,
        bool(schema.get("deprecated")) or bool(DEPRECATED.match(text)),
        None if words is None else frozenset(str(word) for word in words if word is not None),
        text,
    )


def _type(schema: Mapping[str, Any]) -> str:
    said = schema.get("type") or ("object" if "properties" in schema else "")
    return said if isinstance(said, str) else next((each for each in said if each != "null"), "")


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without references, its parts put together; of alternatives the first that is not null."""
    whole = dict(schema)
    for _ in range(DEEPEST):
        if "$ref" not in whole:
            break
        found: Any = document
        for step in whole.pop("$ref").removeprefix("#/").split("/"):
            found = found[step]
        whole = {**found, **whole}
    parts = [_resolved(part, document) for part in whole.pop("allOf", ())]
    choices = [_resolved(part, document) for part in (*whole.pop("anyOf", ()), *whole.pop("oneOf", ()))]
    choices = [choice for choice in choices if choice.get("type") != "null"]
    for part in (*parts, *choices[:1]):
        properties = {**(whole.get("properties") or {}), **(part.get("properties") or {})}
        needed = [*(whole.get("required") or ()), *(part.get("required") or ())]
        whole = {**part, **whole}
        if properties:
            whole |= {"properties": properties, "required": needed}
    words = [choice["enum"] for choice in choices if "enum" in choice]
    return whole | ({"enum": [word for each in words for word in each]} if words else {})
