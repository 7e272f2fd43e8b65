"""How a wait ended: as the trigger's event, and as the error of a task. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, ValidationError

from airflow_provider_magichour.api.schemas import Discreet, Project, cost_text
from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourProjectFailedError,
    MagicHourProjectRejectedError,
)
from airflow_provider_magichour.waiting.watch import End, Step
from airflow_provider_magichour.waiting.words import goes_on


class WaitEvent(Discreet):
    """How a wait ended, as the trigger reports it: no URL, as Airflow logs and stores events."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    project_id: str
    # None from a triggerer of 0.1.0.
    kind: Kind | None = None
    end: End
    status: str | None = None
    code: str | None = None
    message: str | None = None
    status_code: int | None = None
    credits_charged: int | None = None
    seconds: float = 0.0
    # 0 from a triggerer of 0.1.0.
    looks: int = 0
    rate_limited: int = 0
    seconds_behind: float = 0.0


def event_of(step: Step, now: float) -> WaitEvent:
    """Return the event of a wait that is over."""
    error, project = step.error, step.project
    return WaitEvent(
        project_id=step.watch.project_id,
        kind=step.watch.kind,
        end=step.end or "timeout",
        status=step.watch.status,
        code=error.code if error else project.failure_code if project else None,
        message=error.message if error else None,
        status_code=error.status_code if error else None,
        credits_charged=step.watch.credits_charged,
        seconds=round(now - step.watch.started_at, 1),
        looks=step.watch.looks,
        rate_limited=step.watch.rate_limited,
        seconds_behind=round(step.watch.seconds_behind, 1),
    )


def read_event(event: Mapping[str, Any] | None) -> WaitEvent:
    """Read an event on the worker.

    :raises MagicHourError: it is not one of ours; a retry waits for the same project again.
    """
    try:
        return WaitEvent.model_validate(event)
    except ValidationError:
        raise MagicHourError(
            "The trigger's event cannot be read. Do triggerer and workers run the same version of "
            "airflow-provider-magichour? A retry waits for the same project again."
        ) from None


def timeout_message(ended: WaitEvent) -> str:
    """Say that the wait is over, but its project is not finished."""
    return (
        f"Magic Hour project {ended.project_id} was not finished after {ended.seconds:.0f} s "
        f"(last status: {ended.status or 'unknown'}). "
        f"{goes_on(cost_text(ended.credits_charged))}"
    )


def unreachable(ended: WaitEvent) -> MagicHourApiError:
    """Return the error of a wait that the API ended: it does not know the project, or refuses the key for good."""
    return MagicHourApiError(ended.message or "", status_code=ended.status_code, code=ended.code, from_api=True)


def still_finished(project: Project) -> Project:
    """Return a project that the trigger has seen finished.

    :raises MagicHourApiError: it is no longer finished.
    """
    if not project.is_finished:
        raise MagicHourApiError(
            f"Magic Hour project {project.id} was finished, but is {project.status} now; a retry waits for it again"
        )
    return project


def project_failure(project: Project, *, instead: str | None = None) -> MagicHourProjectFailedError:
    """Return the error of a project that failed or was canceled.

    :param instead: what a person can do if no retry of the task submits a new project.
    """
    said = [part for part in (project.failure_code, project.error and project.error.message) if part]
    detail = f" ({': '.join(said)})" if project.error and said else ""
    text = f"Magic Hour project {project.id} {project.ending}{detail}; its credits are refunded."
    if instead:
        return MagicHourProjectRejectedError(f"{text} {instead}.", code=project.failure_code)
    if project.is_canceled:
        return MagicHourProjectRejectedError(
            f"{text} A person did that, so it is not retried. Clear this task to submit a new project.",
            code=project.failure_code,
        )
    if project.is_incurable:
        return MagicHourProjectRejectedError(
            f"{text} A retry would fail in the same way: change the request, then clear this task.",
            code=project.failure_code,
        )
    return MagicHourProjectFailedError(f"{text} A retry of this task submits a new project.", code=project.failure_code)
