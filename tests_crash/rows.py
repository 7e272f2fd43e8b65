"""The rows of the crash table that can run side by side: what happens, and what must be true then.

Each row is a function of its scene. ``SCENES`` says how the scene is set; the name is the row's number and a word.
"""

from __future__ import annotations

import email.utils
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from tests_crash.scene import OTHERS, PHOTO, URL, WAITING, Scene

CLEARED_TRIES = 2


@dataclass
class Row:
    """How one row is set and played.

    :param play: what happens and what must be true then.
    :param task: arguments of the operator.
    :param sandbox: arguments of the sandbox.
    :param connection: extras of the connection.
    :param in_ci: whether the short run plays it too.
    """

    play: Callable[[Scene], None]
    task: dict[str, Any] = field(default_factory=dict)
    sandbox: dict[str, Any] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    in_ci: bool = False


ROWS: dict[str, Row] = {}


BOTH: Mapping[str, bool] = dict.fromkeys(OTHERS, False)


def row(
    name: str,
    /,
    *,
    in_ci: bool = False,
    others: Mapping[str, bool] = MappingProxyType({}),
    sandbox: dict[str, Any] | None = None,
    **task: Any,
) -> Any:
    """Register a row under a name.

    :param others: the kinds of tools that play it besides image-to-video, and whether the short run plays that.
    """

    def register(play: Callable[[Scene], None]) -> Callable[[Scene], None]:
        connection = task.pop("connection", {})
        ROWS[name] = Row(play, task, sandbox or {}, connection, in_ci)
        for kind, in_ci_too in others.items():
            ROWS[f"{name}_{kind}"] = Row(play, {**OTHERS[kind], **task}, sandbox or {}, connection, in_ci_too)
        return play

    return register


# killed once the answer was recorded


@row("row_1_task_killed_after_answer", in_ci=True, others={"image": True, "audio": False}, **WAITING)
def task_killed(scene: Scene) -> None:
    kill_at_first_look(scene, supervisor=False)


@row("row_2_supervisor_killed_too", **WAITING)
def supervisor_killed(scene: Scene) -> None:
    kill_at_first_look(scene, supervisor=True)


def kill_at_first_look(scene: Scene, *, supervisor: bool) -> None:
    look = scene.sandbox.faults.add("get", hang=True)
    scene.start()
    scene.wait_for(lambda: look.hits, "the first look, which comes after the answer is recorded")
    scene.kill_task(supervisor=supervisor)
    assert scene.ended() == "success"
    assert scene.task_instance().try_number == 2
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    assert scene.xcom()["project_id"] == scene.jobs[0]
    assert scene.xcom()["kind"] == scene.xcom("kind") == scene.sandbox.jobs[scene.jobs[0]].kind


# it is not known whether a project was made


def fail_unsure(scene: Scene) -> None:
    """Play on from where the answer was lost: no retry, and the message names time, name and both ways out."""
    assert scene.ended() == "failed"
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    log = scene.log()
    record = scene.record()
    assert "MagicHourUnsureSubmissionError" in log
    for told in (record["intent_at"], record["name"], "adopt it", "delete that key"):
        assert told in log, told
    assert scene.sandbox.requests.to("create")[0].body["name"] == record["name"]


def delete_and_clear(scene: Scene) -> None:
    scene.delete_record()
    succeed_after_clear(scene)


def resubmit_and_clear(scene: Scene) -> None:
    scene.write_dag(on_unsure_submission="resubmit")
    succeed_after_clear(scene)


def succeed_after_clear(scene: Scene) -> None:
    scene.clear()
    assert scene.ended() == "success"
    assert (scene.posts, len(scene.jobs)) == (2, 2)
    assert scene.xcom("project_id") == scene.jobs[1]


def kill_before_answer(scene: Scene) -> None:
    create = scene.sandbox.faults.add("create", hang=True, after=True)
    scene.start()
    scene.wait_for(lambda: create.hits and scene.jobs, "the project is made")
    scene.kill_task()
    fail_unsure(scene)


@row("row_3_killed_before_answer_then_key_deleted", in_ci=True, others={"image": False, "audio": True})
def killed_then_deleted(scene: Scene) -> None:
    kill_before_answer(scene)
    delete_and_clear(scene)


@row("row_3_killed_before_answer_then_resubmit", in_ci=True, others=BOTH)
def killed_then_resubmit(scene: Scene) -> None:
    kill_before_answer(scene)
    resubmit_and_clear(scene)


LOST: dict[str, dict[str, Any]] = {
    "cut": {"cut": True, "after": True},
    "read_timeout": {"hang": True, "after": True},
    "500": {"status": 500, "after": True},
    "504": {"status": 504, "after": True},
    "half_body": {"half_body": True},
    "no_id": {"drop": ["id"]},
}


def lose_answer(fault: dict[str, Any], way_out: Callable[[Scene], None]) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        scene.sandbox.faults.add("create", **fault)
        scene.start()
        fail_unsure(scene)
        assert scene.task_instance().try_number == 1
        way_out(scene)

    return play


for number, (cause, fault) in enumerate(LOST.items()):
    way_out = resubmit_and_clear if number % 2 else delete_and_clear
    others = {"image": cause == "cut", "audio": cause == "no_id"}
    row(f"row_4_{cause}", in_ci=True, others=others, connection={"request_timeout": 3})(lose_answer(fault, way_out))


@row("row_8_adopted", **WAITING)
def adopted(scene: Scene) -> None:
    scene.sandbox.faults.add("create", cut=True, after=True)
    scene.start()
    fail_unsure(scene)
    scene.adopt(scene.jobs[0])
    scene.clear()
    assert scene.ended() == "success"
    assert scene.posts == 1
    assert scene.xcom()["project_id"] == scene.jobs[0]


@row("row_24_mistyped_id_adopted")
def mistyped(scene: Scene) -> None:
    scene.sandbox.faults.add("create", cut=True, after=True)
    scene.start()
    fail_unsure(scene)
    scene.adopt("cmistyped0id")
    scene.clear()
    assert scene.ended() == "failed"
    assert scene.task_instance().try_number == CLEARED_TRIES, "it failed without a retry"
    assert "cmistyped0id" in scene.log(CLEARED_TRIES)
    assert scene.posts == 1


# repeated in place


def refuse_for_a_while(answer: Callable[[], dict[str, Any]], times: int) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        scene.sandbox.faults.add("create", times=times, **answer())
        scene.start()
        assert scene.ended() == "success"
        succeed_in_place(scene)
        assert scene.posts == times + 1

    return play


def succeed_in_place(scene: Scene) -> None:
    assert scene.task_instance().try_number == 1
    assert len(scene.jobs) == 1
    assert scene.xcom() == scene.jobs[0]


@row("row_5_connection_refused", others=BOTH)
def connection_refused(scene: Scene) -> None:
    scene.sandbox.stop()
    scene.start()
    scene.logged("no connection", count=2)
    scene.sandbox.start()
    assert scene.ended() == "success"
    succeed_in_place(scene)
    assert scene.posts == 1


REFUSALS: dict[str, Callable[[], dict[str, Any]]] = {
    "429_seconds": lambda: {"status": 429, "headers": {"Retry-After": "2"}},
    "429_date": lambda: {
        "status": 429,
        "headers": {"Retry-After": email.utils.formatdate(time.time() + 20, usegmt=True)},
    },
    "502": lambda: {"status": 502},
    "503": lambda: {"status": 503},
}

for cause, answer in REFUSALS.items():
    # Of a gateway it is believed once that nothing was made.
    row(f"row_5_{cause}", others=BOTH)(refuse_for_a_while(answer, times=2 if "429" in cause else 1))


def refuse_for_too_long(answer: dict[str, Any] | None) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        if answer is None:
            scene.sandbox.stop()
        else:
            scene.sandbox.faults.add("create", times=None, **answer)
        scene.start()
        scene.until("up_for_retry", "failed", "success")
        assert scene.task_instance().state == "up_for_retry"
        assert "intent_at" not in (scene.record() or {})
        scene.sandbox.faults.clear()
        scene.sandbox.start()
        assert scene.ended() == "success"
        assert scene.task_instance().try_number == 2
        assert len(scene.jobs) == 1

    return play


TOO_LONG: dict[str, dict[str, Any] | None] = {
    "connection_refused": None,
    "429": {"status": 429, "headers": {"Retry-After": "5"}},
}

for cause, refusal in TOO_LONG.items():
    row(f"row_6_{cause}_too_long", retry_delay=15)(refuse_for_too_long(refusal))


def gateway_that_goes_on_failing(**answer: Any) -> Callable[[Scene], None]:
    """Let a gateway fail for good although each create has made its project."""

    def play(scene: Scene) -> None:
        scene.sandbox.faults.add("create", times=None, after=True, **answer)
        scene.start()
        assert scene.ended() == "failed"
        assert (scene.task_instance().try_number, scene.posts) == (1, 2), "the second such answer is unsure"
        assert "MagicHourUnsureSubmissionError" in scene.log()
        scene.sandbox.faults.clear()
        scene.adopt(scene.jobs[1])
        scene.clear()
        assert scene.ended() == "success"
        assert scene.posts == 2
        assert scene.xcom() == scene.jobs[1]

    return play


for status in (502, 503):
    row(f"row_6_{status}_twice_is_unsure", retries=3)(gateway_that_goes_on_failing(status=status))


# other moments to be killed in


@row("row_7_killed_while_uploading", image=str(PHOTO))
def killed_while_uploading(scene: Scene) -> None:
    upload = scene.sandbox.faults.add("upload", hang=True)
    scene.start()
    scene.wait_for(lambda: upload.hits, "the upload begins")
    scene.kill_task()
    assert scene.ended() == "success"
    assert scene.task_instance().try_number == 2
    assert (scene.posts, len(scene.jobs)) == (1, 1)


def hanging(scene: Scene) -> bool:
    return (scene.folder / f"{scene.name}.hanging").exists()


@row("row_15_killed_before_success_was_recorded", post_execute="hang_in_first_try", **WAITING)
def killed_before_success(scene: Scene) -> None:
    scene.start()
    scene.wait_for(lambda: hanging(scene), "the result is returned")
    scene.kill_task()
    assert scene.ended() == "success"
    assert scene.task_instance().try_number == 2
    assert scene.posts == 1
    assert scene.xcom()["project_id"] == scene.jobs[0]


@row("row_15_killed_before_success_without_retries", post_execute="hang_in_first_try", **{**WAITING, "retries": 0})
def killed_before_success_without_retries(scene: Scene) -> None:
    scene.start()
    scene.wait_for(lambda: hanging(scene), "the result is returned")
    scene.kill_task()
    assert scene.ended() == "failed"
    return_old_after_clear(scene)


def return_old_after_clear(scene: Scene) -> None:
    """Clear a task that failed with its project complete: that is returned, and nothing is paid."""
    assert "returned" not in scene.record()
    scene.clear()
    assert scene.ended() == "success"
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    assert scene.xcom("project_id") == scene.jobs[0]
    note_of_success(scene)


def note_of_success(scene: Scene) -> None:
    """Wait for what is noted right after Airflow has taken the task as succeeded."""
    returned = scene.wait_for(lambda: scene.record().get("returned"), "it is noted that the task has returned")
    assert returned["project_id"] == scene.jobs[-1]


def line_with(log: str, text: str) -> str:
    return next((line for line in log.splitlines() if text in line), "")


# keys and deadlines


@row("row_9_key_replaced", sandbox={"render_seconds": 55.0}, **WAITING)
def key_replaced(scene: Scene) -> None:
    scene.start()
    scene.until("deferred")
    scene.sandbox.api_key = "mhk_replaced"
    scene.logged("HTTP 401")
    revoked = time.monotonic()
    scene.wait_for(lambda: time.monotonic() - revoked > 30, "30 s pass")
    scene.airflow.rest.change_connection(scene.name, password="mhk_replaced")
    assert scene.ended() == "success"
    assert scene.task_instance().try_number == 1
    assert scene.posts == 1


@row("row_10_key_revoked_too_long", retry_delay=5, **WAITING)
def key_revoked(scene: Scene) -> None:
    scene.sandbox.faults.add("create", job={"render_seconds": 150.0})
    scene.start()
    scene.until("deferred")
    scene.sandbox.api_key = "mhk_replaced"
    scene.until("up_for_retry", "failed", "success")
    assert scene.task_instance().state == "up_for_retry"
    scene.airflow.rest.change_connection(scene.name, password="mhk_replaced")
    assert scene.ended() == "success"
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    assert scene.task_instance().try_number == 2


@row("row_11_deadline_passed", sandbox={"render_seconds": 3600.0}, **{**WAITING, "timeout": 12, "retries": 9})
def deadline_passed(scene: Scene) -> None:
    scene.start()
    scene.logged("Reattached to project")
    scene.sandbox.jobs.change(scene.jobs[0], render_seconds=0)
    assert scene.ended() == "success"
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    assert "was not finished after" in scene.log(1)
    assert scene.task_instance().try_number > 1


# cleared


@row("row_13_marked_failed_while_deferred", sandbox={"render_seconds": 20.0}, **WAITING)
def marked_failed(scene: Scene) -> None:
    scene.start()
    scene.until("deferred")
    scene.airflow.rest.set_task_state(scene.name, scene.run_id, "clip", "failed")
    assert scene.ended() == "failed"
    scene.clear()
    assert scene.ended() == "success"
    assert (scene.posts, len(scene.jobs)) == (1, 1)


def clear_a_success(**changes: Any) -> Callable[[Scene], None]:
    """Clear a task that has succeeded and whose project is complete, with other retries if given."""

    def play(scene: Scene) -> None:
        scene.start()
        assert scene.ended() == "success"
        note_of_success(scene)
        if changes:
            change_retries(scene, changes["retries"])
        scene.clear()
        assert scene.ended() == "success"
        assert (scene.posts, len(scene.jobs)) == (2, 2)
        assert scene.xcom()["project_id"] == scene.jobs[1]
        assert "[warning]" in line_with(scene.log(CLEARED_TRIES), scene.jobs[0])

    return play


def change_retries(scene: Scene, retries: int) -> None:
    """Change the DAG's retries and wait until Airflow has parsed the file again."""

    def known() -> bool:
        # A file that is written while it is being parsed would not be parsed again for minutes.
        scene.write_dag(retries=retries)
        return bool(scene.airflow.rest.call("GET", f"/dags/{scene.name}/tasks/clip")["retries"] == retries)

    scene.wait_for(known, "Airflow knows the new retries")


row("row_14_success_cleared", in_ci=True, **WAITING)(clear_a_success())
row("row_14_success_cleared_retries_raised", in_ci=True, **WAITING)(clear_a_success(retries=4))
row("row_14_success_cleared_retries_lowered", in_ci=True, **{**WAITING, "retries": 4})(clear_a_success(retries=1))


@row("row_14_success_cleared_blind_spot", in_ci=True, **WAITING)
def cleared_blind_spot(scene: Scene) -> None:
    """Retries lowered by exactly the tries used look like no clear: the old result, and nothing is paid."""
    scene.start()
    assert scene.ended() == "success"
    change_retries(scene, 0)
    scene.clear()
    assert scene.ended() == "success"
    assert scene.posts == 1
    assert scene.xcom()["project_id"] == scene.jobs[0]


@row("row_14_cleared_while_rendering", in_ci=True, sandbox={"render_seconds": 600.0})
def cleared_while_rendering(scene: Scene) -> None:
    scene.start()
    assert scene.ended() == "success"
    scene.clear()
    assert scene.ended() == "success"
    assert scene.posts == 1
    assert scene.xcom() == scene.jobs[0]


# another project is right


@row("row_16_project_failed", **WAITING)
def project_failed(scene: Scene) -> None:
    scene.sandbox.faults.add("create", job={"outcome": "error"})
    scene.start()
    assert scene.ended() == "success"
    assert (scene.posts, len(scene.jobs)) == (2, 2)
    log = scene.log(2)
    for job in scene.jobs:
        assert "credits" in line_with(log, job), job


SLOW = {**WAITING, "timeout": 3, "retries": 5, "retry_delay": 12}


def between_two_tries(scene: Scene, change: Callable[[Scene], None]) -> None:
    """Let the first try run into its deadline, change something, and let the next one succeed."""
    scene.sandbox.faults.add("create", job={"render_seconds": 15.0})
    scene.start()
    scene.until("up_for_retry")
    change(scene)
    assert scene.ended() == "success"


@row("row_17_prompt_changed", prompt="a dog", **SLOW)
def prompt_changed(scene: Scene) -> None:
    between_two_tries(scene, lambda scene: scene.write_dag(prompt="a cat", timeout=60))
    assert (scene.posts, len(scene.jobs)) == (2, 2)
    assert "The request has changed" in scene.log(2)


def changed_but_the_same(change: Callable[[Scene], None]) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        between_two_tries(scene, change)
        assert (scene.posts, len(scene.jobs)) == (1, 1)

    return play


row("row_17_name_changed", name="one", **SLOW)(
    changed_but_the_same(lambda scene: scene.write_dag(name="another", timeout=60))
)
SIGNED = (
    f"{URL}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKEXAMPLE%%2F20261126%%2Feu-west-1%%2Fs3%%2Faws4_request"
    "&X-Amz-Date=20261126T%sZ&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=%s"
)
row("row_17_url_signed_again", image=SIGNED % ("090000", "a1"), **SLOW)(
    changed_but_the_same(lambda scene: scene.write_dag(image=SIGNED % ("100000", "b2"), timeout=60))
)


@row("row_17_file_touched", image=str(PHOTO), **SLOW)
def file_touched(scene: Scene) -> None:
    """Another file with the same bytes under the same name, as a fresh checkout makes it."""
    copy = scene.folder / "touched.jpg"
    shutil.copyfile(PHOTO, copy)
    scene.write_dag(image=str(copy))

    def touch(scene: Scene) -> None:
        shutil.copyfile(PHOTO, copy)
        scene.write_dag(timeout=60)

    between_two_tries(scene, touch)
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    assert scene.sandbox.requests.counts["upload"] == 1


@row("row_18_frozen_and_replaced", image=str(PHOTO))
def frozen(scene: Scene) -> None:
    upload = scene.sandbox.faults.add("upload", delay=6.0)
    scene.start()
    scene.wait_for(lambda: upload.hits, "the upload, which comes before the intent")
    process = scene.airflow.task_process(scene.name, scene.run_id, "clip")
    both = (process.parent, process.pid)
    for pid in both:
        scene.airflow.kill_process(pid, signal.SIGSTOP)
    assert scene.until("success", "failed", try_number=2).state == "success"
    for pid in both:
        scene.airflow.kill_process(pid, signal.SIGCONT)
    scene.wait_for(
        lambda: process.pid not in {each.pid for each in scene.airflow.processes()}, "the thawed task has ended"
    )
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    assert scene.task_instance().state == "success"


# the store and the API misbehave

REFUSING_STORE = """
os.environ["AIRFLOW__WORKERS__STATE_STORE_BACKEND"] = "tests_crash.refusing_store.RefusingStore"
"""


@row("row_21_store_refuses", prelude=REFUSING_STORE)
def store_refuses(scene: Scene) -> None:
    scene.start()
    assert scene.ended() == "success"
    assert (scene.posts, len(scene.jobs)) == (1, 1)
    assert "[warning]" in line_with(scene.log(), "could not be recorded")
    assert scene.jobs[0] in line_with(scene.log(), "could not be recorded")
    assert scene.xcom("project_id") == scene.jobs[0]


ODD_LOOKS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "html": {"status": 200, "text": "<html>maintenance</html>"},
    "404_html": {"status": 404, "text": "<html>not here</html>"},
    "own_404": {"status": 404, "json": {"code": "not_found", "message": "Not Found"}},
}


def look_oddly(fault: dict[str, Any]) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        def disturb(scene: Scene) -> None:
            scene.write_dag(timeout=60)
            scene.sandbox.faults.add("get", times=3, **fault)

        between_two_tries(scene, disturb)
        assert (scene.posts, len(scene.jobs)) == (1, 1)
        assert scene.task_instance().try_number == 2

    return play


for cause, fault in ODD_LOOKS.items():
    row(f"row_22_{cause}", **{**SLOW, "retry_delay": 4})(look_oddly(fault))


@row("row_23_kept_alive_connection_closed", image=str(PHOTO))
def kept_alive_closed(scene: Scene) -> None:
    scene.sandbox.faults.add("upload", delay=3.0)
    reused = scene.sandbox.faults.add("create", reused=True, cut=True)
    scene.start()
    scene.wait_for(lambda: scene.sandbox.requests.counts["upload"], "the upload")
    scene.sandbox.close_idle_connections()
    assert scene.ended() == "success"
    assert reused.hits == 0, "the create went over a connection that had been used before"
    assert (scene.posts, len(scene.jobs)) == (1, 1)


# it fails after it has returned: it was paid for, and there is no success that a clear could be of


def fail_after_return(**mended: Any) -> Callable[[Scene], None]:
    """Let each try fail once ``execute`` has returned, then mend that and clear the task."""

    def play(scene: Scene) -> None:
        scene.start()
        assert scene.ended() == "failed"
        assert (scene.task_instance().try_number, scene.posts) == (2, 1)
        scene.write_dag(**mended)
        return_old_after_clear(scene)

    return play


ANY_XCOM = 'os.environ["LONGEST_XCOM"] = "0"'
LARGE_XCOM = 'os.environ["LONGEST_XCOM"] = "200"'
SYNC = {"wait_for_completion": True, "deferrable": False, "poll_interval": 1}
MAP_OVER_A_TEXT = """
    @task
    def show(clip):
        print(clip)

    show.expand(clip=clip.output)
"""
REFUSE = """
def refuse(context, result=None):
    raise RuntimeError("not good enough")
"""

row("row_28_xcom_takes_no_large_value", in_ci=True, prelude=LARGE_XCOM, **WAITING)(fail_after_return(prelude=""))
row("row_28_xcom_takes_no_large_value_sync", prelude=LARGE_XCOM, **SYNC)(fail_after_return(prelude=""))
row("row_28_xcom_takes_nothing", prelude=ANY_XCOM)(fail_after_return(prelude=""))
row("row_28_mapped_over_a_text", prelude="from airflow.sdk import task", then=MAP_OVER_A_TEXT)(
    fail_after_return(then="")
)
row("row_28_post_execute_raises", prelude=REFUSE, post_execute="refuse", **WAITING)(
    fail_after_return(post_execute=None)
)


# ended while it backs off


def timed_out_in_pause(**answer: Any) -> Callable[[Scene], None]:
    """Let ``execution_timeout`` end tries in the pause after an answer that says that nothing was made."""

    def play(scene: Scene) -> None:
        scene.sandbox.faults.add("create", **answer)
        scene.start()
        scene.until("up_for_retry", try_number=1)
        assert scene.posts == 1
        assert "intent_at" not in (scene.record() or {})
        assert scene.ended() == "success"
        assert "AirflowTaskTimeout" in scene.log(1)
        assert (scene.posts, len(scene.jobs)) == (2, 1)
        assert scene.xcom() == scene.jobs[0]

    return play


ENDED_EARLY: dict[str, Any] = {
    "prelude": "import datetime",
    "execution_timeout": timedelta(seconds=15),
    # A try that begins before a gateway wants to be asked again waits for that moment, and is ended as well.
    "retries": 6,
    "retry_delay": 8,
}

row("row_27_execution_timeout_in_pause_429", **ENDED_EARLY)(
    timed_out_in_pause(status=429, headers={"Retry-After": "90"})
)
row("row_27_execution_timeout_in_pause_503", **ENDED_EARLY)(timed_out_in_pause(status=503))
