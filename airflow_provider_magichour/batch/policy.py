"""Decides the outcome of a batch's items, and of the batch. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

from airflow_provider_magichour.api.library import LIBRARY
from airflow_provider_magichour.api.numbers import number_of
from airflow_provider_magichour.api.schemas import Project, is_incurable_code
from airflow_provider_magichour.api.signatures import shown
from airflow_provider_magichour.batch.entries import Entry, Header, Status
from airflow_provider_magichour.batch.ledger import ADOPT
from airflow_provider_magichour.batch.purse import LimitReachedError
from airflow_provider_magichour.exceptions import (
    MagicHourBatchError,
    MagicHourBatchFailedError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourProjectFailedError,
    MagicHourRejectedError,
    MagicHourStorageError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.submission.submit import BLAMELESS

RESULTS = tuple(status for status in get_args(Status) if status != "in_flight")
"""The statuses of result lines."""

MOST_NAMED = 10
"""Most items that an error names."""

CHOSEN = f"A person chose it: put another id, or null, into the key {ADOPT}, and clear the task"

Begun = Literal["left", "fetched", "worked"]


def at_start(entry: Entry, header: Header, *, line: str, is_cleared: bool, is_there: bool) -> Begun:
    """Say what a new attempt does with an item: leave it, fetch its files again, or work on it.

    :param entry: what is remembered of it.
    :param header: of this attempt.
    :param line: digest of its line in the manifest now.
    :param is_cleared: whether a person has cleared the task since the last attempt.
    :param is_there: whether its files exist.
    """
    if entry.line is not None and entry.line != line:
        return "worked"
    if entry.status == "complete":
        return "worked" if header.redoes(entry) else "left" if is_there else "fetched"
    if entry.status == "rejected" or (entry.status == "failed" and not is_curable(entry.error and entry.error[0])):
        return "worked" if is_cleared else "left"
    return "worked"


def is_curable(code: str | None) -> bool:
    """Whether another project may succeed after one has failed with this code."""
    return code != "canceled" and not is_incurable_code(code)


def after_failure(entry: Entry, project: Project, item_attempts: int) -> Entry:
    """Return the entry of an item whose project has failed: to be submitted again, or failed for good.

    :param item_attempts: how many projects a task attempt makes for one item.
    """
    said = project.error.message if project.error else None
    cost = {} if project.credits_charged is None else {"credits_charged": project.credits_charged}
    failed = entry.model_copy(update={"failures": entry.failures + 1, **cost}).ended(
        "failed", project.failure_code, said or f"its project {project.id} {project.ending}"
    )
    if entry.is_chosen:
        return failed.ended("failed", project.failure_code, f"its project {project.id} {project.ending}. {CHOSEN}")
    again = is_curable(project.failure_code) and failed.failures < item_attempts
    return failed.model_copy(update={"status": None}) if again else failed


def after_error(entry: Entry, error: MagicHourError) -> tuple[Entry, MagicHourError | None]:
    """Return the entry of an item whose submission has failed, and the error if it stops the others too.

    :param error: of the submission.
    """
    code = getattr(error, "code", None)
    if isinstance(error, MagicHourUnsureSubmissionError):
        return entry.ended("unsure", None, f"a project may exist, with the name: {entry.name}"), None
    if entry.is_chosen and isinstance(error, MagicHourProjectFailedError | MagicHourInvalidRequestError):
        return entry.ended("failed", code, f"its project {entry.project_id} failed, or is not known. {CHOSEN}"), None
    if isinstance(error, MagicHourProjectFailedError):
        return entry.ended("failed", code or "canceled", error.message), None
    if isinstance(error, MagicHourRejectedError):
        if error.status_code in BLAMELESS:
            return entry.ended(None), error
        return entry.ended("rejected", code, error.message), None
    if isinstance(error, MagicHourStorageError):
        return entry.ended("not_submitted", "storage", error.args[0]), None
    if isinstance(error, MagicHourInvalidRequestError) and not isinstance(error, LimitReachedError):
        return entry.ended("rejected", "invalid_request", error.args[0]), None
    return entry.ended(None), error


def tolerance(value: object, total: int) -> int:
    """Return how many items may fail.

    :param value: a whole number, or a share such as ``2%``.
    :param total: items of the batch.
    :raises MagicHourInvalidRequestError: for anything else.
    """
    text = value.strip() if isinstance(value, str) else value
    is_share = isinstance(text, str) and text.endswith("%")
    number = number_of(text[:-1] if is_share else text)  # type: ignore[index]
    if number is not None and number >= 0 and (number <= 100 if is_share else isinstance(number, int)):
        return math.floor(total * number / 100) if is_share else int(number)
    raise MagicHourInvalidRequestError(
        f"tolerated_failures={shown(value)}: a whole number of items from 0 on, or a share such as '2%', is needed"
    )


def verdict(
    counts: Mapping[str, int],
    bad: Mapping[str, Entry],
    *,
    tolerated: int,
    stopped: MagicHourError | None,
    results: str,
) -> MagicHourBatchError | None:
    """Return the error of a batch at the end of an attempt; None for a success.

    :param counts: of the items by status.
    :param bad: the items that have no result.
    :param tolerated: how many may fail.
    :param stopped: why nothing more was submitted, if something was left.
    :param results: where the result lines are.
    """
    statuses = {item_id: entry.status for item_id, entry in bad.items()}
    is_short = bool({"unsure", "overdue"} & {*statuses.values()}) or stopped is not None
    if not is_short and len(bad) <= tolerated:
        return None
    helps = any(_can_heal(entry) for entry in bad.values())
    is_final = isinstance(stopped, MagicHourInvalidRequestError) or not helps
    total = sum(counts.get(status, 0) for status in RESULTS)
    lines = [
        f"{counts.get('complete', 0)} of {total} items are complete, for {counts.get('credits', 0)} credits: "
        + ", ".join(f"{counts[status]} {status}" for status in RESULTS[1:] if counts.get(status))
        + ".",
        f"Nothing more was submitted: {stopped}" if stopped else "",
        *_named(bad),
        f"All results: {results}",
        *_ways_out(bad),
        "Correct that and clear the task: complete items are not paid again."
        if is_final
        else "A retry, or clearing the task, works on unfinished items; complete ones are not paid again.",
    ]
    kind = MagicHourBatchFailedError if is_final else MagicHourBatchError
    return kind("\n".join(line for line in lines if line))


def _can_heal(entry: Entry) -> bool:
    """Whether a retry may get the result of an item."""
    if entry.status == "failed":
        return not entry.is_chosen and is_curable(entry.error and entry.error[0])
    return entry.status in ("overdue", "not_submitted")


def _named(bad: Mapping[str, Entry]) -> list[str]:
    """Name the first items without a result, except those that were never begun."""
    told = [
        " ".join(filter(None, [f"- {item_id}: {entry.status}", *(entry.error or ())]))
        for item_id, entry in bad.items()
        if entry.error or entry.status != "not_submitted"
    ]
    return [*told[:MOST_NAMED], f"- and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""]


def _ways_out(bad: Mapping[str, Entry]) -> list[str]:
    unsure = {item_id: entry for item_id, entry in bad.items() if entry.status == "unsure"}
    if not unsure:
        return []
    return [
        f"Unsure: a project may exist. Look for these names at {LIBRARY}:",
        *(f"  {item_id}: {entry.name or entry.project_id or '(unknown)'}" for item_id, entry in unsure.items()),
        f"Then put what you found into the key {ADOPT} of this task (tab Storage, or REST), such as",
        f'  {{"{next(iter(unsure))}": "<project id>"}}, or null for an item without a project, and clear the task.',
    ]
