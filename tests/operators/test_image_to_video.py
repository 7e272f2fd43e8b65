from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_magichour.compat import TaskDeferred
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourProjectFailedError,
    MagicHourProjectRejectedError,
    MagicHourRejectedError,
    MagicHourStorageError,
    MagicHourTimeoutError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.triggers import MagicHourProjectTrigger

IMAGE = "https://example.com/cat.jpg"
KEY = "magichour_submission"
SLOW = {"render_seconds": 3600}

pytestmark = pytest.mark.usefixtures("clock")


def operator(**arguments: Any) -> MagicHourImageToVideoOperator:
    return MagicHourImageToVideoOperator(**{"task_id": "submit", "image": IMAGE, "end_seconds": 5, **arguments})


def posts(sandbox: Any) -> int:
    return len(sandbox.requests.to("create"))


def slow_job(sandbox: Any, **script: Any) -> None:
    """Let the next job take an hour; see `finish`."""
    sandbox.faults.add("create", job=SLOW | script)


def finish(sandbox: Any, job: str, **script: Any) -> None:
    sandbox.jobs.change(job, **{"render_seconds": 0, **script})


def newest(sandbox: Any) -> Any:
    return list(sandbox.jobs)[-1]


def wait_in_triggerer(deferred: TaskDeferred) -> dict[str, Any]:
    """Run the trigger as the triggerer does, rebuilt from what is stored, and return its event."""
    path, arguments = deferred.trigger.serialize()
    assert path.endswith(".MagicHourProjectTrigger")

    async def events() -> list[Any]:
        return [event async for event in MagicHourProjectTrigger(**json.loads(json.dumps(arguments))).run()]

    (event,) = asyncio.run(events())
    return dict(json.loads(json.dumps(event.payload)))


def finished_while_deferred(task: Any, context: Any, sandbox: Any, **script: Any) -> Any:
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    finish(sandbox, newest(sandbox).id, **script)
    event = wait_in_triggerer(deferred.value)
    return operator(**RESUMED).resume_execution(deferred.value.method_name, {"event": event}, resumed(context))


def resumed(context: Any) -> Any:
    """Airflow resumes a task in another process, where its instance is another object too."""
    return {**context, "ti": copy.copy(context["ti"])}


def succeed(task: Any, run: Any) -> Any:
    """Execute as Airflow does: once it has taken the task as succeeded, it calls back."""
    result = task.execute(run)
    for callback in task.on_success_callback:
        callback(run)
    return result


# A resumed task is a new object.
RESUMED: dict[str, Any] = {"wait_for_completion": True, "deferrable": True}


# Submitting


def test_url_is_sent_as_it_is_and_the_id_is_returned_and_pushed(sandbox: Any, context: Any, store: Any) -> None:
    run = context(store)
    task = operator(model="kling-3.0", resolution="720p", audio=False, prompt="zoom", name="cat")
    project_id = task.execute(run)
    (request,) = sandbox.requests.to("create")
    assert request.body == {
        "assets": {"image_file_path": IMAGE},
        "end_seconds": 5,
        "model": "kling-3.0",
        "resolution": "720p",
        "audio": False,
        "style": {"prompt": "zoom"},
        "name": "cat",
    }
    assert project_id == newest(sandbox).id
    assert run["ti"].xcom == {"project_id": project_id, "credits_charged": newest(sandbox).price, "kind": "video"}


@pytest.mark.parametrize(
    "image", ["saved-items/cat.png", "api-assets/abc/image.png", "HTTPS://example.com/cat.jpg", f"{IMAGE}?a=b&c"]
)
def test_what_the_api_fetches_itself_is_sent_as_it_is(sandbox: Any, context: Any, store: Any, image: str) -> None:
    operator(image=image).execute(context(store))
    assert [request.route for request in sandbox.requests] == ["create"]
    assert sandbox.requests[0].body["assets"] == {"image_file_path": image}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_local_files_are_uploaded_byte_for_byte(
    sandbox: Any, context: Any, store: Any, photo: Path, scheme: str
) -> None:
    end = photo.with_name("end.png")
    end.write_bytes(b"another picture")
    operator(image=f"{scheme}{photo}", end_image=f"{scheme}{end}").execute(context(store))
    assets = sandbox.requests.to("create")[0].body["assets"]
    assert sandbox.uploads.find(assets["image_file_path"]).read_bytes() == photo.read_bytes()
    assert sandbox.uploads.find(assets["end_image_file_path"]).read_bytes() == b"another picture"
    assert assets["end_image_file_path"].endswith(".png")


@pytest.mark.parametrize(
    ("arguments", "waits"),
    [
        ({}, False),
        ({"deferrable": True}, True),
        ({"deferrable": False}, False),
        ({"deferrable": True, "wait_for_completion": False}, False),
        ({"deferrable": False, "wait_for_completion": True}, True),
    ],
)
def test_a_task_that_is_asked_to_defer_waits(
    sandbox: Any, context: Any, store: Any, arguments: dict[str, Any], waits: bool
) -> None:
    assert isinstance(operator(**arguments).execute(context(store)), dict) is waits


def test_airflows_default_alone_makes_no_task_wait(sandbox: Any, context: Any, store: Any) -> None:
    task = operator()
    task.deferrable = True  # as [operators] default_deferrable does
    assert isinstance(task.execute(context(store)), str)


def test_default_args_ask_to_defer_as_well(sandbox: Any, context: Any, store: Any) -> None:
    with DAG("d", schedule=None, default_args={"deferrable": True}):
        task = operator()
    assert isinstance(task.execute(context(store)), dict)


def test_side_keys_are_not_pushed_without_do_xcom_push(sandbox: Any, context: Any, store: Any) -> None:
    for arguments in ({}, {"wait_for_completion": True}):
        run = context(store)
        operator(do_xcom_push=False, **arguments).execute(run)
        assert run["ti"].pushes == []


def test_templates_are_rendered_to_numbers_and_booleans(sandbox: Any, context: Any, store: Any) -> None:
    with DAG("d", schedule=None):
        task = operator(
            image="https://example.com/{{ name }}.jpg",
            end_seconds="{{ seconds }}",
            audio="{{ audio }}",
            name="{{ name }}",
            extra_body={"note": "{{ name }}"},
            timeout="{{ seconds }}",
            poll_interval="{{ seconds }}",
            model="kling-3.0",
        )
    run = context(store)
    task.render_template_fields({**run, "name": "cat", "seconds": 5, "audio": True})
    task.execute(run)
    body = sandbox.requests.to("create")[0].body
    assert (body["end_seconds"], body["audio"], body["name"], body["note"]) == (5, True, "cat", "cat")


def test_default_name_tells_dag_task_index_and_run(sandbox: Any, context: Any, store: Any) -> None:
    for index, expected in ((-1, "a_dag.submit manual__1 "), (3, "a_dag.submit[3] manual__1 ")):
        store.values.clear()
        operator().execute(context(store, map_index=index))
        name = sandbox.requests.to("create")[-1].body["name"]
        assert name.startswith(expected)
        assert len(name) == len(expected) + 4


# What fails before any request


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"image": "{tmp}/missing.jpg"}, r"missing\.jpg: No such file", id="missing"),
        pytest.param({"image": "file://{tmp}/missing.jpg"}, r"missing\.jpg.*No such file", id="missing-uri"),
        pytest.param({"image": "{tmp}/folder.jpg"}, "not a file", id="folder"),
        pytest.param({"image": "{tmp}/empty.jpg"}, "empty", id="empty"),
        pytest.param({"image": "{tmp}/a.tga"}, "'tga' is not that of an image.*png", id="extension"),
        pytest.param({"image": "{tmp}/cat"}, r"\(none\)", id="no-extension"),
        pytest.param({"image": "nosuchscheme://b/cat.jpg"}, "nosuchscheme", id="scheme"),
        pytest.param({"end_image": "{tmp}/missing.jpg"}, "missing.jpg", id="missing-end-image"),
        pytest.param({"end_image": "{tmp}/a.tga"}, "end_image=", id="end-image-extension"),
        pytest.param({"image": None}, "image", id="none"),
        pytest.param({"image": ""}, "image", id="empty-text"),
        pytest.param({"image": ["a.jpg", "b.jpg"]}, r"image is a list of 2.*expand", id="list"),
        pytest.param({"image": {"url": IMAGE}}, "image=", id="dict"),
        pytest.param({"model": "kling-3.0", "end_seconds": 99}, "end_seconds=99.*3", id="duration"),
        pytest.param({"model": "kling-3.0", "resolution": "480p"}, "resolution='480p'.*720p", id="resolution"),
        pytest.param({"model": "wan-2.2", "audio": True}, "audio", id="audio"),
        pytest.param({"model": "wan-2.2", "end_image": IMAGE}, "end_image", id="end-image"),
        pytest.param({"end_seconds": None}, "end_seconds is missing", id="no-seconds"),
        pytest.param({"end_seconds": "five"}, "end_seconds='five'", id="seconds-no-number"),
        pytest.param({"end_seconds": 0}, "end_seconds=0", id="seconds-zero"),
        pytest.param({"audio": "yes"}, "audio='yes'", id="audio-no-boolean"),
        pytest.param({"timeout": "soon"}, "timeout='soon'", id="timeout"),
        pytest.param({"timeout": -1}, "timeout=-1", id="negative-timeout"),
        pytest.param({"poll_interval": "often"}, "poll_interval='often'", id="interval"),
        pytest.param({"on_unsure_submission": "ignore"}, "on_unsure_submission='ignore'", id="on-unsure"),
        pytest.param({"extra_body": {"end_seconds": 9}}, "contradicts", id="contradiction"),
        pytest.param({"extra_body": "{}"}, "extra_body=", id="extra-no-dict"),
        pytest.param({"magichour_conn_id": "nowhere"}, "nowhere", id="connection"),
        pytest.param({"name": True}, "name=True", id="name"),
    ],
)
@pytest.mark.parametrize("with_store", [True, False], ids=["store", "no-store"])
def test_bad_input_is_named_before_any_request(
    sandbox: Any, context: Any, store: Any, tmp_path: Path, arguments: Any, message: str, with_store: bool
) -> None:
    (tmp_path / "folder.jpg").mkdir()
    for name, content in (("empty.jpg", b""), ("a.tga", b"a"), ("cat", b"a")):
        (tmp_path / name).write_bytes(content)
    for name, value in arguments.items():
        if isinstance(value, str):
            arguments = {**arguments, name: value.replace("{tmp}", str(tmp_path))}
    refused = (MagicHourInvalidRequestError, MagicHourStorageError, MagicHourApiError)
    with pytest.raises(refused, match=f"(?s){message}"):
        operator(**arguments).execute(context(store if with_store else None))
    assert len(sandbox.requests) == 0
    assert store.record is None


def test_table_of_models_can_be_turned_off(sandbox: Any, context: Any, store: Any) -> None:
    with pytest.raises(MagicHourRejectedError, match="HTTP 422"):
        operator(model="kling-3.0", end_seconds=59, validate_request=False).execute(context(store))


def test_deprecated_field_warns_with_its_replacement(
    sandbox: Any, context: Any, store: Any, logged: Callable[[], str]
) -> None:
    operator(extra_body={"style": {"quality_mode": "studio"}, "width": 512}).execute(context(store))
    warnings = "\n".join(line for line in logged().splitlines() if "warning" in line.lower())
    assert "style.quality_mode is deprecated: use `resolution`" in warnings
    assert "width is deprecated" in warnings
    assert sandbox.requests[0].body["style"] == {"quality_mode": "studio"}


# Waiting


@pytest.fixture
def expected(sandbox: Any) -> Callable[[], dict[str, Any]]:
    def result() -> dict[str, Any]:
        job = newest(sandbox)
        return {
            "project_id": job.id,
            "kind": "video",
            "status": "complete",
            "credits_charged": job.price,
            "width": job.result.width,
            "height": job.result.height,
            "fps": 24.0,
        }

    return result


def check_result(result: dict[str, Any], expected: dict[str, Any], run: Any) -> None:
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {*expected, "download_urls", "expires_at", "created_at"}
    assert {name: result[name] for name in expected} == expected
    assert len(result["download_urls"]) == 1
    assert run["ti"].xcom == {
        "project_id": expected["project_id"],
        "credits_charged": expected["credits_charged"],
        "download_urls": result["download_urls"],
        "kind": "video",
    }


@pytest.mark.parametrize("deferrable", [False, True])
def test_project_that_is_finished_at_the_first_look_never_defers(
    sandbox: Any, context: Any, store: Any, expected: Any, deferrable: bool
) -> None:
    run = context(store)
    result = operator(wait_for_completion=True, deferrable=deferrable).execute(run)
    check_result(result, expected(), run)


def test_sync_wait_returns_the_finished_project(
    sandbox: Any, context: Any, store: Any, clock: Any, expected: Any
) -> None:
    slow_job(sandbox)
    clock.at(60, lambda: finish(sandbox, newest(sandbox).id))
    run = context(store)
    result = operator(wait_for_completion=True, deferrable=False).execute(run)
    check_result(result, expected(), run)
    assert clock.passed >= 60
    assert posts(sandbox) == 1


def test_deferred_wait_returns_the_same(sandbox: Any, context: Any, store: Any, expected: Any) -> None:
    slow_job(sandbox)
    run = context(store)
    result = finished_while_deferred(operator(**RESUMED), run, sandbox)
    check_result(result, expected(), run)
    assert posts(sandbox) == 1


def test_poll_interval_is_used_as_given_and_the_default_starts_with_silence(
    sandbox: Any, context: Any, store: Any, clock: Any
) -> None:
    slow_job(sandbox)
    clock.at(40, lambda: finish(sandbox, newest(sandbox).id))
    operator(wait_for_completion=True, deferrable=False, poll_interval=7).execute(context(store))
    assert set(clock.sleeps) == {7}
    store.values.clear()
    del clock.sleeps[:]
    slow_job(sandbox)
    clock.at(clock.passed + 40, lambda: finish(sandbox, newest(sandbox).id))
    operator(wait_for_completion=True, deferrable=False).execute(context(store))
    assert clock.sleeps[0] == pytest.approx(22.2)
    assert set(clock.sleeps[1:]) == {5}


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        ({"outcome": "error", "code": "processing_timeout"}, MagicHourProjectFailedError, "A retry"),
        ({"outcome": "error", "code": "nobody_knows"}, MagicHourProjectFailedError, "A retry"),
        ({"outcome": "canceled"}, MagicHourProjectRejectedError, "Clear this task"),
        ({"outcome": "error", "code": "invalid_parameters"}, MagicHourProjectRejectedError, "change the request"),
        ({"outcome": "error", "code": "no_source_face"}, MagicHourProjectRejectedError, "change the request"),
        ({"outcome": "error", "code": "insufficient_credits"}, MagicHourProjectRejectedError, "change the request"),
    ],
)
def test_project_that_failed_raises_its_class_in_each_mode(
    sandbox: Any, context: Any, store: Any, clock: Any, deferrable: bool, script: Any, error: Any, text: str
) -> None:
    slow_job(sandbox, **script)
    run = context(store)
    task = operator(wait_for_completion=True, deferrable=deferrable)
    if not deferrable:
        clock.at(30, lambda: finish(sandbox, newest(sandbox).id))
    with pytest.raises(error, match=f"{text}") as caught:
        finished_while_deferred(task, run, sandbox) if deferrable else task.execute(run)
    assert type(caught.value) is error
    assert newest(sandbox).id in str(caught.value)
    assert caught.value.code == script.get("code", "canceled")
    assert run["ti"].xcom["credits_charged"] == 0


@pytest.mark.parametrize("deferrable", [False, True])
def test_timeout_says_id_cost_and_that_the_project_goes_on(
    sandbox: Any, context: Any, store: Any, deferrable: bool
) -> None:
    slow_job(sandbox)
    run = context(store)
    task = operator(wait_for_completion=True, deferrable=deferrable, timeout=timedelta(minutes=2))

    def to_the_end() -> None:
        try:
            task.execute(run)
        except TaskDeferred as deferred:
            event = wait_in_triggerer(deferred)
            operator(**RESUMED).resume_execution("execute_complete", {"event": event}, run)

    with pytest.raises(MagicHourTimeoutError) as caught:
        to_the_end()
    job = newest(sandbox)
    assert f"project {job.id} was not finished after 120 s" in str(caught.value)
    assert f"costs {job.price} credits" in str(caught.value)
    assert posts(sandbox) == 1


def test_execution_timeout_ends_the_deferral_as_well(sandbox: Any, context: Any, store: Any, clock: Any) -> None:
    slow_job(sandbox)
    began = datetime.fromtimestamp(clock.time(), UTC)
    task = operator(**RESUMED, execution_timeout=timedelta(seconds=100))
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context(store, start_date=began))
    assert deferred.value.trigger.deadline == pytest.approx(began.timestamp() + 100)
    assert timedelta(seconds=100) < deferred.value.timeout < timedelta(seconds=400)


def test_deferral_that_airflow_ends_is_a_timeout_of_ours(sandbox: Any, context: Any, store: Any) -> None:
    with pytest.raises(MagicHourTimeoutError, match="triggerer"):
        operator(**RESUMED).resume_execution("__fail__", {"error": "Trigger timeout"}, context(store))


def test_deferral_that_failed_otherwise_keeps_airflows_error(sandbox: Any, context: Any, store: Any) -> None:
    with pytest.raises(Exception, match="Trigger failure") as caught:
        operator(**RESUMED).resume_execution("__fail__", {"error": "Trigger failure"}, context(store))
    assert not isinstance(caught.value, MagicHourError)


@pytest.mark.parametrize("event", [None, {}, {"status": "success"}, {"project_id": "p1", "end": "magic"}])
def test_event_that_is_none_of_ours_is_explained(sandbox: Any, context: Any, store: Any, event: Any) -> None:
    with pytest.raises(MagicHourError, match="same version"):
        operator(**RESUMED).resume_execution("execute_complete", {"event": event}, context(store))


def test_trouble_of_the_api_ends_no_wait(sandbox: Any, context: Any, store: Any, clock: Any) -> None:
    slow_job(sandbox)
    for fault in ({"status": 500}, {"status": 502}, {"half_body": True}, {"cut": True}, {"status": 200, "text": "<p>"}):
        sandbox.faults.add("get", **fault)
    clock.at(90, lambda: finish(sandbox, newest(sandbox).id))
    operator(wait_for_completion=True, deferrable=False).execute(context(store))
    assert posts(sandbox) == 1


# Once


def test_record_is_kept_for_ever_and_can_be_read_by_a_person(sandbox: Any, context: Any, store: Any) -> None:
    project_id = succeed(operator(image=f"{IMAGE}?X-Amz-Signature=secret&v=1", name="cat"), context(store))
    record = store.record
    assert record["project_id"] == project_id
    assert record["name"] == "cat"
    assert record["request"]["assets"] == {"image_file_path": IMAGE}
    assert record["credits_charged"] == newest(sandbox).price
    assert record["returned"] == {"project_id": project_id, "try_number": 1, "max_tries": 2}
    for moment in ("intent_at", "submitted_at"):
        assert datetime.fromisoformat(record[moment]).tzinfo
    from airflow.sdk.execution_time.context import NEVER_EXPIRE

    assert all(retention is NEVER_EXPIRE for retention in store.retentions)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_retry_finds_the_project_and_pays_nothing(
    sandbox: Any, context: Any, store: Any, photo: Path, clock: Any, waits: bool, deferrable: bool
) -> None:
    slow_job(sandbox)
    arguments = {"image": str(photo), "wait_for_completion": waits, "deferrable": deferrable}
    for number in (1, 2):
        run = context(store, try_number=number)
        task = operator(**arguments, timeout=60)
        if not waits:
            assert task.execute(run) == newest(sandbox).id
            continue
        with pytest.raises((MagicHourTimeoutError, TaskDeferred)):
            task.execute(run)
        assert run["ti"].xcom == {
            "project_id": newest(sandbox).id,
            "credits_charged": newest(sandbox).price,
            "kind": "video",
        }
    assert posts(sandbox) == 1
    assert len(sandbox.requests.to("upload")) == 1


def test_intent_is_on_record_before_the_request_leaves(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("create", cut=True)
    with pytest.raises(MagicHourUnsureSubmissionError):
        operator(name="cat").execute(context(store))
    assert store.record["intent_at"]
    assert "project_id" not in store.record


def test_lost_answer_fails_for_good_and_says_both_ways_out(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("create", cut=True, after=True)
    for _ in range(3):
        with pytest.raises(MagicHourUnsureSubmissionError) as caught:
            operator(name="cat", prompt="zoom").execute(context(store))
        for part in (
            "Name: cat",
            "zoom",
            store.record["intent_at"],
            "my-library",
            KEY,
            '{"project_id"',
            "delete that key",
        ):
            assert part in str(caught.value)
    assert posts(sandbox) == 1


def test_unsure_submission_can_be_adopted(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("create", cut=True, after=True)
    with pytest.raises(MagicHourUnsureSubmissionError):
        operator().execute(context(store))
    job = newest(sandbox)
    for record in ({"project_id": job.id}, json.dumps({"project_id": job.id}), job.id):
        store.set(KEY, record)
        assert operator().execute(context(store, max_tries=4)) == job.id
        assert store.record["adopted"] is True
        assert store.record["fingerprint"]
    assert posts(sandbox) == 1


def test_adopted_project_that_does_not_exist_fails_without_a_request_to_create(
    sandbox: Any, context: Any, store: Any
) -> None:
    store.set(KEY, {"project_id": "nobody"})
    with pytest.raises(MagicHourInvalidRequestError, match="adopted project nobody"):
        operator().execute(context(store))
    assert posts(sandbox) == 0


def test_unsure_submission_can_be_submitted_anew_by_choice(
    sandbox: Any, context: Any, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add("create", cut=True, after=True)
    with pytest.raises(MagicHourApiError, match=r"next attempt submits again, .* may pay twice") as caught:
        operator(on_unsure_submission="resubmit").execute(context(store))
    assert not isinstance(caught.value, MagicHourUnsureSubmissionError)
    assert "nothing is paid twice" not in str(caught.value)
    assert operator(on_unsure_submission="resubmit").execute(context(store)) == newest(sandbox).id
    assert posts(sandbox) == 2
    assert "paid twice" in caplog.text


@pytest.mark.parametrize("junk", [5, [], {"version": 99}, {"version": 1, "uploads": 5}, "", {}])
def test_record_that_cannot_be_read_is_unsure(sandbox: Any, context: Any, store: Any, junk: Any) -> None:
    store.set(KEY, junk)
    with pytest.raises(MagicHourUnsureSubmissionError, match="cannot be read"):
        operator().execute(context(store))
    assert len(sandbox.requests) == 0


def test_definite_refusal_leaves_no_intent_and_keeps_the_upload(
    sandbox: Any, context: Any, store: Any, photo: Path
) -> None:
    sandbox.faults.add("create", status=402)
    with pytest.raises(MagicHourRejectedError, match="credits"):
        operator(image=str(photo)).execute(context(store))
    assert "intent_at" not in store.record
    operator(image=str(photo)).execute(context(store))
    assert (posts(sandbox), len(sandbox.requests.to("upload"))) == (2, 1)


def test_api_that_is_away_leaves_no_intent(sandbox: Any, context: Any, store: Any, clock: Any) -> None:
    sandbox.stop()
    with pytest.raises(MagicHourApiError, match="network"):
        operator().execute(context(store))
    sandbox.start()
    operator().execute(context(store))
    assert posts(sandbox) == 1


def test_changed_file_under_the_same_name_is_uploaded_and_submitted_anew(
    sandbox: Any, context: Any, store: Any, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = operator(image=str(photo)).execute(context(store))
    photo.write_bytes(photo.read_bytes()[::-1])
    operator(image=str(photo)).execute(context(store))
    assert (posts(sandbox), len(sandbox.requests.to("upload"))) == (2, 2)
    assert old in caplog.text


def test_file_that_shrinks_under_the_upload_is_an_error_of_ours(
    sandbox: Any, context: Any, store: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shrink(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            photo.write_bytes(b"less")

    # What is logged after the file was measured and before it is uploaded.
    log, handler = logging.getLogger("airflow_provider_magichour.submission.budget"), Shrink()
    monkeypatch.setattr(log, "level", logging.INFO)
    log.addHandler(handler)
    try:
        with pytest.raises((MagicHourStorageError, MagicHourApiError), match=r"cat\.jpg"):
            operator(image=str(photo), check_balance=True).execute(context(store))
    finally:
        log.removeHandler(handler)
    assert photo.read_bytes() == b"less"
    assert posts(sandbox) == 0


def test_retry_finds_what_was_paid_for_where_the_image_is_gone(
    sandbox: Any, context: Any, store: Any, photo: Path, logged: Callable[[], str]
) -> None:
    """It may run on another machine, or after a clean-up."""
    paid = operator(image=str(photo)).execute(context(store))
    photo.unlink()
    assert operator(image=str(photo)).execute(context(store, try_number=2)) == paid
    assert posts(sandbox) == 1
    assert "No such file or directory. It was uploaded at" in logged()


def test_project_that_failed_is_submitted_anew_from_the_upload_where_the_image_is_gone(
    sandbox: Any, context: Any, store: Any, photo: Path
) -> None:
    sandbox.faults.add("create", job={"outcome": "error", "render_seconds": 0})
    operator(image=str(photo)).execute(context(store))
    photo.unlink()
    operator(image=str(photo)).execute(context(store, try_number=2))
    assert (posts(sandbox), len(sandbox.requests.to("upload"))) == (2, 1)
    first, second = (request.body["assets"] for request in sandbox.requests.to("create"))
    assert first == second


def test_image_that_is_gone_with_its_upload_is_named(sandbox: Any, context: Any, store: Any, photo: Path) -> None:
    sandbox.faults.add("create", job={"outcome": "error", "render_seconds": 0})
    operator(image=str(photo)).execute(context(store))
    photo.unlink()
    record = store.record
    record["uploads"]["image_file_path"]["uploaded_at"] = "2026-01-01T00:00:00+00:00"
    store.set(KEY, record)
    with pytest.raises(MagicHourStorageError, match=r"cat\.jpg: No such file"):
        operator(image=str(photo)).execute(context(store, try_number=2))
    assert posts(sandbox) == 1


def test_another_image_that_is_not_there_is_not_taken_for_the_one_that_was(
    sandbox: Any, context: Any, store: Any, photo: Path
) -> None:
    operator(image=str(photo)).execute(context(store))
    with pytest.raises(MagicHourStorageError, match=r"dog\.jpg: No such file"):
        operator(image=str(photo.with_name("dog.jpg"))).execute(context(store, try_number=2))
    assert posts(sandbox) == 1


def test_environment_that_lets_nothing_be_sent_leaves_no_intent(
    sandbox: Any, context: Any, store: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.delenv("NO_PROXY")
        patched.setenv("ALL_PROXY", "gopher://nowhere")
        with pytest.raises(MagicHourApiError, match="Unknown scheme for proxy"):
            operator().execute(context(store))
    assert "intent_at" not in store.record
    operator().execute(context(store))
    assert posts(sandbox) == 1


def test_cost_that_was_known_stays_in_xcom_where_the_api_tells_it_no_more(
    sandbox: Any, context: Any, store: Any
) -> None:
    sandbox.faults.add("get", times=None, drop=["credits_charged", "total_frame_cost"])
    run = context(store)
    result = operator(wait_for_completion=True, deferrable=False).execute(run)
    assert result["credits_charged"] is None
    assert run["ti"].xcom["credits_charged"] == 240


def test_timeout_of_a_wait_that_never_saw_the_api_still_says_what_was_known(
    sandbox: Any, context: Any, store: Any, clock: Any
) -> None:
    slow_job(sandbox)
    run = context(store)
    task = operator(**RESUMED)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(run)
    sandbox.faults.add("get", times=None, status=503)
    event = wait_in_triggerer(deferred.value)
    with pytest.raises(MagicHourTimeoutError, match=r"(?s)last status: (queued|rendering).* costs 240 credits"):
        task.resume_execution("execute_complete", {"event": event}, run)


def test_fresh_copy_of_a_file_pays_nothing(sandbox: Any, context: Any, store: Any, photo: Path, tmp_path: Path) -> None:
    operator(image=str(photo)).execute(context(store))
    copy = tmp_path / "elsewhere" / "cat.jpg"
    copy.parent.mkdir()
    copy.write_bytes(photo.read_bytes())
    operator(image=str(copy)).execute(context(store))
    assert posts(sandbox) == 1


def test_url_that_was_signed_anew_pays_nothing(sandbox: Any, context: Any, store: Any) -> None:
    for signature in ("a", "b"):
        operator(image=f"{IMAGE}?X-Amz-Signature={signature}&X-Amz-Credential={signature}").execute(context(store))
    assert posts(sandbox) == 1


def test_cleared_success_submits_anew_with_a_warning(
    sandbox: Any, context: Any, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    old = succeed(operator(wait_for_completion=True), context(store))["project_id"]
    new = operator(wait_for_completion=True).execute(context(store, try_number=2, max_tries=3))["project_id"]
    assert new != old
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [old in warning for warning in warnings].count(True) == 1


def test_project_that_failed_is_submitted_anew_by_the_retry(sandbox: Any, context: Any, store: Any) -> None:
    sandbox.faults.add("create", job={"outcome": "error", "render_seconds": 0})
    with pytest.raises(MagicHourProjectFailedError):
        operator(wait_for_completion=True).execute(context(store))
    operator(wait_for_completion=True).execute(context(store, try_number=2))
    assert posts(sandbox) == 2


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 401}, {"status": 404, "text": "<p>"}, {"cut": True}])
def test_retry_while_the_api_is_in_trouble_submits_nothing(
    sandbox: Any, context: Any, store: Any, fault: dict[str, Any]
) -> None:
    operator().execute(context(store))
    before = store.record
    sandbox.faults.add("get", times=None, **fault)
    with pytest.raises(MagicHourApiError):
        operator().execute(context(store, try_number=2))
    assert posts(sandbox) == 1
    assert store.record == before


def test_waiting_retry_while_the_api_is_in_trouble_goes_on_waiting(
    sandbox: Any, context: Any, store: Any, clock: Any
) -> None:
    operator().execute(context(store))
    sandbox.faults.add("get", times=4, status=500)
    result = operator(wait_for_completion=True, deferrable=False).execute(context(store, try_number=2))
    assert result["status"] == "complete"
    assert posts(sandbox) == 1


def test_store_that_refuses_the_intent_stops_the_submit(sandbox: Any, context: Any, store: Any) -> None:
    store.broken = lambda value: "intent_at" in value and "project_id" not in value
    with pytest.raises(MagicHourError, match="Nothing was sent"):
        operator().execute(context(store))
    assert posts(sandbox) == 0


def test_store_that_refuses_the_id_loses_nothing_that_was_paid(
    sandbox: Any, context: Any, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.broken = lambda value: "project_id" in value
    run = context(store)
    project_id = operator().execute(run)
    assert run["ti"].xcom["project_id"] == project_id
    assert any(project_id in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


def test_store_that_is_down_at_the_end_does_not_fail_a_finished_wait(sandbox: Any, context: Any, store: Any) -> None:
    slow_job(sandbox)
    run = context(store)
    with pytest.raises(TaskDeferred) as deferred:
        operator(**RESUMED).execute(run)
    finish(sandbox, newest(sandbox).id)
    event = wait_in_triggerer(deferred.value)

    def down(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the store is down")

    store.get = store.set = down
    result = operator(**RESUMED).resume_execution("execute_complete", {"event": event}, run)
    assert result["status"] == "complete"


def test_intent_is_renewed_before_each_repeat(sandbox: Any, context: Any, store: Any, clock: Any) -> None:
    sandbox.faults.add("create", status=429, times=2)
    moments: list[str] = []
    original = store.set

    def keep(key: str, value: Any, **options: Any) -> None:
        moments.append(value.get("intent_at", "") if "project_id" not in value else "answered")
        original(key, value, **options)

    store.set = keep
    operator().execute(context(store))
    intents = [moment for moment in moments if moment not in ("", "answered")]
    assert len(intents) == 3
    assert intents == sorted(set(intents))


def test_task_that_is_not_durable_remembers_nothing(sandbox: Any, context: Any, store: Any) -> None:
    for _ in range(2):
        operator(durable=False).execute(context(store))
    assert posts(sandbox) == 2
    assert store.values == {}


def test_airflow_without_a_store_is_warned_about_at_each_submit(
    sandbox: Any, context: Any, logged: Callable[[], str]
) -> None:
    told = []
    for _ in range(2):
        operator().execute(context())
        told.append(logged().count("no task state store"))
    # Airflow 3.0 writes a warning of an operator twice.
    assert told[1] == 2 * told[0] > 0
    assert posts(sandbox) == 2


@pytest.mark.parametrize("deferrable", [False, True])
def test_killed_task_says_that_the_project_goes_on(
    sandbox: Any, context: Any, store: Any, clock: Any, logged: Callable[[], str], deferrable: bool
) -> None:
    slow_job(sandbox)
    task = operator(wait_for_completion=True, deferrable=deferrable, timeout=60)
    task.on_kill()
    assert "Killed" not in logged()
    with pytest.raises((MagicHourTimeoutError, TaskDeferred)):
        task.execute(context(store))
    task.on_kill()
    (line,) = [line for line in logged().splitlines() if "Killed" in line]
    assert "The project keeps running and costs its credits. To pick it up again, retry or clear this task" in line
    assert newest(sandbox).id in line
    assert sandbox.requests.to("delete") == []
