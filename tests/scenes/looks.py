"""Looks at a project one after the other, and what a wait makes of them."""

from __future__ import annotations

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
)
from airflow_provider_magichour.waiting.watch import Watch, next_step

START = 1_000_000.0
URL = "https://videos.example.com/output.mp4?sig=secret"
WATCH = Watch("p1", started_at=START, deadline=START + 3600)


def project(status, **fields):
    return Project.model_validate({"id": "p1", "status": status, "credits_charged": 240, **fields})


def complete(**fields):
    return project("complete", downloads=[{"url": URL}], **fields)


def trouble(status=None, *, own=False, **more):
    return MagicHourApiError(f"Could not get it: {status}.", status_code=status, from_api=own, **more)


def run(watch, *looks):
    """Take looks of (seconds since the start, what was seen[, key]); return all steps."""
    steps = []
    for after, seen, *key in looks:
        step = next_step(watch, seen, START + after, key=key[0] if key else "key")
        steps.append(step)
        watch = step.watch
    return steps
