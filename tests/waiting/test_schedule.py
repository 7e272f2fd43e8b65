"""What is learned from render times: fewer looks, at the right moments, and no harm where it is wrong."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import pytest

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.waiting.lookout import AsyncLookout
from airflow_provider_magichour.waiting.schedule import KINDS_KEPT, LONGEST_SILENCE, SAMPLES, RenderTimes, learned_delay
from airflow_provider_magichour.waiting.watch import Watch


def drawn(median: float, spread: float, count: int, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [median * math.exp(chance.gauss(0, spread)) for _ in range(count)]


def looks_and_delay(seconds: float, renders: list[float]) -> tuple[int, float]:
    """Play one wait with the default schedule, as a trigger does."""
    watch = Watch("p1", started_at=0.0, deadline=1e9)
    now = watch.first_delay(0.0)
    looks = 1
    while now < seconds:
        now += watch.next_delay(now, renders=renders)
        looks += 1
    return looks, now - seconds


def mean_product(jobs: list[float], renders: list[float]) -> tuple[float, float]:
    played = [looks_and_delay(seconds, renders) for seconds in jobs]
    looks, delay = (sum(column) / len(played) for column in zip(*played, strict=True))
    return looks * delay, delay


def test_without_renders_looks_times_delay_stays_near_the_best_that_is_possible():
    product, delay = mean_product(drawn(120, 0.732, 4000), [])
    assert (product <= 73, delay <= 3) == (True, True), (product, delay)


def test_with_twenty_renders_looks_times_delay_is_nearly_halved():
    products = []
    for seed in range(20):
        product, delay = mean_product(drawn(120, 0.35, 100, seed), drawn(120, 0.35, SAMPLES, 100 + seed))
        products.append(product)
        assert delay <= 4
    assert sum(products) / len(products) <= 42


def test_too_few_renders_teach_nothing():
    assert learned_delay(drawn(120, 0.35, SAMPLES - 1), 60) is None


@pytest.mark.parametrize("renders", [[120.0] * SAMPLES, [0.0] * SAMPLES, [-5.0] * SAMPLES, [1e9] * SAMPLES])
@pytest.mark.parametrize("elapsed", [-1e6, -1.0, 0.0, 0.5, 22.0, 119.0, 125.0, 1e4, 1e7])
def test_whatever_was_seen_a_look_comes_within_the_longest_silence(renders, elapsed):
    assert 1 <= (learned_delay(renders, elapsed) or 0) <= LONGEST_SILENCE


def test_a_render_ten_times_as_long_as_all_before_is_still_noticed_soon():
    _, delay = looks_and_delay(1200, drawn(120, 0.35, SAMPLES))
    assert delay <= LONGEST_SILENCE


def test_an_interval_that_was_asked_for_is_kept_whatever_was_learned():
    assert Watch("p1", 0.0, 1e9, interval=7.0).next_delay(30, renders=drawn(120, 0.35, SAMPLES)) == 7


def project(**fields: Any) -> Project:
    return Project.model_validate(
        {"id": "p1", "status": "rendering", "type": "IMAGE_TO_VIDEO", "end_seconds": 5, "height": 720, **fields}
    )


def test_the_last_twenty_of_a_kind_are_kept_and_not_those_of_another():
    times = RenderTimes()
    for seconds in range(50):
        times.add(project(), seconds)
    assert list(times.of(project(id="p2", status="queued"))) == list(range(30, 50))
    for other in ({"end_seconds": 10}, {"height": 1080}, {"type": "TEXT_TO_VIDEO"}):
        assert list(times.of(project(**other))) == []


def test_kinds_without_end_do_not_fill_the_memory():
    times = RenderTimes()
    for height in range(KINDS_KEPT + 50):
        times.add(project(height=height), 1.0)
    kept = [height for height in range(KINDS_KEPT + 50) if times.of(project(height=height))]
    assert len(kept) == KINDS_KEPT
    assert kept[-1] == KINDS_KEPT + 49


def test_only_a_render_that_was_seen_unfinished_one_look_earlier_counts(sandbox: Any):
    async def run() -> list[int]:
        counts = []
        for states in (["complete"], ["rendering", "complete"], ["rendering", 503, "complete"], ["rendering", "error"]):
            lookout = AsyncLookout(MagicHourHook())
            job = sandbox.add_job(script={"render_seconds": 3600})
            watch = Watch(job.id, 0.0, 1e12)
            for state in states:
                if state == 503:
                    sandbox.faults.add("get", status=503)
                elif state != "rendering":
                    sandbox.jobs.change(job.id, render_seconds=0, outcome=state)
                watch = (await lookout.look(watch)).watch
            counts.append(sum(len(kept) for kept in lookout._shared.renders._seconds.values()))
            await lookout.aclose()
        return counts

    assert asyncio.run(run()) == [0, 1, 0, 0]
