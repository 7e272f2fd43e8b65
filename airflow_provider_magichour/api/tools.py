"""What a tool of Magic Hour is, and a request to one. A tool is a row: none has code of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from airflow_provider_magichour.api.signatures import discreet

Kind = Literal["video", "image", "audio"]
"""What a project makes: the API has one family of endpoints for each."""

KINDS: tuple[Kind, ...] = ("video", "image", "audio")


Media = Literal["image", "video", "audio", "gif"]
"""What a file that is sent may be."""

# A row's types of fields other than files; ``word`` is a text that is not empty, ``count`` a whole number above 0.
PLAIN_TYPES = frozenset("text word number positive integer count boolean object list".split())


@discreet
@dataclass(frozen=True)
class Price:
    """What a tool costs.

    :param per: ``project``, ``second``, ``frame``, ``character`` or ``image``.
    :param credits: for one, and the values to which that applies: of the fields ``by``, those that are set, separated
        by blanks. Other values have no published price.
    :param by: dotted paths of the fields that decide.
    :param of: dotted path of what is counted.
    """

    per: Literal["project", "second", "frame", "character", "image"]
    credits: Mapping[float, tuple[str, ...]]
    by: tuple[str, ...] = ()
    of: str = "end_seconds"


class Need(NamedTuple):
    """A condition between fields.

    :param of: one of these fields must be there;
    :param where: where this one,
    :param value: has this value; always, without both.
    """

    of: tuple[str, ...]
    where: str = ""
    value: str = ""

    @classmethod
    def read(cls, text: str) -> Need:
        """Read ``where=value of|of`` or ``of|of``."""
        condition, _, of = text.rpartition(" ")
        return cls(tuple(of.split("|")), *condition.split("=")) if condition else cls(tuple(of.split("|")))


@discreet
@dataclass(frozen=True)
class Tool:
    """One of the API's generation endpoints.

    Paths are dotted, with ``[]`` for each item of a list.

    :param name: last part of its path.
    :param kind: of the projects that it makes.
    :param title: for messages.
    :param files: the fields of the body that name files, and the kinds of media that each takes.
    :param expected_render: seconds that a render usually takes; None where that is not known.
    :param type: the API's word for its projects.
    :param fields: every field that is known, and what it is: one of :data:`PLAIN_TYPES`, or ``file``.
    :param required: the fields that must be there; those in a list in each of its items.
    :param needs: conditions between fields.
    :param outputs: the field that says how many results it makes; None for one.
    :param deprecated: fields that the API still takes but no longer documents, and what to do instead.
    :param price: None if none is published.
    :param has_models: whether its AI models are those of :mod:`~airflow_provider_magichour.api.capabilities`.
    """

    name: str
    kind: Kind
    title: str
    files: Mapping[str, tuple[Media, ...]]
    expected_render: float | None = None
    type: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    outputs: str | None = None
    deprecated: Mapping[str, str] = field(default_factory=dict)
    price: Price | None = None
    has_models: bool = False

    @property
    def path(self) -> str:
        return f"/v1/{self.name}"

    @property
    def has_name(self) -> bool:
        """Whether its projects can have a name, and so be found in the library."""
        return "name" in self.fields


def row(
    heading: str,
    fields: str,
    *,
    expected: float | None = None,
    has_name: bool = True,
    needs: tuple[str, ...] = (),
    outputs: str | None = None,
    deprecated: Mapping[str, str] = MappingProxyType({}),
    price: Price | int | None = None,
    has_models: bool = False,
) -> Tool:
    """Return a tool from its short form; the other parameters are those of :class:`Tool`.

    :param heading: name, kind, type word and title.
    :param fields: its fields, each a path, ``!`` if it is required, and after a colon its type or the kinds of media
        that it takes (``video|gif``); a text has none. The objects and lists around them follow from the paths.
    :param expected: seconds that a render usually takes.
    :param has_name: whether there is a field ``name``.
    :param needs: each as ``where=value of|of`` or ``of|of``; see :class:`Need`.
    :param price: a number for what each project costs.
    """
    name, kind, type_, title = heading.split(maxsplit=3)
    types: dict[str, str] = {"name": "text"} if has_name else {}
    files: dict[str, tuple[Any, ...]] = {}
    required: list[str] = []
    for each in fields.split():
        path, _, said = each.partition(":")
        path, is_required = path.removesuffix("!"), path.endswith("!")
        required += [path] if is_required else []
        if said and said not in PLAIN_TYPES:
            files[path], said = tuple(said.split("|")), "file"
        for end in (at for at, letter in enumerate(path) if letter in ".["):
            types.setdefault(path[:end], "list" if path[end] == "[" else "object")
        types[path] = said or "text"
    return Tool(
        name,
        _kind(kind),
        title,
        files,
        expected,
        type_,
        types,
        tuple(required),
        tuple(map(Need.read, needs)),
        outputs,
        deprecated,
        Price("project", {price: ("",)}) if isinstance(price, int) else price,
        has_models,
    )


def _kind(word: str) -> Kind:
    return next(kind for kind in KINDS if kind == word)


@discreet
@dataclass(frozen=True)
class Request:
    """A request to a tool: built once, and all that submission, budget and waiting know of it.

    :param tool: that is to make it.
    :param body: the JSON to send; what was not set is not in it.
    :param names: of the user's arguments, by their path in the body, for messages.
    """

    tool: Tool
    body: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str | None:
        """The project's name in the library."""
        name = self.body.get("name")
        return name if isinstance(name, str) else None

    @property
    def files(self) -> dict[str, str]:
        """The values of the body's file fields, by path, such as ``assets.image_file_path``."""
        found = (each for path in self.tool.files for each in values_at(self.body, path))
        return {path: value for path, value in found if isinstance(value, str)}

    def with_files(self, files: Mapping[str, str]) -> Request:
        """Return this request with other values of file fields.

        :param files: by path, as in :attr:`files`.
        """
        body: Any = self.body
        for path, value in files.items():
            body = _with(body, path.replace("[", ".[").split("."), value)
        return replace(self, body=body)


def values_at(body: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    """Return what is at a dotted path, each with its own path: nothing, one value, or one of each item of a list."""
    return list(_values(body, path.split("."), ""))


def value_at(body: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path without lists, or None."""
    return next((value for _, value in values_at(body, path)), None)


def _values(value: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any]]:
    """Yield what is at the end of a dotted path, each with its own path."""
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
    """Return a copy with another value at one path; all else is shared."""
    if not steps:
        return new
    if steps[0].startswith("["):
        index = int(steps[0][1:-1])
        return [_with(each, steps[1:], new) if at == index else each for at, each in enumerate(value)]
    return {**value, steps[0]: _with(value[steps[0]], steps[1:], new)}
