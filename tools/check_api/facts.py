"""What a source says of the API, in one form for all: the rows, an OpenAPI file, the vendor's wheel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from airflow_provider_magichour.api.capabilities import CAPABILITIES
from airflow_provider_magichour.api.tools import KINDS, Tool

# Those that api/endpoints.py has beside one for each tool.
ROUTES = frozenset(
    [
        "GET /v1/account",
        "POST /v1/face-detection",
        "GET /v1/face-detection/{id}",
        "POST /v1/files/upload-urls",
        "GET /v1/saved-items",
        *(f"{method} /v1/{kind}-projects/{{id}}" for kind in KINDS for method in ("GET", "DELETE")),
    ]
)

# JSON's word for each type of a row.
JSON_TYPES = {
    **dict.fromkeys(("text", "word", "file"), "string"),
    **dict.fromkeys(("number", "positive"), "number"),
    **dict.fromkeys(("integer", "count"), "integer"),
    "boolean": "boolean",
    "object": "object",
    "list": "array",
}


@dataclass(frozen=True)
class Field:
    """A field of a request.

    :param type: JSON's word; empty where the source does not tell.
    :param required: whether a request without it is refused, or an item of the list that it lies in.
    :param words: that it may have; None where the source has no list of them.
    :param text: what the source says of it.
    """

    type: str
    required: bool = False
    deprecated: bool = False
    words: frozenset[str] | None = None
    text: str = ""


@dataclass(frozen=True)
class Endpoint:
    """A tool, as a source has it; its fields by their paths, as rows write them."""

    name: str
    kind: str
    title: str
    fields: Mapping[str, Field]


@dataclass(frozen=True)
class Facts:
    """All that a source says.

    :param source: its name, for people.
    :param tools: by name.
    :param routes: the other endpoints, as ``GET /v1/account``.
    :param shares_words: whether several tools have one list of words, of which each takes some.
    """

    source: str
    tools: Mapping[str, Endpoint]
    routes: frozenset[str]
    shares_words: bool = False


def settled(fields: Mapping[str, Field]) -> dict[str, Field]:
    """Say of each field whether a request needs it, where a source says whether the object that it lies in does.

    An object that has such a field needs no word of its own; nor do the objects in a list.
    """
    needed = {path: all(fields[each].required for each in _upwards(path)) for path in fields}
    by_others = {each for path in fields if needed[path] for each in _upwards(path)[1:]}
    return {
        path: replace(field, required=needed[path] and path not in by_others)
        for path, field in fields.items()
        if not (path.endswith("[]") and field.type == "object")
    }


def _upwards(path: str) -> list[str]:
    """Return a path and those of the objects around it, up to the item of a list."""
    paths = [path]
    while "." in path and not (path := path.rpartition(".")[0]).endswith("[]"):
        paths.append(path)
    return paths


def of_rows(tools: Iterable[Tool]) -> Facts:
    """Return what this package's rows and its table of AI models say."""
    return Facts("the rows", {tool.name: _endpoint(tool) for tool in tools}, ROUTES, shares_words=True)


def _endpoint(tool: Tool) -> Endpoint:
    words = known_words(tool)
    fields = {
        path: Field(JSON_TYPES[type_], path in tool.required, path in tool.deprecated, words.get(path))
        for path, type_ in tool.fields.items()
        if not (path.endswith("[]") and type_ == "object")
    }
    return Endpoint(tool.name, tool.kind, tool.title, fields)


def known_words(tool: Tool) -> dict[str, frozenset[str]]:
    """Return the words that the table of AI models, or else the price, knows of a tool's fields."""
    if tool.has_models:
        resolutions = (each for row in CAPABILITIES.values() for each in row.resolutions)
        return {"model": frozenset(CAPABILITIES), "resolution": frozenset(resolutions)}
    if tool.price is None or "model" not in tool.price.by:
        return {}
    place = tool.price.by.index("model")
    return {"model": frozenset(values.split()[place] for each in tool.price.credits.values() for values in each)}
