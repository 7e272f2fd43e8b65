"""Paying once: what the next run of a task does about an earlier submission. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_magichour.api.answers import is_unknown
from airflow_provider_magichour.api.library import LIBRARY
from airflow_provider_magichour.api.schemas import Project, cost_text
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.submission.record import KEY, Record, Unreadable, epoch

Action = Literal["submit", "reattach", "return", "unsure", "blocked", "fail"]


@discreet
@dataclass(frozen=True)
class Decision:
    """What this run of the task does.

    :param action: ``submit`` a new project; ``reattach`` to an active one; ``return`` a complete one; ``unsure``: a
        project may exist; ``blocked``: the API does not say, so nothing may be sent; ``fail``: for good.
    :param why: one line for the log or the error.
    :param warn: whether the line is a warning.
    """

    action: Action
    why: str = ""
    warn: bool = False


def project_to_look_at(record: Record | Unreadable | None, fingerprints: Sequence[str]) -> str | None:
    """Return the id of the recorded project if its state matters."""
    if not isinstance(record, Record) or record.project_id is None:
        return None
    return record.project_id if _is_ours(record, fingerprints) else None


def _is_ours(record: Record, fingerprints: Sequence[str]) -> bool:
    return record.fingerprint in fingerprints or record.is_adoption


def decide(
    record: Record | Unreadable | None,
    *,
    fingerprints: Sequence[str],
    seen: Project | MagicHourApiError | None,
    max_tries: int,
    now: float,
    key: str = KEY,
) -> Decision:
    """Decide what this run of the task does about an earlier submission.

    :param record: what the state store holds.
    :param fingerprints: of the request that this run would send, by the rules of all releases.
    :param seen: the recorded project as the API shows it, or the API's error; None if there is nothing to read.
    :param max_tries: of this run: an automatic retry leaves it as it is, clearing the task raises it.
    :param now: seconds since the epoch.
    :param key: of the record, for messages.
    """
    if record is None:
        return Decision("submit")
    if isinstance(record, Unreadable):
        return Decision("unsure", f"the record {key} in the task state store {record.why}")
    if record.is_unsure:
        return Decision("unsure", "its answer was never recorded")
    if record.project_id is None:
        return Decision("submit")
    if not _is_ours(record, fingerprints):
        return Decision(
            "submit",
            f"The request has changed since project {record.project_id} was submitted: submitting a new one. "
            f"The old one still exists and cost {cost_text(record.credits_charged)}",
            warn=True,
        )
    if isinstance(seen, Project):
        return _about_project(record, seen, max_tries, key)
    return _about_error(record, seen, max_tries, now, key)


def _about_project(record: Record, project: Project, max_tries: int, key: str) -> Decision:
    cost = cost_text(project.credits_charged)
    if project.is_deleted:
        return _about_missing(record, max_tries, "was deleted", key)
    if project.is_failed:
        return _about_failed(record, project, max_tries, key)
    if not project.is_complete:
        return Decision("reattach", f"Reattached to project {project.id}, {project.status}, {cost}")
    returned = record.returned
    if returned and returned.project_id == project.id and returned.max_tries != max_tries:
        return Decision(
            "submit",
            f"This task had returned project {project.id} ({cost}) and was cleared: submitting a new one",
            warn=True,
        )
    return Decision("return", f"Project {project.id} is complete, {cost}: returning it, nothing is submitted")


def _about_failed(record: Record, project: Project, max_tries: int, key: str) -> Decision:
    """A failed project is refunded, so a new one may be submitted, but not in place of one that a person adopted."""
    ended = f"Project {project.id} {project.ending}"
    if record.adopted or record.is_adoption:
        return Decision(
            "fail",
            f"{ended}. {adopted_advice(key)}",
        )
    if project.is_canceled and not _is_cleared(record, max_tries):
        return Decision("fail", f"{ended}: a person did that, so it is not retried. Clear the task to submit a new one")
    return Decision("submit", f"{ended} and cost {cost_text(project.credits_charged)}: submitting a new one")


def adopted_advice(key: str = KEY) -> str:
    """Say what a person can do about an adopted project that failed: clearing the task alone fails again."""
    return (
        f"It was adopted, so nothing is submitted in its place. Put another id into {key}, or delete that key to "
        "submit a new one, and clear the task"
    )


def _is_cleared(record: Record, max_tries: int) -> bool:
    """Whether a person has cleared the task since the recorded run; a retry leaves ``max_tries`` as it is."""
    return record.max_tries is not None and max_tries > record.max_tries


def _about_error(record: Record, error: MagicHourApiError | None, max_tries: int, now: float, key: str) -> Decision:
    submitted_at = None if record.submitted_at is None else epoch(record.submitted_at)
    if error is not None and is_unknown(error, submitted_at, now):
        return _about_missing(record, max_tries, "is not known to the API", key)
    return Decision("blocked", str(error))


def _about_missing(record: Record, max_tries: int, what: str, key: str) -> Decision:
    if record.adopted or record.is_adoption:
        return Decision(
            "fail",
            f"The adopted project {record.project_id} {what}. Nothing was submitted. "
            f"Put the right id into {key}, or delete that key, and clear the task",
        )
    if _is_cleared(record, max_tries):
        return Decision(
            "submit",
            f"Project {record.project_id} ({cost_text(record.credits_charged)}) {what} and the task was cleared: "
            "submitting a new one",
            warn=True,
        )
    return Decision("unsure", f"its project {record.project_id} {what}")


def unsure_message(record: Record | Unreadable | None, why: str, *, key: str = KEY, resubmits: bool = False) -> str:
    """Say what is not known, and both ways out; in short lines, as Airflow's log page does not wrap them.

    :param record: what the state store holds.
    :param why: what became of the answer.
    :param key: of the record.
    :param resubmits: whether the next attempt submits again by itself.
    """
    known = record if isinstance(record, Record) else Record()
    facts = [
        "It is not known whether Magic Hour created a project.",
        f"A create request was sent at {known.intent_at or 'an unknown time'} and {why}.",
        f"Name: {known.name}" if known.name else "",
        f"Request: {json.dumps(known.request, ensure_ascii=False)}" if known.request else "",
    ]
    ways_out = [
        "Nothing more was sent, so nothing is paid twice.",
        f"Look for {'that name' if known.name else 'a clip of this task'} at {LIBRARY}.",
        '- It is there: adopt it. Put {"project_id": "<its id>"} into the key',
        f"  {key} of this task (tab Storage, or REST) and clear the task.",
        "- It is not: delete that key and clear the task, which submits a new project.",
        "With on_unsure_submission='resubmit' a task submits again by itself, and may pay twice.",
    ]
    if resubmits:
        ways_out = ["The next attempt submits again, as on_unsure_submission='resubmit' says, and may pay twice."]
    return "\n".join(line for line in [*facts, *ways_out] if line)
