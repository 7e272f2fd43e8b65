"""When a project is looked at again, and what ends a wait."""

from __future__ import annotations

import pytest

from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
)
from airflow_provider_magichour.waiting.watch import Watch, deadline, next_step
from tests.scenes.looks import START, URL, WATCH, complete, project, run, trouble


def ends(watch, *looks):
    return [step.end for step in run(watch, *looks)]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(complete(), id="complete"),
        pytest.param(project("complete", download={"url": URL}), id="complete-with-the-deprecated-download"),
        pytest.param(project("error", error={"code": "unknown_error"}), id="error"),
        pytest.param(project("canceled"), id="canceled"),
    ],
)
def test_a_finished_project_ends_the_wait(seen):
    (step,) = run(WATCH, (30, seen))
    assert (step.end, step.project) == ("finished", seen)


@pytest.mark.parametrize("status", ["draft", "queued", "rendering", "polishing", "Complete", "", "complete"])
def test_any_other_status_keeps_waiting(status):
    (step,) = run(WATCH, (30, project(status)))
    assert (step.end, step.delay, step.watch.status) == (None, 5.0, status)


def test_a_wait_follows_the_project_to_its_end():
    looks = [(25, project("queued")), (30, project("polishing")), (35, project("complete")), (40, complete())]
    assert ends(WATCH, *looks) == [None, None, None, "finished"]


TRANSIENT = [
    pytest.param(trouble(), id="network"),
    *(pytest.param(trouble(status), id=f"gateway-{status}") for status in (401, 403, 404, 429, 500, 502, 503, 504)),
    *(pytest.param(trouble(status, own=True), id=f"own-{status}") for status in (408, 429, 500, 502, 503, 504)),
    pytest.param(trouble(200), id="unreadable"),
    pytest.param(trouble(302), id="redirect"),
]


@pytest.mark.parametrize("seen", TRANSIENT)
def test_transient_trouble_never_ends_a_wait(seen):
    assert ends(WATCH, *((after, seen) for after in range(0, 3600, 60))) == [None] * 60


@pytest.mark.parametrize("seen", TRANSIENT)
def test_transient_trouble_ends_at_the_deadline_as_a_timeout(seen):
    assert ends(WATCH, (3599.9, seen), (3600, seen)) == [None, "timeout"]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422])
def test_the_same_key_refused_for_two_minutes_ends_the_wait(status):
    refused = trouble(status, own=True)
    steps = run(WATCH, (100, refused), (160, refused), (219.9, refused), (220, refused))
    assert [step.end for step in steps] == [None, None, None, "unreachable"]
    assert steps[-1].error is refused


def test_a_new_key_starts_the_count_again():
    refused = trouble(401, own=True)
    looks = [(0, refused, "old"), (119, refused, "old"), (121, refused, "new"), (240, refused, "new")]
    assert ends(WATCH, *looks) == [None] * 4
    assert ends(WATCH, *looks, (241, refused, "new"))[-1] == "unreachable"


def test_a_success_starts_the_count_again():
    refused = trouble(401, own=True)
    looks = [(0, refused), (119, refused), (121, project("queued")), (122, refused), (241, refused)]
    assert ends(WATCH, *looks) == [None] * 5


def test_a_404_of_the_api_counts_only_after_a_minute():
    unknown = trouble(404, own=True)
    assert ends(WATCH, (0, unknown), (60, unknown), (60.1, unknown)) == [None, None, "unreachable"]


def test_a_404_of_a_gateway_never_counts():
    assert ends(WATCH, (61, trouble(404)), (3000, trouble(404))) == [None, None]


def test_an_early_404_does_not_keep_a_project_from_finishing():
    assert ends(WATCH, (1, trouble(404, own=True)), (30, complete())) == [None, "finished"]


@pytest.mark.parametrize("status", ["rendering", "complete", "error"])
def test_a_deleted_project_ends_the_wait(status):
    (step,) = run(WATCH, (5, project(status, enabled=False, downloads=[{"url": URL}])))
    assert step.end == "unreachable"
    assert "p1 was deleted" in str(step.error)
    assert (step.error.status_code, step.error.from_api) == (404, True)


def test_at_the_deadline_the_wait_times_out():
    assert ends(WATCH, (3599.9, project("rendering")), (3600, project("rendering"))) == [None, "timeout"]


@pytest.mark.parametrize("after", [3600, 9999])
def test_a_project_found_finished_at_the_deadline_is_finished(after):
    assert ends(WATCH, (after, complete())) == ["finished"]


def test_what_cannot_be_reached_at_the_deadline_is_unreachable():
    assert ends(WATCH, (3600, trouble(404, own=True))) == ["unreachable"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [(30, 5.0), (3594, 5.0), (3595, 5.0), (3596, 4.0), (3599.5, 0.5)],
)
@pytest.mark.parametrize(
    "seen", [pytest.param(project("rendering"), id="project"), pytest.param(trouble(), id="error")]
)
def test_the_last_look_falls_on_the_deadline(seen, after, expected):
    assert run(WATCH, (after, seen))[0].delay == expected


@pytest.mark.parametrize("interval", [1.0, 7.5, 600.0])
def test_an_explicit_interval_is_used_as_given(interval):
    watch = Watch("p1", START, START + 3600, interval)
    assert watch.first_delay(START) == interval
    assert run(watch, (30, project("queued")))[0].delay == interval
    assert run(watch, (30, trouble()))[0].delay == interval


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(None, 5.0, id="nothing"),
        pytest.param(1.0, 5.0, id="less-than-the-interval"),
        pytest.param(20.0, 20.0, id="more"),
        pytest.param(60.0, 60.0, id="a-minute"),
        pytest.param(86400.0, 60.0, id="a-day"),
    ],
)
def test_the_pause_that_the_api_asks_for_is_kept_up_to_a_minute(asked, expected):
    assert run(WATCH, (30, trouble(429, own=True, retry_after=asked)))[0].delay == expected


def test_a_pause_does_not_outlast_the_deadline():
    assert run(WATCH, (3590, trouble(429, own=True, retry_after=60.0)))[0].delay == 10.0


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(START, 22.2, id="fresh"),
        pytest.param(START + 10, 12.2, id="restarted"),
        pytest.param(START + 22.2, 0.0, id="restarted-when-due"),
        pytest.param(START + 500, 0.0, id="restarted-later"),
        pytest.param(START - 3600, 22.2, id="clock-set-back"),
        pytest.param(START + 9e9, 0.0, id="clock-far-ahead"),
    ],
)
def test_the_first_look_comes_after_the_time_in_which_nothing_finishes(now, expected):
    assert WATCH.first_delay(now) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("interval", "limit", "now", "expected"),
    [
        pytest.param(None, 10, START, 10.0, id="schedule"),
        pytest.param(60.0, 10, START, 10.0, id="interval"),
        pytest.param(60.0, 10, START + 99, 0.0, id="already-over"),
        pytest.param(None, 0, START, 0.0, id="no-time-at-all"),
    ],
)
def test_the_first_look_does_not_wait_past_the_deadline(interval, limit, now, expected):
    assert Watch("p1", START, START + limit, interval).first_delay(now) == expected


def test_each_change_of_status_is_noted_once():
    looks = [(0, project("queued")), (5, project("queued")), (10, project("rendering")), (15, project("rendering"))]
    assert [step.note for step in run(WATCH, *looks, (74, complete()))] == [
        "Magic Hour project p1 is queued after 0 s",
        None,
        "Magic Hour project p1 is rendering after 10 s",
        None,
        "Magic Hour project p1 is complete after 74 s",
    ]


def test_the_same_trouble_is_noted_once():
    notes = [step.note for step in run(WATCH, *((n, trouble(503)) for n in range(5)), (5, trouble(502)))]
    assert [note is not None for note in notes] == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        (project("rendering"), "Magic Hour project p1 is rendering after {} s"),
        (trouble(503), "Could not get it: 503. Polling continues until the deadline"),
    ],
)
def test_a_wait_is_never_silent_for_longer_than_ten_minutes(seen, note):
    times = range(0, 2000, 5)
    steps = run(WATCH, *((after, seen) for after in times))
    told = {after: step.note for after, step in zip(times, steps, strict=True) if step.note}
    assert told == {after: note.format(after) for after in (0, 600, 1200, 1800)}


def test_a_wait_that_goes_on_after_a_restart_is_not_silent_either():
    watch = Watch("p1", START, START + 36000, status="rendering")
    first, second = run(watch, (7200, project("rendering")), (7205, project("rendering")))
    assert (first.note, second.note) == ("Magic Hour project p1 is rendering after 7200 s", None)


def test_a_word_that_nobody_knows_is_warned_of_once_however_long_the_wait():
    steps = run(WATCH, *((after, project("polishing")) for after in range(0, 2000, 5)))
    assert [step.warns for step in steps if step.note] == [True, False, False, False]


def test_trouble_that_returns_after_a_success_is_noted_again():
    steps = run(WATCH, (0, project("queued")), (5, trouble(503)), (10, project("queued")), (15, trouble(503)))
    assert [step.note is not None for step in steps] == [True, True, False, True]


def test_a_status_known_before_a_trouble_is_not_noted_again():
    steps = run(WATCH, (0, project("queued")), (5, trouble(503)), (10, project("queued")))
    assert steps[-1].note is None


def test_a_note_of_trouble_reads_as_sentences():
    (step,) = run(WATCH, (0, trouble(503)))
    assert step.note == "Could not get it: 503. Polling continues until the deadline"


def test_what_was_seen_last_is_remembered_through_trouble():
    steps = run(WATCH, (0, project("rendering", credits_charged=99)), (5, trouble()))
    assert (steps[-1].watch.status, steps[-1].watch.credits_charged) == ("rendering", 99)


def test_a_look_without_a_figure_keeps_the_cost_that_is_known():
    watch = Watch("p1", START, START + 3600, credits_charged=240)
    (step,) = run(watch, (0, project("rendering", credits_charged=None)))
    assert step.watch.credits_charged == 240


@pytest.mark.parametrize(
    ("task_started", "execution_timeout", "expected"),
    [
        pytest.param(None, None, START + 3600, id="timeout-alone"),
        pytest.param(START - 10, None, START + 3600, id="no-execution-timeout"),
        pytest.param(None, 60, START + 3600, id="start-unknown"),
        pytest.param(START - 10, 60, START + 50, id="execution-timeout-earlier"),
        pytest.param(START - 10, 9999, START + 3600, id="execution-timeout-later"),
        pytest.param(START - 100, 60, START - 40, id="execution-timeout-over"),
    ],
)
def test_a_wait_ends_at_the_earlier_of_both_limits(task_started, execution_timeout, expected):
    assert deadline(START, 3600, task_started=task_started, execution_timeout=execution_timeout) == expected


def test_an_interval_of_zero_still_leaves_the_api_a_second():
    watch = Watch("p", 0.0, 100.0, interval=0)
    assert (watch.first_delay(0.0), watch.next_delay(0.0)) == (1.0, 1.0)


def test_trouble_of_another_kind_between_two_refusals_does_not_start_the_count_anew():
    refused = MagicHourApiError("no", status_code=401, from_api=True)
    step = next_step(Watch("p", 0.0, 1e6), refused, 10.0, key="k")
    step = next_step(step.watch, MagicHourApiError("gateway", status_code=502), 70.0, key="k")
    assert next_step(step.watch, refused, 130.0, key="k").end == "unreachable"
