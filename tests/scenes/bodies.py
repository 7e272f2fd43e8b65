"""A body for each tool, made of nothing but its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_magichour.api.tools import Tool

SCALARS: Mapping[str, Any] = {
    "text": "a text",
    "word": "a-word",
    "number": 1,
    "positive": 5,
    "integer": 512,
    "count": 2,
    "boolean": True,
}
EXTENSIONS = {"image": "png", "video": "mp4", "audio": "mp3", "gif": "gif"}


def body_of(tool: Tool, *, paths: tuple[str, ...] = (), words: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a tool must be sent.

    :param paths: of further fields to send.
    :param words: values by path, in place of those that are made up.
    """
    said = words or {}
    needed = tuple(need.of[0] for need in tool.needs if said.get(need.where, "") == need.value)
    body: dict[str, Any] = {}
    for path in (*tool.required, *needed, *paths):
        put(body, path, said.get(path, value_for(tool, path)))
    return body


def value_for(tool: Tool, path: str) -> Any:
    """Return a value that a field may have."""
    wanted = tool.fields[path]
    if wanted == "file":
        return f"api-assets/id/{path.split('.')[-1]}.{EXTENSIONS[tool.files[path][0]]}"
    if wanted == "object":
        return {}
    if wanted == "list":
        return [value_for(tool, f"{path}[]")]
    # The one length that each AI model and each tool takes, and a beginning before it.
    return 0 if path == "start_seconds" else SCALARS[wanted]


def put(body: Any, path: str, value: Any) -> None:
    """Set a value at a dotted path, in the first item of each list on the way."""
    step, _, rest = path.partition(".")
    name = step.removesuffix("[]")
    if step != name:
        items = body.setdefault(name, [])
        if not rest:
            items.append(value)
            return
        if not items:
            items.append({})
        put(items[0], rest, value)
    elif rest:
        put(body.setdefault(name, {}), rest, value)
    elif not (value == {} and name in body):
        body[name] = value


def take_out(body: Any, path: str) -> None:
    """Remove what stands at a dotted path."""
    step, _, rest = path.partition(".")
    name = step.removesuffix("[]")
    if not rest:
        del body[name]
        return
    take_out(body[name][0] if step != name else body[name], rest)
