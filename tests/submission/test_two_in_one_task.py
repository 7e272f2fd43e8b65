"""Two operators that run inside of one `@task` have a record each."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_magichour.exceptions import (
    MagicHourInvalidRequestError,
    MagicHourProjectRejectedError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator

pytestmark = pytest.mark.usefixtures("clock")

SECOND = "magichour_submission_second"


def both(run: Any) -> list[str]:
    return [
        MagicHourImageToVideoOperator(
            task_id=name, image=f"https://example.com/{name}.jpg", end_seconds=5, wait_for_completion=False
        ).execute(run)
        for name in ("first", "second")
    ]


def test_a_retry_finds_both_projects(sandbox: Any, context: Any, store: Any) -> None:
    submitted = both(context(store))
    assert both(context(store, try_number=2)) == submitted
    assert sandbox.requests.counts["create"] == 2
    assert set(store.values) == {"magichour_submission", SECOND}


def test_an_unsure_submission_names_the_key_of_its_own_record(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("create", nth=2, cut=True, after=True)
    with pytest.raises(MagicHourUnsureSubmissionError, match=f"{SECOND} of this task"):
        both(context(store))
    with pytest.raises(MagicHourUnsureSubmissionError, match=f"{SECOND} of this task"):
        both(context(store, try_number=2))


@pytest.mark.parametrize(
    ("kept", "error"),
    [
        pytest.param(None, MagicHourUnsureSubmissionError, id="lost"),
        pytest.param({"project_id": "nobodys"}, MagicHourInvalidRequestError, id="adopted-and-unknown"),
        pytest.param("failed", MagicHourProjectRejectedError, id="adopted-and-failed"),
    ],
)
def test_what_a_person_has_to_mend_names_the_key_of_its_own_record(
    sandbox: Any, context: Any, store: Any, kept: Any, error: type[Exception]
) -> None:
    if kept == "failed":
        job = sandbox.add_job()
        sandbox.jobs.change(job.id, outcome="error", render_seconds=0)
        kept = {"project_id": job.id}
    store.set(SECOND, kept)
    with pytest.raises(error, match=SECOND):
        both(context(store))
