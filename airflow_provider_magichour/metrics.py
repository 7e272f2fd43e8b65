"""Metrics through Airflow's own (StatsD, OpenTelemetry, Datadog): one function per event; none fails a task.

Only tasks send them, as they know DAG and task: what a triggerer has counted comes to them with its event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.informing import informing

if TYPE_CHECKING:
    from airflow_provider_magichour.compat import BaseOperator, Context

PREFIX = "magichour"

Tags = Mapping[str, str]


def tags_of(operator: BaseOperator, context: Context) -> Tags:
    """Return the tags of a task's metrics, named as in Airflow's own; tool and model where known."""
    tags: dict[str, str] = {}
    with informing("the tags of its metrics"):
        ti = context["ti"]
        sources = {"dag_id": ti, "task_id": ti, "tool": operator, "model": operator}
        known = {name: getattr(source, name, None) for name, source in sources.items()}
        tags.update({name: value for name, value in known.items() if isinstance(value, str) and value})
    return tags


def submitted(tags: Tags, credits: int | None) -> None:
    """A project was created, and costs this much."""
    _count("submitted", 1, tags)
    _count("credits", credits or 0, tags)


def reattached(tags: Tags) -> None:
    """A task continues with the project of an earlier attempt; nothing was paid."""
    _count("reattached", 1, tags)


def unsure(tags: Tags) -> None:
    """It is not known whether a project was created."""
    _count("unsure", 1, tags)


def refused(tags: Tags) -> None:
    """The API refused a request for good."""
    _count("refused", 1, tags)


def waited(tags: Tags, end: str, *, seconds: float, looks: int, rate_limited: int, seconds_behind: float) -> None:
    """The wait of one attempt is over.

    :param end: ``finished``, ``timeout`` or ``unreachable``.
    :param seconds: that it took.
    :param looks: polls of the project.
    :param rate_limited: how many of those were answered with 429.
    :param seconds_behind: how late polls were at most, because of the connection's rate.
    """
    _tell("timing", "wait", timedelta(seconds=seconds), {**tags, "end": end})
    _count("looks", looks, tags)
    _count("rate_limited", rate_limited, tags)
    _tell("gauge", "seconds_behind", seconds_behind, tags)


def worked(tags: Tags, counts: Mapping[str, int]) -> None:
    """A round of a batch is over.

    :param counts: of its events, by the metric's name.
    """
    for name, count in counts.items():
        _count(name, count, tags)


def downloaded(tags: Tags, sizes: list[int]) -> None:
    """Results of these sizes in bytes were written."""
    _count("downloads", len(sizes), tags)
    _count("bytes", sum(sizes), tags)


def _count(name: str, count: int, tags: Tags) -> None:
    if count:
        _tell("incr", name, count, tags)


def _tell(how: str, name: str, value: Any, tags: Tags) -> None:
    with informing(f"the metric {PREFIX}.{name}"):
        from airflow_provider_magichour.compat import Stats

        getattr(Stats, how)(f"{PREFIX}.{name}", value, tags=dict(tags))
