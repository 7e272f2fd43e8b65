"""Arguments of operators: read when they are set, also when Airflow sets a rendered template."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_magichour.api.arguments import DEEPEST, given, literal, truth_of
from airflow_provider_magichour.api.library import library_url
from airflow_provider_magichour.api.numbers import number_of
from airflow_provider_magichour.api.signatures import secrets_in, shown, without_signatures
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

LONGEST = 366 * 24 * 3600
"""Highest number of seconds that is accepted: more is a typo, and the largest numbers overflow dates."""

ON_UNSURE = ("fail", "resubmit")
"""What a task may do when it is not known whether a project was created."""

LONGEST_RESULT = 100_000
"""Longest text in characters that is read as a waiting task's result: some fifty results with signed URLs."""


class Argument:
    """An operator's argument that is read when it is set, so also when Airflow sets a rendered template.

    :param read: returns what is meant; what it cannot read it returns unchanged, and ``execute`` will refuse that.
    """

    def __init__(self, read: Callable[[Any], Any] = given) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else instance.__dict__.get(self._name)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = self._read(value)


TOLD_KIND = "_told_kind"


def told_kind(task: Any) -> str:
    """Return the kind of a task's project: from the dict that a waiting task has returned, else its argument."""
    return str(task.__dict__.get(TOLD_KIND) or task.kind)


class ProjectIdField(Argument):
    """An operator's ``project_id``: takes the id, or the dict that a waiting task returns, and keeps only the id.

    Airflow stores the rendered values of template fields, and the dict holds signed URLs. Without native rendering
    the dict comes as text.
    """

    def __init__(self) -> None:
        super().__init__(_project_id_of)

    def __set__(self, instance: Any, value: Any) -> None:
        super().__set__(instance, value)
        returned = _returned(value) if isinstance(value, str) else value
        instance.__dict__[TOLD_KIND] = returned.get("kind") if isinstance(returned, Mapping) else None


def _project_id_of(value: Any, depth: int = 0) -> Any:
    """Return the project id in what a waiting task returned, or in its text; for a list, that of each.

    Anything else is returned without signatures: it is not an id, and an error will say so.
    """
    if depth > DEEPEST:
        return ["..."]  # not an id in any case
    value = given(value)
    if isinstance(value, str):
        returned = _returned(value)
        if returned is not None:
            return _project_id_of(returned, depth + 1)
        bare = without_signatures(value)
        # What ``expand`` passes is rendered again unless it is the same object (Airflow 3.3.2, templater.py).
        return value if bare == value else bare
    if isinstance(value, Mapping) and "project_id" in value:
        return _project_id_of(value["project_id"], depth + 1)
    if isinstance(value, list | tuple):
        return [_project_id_of(each, depth + 1) for each in value]
    return without_signatures(value)


def _returned(text: str) -> dict[str, Any] | list[Any] | None:
    """Read a dict or list written as Python or JSON; None for any other text, such as a template."""
    text = text.strip()
    if not text.startswith(("{", "[")) or "project_id" not in text or len(text) > LONGEST_RESULT:
        return None
    value = literal(text)
    return value if isinstance(value, dict | list) else None


def truth_or_as_it_is(value: Any) -> Any:
    """Return a boolean that may be given as text, and anything else as it is."""
    truth = truth_of(value)
    return value if truth is None else truth


class Hidden:
    """Hides a value from whatever walks, shows or serializes its owner's attributes.

    OpenLineage sends all attributes of a task if ``include_full_task_info`` is set.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"

    def __deepcopy__(self, memo: dict[int, Any]) -> Hidden:
        return Hidden(copy.deepcopy(self.value, memo))


class SignedUrlField(Argument):
    """An operator's image, or another field that may hold URLs: their queries and logins are masked in logs.

    They are masked in rendered fields too; Airflow 3.3.2 masks in dicts and lists five levels deep. What a waiting task
    returned, at any depth, becomes the unsigned URL of its project in the library.
    """

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        hidden = super().__get__(instance, owner)
        return hidden.value if isinstance(hidden, Hidden) else hidden

    def __set__(self, instance: Any, value: Any) -> None:
        super().__set__(instance, chained(value))
        instance.__dict__[self._name] = Hidden(instance.__dict__[self._name])
        for secret in secrets_in(value):
            from airflow_provider_magichour.compat import mask_secret

            mask_secret(secret)


class Items:
    """A list of items of which Airflow shows only the length: it may be long, and hold signed URLs.

    Airflow renders what an object names in ``template_fields`` (3.0 to 3.3).
    """

    template_fields = ("entries",)

    def __init__(self, entries: Sequence[Any]) -> None:
        self._entries = Hidden(entries)

    @property
    def entries(self) -> Sequence[Any]:
        return self._entries.value  # type: ignore[no-any-return]

    @entries.setter
    def entries(self, rendered: Sequence[Any]) -> None:
        self._entries = Hidden(rendered)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        return "a list of items" if isinstance(self.entries, str) else f"{len(self)} items"

    __repr__ = __str__


class ItemsField(Argument):
    """A batch's ``items``: of a list only the length is shown, once nothing in it refers to another task."""

    def __set__(self, instance: Any, value: Any) -> None:
        is_plain = isinstance(value, list | tuple) and not any(_refers(each) for each in value)
        is_text = isinstance(value, str) and value.lstrip().startswith("[")
        super().__set__(instance, Items(chained(value)) if is_plain or is_text else value)


def _refers(value: Any, depth: int = 0) -> bool:
    """Whether an item refers to what another task returns, which Airflow has to find when it parses the DAG."""
    if isinstance(value, Mapping | list | tuple) and depth < 10:
        inner = value.values() if isinstance(value, Mapping) else value
        return any(_refers(each, depth + 1) for each in inner)
    return hasattr(value, "iter_references")


def chained(value: Any, depth: int = 0) -> Any:
    """Replace each result of a waiting task, a dict or its text, by the URL of its project in the library.

    A value without one is returned as the same object: any other would be rendered again under ``expand`` (3.3.2).
    """
    if depth > DEEPEST:
        return value
    result = _returned(value) if isinstance(value, str) else value
    if isinstance(result, Mapping) and result.get("kind") in ("video", "image", "audio"):
        project_id = result.get("project_id")
        if isinstance(project_id, str):
            return library_url(project_id, result["kind"])
    if isinstance(value, Mapping):
        items = {name: chained(each, depth + 1) for name, each in value.items()}
        return value if all(items[name] is each for name, each in value.items()) else items
    if isinstance(value, list | tuple):
        each_one = [chained(each, depth + 1) for each in value]
        return value if all(new is old for new, old in zip(each_one, value, strict=True)) else each_one
    return value


def truth(name: str, value: Any) -> bool:
    """Return an argument that is true or false.

    :param name: of the argument, for the message.
    :param value: a boolean, or one as text.
    :raises MagicHourInvalidRequestError: for anything else.
    """
    known = truth_of(value)
    if known is None:
        raise MagicHourInvalidRequestError(f"{name}={shown(value)}: true or false is needed")
    return known


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return an argument that is one of some words.

    :param name: of the argument, for the message.
    :raises MagicHourInvalidRequestError: for anything else.
    """
    if value not in allowed:
        raise MagicHourInvalidRequestError(f"{name}={shown(value)}: {' or '.join(map(repr, allowed))} is needed")
    return str(value)


def whole(name: str, value: Any, least: int, most: int) -> int:
    """Return an argument that is a whole number.

    :param name: of the argument, for the message.
    :param value: number, or a rendered template that is one.
    :raises MagicHourInvalidRequestError: for anything else, or one that is out of bounds.
    """
    number = number_of(value)
    if not isinstance(number, int) or not least <= number <= most:
        raise MagicHourInvalidRequestError(f"{name}={shown(value)}: a whole number from {least} to {most} is needed")
    return number


def credits(name: str, value: Any) -> float:
    """Return an argument that is a number of credits.

    :param name: of the argument, for the message.
    :param value: number, or a rendered template that is one.
    :raises MagicHourInvalidRequestError: for anything else, or a negative one.
    """
    number = number_of(value)
    if number is None or number < 0:
        raise MagicHourInvalidRequestError(f"{name}={shown(value)}: a number of credits (from 0 on) is needed")
    return number


def seconds(name: str, value: Any) -> float:
    """Return an argument that is a time, in seconds.

    :param name: of the argument, for the message.
    :param value: number of seconds, ``timedelta``, or a rendered template that is a number.
    :raises MagicHourInvalidRequestError: for anything else, or a negative one.
    """
    number = number_of(value.total_seconds() if isinstance(value, timedelta) else value)
    if number is None or not 0 <= number <= LONGEST:
        raise MagicHourInvalidRequestError(
            f"{name}={shown(value)}: seconds (a number from 0 to {LONGEST}) or a timedelta is needed"
        )
    return number
