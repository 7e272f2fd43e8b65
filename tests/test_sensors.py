from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.sdk import DAG

from airflow_provider_magichour.compat import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourInvalidRequestError,
    MagicHourProjectRejectedError,
)
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from airflow_provider_magichour.triggers import MagicHourProjectTrigger

HOUR = 3600.0
MODES = ["poke", "reschedule", "deferrable"]
ENDED_BY_AIRFLOW = "wait for Magic Hour project p1: is a triggerer running"

pytestmark = pytest.mark.usefixtures("clock")


def sensor(project_id: Any, mode: str, **arguments: Any) -> MagicHourProjectSensor:
    chosen = {"deferrable": True} if mode == "deferrable" else {"mode": mode, "deferrable": False}
    return MagicHourProjectSensor(task_id="wait", project_id=project_id, **chosen, **arguments)


@pytest.fixture
def run(clock: Any, context: Callable[..., dict[str, Any]]) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Run a sensor to its end as Airflow does: reschedules and deferrals included; return value and XComs."""

    def to_the_end(project_id: Any, mode: str, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        began = datetime.fromtimestamp(clock.time(), UTC)
        xcom: dict[str, Any] = {}
        first = None
        for _ in range(1000):
            task = sensor(project_id, mode, **arguments)
            run = context(start_date=began, first_reschedule=first, xcom=xcom)
            try:
                value = task.execute(run)
            except AirflowRescheduleException as rescheduled:
                first = first or began
                clock.move(max(1.0, rescheduled.reschedule_date.timestamp() - datetime.now(UTC).timestamp()))
                continue
            except TaskDeferred as deferred:
                event = event_of(deferred)
                value = sensor(project_id, mode, **arguments).resume_execution(
                    deferred.method_name, {"event": event}, run
                )
            return json.loads(json.dumps(value)), xcom
        raise AssertionError("it never ends")

    return to_the_end


def event_of(deferred: TaskDeferred) -> dict[str, Any]:
    stored = json.loads(json.dumps(deferred.trigger.serialize()[1]))

    async def events() -> list[Any]:
        return [event async for event in MagicHourProjectTrigger(**stored).run()]

    (event,) = asyncio.run(events())
    return dict(json.loads(json.dumps(event.payload)))


def job_done_after(sandbox: Any, clock: Any, seconds: float, **script: Any) -> str:
    """Make a job; with 0 seconds it is done at the first look."""
    job = str(sandbox.add_job(price=7, script={"render_seconds": HOUR if seconds else 0, **script}).id)
    if seconds:
        clock.at(seconds, lambda: sandbox.jobs.change(job, render_seconds=0))
    return job


# The same value in each mode


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after", [0, 130], ids=["first-look", "later"])
def test_value_and_xcom_keys_are_the_same_in_each_mode(
    sandbox: Any, run: Any, clock: Any, mode: str, after: float
) -> None:
    job = job_done_after(sandbox, clock, after)
    value, xcom = run(job, mode)
    shown = sandbox.jobs[job]
    assert {name: value[name] for name in value if name not in ("download_urls", "expires_at", "created_at")} == {
        "project_id": job,
        "kind": "video",
        "status": "complete",
        "credits_charged": 7,
        "width": shown.result.width,
        "height": shown.result.height,
        "fps": 24.0,
    }
    assert xcom == {"download_urls": value["download_urls"]}
    assert len(value["download_urls"]) == 1
    assert value["expires_at"]
    assert value["created_at"]


@pytest.mark.parametrize("mode", MODES)
def test_side_key_is_not_pushed_without_do_xcom_push(sandbox: Any, run: Any, clock: Any, mode: str) -> None:
    assert run(job_done_after(sandbox, clock, 30), mode, do_xcom_push=False)[1] == {}


@pytest.mark.parametrize("mode", MODES)
def test_image_and_audio_projects_are_waited_for(sandbox: Any, run: Any, mode: str) -> None:
    value, _ = run(sandbox.add_job("image", outputs=3).id, mode, kind="image")
    assert (value["kind"], len(value["download_urls"]), value["width"]) == ("image", 3, None)
    assert run(sandbox.add_job("audio").id, mode, kind="audio")[0]["kind"] == "audio"


def test_finished_project_never_defers(sandbox: Any, context: Any) -> None:
    assert sensor(sandbox.add_job().id, "deferrable").execute(context())["status"] == "complete"


# Failures and skips


SKIPS = [{"soft_fail": True}, {"never_fail": True}]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after", [0, 130], ids=["first-look", "later"])
@pytest.mark.parametrize("script", [{"outcome": "error", "code": "processing_timeout"}, {"outcome": "canceled"}])
def test_failed_project_fails_for_good_in_each_mode(
    sandbox: Any, run: Any, clock: Any, mode: str, after: float, script: Any
) -> None:
    job = job_done_after(sandbox, clock, after, **script)
    with pytest.raises(MagicHourProjectRejectedError, match=f"(?s){job} ended as .*Clear the task that submitted it"):
        run(job, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after", [0, 130], ids=["first-look", "later"])
@pytest.mark.parametrize("skip", SKIPS, ids=str)
def test_failed_project_skips_where_that_was_asked_for(
    sandbox: Any, run: Any, clock: Any, mode: str, after: float, skip: Any
) -> None:
    with pytest.raises(AirflowSkipException):
        run(job_done_after(sandbox, clock, after, outcome="error"), mode, **skip)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("skip", SKIPS, ids=str)
@pytest.mark.parametrize("trouble", ["connection", "project-id", "kind", "unknown-project", "refused-key", "timeout"])
def test_every_other_error_skips_as_well(
    sandbox: Any, run: Any, clock: Any, mode: str, skip: Any, trouble: str
) -> None:
    arguments: dict[str, Any] = dict(skip)
    project_id: Any = job_done_after(sandbox, clock, 2 * HOUR)
    if trouble == "connection":
        arguments["magichour_conn_id"] = "nowhere"
    elif trouble == "project-id":
        project_id = None
    elif trouble == "kind":
        arguments["kind"] = "clip"
    elif trouble == "unknown-project":
        project_id = "nobody"
    elif trouble == "refused-key":
        sandbox.faults.add("get", status=401, times=None)
    elif trouble == "timeout":
        arguments["timeout"] = 60
    with pytest.raises(AirflowSkipException):
        run(project_id, mode, **arguments)


@pytest.mark.parametrize("skip", SKIPS, ids=str)
def test_deferral_that_airflow_ends_skips_as_well(sandbox: Any, context: Any, skip: Any) -> None:
    with pytest.raises(AirflowSkipException, match=ENDED_BY_AIRFLOW):
        sensor("p1", "deferrable", **skip).resume_execution("__fail__", {"error": "Trigger timeout"}, context())


@pytest.mark.parametrize("mode", MODES)
def test_reason_of_a_skip_is_in_its_message(sandbox: Any, run: Any, clock: Any, mode: str) -> None:
    job = job_done_after(sandbox, clock, 130, outcome="error")
    with pytest.raises(AirflowSkipException, match=job):
        run(job, mode, soft_fail=True)


# Timeouts


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("timeout", [120, timedelta(minutes=2)], ids=["seconds", "timedelta"])
def test_timeout_is_airflows_own_with_id_and_cost(sandbox: Any, run: Any, clock: Any, mode: str, timeout: Any) -> None:
    job = job_done_after(sandbox, clock, 2 * HOUR)
    with pytest.raises(AirflowSensorTimeout, match=f"(?s)project {job} was not finished after .* costs 7 credits"):
        run(job, mode, timeout=timeout)
    assert clock.passed < 300


def test_deferral_that_airflow_ends_is_a_sensor_timeout_that_explains_itself(sandbox: Any, context: Any) -> None:
    # Airflow raises the same class, with a text of its own.
    with pytest.raises(AirflowSensorTimeout, match=ENDED_BY_AIRFLOW):
        sensor("p1", "deferrable").resume_execution("__fail__", {"error": "Trigger timeout"}, context())


def test_execution_timeout_ends_the_deferral(sandbox: Any, context: Any, clock: Any) -> None:
    began = datetime.fromtimestamp(clock.time(), UTC)
    task = sensor(job_done_after(sandbox, clock, HOUR), "deferrable", execution_timeout=timedelta(seconds=50))
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context(start_date=began))
    assert deferred.value.trigger.deadline == pytest.approx(began.timestamp() + 50)


# Trouble of the API


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"half_body": True}, {"status": 429, "headers": {"Retry-After": "3"}}]
)
def test_transient_trouble_ends_no_wait(sandbox: Any, run: Any, clock: Any, mode: str, fault: dict[str, Any]) -> None:
    sandbox.faults.add("get", times=5, **fault)
    assert run(job_done_after(sandbox, clock, 130), mode)[0]["status"] == "complete"


@pytest.mark.parametrize("mode", MODES)
def test_unknown_project_fails_after_a_minute(sandbox: Any, run: Any, clock: Any, mode: str) -> None:
    with pytest.raises(MagicHourApiError, match="nobody") as caught:
        run("nobody", mode)
    assert caught.value.status_code == 404
    assert 60 < clock.passed < 200


@pytest.mark.parametrize("mode", MODES)
def test_key_that_stays_refused_ends_the_wait(sandbox: Any, run: Any, clock: Any, mode: str) -> None:
    sandbox.faults.add("get", status=401, times=None)
    with pytest.raises(MagicHourApiError, match="API key"):
        run(job_done_after(sandbox, clock, HOUR), mode)
    assert 120 <= clock.passed < 300


@pytest.mark.parametrize("mode", MODES)
def test_missing_connection_fails_at_once(sandbox: Any, run: Any, clock: Any, mode: str) -> None:
    with pytest.raises(MagicHourApiError, match="nowhere"):
        run("p1", mode, magichour_conn_id="nowhere")
    assert clock.passed == 0


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_no_connection_stays_open(
    sandbox: Any, context: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    opened: list[socket.socket] = []
    connect = socket.create_connection

    def noting(*arguments: Any, **options: Any) -> socket.socket:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(socket, "create_connection", noting)
    task = sensor(job_done_after(sandbox, clock, 130), mode)
    if mode == "poke":
        task.execute(context())
    else:
        with pytest.raises(TaskDeferred):
            task.execute(context())
    assert opened
    assert [each for each in opened if each.fileno() != -1] == []


# Arguments


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("project_id", ["https://x/a", "", " ", None, ["p1", "p2"], {}, {"id": "p1"}, 5])
def test_project_id_that_is_none_fails_before_any_request(sandbox: Any, run: Any, mode: str, project_id: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="project_id="):
        run(project_id, mode)
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("mode", MODES)
def test_unknown_kind_fails_before_any_request(sandbox: Any, run: Any, mode: str) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="kind='clip'"):
        run("p1", mode, kind="clip")
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("mode", MODES)
def test_what_a_waiting_task_returned_is_reduced_to_its_id(sandbox: Any, run: Any, clock: Any, mode: str) -> None:
    job = job_done_after(sandbox, clock, 0)
    waited = {"project_id": job, "download_urls": ["https://videos.example.com/a?Signature=secret"]}
    assert sensor(waited, mode).project_id == job
    assert run(waited, mode)[0]["project_id"] == job


def test_rendered_field_holds_the_id_alone(sandbox: Any, context: Any) -> None:
    with DAG("d", schedule=None, render_template_as_native_obj=True):
        task = sensor("{{ waited }}", "poke")
    task.render_template_fields({**context(), "waited": {"project_id": "p1", "download_urls": ["https://s?Sig=x"]}})
    assert task.project_id == "p1"


@pytest.mark.parametrize("template", ["{{ ti.xcom_pull('wait') }}", "{{ ti.xcom_pull('wait') | tojson }}"])
def test_text_of_what_a_waiting_task_returned_is_enough(sandbox: Any, context: Any, run: Any, template: str) -> None:
    waited, _ = run(sandbox.add_job().id, "poke")
    with DAG("d", schedule=None):
        task = sensor(template, "poke")
    task.render_template_fields({**context(), "ti": TaskWithXCom(wait=waited)})
    assert task.project_id == waited["project_id"]
    assert task.execute(context())["project_id"] == waited["project_id"]


def test_list_of_what_waiting_tasks_returned_is_refused_by_its_ids(sandbox: Any, context: Any, run: Any) -> None:
    waited = [run(sandbox.add_job().id, "poke")[0] for _ in range(2)]
    with DAG("d", schedule=None):
        task = sensor("{{ [ti.xcom_pull('a'), ti.xcom_pull('b')] }}", "poke")
    task.render_template_fields({**context(), "ti": TaskWithXCom(a=waited[0], b=waited[1])})
    assert task.project_id == [each["project_id"] for each in waited]
    with pytest.raises(MagicHourInvalidRequestError, match=f"(?s)project_id=.*{waited[1]['project_id']}.*expand"):
        task.execute(context())


class TaskWithXCom:
    """Of a task instance, what upstream tasks have returned."""

    def __init__(self, **returned: Any) -> None:
        self.xcom_pull = returned.get


def intervals(task: Any, context: Any, clock: Any, sandbox: Any) -> set[float]:
    clock.at(clock.passed + 300, lambda: sandbox.jobs.change(task.project_id, render_seconds=0))
    del clock.sleeps[:]
    task.execute(context())
    return set(clock.sleeps)


def test_default_intervals(sandbox: Any, context: Any, clock: Any) -> None:
    job = job_done_after(sandbox, clock, 0, render_seconds=HOUR)
    assert intervals(sensor(job, "poke"), context, clock, sandbox) == {5}
    assert sensor("p1", "reschedule").poke_interval == 60
    with pytest.raises(TaskDeferred) as deferred:
        sensor(job_done_after(sandbox, clock, HOUR), "deferrable").execute(context())
    assert deferred.value.trigger.poll_interval is None


@pytest.mark.parametrize("interval", [7, timedelta(seconds=7)], ids=["seconds", "timedelta"])
def test_given_interval_is_used(sandbox: Any, context: Any, clock: Any, interval: Any) -> None:
    job = job_done_after(sandbox, clock, 0, render_seconds=HOUR)
    assert intervals(sensor(job, "poke", poke_interval=interval), context, clock, sandbox) == {7}
    job = job_done_after(sandbox, clock, 2 * HOUR)
    with pytest.raises(TaskDeferred) as deferred:
        sensor(job, "deferrable", poke_interval=interval).execute(context())
    assert deferred.value.trigger.poll_interval == 7
    with pytest.raises(AirflowRescheduleException) as rescheduled:
        sensor(job, "reschedule", poke_interval=interval).execute(context())
    wait = rescheduled.value.reschedule_date - datetime.now(UTC)
    assert timedelta(seconds=-60) < wait <= timedelta(seconds=7)


def test_equal_default_that_was_given_counts_as_given(sandbox: Any, context: Any, clock: Any) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        sensor(job_done_after(sandbox, clock, HOUR), "deferrable", poke_interval=5).execute(context())
    assert deferred.value.trigger.poll_interval == 5


# Mapped


def test_all_tasks_can_be_mapped_in_a_dag() -> None:
    with DAG("mapped", schedule=None) as dag:
        submit = MagicHourImageToVideoOperator.partial(
            task_id="submit", end_seconds=5, model="kling-3.0", wait_for_completion=True, deferrable=True
        ).expand(image=["a.jpg", "b.jpg"])
        wait = MagicHourProjectSensor.partial(task_id="wait", deferrable=True, poke_interval=2, timeout=60).expand(
            project_id=submit.output
        )
        MagicHourProjectSensor.partial(task_id="rescheduled", mode="reschedule").expand(project_id=submit.output)
        MagicHourDownloadOperator.partial(task_id="download", destination="clips/").expand(project_id=wait.output)
    assert {task.task_id: task.is_mapped for task in dag.tasks} == dict.fromkeys(
        ["submit", "wait", "rescheduled", "download"], True
    )
    assert dag.get_task("wait").upstream_task_ids == {"submit"}
    assert dag.get_task("download").upstream_task_ids == {"wait"}


def test_mapped_sensor_becomes_a_sensor_with_its_arguments(sandbox: Any, context: Any) -> None:
    job = sandbox.add_job().id
    with DAG("mapped", schedule=None) as dag:
        MagicHourProjectSensor.partial(task_id="wait", mode="reschedule", kind="video").expand(project_id=[job])
    for given in (job, {"project_id": job, "download_urls": ["https://s?Sig=x"]}, "{{ job }}"):
        task = dag.get_task("wait").unmap({"project_id": given})
        task.render_template_fields({**context(), "job": job})
        assert (task.project_id, task.mode, task.poke_interval) == (job, "reschedule", 60)
        assert task.execute(context())["project_id"] == job


def test_templated_sensor_renders_its_fields(sandbox: Any, context: Any) -> None:
    job = sandbox.add_job("image").id
    with DAG("d", schedule=None):
        task = sensor("{{ job }}", "poke", kind="{{ kind }}", magichour_conn_id="magichour_{{ which }}")
    task.render_template_fields({**context(), "job": job, "kind": "image", "which": "default"})
    assert task.execute(context())["kind"] == "image"
