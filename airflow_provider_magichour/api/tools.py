"""Magic Hour's tools, and what is asked of one. A tool is a row: none has code of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from airflow_provider_magichour.api.signatures import discreet

Kind = Literal["video", "image", "audio"]
"""What a project makes: the API has one family of endpoints for each."""

KINDS: tuple[Kind, ...] = ("video", "image", "audio")


@dataclass(frozen=True)
class Tool:
    """One of the API's generation endpoints.

    :param name: last part of its path.
    :param kind: of the projects that it makes.
    :param title: for messages.
    :param files: the fields of the body that name files, as dotted paths (``[]`` for each item of a list), and the
        kinds of media that each takes.
    :param expected_render: seconds that a render usually takes; None where that is not known.
    """

    name: str
    kind: Kind
    title: str
    files: Mapping[str, tuple[Kind, ...]]
    expected_render: float | None = None

    @property
    def path(self) -> str:
        return f"/v1/{self.name}"


IMAGE_TO_VIDEO = Tool(
    "image-to-video",
    "video",
    "image-to-video",
    {"assets.image_file_path": ("image",), "assets.end_image_file_path": ("image",)},
    # the vendor's median, 30 days to 2026-07-20 (processing times page)
    expected_render=74.0,
)

TOOLS: Mapping[str, Tool] = MappingProxyType({tool.name: tool for tool in (IMAGE_TO_VIDEO,)})
"""Each tool by its name."""


@discreet
@dataclass(frozen=True)
class Request:
    """What is asked of a tool: built once, and all that submission, budget and waiting know of it.

    :param tool: that makes it.
    :param body: the JSON to send; what was not set is not in it.
    """

    tool: Tool
    body: Mapping[str, Any]

    @property
    def name(self) -> str | None:
        """The project's name in the library."""
        name = self.body.get("name")
        return name if isinstance(name, str) else None

    @property
    def files(self) -> dict[str, str]:
        """What the body's file fields name, by the path of each, such as ``assets.image_file_path``."""
        found = (each for path in self.tool.files for each in _values(self.body, path.split("."), ""))
        return {path: value for path, value in found if isinstance(value, str)}

    def with_files(self, files: Mapping[str, str]) -> Request:
        """Return this request with other values of file fields.

        :param files: by the path of each, as :attr:`files` has them.
        """
        body: Any = self.body
        for path, value in files.items():
            body = _with(body, path.replace("[", ".[").split("."), value)
        return replace(self, body=body)


def _values(value: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any]]:
    """Yield what stands at the end of a dotted path, and where."""
    if not steps:
        yield path, value
        return
    name = steps[0].removesuffix("[]")
    if not isinstance(value, Mapping) or value.get(name) is None:
        return
    value, path = value[name], f"{path}.{name}" if path else name
    if not steps[0].endswith("[]"):
        yield from _values(value, steps[1:], path)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _values(each, steps[1:], f"{path}[{index}]")


def _with(value: Any, steps: list[str], new: str) -> Any:
    """Return a copy in which one place has another value; all else is shared."""
    if not steps:
        return new
    if steps[0].startswith("["):
        index = int(steps[0][1:-1])
        return [_with(each, steps[1:], new) if at == index else each for at, each in enumerate(value)]
    return {**value, steps[0]: _with(value[steps[0]], steps[1:], new)}
