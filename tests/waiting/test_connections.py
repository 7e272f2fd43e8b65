"""What becomes of keys and connections while a project is waited for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from airflow_provider_magichour.waiting.lookout import AsyncLookout
from airflow_provider_magichour.waiting.watch import Watch


@pytest.mark.parametrize("waiting", ["poke", "reschedule", "operator"])
def test_a_key_that_is_rotated_is_found_by_those_that_wait_on_a_worker(
    sandbox: Any, context: Any, store: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, waiting: str
) -> None:
    def rotate() -> None:
        sandbox.api_key = "mhk_rotated"

    def tell_airflow() -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection)
        sandbox.jobs.change(list(sandbox.jobs)[-1].id, render_seconds=0)

    if waiting == "operator":
        sandbox.faults.add("create", job={"render_seconds": 3600})
        task: Any = MagicHourImageToVideoOperator(
            task_id="submit",
            image="saved-items/a.png",
            end_seconds=5,
            wait_for_completion=True,
            deferrable=False,
            poll_interval=5,
        )
        clock.at(20, rotate)
    else:
        job = sandbox.add_job(script={"render_seconds": 3600})
        task = MagicHourProjectSensor(task_id="wait", project_id=job.id, mode=waiting)
        clock.at(0, rotate) if waiting == "poke" else rotate()
    clock.at(60, tell_airflow)
    assert task.execute(context(store))["status"] == "complete"
    assert 60 <= clock.passed < 180


def test_the_last_that_waits_closes_the_connections_of_all(sandbox: Any) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        connect, opened = loop.create_connection, []

        async def noting(*arguments: Any, **options: Any) -> Any:
            made = await connect(*arguments, **options)
            opened.append(made[0])
            return made

        loop.create_connection = noting  # type: ignore[method-assign]
        first, last = AsyncLookout(MagicHourHook()), AsyncLookout(MagicHourHook())
        watch = Watch(sandbox.add_job().id, time.time(), time.time() + 60)
        assert [(await lookout.look(watch)).end for lookout in (first, last)] == ["finished", "finished"]
        await first.aclose()
        assert len(opened) == 1
        assert not opened[0].is_closing()
        await last.aclose()
        assert opened[0].is_closing()

    asyncio.run(run())
