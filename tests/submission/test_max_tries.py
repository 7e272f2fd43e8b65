"""A clear is told from a retry by `max_tries` alone, so each run of a task notes it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourUnsureSubmissionError
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator

pytestmark = pytest.mark.usefixtures("clock")


def run(context: Any, store: Any, **of_the_run: Any) -> str:
    task = MagicHourImageToVideoOperator(task_id="submit", image="https://example.com/cat.jpg", end_seconds=5)
    return str(task.execute(context(store, **of_the_run)))


@pytest.fixture
def project(sandbox: Any, context: Any, store: Any) -> str:
    """A project that still renders, submitted by a first try with two retries."""
    sandbox.faults.add("create", job={"render_seconds": 3600})
    return run(context, store, try_number=1, max_tries=2)


def test_a_clear_of_a_task_whose_project_was_deleted_submits_anew(
    sandbox: Any, context: Any, store: Any, project: str
) -> None:
    sandbox.jobs[project].enabled = False
    assert run(context, store, try_number=2, max_tries=3) != project


def test_a_retry_of_a_task_whose_project_was_deleted_pays_nothing(
    sandbox: Any, context: Any, store: Any, project: str
) -> None:
    sandbox.jobs[project].enabled = False
    with pytest.raises(MagicHourUnsureSubmissionError, match="was deleted"):
        run(context, store, try_number=2, max_tries=2)
    assert sandbox.requests.counts["create"] == 1


def test_a_retry_after_a_clear_that_found_the_project_is_no_clear(
    sandbox: Any, context: Any, store: Any, project: str
) -> None:
    assert run(context, store, try_number=2, max_tries=3) == project
    sandbox.jobs[project].enabled = False
    with pytest.raises(MagicHourUnsureSubmissionError, match="was deleted"):
        run(context, store, try_number=3, max_tries=3)
    assert sandbox.requests.counts["create"] == 1


def test_a_record_that_a_person_has_changed_meanwhile_is_left_as_it_is(
    sandbox: Any, context: Any, store: Any, clock: Any, project: str
) -> None:
    task = MagicHourImageToVideoOperator(
        task_id="submit", image="https://example.com/cat.jpg", end_seconds=5, wait_for_completion=True, deferrable=False
    )
    clock.at(100, lambda: store.set("magichour_submission", {"project_id": "another"}))
    clock.at(200, lambda: sandbox.jobs.change(project, render_seconds=0))
    assert task.execute(context(store, try_number=2))["project_id"] == project
    assert store.record == {"project_id": "another"}
