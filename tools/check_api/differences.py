"""What one source says of the API and another does not, and what to write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from airflow_provider_magichour.api.tool_rows import TOOLS
from tools.check_api.facts import Endpoint, Facts, Field

FIELD_TYPES = {"string": "", "array": ":list", "": ""}
MEDIA = ("image", "video", "audio")
MOST_ROWS = 100
# A row may ask for whole numbers where a source takes any.
ALIKE = {("integer", "number")}


class Difference(NamedTuple):
    """One difference.

    :param sign: ``+`` came, ``-`` went, ``~`` changed.
    :param what: where and what.
    :param write: what this package lacks, and how to write it; empty where it lacks nothing.
    """

    sign: str
    what: str
    write: str = ""


def differences(ours: Facts, theirs: Facts) -> Iterator[Difference]:
    """Yield what the second source says otherwise than the first."""
    elsewhere = _words_of_all(theirs) if ours.shares_words else None
    for name in sorted({*ours.tools, *theirs.tools}):
        mine, other = ours.tools.get(name), theirs.tools.get(name)
        if mine is None and other is not None:
            yield Difference("+", f"{name}: a new tool ({other.kind or 'kind unknown'}, {other.title})", new_row(other))
        elif other is None:
            yield Difference("-", f"{name}: only in {ours.source}")
        elif mine is not None:
            yield from _of_tool(mine, other, ours.source, elsewhere)
    for route in sorted(theirs.routes - ours.routes):
        yield Difference("+", f"{route}: a new endpoint", f"a function in api/endpoints.py for {route}")
    for route in sorted(ours.routes - theirs.routes):
        yield Difference("-", f"{route}: only in {ours.source}")


def _words_of_all(facts: Facts) -> frozenset[str]:
    fields = (field for tool in facts.tools.values() for field in tool.fields.values())
    return frozenset(word for field in fields for word in field.words or ())


def _of_tool(mine: Endpoint, other: Endpoint, source: str, elsewhere: frozenset[str] | None) -> Iterator[Difference]:
    name = mine.name
    if other.kind not in (mine.kind, ""):
        yield Difference("~", f"{name}: makes {other.kind}, was {mine.kind}", f"kind {other.kind} in the row of {name}")
    for path in sorted({*mine.fields, *other.fields}):
        old, new = mine.fields.get(path), other.fields.get(path)
        where = f"{name}: {path}"
        if old is None and new is not None:
            marks = [word for word, is_so in (("required", new.required), ("deprecated", new.deprecated)) if is_so]
            said = ", ".join([new.type or "type unknown", *marks])
            yield Difference("+", f"{where}: new ({said})", f"`{written(path, new)}` in the row of {name}")
        elif new is None and old is not None:
            why = "deprecated, and not there" if old.deprecated else f"only in {source}"
            yield Difference("-", f"{where}: {why} ({old.type})")
        elif old is not None and new is not None:
            yield from _of_field(where, path, old, new)
            yield from _of_words(where, old, new, elsewhere)


def _of_field(where: str, path: str, old: Field, new: Field) -> Iterator[Difference]:
    """Yield how a field changed; a source that tells no type says nothing of it."""
    row = f"`{written(path, new)}` in the row of {where.partition(':')[0]}"
    if new.type and old.type and new.type != old.type and (old.type, new.type) not in ALIKE:
        yield Difference("~", f"{where}: {new.type}, was {old.type}", row)
    if new.required != old.required:
        now = "required now" if new.required else "required no longer"
        yield Difference("~", f"{where}: {now}", row)
    if new.deprecated and not old.deprecated:
        yield Difference("~", f"{where}: deprecated now", f"what to do instead, under `deprecated` of {row}")


def _of_words(where: str, old: Field, new: Field, elsewhere: frozenset[str] | None) -> Iterator[Difference]:
    """Yield which words came and went.

    :param elsewhere: words that other tools have, so that they did not go; None where both sources have all words.
    """
    if old.words is None or new.words is None:
        listed = old.words or new.words
        if listed and elsewhere is None:
            now = "no list of words any more" if old.words else "a list of words now"
            yield Difference("~", f"{where}: {now} ({_listed(sorted(listed))})")
        return
    came = sorted(new.words - old.words - ({"default"} if elsewhere else set()))
    went = sorted(old.words - new.words - (elsewhere or set()))
    row = TOOLS.get(where.partition(":")[0])
    if came:
        lacks = f"rows of {_listed(came, MOST_ROWS)} in CAPABILITIES of api/capabilities.py"
        is_table = row is not None and row.has_models and where.endswith(": model")
        yield Difference("+", f"{where}: enum +{_listed(came)}", lacks if is_table else "")
    if went:
        yield Difference("-", f"{where}: enum -{_listed(went)}")


def _listed(words: list[str], most: int = 8) -> str:
    more = f",... ({len(words)} in all)" if len(words) > most else ""
    return ",".join(words[:most]) + more


def new_row(tool: Endpoint) -> str:
    """Return the row of a tool, as far as a source can tell: media, conditions, price and time are for a person."""
    has_name = "name" in tool.fields
    fields = {path: field for path, field in tool.fields.items() if path != "name"}
    told = (path for path, field in fields.items() if not _is_known_by_others(path, field, fields))
    lines = "\n".join(f"        {written(path, fields[path])}" for path in sorted(told))
    type_ = tool.name.removeprefix("ai-").replace("-", "_").upper()
    options = "" if has_name else "\n    has_name=False,"
    return (
        f'row(\n    "{tool.name} {tool.kind or "KIND"} {type_} {tool.title}",\n    """\n{lines}\n    """,{options}\n)'
    )


def _is_known_by_others(path: str, field: Field, fields: object) -> bool:
    """Say whether a row knows an object or a list by what lies in it."""
    inside = any(each.startswith((f"{path}.", f"{path}[")) for each in fields)  # type: ignore[attr-defined]
    return inside and not field.required


def written(path: str, field: Field) -> str:
    """Return a field as a row writes it; a path of a file with the kinds of media that its name tells."""
    needed = "!" if field.required else ""
    name = path.rpartition(".")[2].removesuffix("[]")
    if field.type == "string" and name.endswith(("file_path", "file_paths")):
        return f"{path}{needed}:{next((each for each in MEDIA if each in name), '|'.join(MEDIA))}"
    return f"{path}{needed}{FIELD_TYPES.get(field.type, f':{field.type}')}"
