"""The items of a batch: read from a list or a file of JSON Lines, each with an id of its own. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from airflow_provider_magichour.api.arguments import literal, plain
from airflow_provider_magichour.api.signatures import discreet, shown
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

MOST_ITEMS = 10_000
"""Most items of a batch: the record is designed for as many."""

LONGEST_LINE = 64 * 1024
"""Most bytes of one item: a prompt has some hundred."""

LONGEST_TEXT = 1_000_000
"""Longest rendered template in characters that is read as a list; a longer list belongs into a file or XCom."""

ID = re.compile(r"[^\W_][\w.-]*")
LONGEST_ID = 100
"""An item's id: a part of file names, of the project's name in the library, and of keys that people edit."""

MOST_TOLD = 10
"""Most bad items that one error names."""

BOM = b"\xef\xbb\xbf"


@discreet
@dataclass(frozen=True)
class Item:
    """One clip to make.

    :param id: names it in results, files and the library.
    :param place: where it is in the manifest, for messages.
    :param fields: of the API, or arguments of the tool's operator.
    """

    id: str
    place: str
    fields: Mapping[str, Any]

    @property
    def named(self) -> str:
        """The item, for messages."""
        return f"{self.place} (id {self.id})"


class Problems:
    """What is wrong with the items: one error for all of them.

    :ivar unnamed: how many have no id but their position.
    """

    def __init__(self) -> None:
        self._told: list[str] = []
        self._count = 0
        self.unnamed = 0

    def add(self, place: str, what: str) -> None:
        self._count += 1
        if len(self._told) < MOST_TOLD:
            self._told.append(f"- {place}: {what}")

    def refuse(self) -> None:
        """Raise if there is any, naming the first ten.

        :raises MagicHourInvalidRequestError: nothing was sent.
        """
        if self._count:
            more = [f"- and {self._count - MOST_TOLD} more"] if self._count > MOST_TOLD else []
            what = "item cannot" if self._count == 1 else "items cannot"
            head = f"{self._count} {what} be used. Nothing was sent; correct them and clear the task."
            raise MagicHourInvalidRequestError("\n".join([head, *self._told, *more]))


def lines_of(stream: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield each object of a file of JSON Lines with its place; an error for a line that is not an object.

    Blank lines and a byte order mark are allowed. Only one line is in memory at a time.

    :param stream: of bytes.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        place = f"line {number}"
        if len(line) > LONGEST_LINE:
            yield place, ValueError(f"it is longer than {LONGEST_LINE} bytes")
            while line and not line.endswith(b"\n"):
                line = stream.readline(LONGEST_LINE)
            continue
        if text := (line.removeprefix(BOM) if number == 1 else line).strip():
            yield place, _read(text)


def _read(text: bytes) -> Any:
    try:
        return json.loads(text.decode(), parse_constant=_refused, object_pairs_hook=_unique)
    except UnicodeDecodeError:
        return ValueError("it is not UTF-8")
    except RecursionError:
        return ValueError("it is nested too deep")
    except ValueError as error:
        return ValueError(f"it is not JSON ({error})")


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a field is there twice")
    return dict(pairs)


def listed(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each item of a list, or of one rendered as text, with its place.

    :raises MagicHourInvalidRequestError: it is not a list.
    """
    if isinstance(value, str) and value.lstrip().startswith("[") and len(value) <= LONGEST_TEXT:
        read = literal(value)
        value = value if read is None else read
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        raise MagicHourInvalidRequestError(
            f"items={shown(value)}: a list of dicts, what an upstream task returned, or the path or URI of a file "
            "of JSON Lines (.jsonl) is needed. Nothing was sent."
        )
    yield from ((f"item {number}", each) for number, each in enumerate(value, start=1))


def read_items(found: Iterable[tuple[str, Any]], problems: Problems) -> dict[str, Item]:
    """Give each item its id.

    :param found: each entry with its place.
    :param problems: takes what is wrong.
    :return: the items by id.
    """
    items: dict[str, Item] = {}
    for place, value in found:
        if len(items) >= MOST_ITEMS:
            problems.add(place, f"a batch has at most {MOST_ITEMS} items: split it")
            break
        if not isinstance(value, Mapping):
            problems.add(place, str(value) if isinstance(value, ValueError) else f"{shown(value)}: an object is needed")
            continue
        fields, own = dict(value), value.get("id")
        fields.pop("id", None)
        problems.unnamed += own is None
        item_id = place.rpartition(" ")[2] if own is None else own
        if isinstance(item_id, int) and not isinstance(item_id, bool):
            item_id = str(item_id)
        if not isinstance(item_id, str) or not ID.fullmatch(item_id) or len(item_id.encode()) > LONGEST_ID:
            problems.add(
                place,
                f"id={shown(item_id)}: letters, digits, '.', '_' and '-' are needed, the first a letter or digit, "
                f"{LONGEST_ID} bytes in UTF-8 at most: files are named after it",
            )
        elif item_id in items:
            problems.add(place, f"id {item_id} is already used in {items[item_id].place}: each item needs its own")
        else:
            try:
                items[item_id] = Item(item_id, place, plain(fields))
            except MagicHourInvalidRequestError as error:
                problems.add(f"{place} (id {item_id})", error.args[0])
    return items


def digest_of(value: Any) -> str:
    """Return a digest of JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
