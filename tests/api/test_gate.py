"""The rate, the bound and the pauses that all requests of a connection keep to, in simulated time."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left

import pytest

from airflow_provider_magichour.api.gate import LONGEST_PAUSE, MARGIN, USUAL_PAUSE, Gate, Pace
from tests.scenes.simulated_time import run_simulated


async def looks(gate: Gate, departures: list[float], *, times: int, latency: float, interval: float = 5.0) -> None:
    for _ in range(times):
        async with gate:
            departures.append(asyncio.get_running_loop().time())
            await asyncio.sleep(latency)
        await asyncio.sleep(interval)


def most_in_a_second(moments: list[float]) -> int:
    moments = sorted(moments)
    return max(index + 1 - bisect_left(moments, moment - 1) for index, moment in enumerate(moments))


def test_five_thousand_jobs_never_send_more_than_the_rate_from_the_first_second_on():
    async def run() -> list[list[float]]:
        gate = Gate(20, 8)
        departures: list[list[float]] = [[] for _ in range(5000)]
        await asyncio.gather(*(looks(gate, mine, times=2, latency=0.1) for mine in departures))
        return departures

    departures = run_simulated(run())
    everything = [moment for mine in departures for moment in mine]
    assert len(everything) == 10_000
    assert most_in_a_second(everything) <= 20
    # Nobody starves: all are looked at once before anybody is a second time.
    assert max(first for first, _ in departures) < min(second for _, second in departures)


def test_the_rate_is_used_while_enough_wait():
    async def run() -> float:
        gate = Gate(20, 8)
        await asyncio.gather(*(looks(gate, [], times=1, latency=0.1, interval=0) for _ in range(400)))
        return asyncio.get_running_loop().time()

    assert run_simulated(run()) - 1000 == pytest.approx(400 / 20 * MARGIN, abs=0.5)


def test_no_more_than_the_places_are_under_way():
    async def run() -> int:
        gate, under_way, most = Gate(1000, 8), 0, 0

        async def slow() -> None:
            nonlocal under_way, most
            async with gate:
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(10)
                under_way -= 1

        await asyncio.gather(*(slow() for _ in range(100)))
        return most

    assert run_simulated(run()) == 8


def test_other_numbers_hold_from_the_next_request_on():
    async def run() -> tuple[list[float], int]:
        gate, departures, under_way, most = Gate(1, 1), [], 0, 0

        async def slow() -> None:
            nonlocal under_way, most
            async with gate:
                departures.append(asyncio.get_running_loop().time())
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(10)
                under_way -= 1

        tasks = [asyncio.create_task(slow()) for _ in range(40)]
        await asyncio.sleep(15)
        gate.allow(4, 12)
        await asyncio.gather(*tasks)
        return [moment - departures[0] for moment in departures], most

    departures, most = run_simulated(run())
    assert sum(moment < 15 for moment in departures) == 2, "one at a time, ten seconds each"
    assert sum(15 <= moment < 18.5 for moment in departures) == 11, "those that waited go on at once, at the new rate"
    assert most == 12


@pytest.mark.parametrize(("before", "after"), [(0.1, 20), (20, 0.1)], ids=["raised", "lowered"])
def test_another_rate_holds_at_once_for_those_that_wait_for_their_turn(before: float, after: float):
    async def run() -> list[float]:
        gate, departures = Gate(before, 8), []
        tasks = [asyncio.create_task(looks(gate, departures, times=1, latency=0.1)) for _ in range(5)]
        await asyncio.sleep(MARGIN / before / 2)
        gate.allow(after, 8)
        allowed_at = asyncio.get_running_loop().time()
        await asyncio.gather(*tasks)
        return [moment - allowed_at for moment in departures[1:]]

    first = max(0.0, MARGIN / after - MARGIN / before / 2)
    assert run_simulated(run()) == pytest.approx([first + turn * MARGIN / after for turn in range(4)], abs=0.01)


def test_an_api_that_answers_again_after_a_stall_meets_no_burst():
    async def run() -> list[float]:
        gate, departures = Gate(20, 8), []

        async def stalled() -> None:
            loop = asyncio.get_running_loop()
            async with gate:
                departures.append(loop.time())
                await asyncio.sleep(max(0.01, 1030 - loop.time()))

        await asyncio.gather(*(stalled() for _ in range(200)))
        return departures

    assert most_in_a_second(run_simulated(run())) <= 20


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(7.0, 7.0), (None, USUAL_PAUSE), (3600.0, LONGEST_PAUSE), (0.0, 0.0)]
)
def test_a_pause_holds_all_and_lets_them_go_on_at_the_rate(retry_after, seconds):
    async def run() -> tuple[float, list[float]]:
        gate, departures = Gate(20, 8), []
        tasks = [asyncio.create_task(looks(gate, departures, times=3, latency=0.1)) for _ in range(300)]
        await asyncio.sleep(4)
        gate.pause(retry_after)
        paused_at = asyncio.get_running_loop().time()
        await asyncio.gather(*tasks)
        return paused_at, departures

    paused_at, departures = run_simulated(run())
    assert not [moment for moment in departures if paused_at < moment < paused_at + seconds]
    assert len(departures) == 900
    assert most_in_a_second(departures) <= 20


def test_a_shorter_pause_does_not_end_a_longer_one():
    pace = Pace(20).paused(100, 30).paused(101, 1)
    assert pace.delay(102) == 28


def test_who_gives_up_in_the_queue_takes_nothing_along():
    async def run() -> None:
        gate = Gate(1, 1)
        for _ in range(50):
            tasks = [asyncio.create_task(looks(gate, [], times=1, latency=1)) for _ in range(3)]
            await asyncio.sleep(random.Random(len(tasks)).random() * 2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.seconds_behind == 0
        async with asyncio.timeout(3), gate:
            pass

    run_simulated(run())


def test_how_far_behind_is_told_while_a_queue_stands():
    async def run() -> tuple[float, float]:
        gate = Gate(20, 8)
        tasks = [asyncio.create_task(looks(gate, [], times=1, latency=0.1, interval=0)) for _ in range(400)]
        await asyncio.sleep(0.01)
        behind = gate.seconds_behind
        await asyncio.gather(*tasks)
        return behind, gate.seconds_behind

    behind, afterwards = run_simulated(run())
    assert behind == pytest.approx(20, abs=1)
    assert afterwards == 0


def test_whatever_happens_the_next_turn_is_never_further_than_the_longest_pause():
    chance = random.Random(7)
    for _ in range(300):
        pace, now = Pace(chance.choice([0.5, 20, 1000])), 0.0
        for _ in range(50):
            now += chance.random() * 3
            pace = chance.choice(
                [pace, pace.taken(now), pace.paused(now, chance.choice([None, 0.0, chance.random() * 1e4]))]
            )
            delay = pace.delay(now)
            assert 0 <= delay <= max(LONGEST_PAUSE, MARGIN / pace.rate) + 1e-9
            assert pace.delay(now + delay) == pytest.approx(0, abs=1e-9)
            assert pace.delay(now + 1) <= delay, "a turn comes nearer while time passes"
