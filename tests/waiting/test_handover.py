"""From the worker to the triggerer and back: nothing that the wait knows is lost, nothing old is believed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from airflow_provider_magichour.triggers import MagicHourProjectTrigger
from airflow_provider_magichour.waiting.watch import Watch

pytestmark = pytest.mark.usefixtures("clock")


def event_of(watch: Watch) -> dict[str, Any]:
    """Return the event of a trigger that was stored and built again, as Airflow does."""
    stored = json.loads(json.dumps(MagicHourProjectTrigger.of(watch, "magichour_default").serialize()[1]))

    async def events() -> list[Any]:
        return [event async for event in MagicHourProjectTrigger(**stored).run()]

    (event,) = asyncio.run(events())
    return dict(event.payload)


def test_what_the_worker_knew_is_told_where_the_triggerer_never_sees_the_project(sandbox: Any, clock: Any) -> None:
    sandbox.faults.add("get", status=500, times=None)
    now = clock.time()
    watch = Watch("p1", now - 50, now + 50, interval=10, status="queued", credits_charged=7, kind="image")
    told = {"end": "timeout", "project_id": "p1", "kind": "image", "status": "queued", "credits_charged": 7}
    assert told.items() <= event_of(watch).items()
    assert clock.passed == 50
    assert {request.path for request in sandbox.requests.to("get")} == {"/v1/image-projects/p1"}


def test_the_silence_at_first_is_that_of_the_tool(sandbox: Any, clock: Any) -> None:
    now = clock.time()
    event_of(Watch(sandbox.add_job("image").id, now, now + 3600, kind="image", expected_render=1000))
    assert clock.sleeps[0] == pytest.approx(300, abs=1)


@pytest.mark.parametrize("kind", ["operator", "sensor"])
def test_a_project_that_is_finished_no_more_is_no_result(sandbox: Any, context: Any, store: Any, kind: str) -> None:
    job = sandbox.add_job(script={"render_seconds": 3600}).id
    event = {"project_id": job, "kind": "video", "end": "finished", "status": "complete"}
    if kind == "sensor":
        task: Any = MagicHourProjectSensor(task_id="wait", project_id=job, deferrable=True)
    else:
        task = MagicHourImageToVideoOperator(task_id="submit", image="saved-items/a.png", end_seconds=5)
    with pytest.raises(MagicHourApiError, match=f"{job} was finished, but is queued now; a retry waits"):
        task.resume_execution("execute_complete", {"event": event}, context(store))


@pytest.mark.parametrize(("told", "named"), [("image", "video"), (None, "image")], ids=["event", "of-0.1.0"])
def test_the_kind_that_was_waited_for_counts_whatever_the_dag_names_by_now(
    sandbox: Any, context: Any, told: str | None, named: str
) -> None:
    job = sandbox.add_job("image").id
    task = MagicHourProjectSensor(task_id="wait", project_id=job, kind=named, deferrable=True)
    event = {"project_id": job, "kind": told, "end": "finished"}
    assert task.resume_execution("execute_complete", {"event": event}, context())["kind"] == "image"
