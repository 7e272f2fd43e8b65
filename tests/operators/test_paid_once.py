"""Paid once: what the next run of a task finds, whatever became of the one before it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_magichour.compat import AirflowFailException, TaskDeferred
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourProjectRejectedError,
    MagicHourRejectedError,
    MagicHourTimeoutError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.submission.record import PREVIOUS_KEPT
from tests.operators.test_image_to_video import (
    IMAGE,
    KEY,
    RESUMED,
    finish,
    finished_while_deferred,
    newest,
    operator,
    posts,
    resumed,
    slow_job,
    wait_in_triggerer,
)

pytestmark = pytest.mark.usefixtures("clock")

CONNECTION = "AIRFLOW_CONN_MAGICHOUR_DEFAULT"
FAIL_AT_ONCE = {"outcome": "error", "render_seconds": 0}


def taken(clip: Any, run: Any) -> None:
    """Airflow has taken the task as succeeded: it calls what the task has by then."""
    for callback in clip.on_success_callback:
        callback(run)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# A success is one once Airflow has taken it


@pytest.mark.parametrize("waits", [False, True])
def test_a_task_that_fails_after_it_has_returned_pays_nothing_when_it_is_cleared(
    sandbox: Any, context: Any, store: Any, waits: bool
) -> None:
    operator(wait_for_completion=waits).execute(context(store))
    assert "returned" not in store.record
    operator(wait_for_completion=waits).execute(context(store, try_number=4, max_tries=6))
    assert posts(sandbox) == 1


def test_a_deferred_success_is_noted_by_the_object_that_ended_it(sandbox: Any, context: Any, store: Any) -> None:
    slow_job(sandbox)
    run = context(store)
    with pytest.raises(TaskDeferred) as deferred:
        operator(**RESUMED).execute(run)
    finish(sandbox, newest(sandbox).id)
    run, clip = resumed(run), operator(**RESUMED)
    clip.resume_execution("execute_complete", {"event": wait_in_triggerer(deferred.value)}, run)
    assert "returned" not in store.record
    taken(clip, run)
    assert store.record["returned"]["project_id"] == newest(sandbox).id
    operator(**RESUMED).execute(context(store, try_number=2, max_tries=4))
    assert posts(sandbox) == 2


@pytest.mark.parametrize("given", ["single", "list", "tuple", "default_args", "later"])
def test_callbacks_of_the_user_are_called_as_well(sandbox: Any, context: Any, store: Any, given: str) -> None:
    called: list[str] = []

    def first(_: Any) -> None:
        called.append("first")

    def second(_: Any) -> None:
        called.append("second")

    callbacks = {"single": first, "list": [first, second], "tuple": (first, second)}.get(given)
    arguments = {} if callbacks is None else {"on_success_callback": callbacks}
    with DAG("d", schedule=None, default_args={"on_success_callback": [first]} if given == "default_args" else {}):
        clip = operator(**arguments)
    if given == "later":
        clip.on_success_callback = first
    run = context(store)
    clip.execute(run)
    assert called == []
    taken(clip, run)
    assert called == ["first", "second"][: 2 if given in ("list", "tuple") else 1]
    assert store.record["returned"]


def test_the_list_of_callbacks_that_tasks_share_stays_as_it_is(sandbox: Any, context: Any, store: Any) -> None:
    shared: list[Any] = [lambda _: None]
    operator(on_success_callback=shared).execute(context(store))
    assert len(shared) == 1


def test_a_mapped_task_is_noted_on_the_task_that_airflow_calls_back(sandbox: Any, context: Any, store: Any) -> None:
    with DAG("d", schedule=None):
        mapped = MagicHourImageToVideoOperator.partial(task_id="submit", end_seconds=5, deferrable=True).expand(
            image=[IMAGE]
        )
    clip = mapped.unmap({"image": IMAGE, "task_id": "submit", "end_seconds": 5, "deferrable": True})
    run = context(store, map_index=0)
    run["ti"].task = clip
    assert isinstance(clip.execute(run), dict)  # deferrable was given: it waits
    taken(run["ti"].task, run)
    assert store.record["returned"]


def test_an_operator_inside_of_a_python_task_is_noted_when_that_task_succeeds(
    sandbox: Any, context: Any, store: Any
) -> None:
    @task
    def outer() -> None: ...

    with DAG("d", schedule=None):
        outer_task = outer().operator
    run = context(store)
    run["ti"].task = outer_task
    operator(task_id="inner").execute(run)
    assert "returned" not in store.record
    taken(outer_task, run)
    assert store.record["returned"]


@pytest.mark.parametrize("broken", ["get", "set"])
def test_a_note_that_the_store_refuses_is_one_warning(
    sandbox: Any, context: Any, store: Any, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the store is down")

    run = context(store)
    clip = operator()
    project_id = clip.execute(run)
    caplog.clear()
    setattr(store, broken, down)
    taken(clip, run)
    (warning,) = warnings(caplog)
    assert project_id in warning
    assert "the store is down" in warning
    assert "Nothing was submitted" not in warning


def test_a_task_run_again_by_the_same_object_returns_the_same_project(sandbox: Any, context: Any, store: Any) -> None:
    clip = operator()
    for number in (1, 2):
        clip.execute(context(store, try_number=number))
    taken(clip, context(store, try_number=2))
    assert posts(sandbox) == 1
    assert store.record["returned"]["try_number"] == 2


# A gateway is believed once


@pytest.mark.parametrize("status", [502, 503])
@pytest.mark.parametrize("retry_after", [None, "5", "45", "300"])
def test_a_gateway_that_hides_what_was_made_costs_two_projects_over_all_tries(
    sandbox: Any, context: Any, store: Any, status: int, retry_after: str | None
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    sandbox.faults.add("create", times=None, status=status, after=True, headers=headers)
    ends = []
    for number in range(1, 5):
        with pytest.raises(MagicHourError) as caught:
            operator().execute(context(store, try_number=number, max_tries=3))
        ends.append(type(caught.value))
    assert posts(sandbox) == 2
    assert ends[-1] is MagicHourUnsureSubmissionError
    assert ends.index(MagicHourUnsureSubmissionError) == (1 if retry_after == "300" else 0)


def test_a_new_try_waits_as_long_as_the_gateway_has_asked_for(
    sandbox: Any, context: Any, store: Any, clock: Any
) -> None:
    sandbox.faults.add("create", status=503, headers={"Retry-After": "100"}, nth=2)
    sandbox.faults.add("create", status=429, headers={"Retry-After": "90"}, nth=1)
    with pytest.raises(MagicHourApiError, match="503"):  # 90 + 100 s are more than one try has
        operator().execute(context(store))
    assert store.record["gateway_failures"] == 1
    before = clock.passed
    operator().execute(context(store, try_number=2))
    assert clock.passed - before == pytest.approx(100, abs=1)
    assert "gateway_failures" not in store.record
    assert "not_before" not in store.record


def test_a_new_try_does_not_wait_where_the_time_is_over(sandbox: Any, context: Any, store: Any, clock: Any) -> None:
    sandbox.faults.add("create", status=503, headers={"Retry-After": "300"})
    with pytest.raises(MagicHourApiError):
        operator().execute(context(store))
    clock.move(600)
    clock.sleeps.clear()
    operator().execute(context(store, try_number=2))
    assert clock.sleeps == []
    assert posts(sandbox) == 2


def test_what_others_say_in_between_makes_a_gateway_no_more_credible(sandbox: Any, context: Any, store: Any) -> None:
    for status in (502, 429, 503):
        sandbox.faults.add("create", status=status)
    with pytest.raises(MagicHourUnsureSubmissionError):
        operator().execute(context(store))
    assert posts(sandbox) == 3


def test_a_project_makes_the_gateway_credible_again(sandbox: Any, context: Any, store: Any) -> None:
    for _ in range(2):
        sandbox.faults.add("create", status=502)
        sandbox.faults.add("create", job=FAIL_AT_ONCE)
        operator().execute(context(store))
    assert posts(sandbox) == 4


def test_a_gateways_second_answer_is_submitted_anew_by_choice_with_one_create_a_try(
    sandbox: Any, context: Any, store: Any
) -> None:
    sandbox.faults.add("create", times=4, status=502)
    for number, creates in enumerate((2, 3, 4), start=1):
        with pytest.raises(MagicHourApiError, match="next attempt submits again") as caught:
            operator(on_unsure_submission="resubmit").execute(context(store, try_number=number))
        assert not isinstance(caught.value, MagicHourUnsureSubmissionError)
        assert posts(sandbox) == creates
    operator(on_unsure_submission="resubmit").execute(context(store, try_number=4))


def test_504_is_unsure_at_once(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("create", status=504)
    with pytest.raises(MagicHourUnsureSubmissionError):
        operator().execute(context(store))
    assert posts(sandbox) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_unsure_and_not_followed(sandbox: Any, context: Any, store: Any, status: int) -> None:
    sandbox.faults.add("create", status=status, after=True, headers={"Location": "/v1/video-projects/made"})
    for number in (1, 2):
        with pytest.raises(MagicHourUnsureSubmissionError):
            operator().execute(context(store, try_number=number))
    assert [request.route for request in sandbox.requests] == ["create"]


# Ended in a pause


class TimedOut(BaseException):
    """As Airflow's AirflowTaskTimeout, which is no Exception."""


@pytest.mark.parametrize(
    ("faults", "moment"),
    [
        pytest.param([{"status": 429}], 0.5, id="429"),
        pytest.param([{"status": 429}, {"status": 429}], 2.0, id="429-twice"),
        pytest.param([{"status": 502}], 20.0, id="502"),
        pytest.param([{"status": 503}], 20.0, id="503"),
        pytest.param([{"status": 503}, {"status": 429}], 60.5, id="503-and-429"),
        pytest.param([], 0.5, id="no-connection"),
    ],
)
def test_a_task_that_ends_in_a_pause_is_not_unsure(
    sandbox: Any, context: Any, store: Any, clock: Any, faults: list[dict[str, Any]], moment: float
) -> None:
    """Killed, or timed out by Airflow, while it waits to send the create again."""
    for fault in faults:
        headers = {"Retry-After": "60"} if fault["status"] == 503 and len(faults) > 1 else {}
        sandbox.faults.add("create", headers=headers, **fault)
    if not faults:
        sandbox.stop()

    def end() -> None:
        assert "intent_at" not in store.record
        raise TimedOut

    clock.at(moment, end)
    with pytest.raises(TimedOut):
        operator().execute(context(store))
    sandbox.start()
    assert posts(sandbox) == len(faults)
    operator().execute(context(store, try_number=2))
    assert posts(sandbox) == len(faults) + 1


def test_a_task_that_ends_in_the_pause_of_a_later_try_is_not_unsure(
    sandbox: Any, context: Any, store: Any, clock: Any
) -> None:
    sandbox.faults.add("create", status=503, headers={"Retry-After": "200"})
    with pytest.raises(MagicHourApiError):
        operator().execute(context(store))

    def end() -> None:
        raise TimedOut

    for number in (2, 3):
        clock.at(clock.passed + 10, end)
        with pytest.raises(TimedOut):
            operator().execute(context(store, try_number=number))
    operator().execute(context(store, try_number=4))
    assert posts(sandbox) == 2


def test_a_task_that_ends_before_the_answer_is_unsure(sandbox: Any, context: Any, store: Any) -> None:
    original = store.set

    def kill_after(key: str, value: Any, **options: Any) -> None:
        original(key, value, **options)
        raise TimedOut

    store.set = kill_after
    with pytest.raises(TimedOut):
        operator().execute(context(store))
    store.set = original
    with pytest.raises(MagicHourUnsureSubmissionError):
        operator().execute(context(store, try_number=2))


# Paid for before


@pytest.mark.parametrize("second", ["refused", "paid", "failed", "succeeded", "too dear"])
@pytest.mark.parametrize("first", ["paid", "succeeded"])
def test_back_at_an_old_request_its_project_is_found_again(
    sandbox: Any, context: Any, store: Any, first: str, second: str
) -> None:
    run, clip = context(store), operator()
    old = clip.execute(run)
    if first == "succeeded":
        taken(clip, run)
    if second == "refused":
        sandbox.faults.add("create", status=422)
    if second == "failed":
        sandbox.faults.add("create", job=FAIL_AT_ONCE)
    run = context(store, try_number=2, max_tries=4)
    clip = operator(
        prompt="changed", model="kling-3.0", resolution="720p", max_credits=0 if second == "too dear" else None
    )
    if second in ("refused", "too dear"):
        with pytest.raises(MagicHourError):
            clip.execute(run)
    else:
        clip.execute(run)
    if second == "succeeded":
        taken(clip, run)
    sent = posts(sandbox)
    assert operator().execute(context(store, try_number=3, max_tries=6)) == old
    assert posts(sandbox) == sent


def test_a_success_that_was_found_again_and_is_cleared_is_made_anew(sandbox: Any, context: Any, store: Any) -> None:
    operator().execute(context(store))
    operator(prompt="changed").execute(context(store, max_tries=4))
    run, clip = context(store, max_tries=6), operator()
    clip.execute(run)
    taken(clip, run)
    operator().execute(context(store, max_tries=8))
    assert posts(sandbox) == 3


@pytest.mark.parametrize("fault", [{"status": 402}, {"status": 503, "headers": {"Retry-After": "500"}}], ids=str)
def test_a_cleared_success_is_made_anew_though_its_first_create_was_refused(
    sandbox: Any, context: Any, store: Any, fault: dict[str, Any]
) -> None:
    run, clip = context(store), operator()
    old = clip.execute(run)
    taken(clip, run)
    sandbox.faults.add("create", **fault)
    with pytest.raises(MagicHourApiError):
        operator().execute(context(store, try_number=2, max_tries=4))
    assert operator().execute(context(store, try_number=3, max_tries=4)) != old


def test_each_of_many_requests_is_paid_once(sandbox: Any, context: Any, store: Any) -> None:
    prompts = [f"prompt {number}" for number in range(PREVIOUS_KEPT + 1)]
    for _ in range(3):
        for number, prompt in enumerate(prompts):
            operator(prompt=prompt).execute(context(store, max_tries=number))
    assert posts(sandbox) == len(prompts)
    assert len(store.record["previous"]) == PREVIOUS_KEPT


def test_a_request_that_fails_again_and_again_makes_no_other_forgotten(sandbox: Any, context: Any, store: Any) -> None:
    paid = operator().execute(context(store))
    sandbox.faults.add("create", times=None, job=FAIL_AT_ONCE)
    for number in range(PREVIOUS_KEPT + 5):
        operator(prompt="fails").execute(context(store, try_number=number))
    sent = posts(sandbox)
    assert operator().execute(context(store)) == paid
    assert posts(sandbox) == sent


def test_an_old_project_that_cannot_be_asked_for_is_not_paid_again(sandbox: Any, context: Any, store: Any) -> None:
    operator().execute(context(store))
    operator(prompt="changed").execute(context(store))
    sandbox.faults.add("get", times=None, status=500)
    with pytest.raises(MagicHourApiError):
        operator().execute(context(store))
    assert posts(sandbox) == 2


# A store that fails


def test_a_record_that_the_store_has_lost_is_unsure(sandbox: Any, context: Any, store: Any) -> None:
    operator().execute(context(store))
    store.values[KEY] = "null"
    with pytest.raises(MagicHourUnsureSubmissionError, match="lost"):
        operator().execute(context(store, try_number=2))
    del store.values[KEY]
    operator().execute(context(store, try_number=3))
    assert posts(sandbox) == 2


def test_a_store_that_does_not_answer_lets_nothing_be_sent(sandbox: Any, context: Any, store: Any, photo: Path) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the store is down")

    store.get = down
    with pytest.raises(MagicHourError, match=r"(?s)the store is down.*Nothing was submitted; a retry") as caught:
        operator(image=str(photo)).execute(context(store))
    assert not isinstance(caught.value, MagicHourInvalidRequestError)
    assert len(sandbox.requests) == 0


def refuses_once(store: Any, kind: Callable[[Any], bool]) -> None:
    """Let the store refuse the next write of a kind."""
    left = [True]
    store.broken = lambda value: kind(value) and bool(left) and left.pop()


def test_an_id_that_the_store_has_refused_is_written_when_the_task_returns(
    sandbox: Any, context: Any, store: Any
) -> None:
    refuses_once(store, lambda value: "project_id" in value)
    project_id = operator().execute(context(store))
    assert store.record["project_id"] == project_id
    assert store.record["submitted_at"]


def test_an_id_that_the_store_has_refused_is_written_when_the_task_defers(
    sandbox: Any, context: Any, store: Any
) -> None:
    slow_job(sandbox)
    refuses_once(store, lambda value: "project_id" in value)
    with pytest.raises(TaskDeferred):
        operator(**RESUMED).execute(context(store))
    assert store.record["project_id"] == newest(sandbox).id


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("end", ["complete", "error", "canceled", "timeout"])
def test_an_id_that_the_store_has_refused_at_the_start_is_written_at_the_end_of_the_wait(
    sandbox: Any, context: Any, store: Any, clock: Any, deferrable: bool, end: str
) -> None:
    slow_job(sandbox, **({} if end in ("complete", "timeout") else {"outcome": end}))
    store.broken = lambda value: "project_id" in value
    run = context(store)
    task_ = operator(wait_for_completion=True, deferrable=deferrable, timeout=60)

    def repaired() -> None:
        store.broken = lambda value: False
        if end != "timeout":
            finish(sandbox, newest(sandbox).id)

    clock.at(30, repaired)

    def to_the_end() -> None:
        try:
            task_.execute(run)
        except TaskDeferred as deferred:
            event = wait_in_triggerer(deferred)
            operator(**RESUMED).resume_execution("execute_complete", {"event": event}, resumed(run))

    if end == "complete":
        to_the_end()
    else:
        with pytest.raises(MagicHourTimeoutError if end == "timeout" else MagicHourError):
            to_the_end()
    assert store.record["project_id"] == newest(sandbox).id


def test_a_refusal_that_could_not_be_noted_at_once_is_noted(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("create", status=402)
    refuses_once(store, lambda value: "intent_at" not in value)
    with pytest.raises(MagicHourRejectedError):
        operator().execute(context(store))
    operator().execute(context(store, try_number=2))
    assert posts(sandbox) == 2


# A key can be replaced


def test_a_submit_whose_key_was_refused_is_retried_with_the_key_that_replaces_it(
    sandbox: Any, context: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_new_key, before = os.environ[CONNECTION], len(list(sandbox.jobs))
    monkeypatch.setenv(CONNECTION, json.dumps({**json.loads(with_new_key), "password": "mhk_revoked"}))
    with pytest.raises(
        MagicHourApiError, match=r"is missing, wrong or revoked(.|\n)*\.\sA retry reads the connection"
    ) as caught:
        operator().execute(context(store))
    assert not isinstance(caught.value, AirflowFailException), "Airflow would not retry it"
    assert (caught.value.status_code, caught.value.code) == (401, "unauthorized")
    assert "intent_at" not in store.record
    monkeypatch.setenv(CONNECTION, with_new_key)
    assert operator().execute(context(store, try_number=2)) == newest(sandbox).id
    assert len(list(sandbox.jobs)) == before + 1


# What was paid for comes first


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"timeout": 1e15}, id="timeout"),
        pytest.param({"poll_interval": 1e300}, id="interval"),
        pytest.param({"max_credits": "much"}, id="budget"),
        pytest.param({"max_credits": -1}, id="negative-budget"),
        pytest.param({"end_seconds": "five"}, id="seconds"),
        pytest.param({"on_unsure_submission": "maybe"}, id="on-unsure"),
        pytest.param({"durable": "maybe"}, id="durable"),
        pytest.param({"deferrable": "maybe"}, id="deferrable"),
        pytest.param({"deferrable": "maybe", "wait_for_completion": True}, id="deferrable-and-waits"),
        pytest.param({"wait_for_completion": "maybe"}, id="waits"),
        pytest.param({"check_balance": "maybe"}, id="balance"),
        pytest.param({"validate_request": "maybe"}, id="validation"),
        pytest.param({"extra_body": "{}"}, id="extra"),
    ],
)
def test_an_argument_that_cannot_be_names_the_project_that_is_paid_for(
    sandbox: Any, context: Any, store: Any, change: dict[str, Any]
) -> None:
    with pytest.raises(MagicHourInvalidRequestError):
        operator(**change).execute(context(store))
    assert len(sandbox.requests) == 0
    paid = operator().execute(context(store))
    with pytest.raises(MagicHourInvalidRequestError, match=f"(?s){next(iter(change))}.*Project {paid}"):
        operator(**change).execute(context(store, try_number=2))
    assert operator().execute(context(store, try_number=3)) == paid
    assert posts(sandbox) == 1


@pytest.mark.parametrize("text", ["False", "false", "0", "no"])
def test_a_text_turns_durable_off_or_is_refused(sandbox: Any, context: Any, store: Any, text: str) -> None:
    clip = operator(durable=text)
    if text.lower() == "false":
        clip.execute(context(store))
    else:
        with pytest.raises(MagicHourInvalidRequestError, match="durable="):
            clip.execute(context(store))
    assert store.record is None


@pytest.mark.parametrize(
    "project_id", ["a/b", "a:b=c", "../../v1/account", "a b", "a?b#c", "ü", "%2F", "..", "x" * 400]
)
@pytest.mark.parametrize("deferrable", [False, True])
def test_an_id_of_any_characters_is_waited_for_and_found_again(
    sandbox: Any, context: Any, store: Any, project_id: str, deferrable: bool
) -> None:
    sandbox.faults.add("create", patch={"id": project_id})
    sandbox.faults.add(method="GET", times=None, status=503)
    for number in (1, 2):
        clip = operator(wait_for_completion=True, deferrable=deferrable, timeout=60)
        with pytest.raises((TaskDeferred, MagicHourTimeoutError)):
            clip.execute(context(store, try_number=number))
    assert posts(sandbox) == 1
    assert store.record["project_id"] == project_id
    assert sandbox.requests.to("account") == []


@pytest.mark.parametrize("gone", ["removed", "empty", "folder", "unreadable"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_project_is_found_whatever_became_of_the_image(
    sandbox: Any, context: Any, store: Any, photo: Path, gone: str, waits: bool
) -> None:
    paid = operator(image=str(photo)).execute(context(store))
    photo.unlink()
    if gone == "empty":
        photo.write_bytes(b"")
    elif gone == "folder":
        photo.mkdir()
    elif gone == "unreadable":
        os.symlink(photo, photo)  # to itself
    result = operator(image=str(photo), wait_for_completion=waits).execute(context(store, try_number=2))
    assert (result["project_id"] if waits else result) == paid
    assert posts(sandbox) == 1


def test_a_project_is_found_where_its_table_row_refuses_by_now(sandbox: Any, context: Any, store: Any) -> None:
    """As after an upgrade: what is impossible is a matter of what is submitted, not of what was."""
    impossible = {"model": "kling-3.0", "resolution": "480p", "max_credits": 1, "check_balance": True}
    sandbox.faults.add("create", status=200, json={"id": "paid", "credits_charged": 5})
    sandbox.faults.add("get", times=None, status=500)
    lenient = {**impossible, "validate_request": False, "max_credits": None, "check_balance": False}
    operator(**lenient).execute(context(store))
    with pytest.raises(MagicHourApiError, match="500"):  # it was looked at
        operator(**impossible).execute(context(store, try_number=2))
    assert posts(sandbox) == 1


# A person's word


@pytest.mark.parametrize(
    "value",
    [
        {"project_id": None},
        '{"project_id": null}',
        {"version": 1, "project_id": None},
        {"version": 1, "intent_at": "t", "project_id": None},
    ],
)
def test_null_as_an_id_is_unsure(sandbox: Any, context: Any, store: Any, value: Any) -> None:
    store.set(KEY, value)
    with pytest.raises(MagicHourUnsureSubmissionError):
        operator().execute(context(store))
    assert posts(sandbox) == 0


@pytest.mark.parametrize("waits", [False, True])
def test_two_operators_inside_of_one_task_have_records_of_their_own(
    sandbox: Any, context: Any, store: Any, waits: bool
) -> None:
    for number in (1, 2):
        run = context(store, task_id="outer", try_number=number)
        for name in ("one", "two", "two"):
            operator(task_id=name, prompt=name, wait_for_completion=waits).execute(run)
    assert posts(sandbox) == 3
    assert set(store.values) == {KEY, f"{KEY}_two", f"{KEY}_two_2"}


def test_the_unsure_message_names_the_record_of_the_second_operator(sandbox: Any, context: Any, store: Any) -> None:
    run = context(store, task_id="outer")
    operator(task_id="one").execute(run)
    sandbox.faults.add("create", cut=True, after=True)
    for _ in range(2):
        run = context(store, task_id="outer")
        operator(task_id="one").execute(run)
        with pytest.raises(MagicHourUnsureSubmissionError, match=f"{KEY}_two"):
            operator(task_id="two").execute(run)


@pytest.mark.parametrize("waits", [False, True])
def test_a_canceled_project_is_made_anew_by_a_clear_alone(sandbox: Any, context: Any, store: Any, waits: bool) -> None:
    sandbox.faults.add("create", job={"outcome": "canceled", "render_seconds": 0})
    if waits:
        with pytest.raises(MagicHourProjectRejectedError, match="Clear"):
            operator(wait_for_completion=True).execute(context(store))
    else:
        operator().execute(context(store))
    with pytest.raises(MagicHourProjectRejectedError, match="Clear"):
        operator(wait_for_completion=waits).execute(context(store, try_number=2))
    assert posts(sandbox) == 1
    operator(wait_for_completion=waits).execute(context(store, try_number=3, max_tries=4))
    assert posts(sandbox) == 2


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    "script", [FAIL_AT_ONCE, {"outcome": "canceled"}, {**FAIL_AT_ONCE, "code": "invalid_image"}], ids=str
)
def test_an_adopted_project_that_fails_is_not_made_again(
    sandbox: Any, context: Any, store: Any, clock: Any, deferrable: bool, script: dict[str, Any]
) -> None:
    slow_job(sandbox, **{**script, "render_seconds": 3600})
    operator(durable=False).execute(context(store))
    adopted = newest(sandbox).id
    store.set(KEY, {"project_id": adopted})
    run = context(store, max_tries=4)
    clip = operator(wait_for_completion=True, deferrable=deferrable)
    if not deferrable:
        clock.at(30, lambda: finish(sandbox, adopted))
    way_out = "(?s)adopted, .*\\sPut another id into magichour_submission, or delete that key"
    with pytest.raises(MagicHourProjectRejectedError, match=way_out):
        finished_while_deferred(clip, run, sandbox) if deferrable else clip.execute(run)
    for max_tries in (4, 9):
        with pytest.raises(MagicHourProjectRejectedError, match=way_out):
            operator(wait_for_completion=True, deferrable=deferrable).execute(context(store, max_tries=max_tries))
    assert posts(sandbox) == 1


# Limits


@pytest.mark.parametrize(
    "arguments",
    [{}, {"model": "nobody-knows"}, {"model": "kling-3.0"}, {"model": "kling-3.0", "resolution": "nobody-knows"}],
)
def test_a_limit_without_a_price_lets_nothing_be_sent(
    sandbox: Any, context: Any, store: Any, photo: Path, arguments: dict[str, Any]
) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="max_credits"):
        operator(image=str(photo), max_credits=0, validate_request=False, **arguments).execute(context(store))
    assert len(sandbox.requests) == 0


def test_a_subclass_that_asks_to_defer_waits(sandbox: Any, context: Any, store: Any) -> None:
    class Clip(MagicHourImageToVideoOperator):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(deferrable=True, **kwargs)

    assert isinstance(Clip(task_id="submit", image=IMAGE, end_seconds=5).execute(context(store)), dict)


def test_a_copy_for_the_run_still_knows_that_it_was_asked_to_defer(sandbox: Any, context: Any, store: Any) -> None:
    assert isinstance(operator(deferrable=True).prepare_for_execution().execute(context(store)), dict)
