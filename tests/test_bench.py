"""What the bench computes by itself: the simulated schedules and the count of the busiest second."""

from __future__ import annotations

import statistics

import pytest

from tools.bench.parts import busiest_second
from tools.bench.schedules import backing_off, cost, fixed, ours, render_times


def test_drawn_render_times_have_the_median_and_the_tail_asked_for_and_are_the_same_each_time() -> None:
    times = render_times(120, 4000)
    assert statistics.median(times) == pytest.approx(120, rel=0.01)
    assert statistics.quantiles(times, n=20)[-1] == pytest.approx(3.3 * 120, rel=0.01)
    assert times == render_times(120, 4000)


def test_fixed_interval_costs_what_theory_says() -> None:
    found = cost(fixed(10.0), render_times(120, 4000))
    assert found.looks == pytest.approx(17.19, rel=0.01)
    assert found.notice == pytest.approx(5.0, rel=0.02)


def test_looks_of_a_job_end_with_the_first_one_after_its_end() -> None:
    assert list(fixed(5.0)(12.0)) == [0.0, 5.0, 10.0, 15.0]
    assert list(backing_off(1.0, 2.0, 4.0)(8.0)) == [0.0, 1.0, 3.0, 7.0, 11.0]


def test_own_schedule_is_worth_its_polls_and_soon() -> None:
    found = cost(ours, render_times(120, 4000))
    assert found.product <= 73
    assert found.notice <= 3


def test_busiest_second_counts_what_lies_within_any_second_not_in_whole_ones() -> None:
    assert busiest_second([]) == 0
    assert busiest_second([0.0, 0.6, 1.2, 1.5, 3.0]) == 3
    assert busiest_second([0.0, 1.0, 2.0]) == 1
