"""One client for all triggers that wait on a connection in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import pytest

from airflow_provider_magichour.api import endpoints
from airflow_provider_magichour.api.client import AsyncMagicHourClient
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.waiting.lookout import LAST_LOOK, AsyncLookout
from airflow_provider_magichour.waiting.shared import RENEWAL, RESOLVED_FOR, SharedClient
from airflow_provider_magichour.waiting.watch import Step, Watch
from tests.scenes.simulated_time import run_simulated

FIRST = ClientSettings("mhk_first")
SECOND = ClientSettings("mhk_second")


class Connections:
    """Airflow's answers, one after the other; an error is raised; the last one repeats."""

    def __init__(self, *answers: ClientSettings | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self) -> ClientSettings:
        self.asked += 1
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_all_of_a_loop_share_a_client_that_comes_with_the_first_and_goes_with_the_last():
    async def run() -> None:
        connections = Connections(FIRST)
        members = [SharedClient.join("c") for _ in range(100)]
        clients = await asyncio.gather(*(member.current(connections.resolve) for member in members))
        assert len({id(client) for client in clients}) == 1
        assert connections.asked == 1
        assert SharedClient.join("another") not in members
        for member in members:
            await member.leave()
        assert SharedClient.join("c") is not members[0]

    asyncio.run(run())


def test_another_loop_has_a_client_of_its_own():
    async def run() -> AsyncMagicHourClient:
        return await SharedClient.join("c").current(Connections(FIRST).resolve)

    assert asyncio.run(run()) is not asyncio.run(run())


def test_a_doubted_key_is_asked_for_again_by_one_alone(clock: Any):
    async def run() -> None:
        connections = Connections(FIRST, SECOND)
        shared = SharedClient.join("c")
        client = await shared.current(connections.resolve)
        shared.doubt()
        await asyncio.gather(*(shared.current(connections.resolve) for _ in range(50)))
        assert (client.settings.api_key, connections.asked) == ("mhk_second", 2)

    asyncio.run(run())


def test_a_changed_connection_reaches_those_that_wait_within_a_minute(clock: Any):
    async def run() -> None:
        connections = Connections(FIRST, SECOND)
        shared = SharedClient.join("c")
        client = await shared.current(connections.resolve)
        clock.move(RESOLVED_FOR - 1)
        assert (await shared.current(connections.resolve)).settings is FIRST
        clock.move(2)
        assert (await shared.current(connections.resolve)) is client
        assert client.settings is SECOND

    asyncio.run(run())


def test_a_changed_rate_and_number_of_connections_reach_those_that_wait_too():
    narrow = ClientSettings("mhk_x", requests_per_second=1, max_connections=1)
    wide = ClientSettings("mhk_x", requests_per_second=8, max_connections=4)

    async def run() -> tuple[float, float]:
        loop, connections = asyncio.get_running_loop(), Connections(narrow, wide)
        shared = SharedClient.join("c")

        async def request() -> None:
            async with (await shared.current(connections.resolve)).gate:
                await asyncio.sleep(0.4)

        async def seconds_for_twenty() -> float:
            began = loop.time()
            await asyncio.gather(*(request() for _ in range(20)))
            return loop.time() - began

        slow = await seconds_for_twenty()
        await asyncio.sleep(RESOLVED_FOR)
        return slow, await seconds_for_twenty()

    slow, quick = run_simulated(run())
    assert slow == pytest.approx(20, abs=1.5)
    assert quick == pytest.approx(20 / 8, abs=0.5)


def test_a_connection_that_cannot_be_had_again_serves_on_and_is_tried_later(clock: Any):
    async def run() -> None:
        connections = Connections(FIRST, RuntimeError("the secrets back end is down"), SECOND)
        shared = SharedClient.join("c")
        for expected in (FIRST, FIRST, SECOND):
            assert (await shared.current(connections.resolve)).settings is expected
            clock.move(RESOLVED_FOR + 1)

    asyncio.run(run())


def test_a_back_end_that_hangs_holds_those_that_wait_for_seconds_alone():
    async def run() -> tuple[ClientSettings, float]:
        loop = asyncio.get_running_loop()
        shared = SharedClient.join("c")
        await shared.current(Connections(FIRST).resolve)
        await asyncio.sleep(RESOLVED_FOR)

        async def hang() -> ClientSettings:
            await asyncio.sleep(3600)
            return SECOND

        began = loop.time()
        clients = await asyncio.gather(*(shared.current(hang) for _ in range(100)))
        return clients[0].settings, loop.time() - began

    settings, took = run_simulated(run())
    assert (settings, took) == (FIRST, pytest.approx(RENEWAL, abs=0.1))


@pytest.mark.parametrize("known", [False, True])
def test_a_request_to_airflow_that_takes_too_long_is_left_to_end_by_itself(known):
    """Where one is cancelled, its answer is taken for that of the next, and the whole triggerer ends (Airflow 3.1)."""

    async def run() -> list[str]:
        ended = []

        async def slow() -> ClientSettings:
            try:
                await asyncio.sleep(RENEWAL * 2)
                ended.append("answered")
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            return FIRST

        shared = SharedClient.join("c")
        if known:
            await shared.current(Connections(FIRST).resolve)
            await asyncio.sleep(RESOLVED_FOR)
        with contextlib.suppress(TimeoutError):
            await shared.current(slow)
        await asyncio.sleep(RENEWAL * 2)
        await shared.leave()
        return ended

    assert run_simulated(run()) == ["answered"]


class Hanging(MagicHourHook):
    """Of a back end that answers from one moment on."""

    answers_at = 1e9
    asked = 0

    async def async_settings(self) -> ClientSettings:
        type(self).asked += 1
        await asyncio.sleep(max(0.0, self.answers_at - asyncio.get_running_loop().time()))
        return FIRST


@pytest.mark.parametrize(("seconds_left", "end"), [(0, "timeout"), (3600, None)])
def test_a_first_connection_that_takes_for_ever_is_one_failed_look_of_all_that_wait_for_it(seconds_left, end):
    class Never(Hanging):
        pass

    async def run() -> tuple[list[Step], float]:
        loop = asyncio.get_running_loop()
        began, watch = loop.time(), Watch("p1", time.time(), time.time() + seconds_left)
        steps = await asyncio.gather(*(AsyncLookout(Never("c")).look(watch) for _ in range(100)))
        return steps, loop.time() - began

    steps, took = run_simulated(run())
    assert ({step.end for step in steps}, took) == ({end}, pytest.approx(RENEWAL, abs=0.1))
    assert Never.asked == 1
    assert {step.note for step in steps} == {steps[0].note}
    assert f"no answer within {RENEWAL:g} s" in (steps[0].note or "")


def test_a_first_connection_that_hung_is_asked_for_again_by_the_next_look_alone():
    class Later(Hanging):
        pass

    async def run() -> None:
        Later.answers_at = asyncio.get_running_loop().time() + RENEWAL + 1
        shared, hook = SharedClient.join("c"), Later("c")
        with pytest.raises(TimeoutError, match="no answer"):
            await shared.current(hook.async_settings)
        await asyncio.sleep(5)
        clients = await asyncio.gather(*(shared.current(hook.async_settings) for _ in range(50)))
        assert {client.settings for client in clients} == {FIRST}
        assert Later.asked == 2

    run_simulated(run())


def test_who_is_cancelled_while_it_asks_for_the_first_connection_leaves_that_to_the_next():
    class Never(Hanging):
        pass

    async def run() -> None:
        shared = SharedClient.join("c")
        first = asyncio.create_task(shared.current(Never("c").async_settings))
        await asyncio.sleep(1)
        second = asyncio.create_task(shared.current(Connections(FIRST).resolve))
        await asyncio.sleep(1)
        first.cancel()
        assert (await second).settings is FIRST

    run_simulated(run())


def test_a_connection_that_could_never_be_had_is_asked_for_at_each_look():
    async def run() -> None:
        connections = Connections(RuntimeError("not there yet"), FIRST)
        shared = SharedClient.join("c")
        with pytest.raises(RuntimeError, match="not there yet"):
            await shared.current(connections.resolve)
        assert (await shared.current(connections.resolve)).settings is FIRST

    asyncio.run(run())


def test_many_look_over_no_more_connections_than_the_airflow_connection_allows(
    sandbox: Any, monkeypatch: pytest.MonkeyPatch
):
    settings = {**json.loads(sandbox.connection), "extra": {"max_connections": 3, "requests_per_second": 1000}}
    monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", json.dumps(settings))
    ids = [sandbox.add_job().id for _ in range(60)]

    async def run() -> list[Step]:
        lookouts = [AsyncLookout(MagicHourHook()) for _ in ids]
        watches = [Watch(project_id, time.time(), time.time() + 60) for project_id in ids]
        steps = await asyncio.gather(*(lookout.look(watch) for lookout, watch in zip(lookouts, watches, strict=True)))
        for lookout in lookouts:
            await lookout.aclose()
        return steps

    assert {step.end for step in asyncio.run(run())} == {"finished"}
    looks = sandbox.requests.to("get")
    assert len(looks) == 60
    assert len({look.connection for look in looks}) <= 3


def test_a_429_for_one_keeps_all_others_of_the_connection_from_asking_until_it_is_over(sandbox: Any, clock: Any):
    looked: list[float] = []
    sandbox.faults.add("get", status=429, headers={"Retry-After": "7"})

    async def run() -> None:
        hook = MagicHourHook()
        shared = SharedClient.join("magichour_default")
        client = await shared.current(hook.async_settings)

        async def look(project_id: str) -> None:
            await client.send(endpoints.get_project(project_id))
            looked.append(clock.passed)

        ids = [sandbox.add_job().id for _ in range(10)]
        with pytest.raises(MagicHourApiError, match="429"):
            await look(ids[0])
        refused_at = clock.passed
        await asyncio.gather(*(look(project_id) for project_id in ids))
        assert min(looked) >= refused_at + 7
        assert len(looked) == 10
        await shared.leave()

    asyncio.run(run())


def test_looks_that_come_late_are_told_once_a_minute_however_many_wait(caplog: pytest.LogCaptureFixture):
    settings = ClientSettings("mhk_x", requests_per_second=0.5, max_connections=1)

    class Known(MagicHourHook):
        async def async_settings(self) -> ClientSettings:
            return settings

    async def run() -> None:
        lookouts, shared = [AsyncLookout(Known("c")) for _ in range(10)], SharedClient.join("c")
        gate = (await shared.current(Known("c").async_settings)).gate

        async def pass_the_gate() -> None:
            async with gate:
                pass

        async with gate:
            # Three that wait already: whoever comes after them is more than five seconds late.
            queue = [asyncio.create_task(pass_the_gate()) for _ in range(3)]
            for _ in range(4):
                await asyncio.gather(*(lookout.look(Watch("p1", time.time(), time.time())) for lookout in lookouts))
        await asyncio.gather(*queue)

    run_simulated(run())
    lines = [line for line in caplog.messages if "requests per second" in line]
    assert len(lines) == 4, "each round of looks takes a minute"
    assert all("0.5 requests per second" in line and "'c'" in line for line in lines)


def test_a_look_without_a_turn_ends_the_wait_a_minute_after_its_deadline():
    async def run() -> tuple[Step, float]:
        loop = asyncio.get_running_loop()
        lookout, shared = AsyncLookout(MagicHourHook("c")), SharedClient.join("c")
        client = await shared.current(Connections(ClientSettings("mhk_x", max_connections=1)).resolve)
        began = loop.time()
        async with client.gate:
            return await lookout.look(Watch("p1", time.time(), time.time())), loop.time() - began

    step, took = run_simulated(run())
    assert (step.end, took) == ("timeout", pytest.approx(LAST_LOOK, abs=1))
