"""What the pages show of task instances and their XComs. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

from airflow_provider_magichour.api.endpoints import checked_project_id
from airflow_provider_magichour.api.library import LIBRARY, library_url, project_at
from airflow_provider_magichour.api.signatures import discreet, without_signatures
from airflow_provider_magichour.api.tool_rows import TOOLS
from airflow_provider_magichour.api.tools import Kind

LINK, CREDITS, RETURNED = "_link_MagicHourProjectLink", "credits_charged", "return_value"
"""Keys of XComs; the first holds the project of a task as soon as there is one, whatever the task pushes."""

ON_A_PAGE = 24

# Airflow's words for the state of a task instance (TaskInstanceState, 3.3); all others, and none, mean "not yet".
FAILED = {"failed", "upstream_failed"}
LEFT_OUT = {"skipped", "removed"}
NEVER = datetime.max.replace(tzinfo=UTC)

BATCH = "magichour_batch_"
"""Begins the keys in the task state store under which a batch remembers its items, with the number of each chunk."""

# Words of a batch for what became of an item; all others mean that it failed.
ITEMS = {"complete": "done", "in_flight": "working", "not_submitted": "skipped"}

STATES = {"": "All", "done": "Done", "working": "In progress", "failed": "Failed", "skipped": "Skipped"}
"""What becomes of a clip, with the word for it; "" stands for all of them."""

Key = tuple[str, int]
"""Task id and map index."""

Told = dict[str, Any]
"""XComs of a task instance by key, and its rendered fields as ``given``."""

Details = Mapping[Key, Told]

Chunks = list[tuple[int, Any]]
"""What the record of a batch holds, with the number of each chunk."""


class Project(NamedTuple):
    """A project in Magic Hour."""

    kind: Kind
    id: str

    @property
    def url(self) -> str:
        """Where it is in the library; made here, as XComs are whatever someone has written there."""
        return library_url(self.id, self.kind)


@discreet
@dataclass(frozen=True)
class Row:
    """A task instance."""

    task_id: str
    map_index: int
    state: str | None
    start: datetime | None
    operator: str | None
    label: str | None
    told: Told = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.task_id, self.map_index

    @property
    def copy(self) -> Key:
        """The task group and the index: all task instances of one mapped copy have these in common."""
        return self.task_id.rpartition(".")[0], self.map_index

    @property
    def name(self) -> str:
        """The task within its group."""
        return self.task_id.rpartition(".")[2]

    @cached_property
    def project(self) -> Project | None:
        return project_in(self.told.get(LINK))

    @property
    def asks(self) -> bool:
        """Whether it may wait for a person's answer: Airflow 3.3 has a state for that, before it was deferred."""
        return self.state in ("awaiting_input", "deferred")

    @property
    def is_batch(self) -> bool:
        return self.operator == "MagicHourBatchOperator" or self.told.get(LINK) == LIBRARY

    @property
    def is_ours(self) -> bool:
        makes_clips = (self.operator or "").startswith("MagicHour") and self.operator != "MagicHourDetectFacesOperator"
        return self.project is not None or makes_clips or self.is_batch


class Item(NamedTuple):
    """What a batch remembers of one of its items.

    :param chunk: in which it does.
    :param reason: why it has no result.
    """

    chunk: int
    id: str
    state: str
    credits: int | None
    reason: str


@discreet
@dataclass(frozen=True)
class Clip:
    """A project, or what is to become one, and the task instances that have to do with it.

    :param tasks: those that make it, wait for it or fetch it.
    :param others: of other operators, in the same mapped copy.
    :param item: of a batch.
    """

    project: Project | None
    tasks: tuple[Row, ...]
    others: tuple[Row, ...] = ()
    item: Item | None = None

    @property
    def place(self) -> Row:
        """The task instance whose page it is: the first that knows the project."""
        return next((row for row in self.tasks if row.project), self.tasks[0])

    @property
    def state(self) -> str:
        if self.item:
            return self.item.state
        states = {row.state for row in self.tasks}
        if states & FAILED:
            return "failed"
        if states - LEFT_OUT == {"success"}:
            return "done"
        return "skipped" if states <= LEFT_OUT else "working"

    @property
    def credits(self) -> int | None:
        if self.item:
            return self.item.credits
        return next((said for row in self.tasks if isinstance(said := row.told.get(CREDITS), int)), None)

    @property
    def asks(self) -> list[Row]:
        """Those of other operators that may ask a person about it."""
        return [row for row in self.others if row.asks]

    @property
    def since(self) -> datetime | None:
        return min((row.start for row in self.tasks if row.start), default=None)


def project_in(link: object) -> Project | None:
    """Return the project that a link names; None for whatever else stands in its place."""
    found = project_at(link) if isinstance(link, str) else None
    return found and _project(*found)


def _project(kind: Kind, project_id: object) -> Project | None:
    try:
        return Project(kind, checked_project_id(project_id))
    except Exception:  # none yet, or no id
        return None


def clips_of(rows: Iterable[Row], details: Details) -> list[Clip]:
    """Return the clips of a run, in the order of their copies.

    A task that knows no project belongs to that which its argument names, or to the only one of its copy.

    :param details: of the tasks that know no project, where they were read.
    """
    ordered = sorted(rows, key=lambda row: (row.map_index, row.start or NEVER, row.task_id))
    known: dict[Key, dict[Project, None]] = defaultdict(dict)
    for row in ordered:
        if row.project:
            known[row.copy][row.project] = None
    places: dict[Project | Key, list[Row]] = defaultdict(list)
    others: dict[Key, list[Row]] = defaultdict(list)
    for row in ordered:
        if row.is_ours:
            places[_belongs(row, known[row.copy], details)].append(row)
        elif row.map_index >= 0:
            others[row.copy].append(row)
    return [
        Clip(place if isinstance(place, Project) else None, tuple(tasks), tuple(others[tasks[0].copy]))
        for place, tasks in places.items()
    ]


def _belongs(row: Row, known: Mapping[Project, None], details: Details) -> Project | Key:
    if row.project or row.is_batch:
        return row.project or row.key
    named = given_to(details.get(row.key, {})).get("project_id")
    found = [project for project in known if project.id == named] or (list(known) if len(known) == 1 else [])
    return found[0] if found else row.copy


def items_of(batch: Clip, chunks: Chunks, told: Told) -> list[Clip]:
    """Return a clip for each item of a batch, from what is remembered of it: its entries (batch/ledger.py), as JSON."""
    tool = TOOLS.get(str(given_to(told).get("tool")))
    kind: Kind = tool.kind if tool else "video"
    return [
        Clip(_project(kind, entry.get("project_id")), (batch.place,), item=_item(number, item_id, entry, batch.state))
        for number, chunk in chunks
        if isinstance(chunk, Mapping)
        for item_id, entry in chunk.items()
        if isinstance(entry, Mapping)
    ]


def _item(number: int, item_id: str, entry: Mapping[str, Any], batch: str) -> Item:
    status, error = entry.get("status"), entry.get("error")
    ended = ITEMS.get(status, "failed") if isinstance(status, str) else "skipped"
    state = "working" if status is None and batch == "working" else ended
    costs = [each for each in (entry.get("spent"), entry.get("credits_charged")) if isinstance(each, int)]
    reason = ": ".join(str(each) for each in error if each) if isinstance(error, list) else ""
    return Item(number, item_id, state, sum(costs) if costs else None, reason)


def title_of(clip: Clip, details: Details) -> str:
    """Return what Airflow calls the copy, or else the picture that the clip is made from, or else the task."""
    if clip.item:
        return clip.item.id
    row = clip.place
    label = next((each.label for each in (*clip.tasks, *clip.others) if each.label), None)
    images = (given_to(details.get(each.key, {})).get("image") for each in clip.tasks)
    image = next((each for each in images if isinstance(each, str)), "")
    named = label or without_signatures(image).rpartition("/")[2]
    return named or (row.task_id if row.map_index < 0 else f"{row.copy[0] or row.task_id} [{row.map_index}]")


def clip_at(clips: Sequence[Clip], key: Key) -> Clip | None:
    """Return the clip of a task instance: its own, or else the last one of its mapped copy."""
    own = next((clip for clip in clips if key in [row.key for row in clip.tasks]), None)
    return own or next((clip for clip in reversed(clips) if key in [row.key for row in clip.others]), None)


class Page:
    """A page of clips: the one that was asked for, or the nearest one that there is.

    :param shown: a state; anything else shows all.
    :param number: from 1.
    """

    def __init__(self, clips: Sequence[Clip], shown: str = "", number: int = 1) -> None:
        counts = Counter({"": len(clips)}) + Counter(clip.state for clip in clips)
        self.counts = {state: counts[state] for state in STATES if counts[state]}
        self.total, self.credits = len(clips), sum(clip.credits or 0 for clip in clips)
        self.shown = shown if shown in STATES else ""
        wanted = [clip for clip in clips if self.shown in ("", clip.state)]
        self.pages = max(1, ceil(len(wanted) / ON_A_PAGE))
        self.number = min(max(1, number), self.pages)
        self.clips = wanted[(self.number - 1) * ON_A_PAGE : self.number * ON_A_PAGE]


def given_to(told: Told) -> Mapping[str, Any]:
    """Return the rendered fields of a task instance."""
    given = told.get("given")
    return given if isinstance(given, Mapping) else {}
