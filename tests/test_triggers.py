from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.triggers import MagicHourProjectTrigger
from tests.scenes.fake_server import FakeServer, answer

HOUR = 3600.0
SETTLED = 8


@pytest.fixture
def trigger(clock: Any) -> Callable[..., MagicHourProjectTrigger]:
    def build(project_id: str, **arguments: Any) -> MagicHourProjectTrigger:
        defaults = {
            "kind": "video",
            "magichour_conn_id": "magichour_default",
            "started_at": clock.time(),
            "deadline": clock.time() + HOUR,
        }
        return MagicHourProjectTrigger(project_id=project_id, **{**defaults, **arguments})

    return build


def event_of(trigger: MagicHourProjectTrigger) -> dict[str, Any]:
    async def events() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    assert json.loads(json.dumps(event.payload)) == event.payload
    assert "http" not in json.dumps(event.payload).replace("HTTP", "").replace("https://magichour.ai/developer", "")
    assert "mhk_" not in json.dumps(event.payload)
    return dict(event.payload)


def slow(sandbox: Any, **script: Any) -> str:
    return str(sandbox.add_job(price=7, script={"render_seconds": HOUR, **script}).id)


def test_stored_arguments_build_an_equal_trigger_from_json(trigger: Any) -> None:
    for arguments in (
        {},
        {"poll_interval": 2.5, "status": "queued", "credits_charged": 7},
        {"kind": "audio", "magichour_conn_id": "other"},
    ):
        first = trigger("p1", **arguments)
        path, stored = first.serialize()
        assert path == "airflow_provider_magichour.triggers.MagicHourProjectTrigger"
        again = MagicHourProjectTrigger(**json.loads(json.dumps(stored)))
        assert again.serialize() == first.serialize()
        assert {name: value for name, value in vars(again).items() if name in stored} == stored


def test_stored_arguments_hold_ids_numbers_and_a_status_alone(trigger: Any) -> None:
    stored = trigger("p1").serialize()[1]
    waiting = {"project_id", "kind", "magichour_conn_id", "started_at", "deadline", "poll_interval"}
    assert set(stored) == waiting | {"status", "credits_charged", "expected_render"}


def test_trigger_that_an_older_release_stored_is_run(sandbox: Any, trigger: Any) -> None:
    """Its row lacks what was added later."""
    stored = trigger(sandbox.add_job().id).serialize()[1]
    del stored["status"], stored["credits_charged"], stored["expected_render"]
    assert event_of(MagicHourProjectTrigger(**stored))["end"] == "finished"


@pytest.mark.parametrize("kind", ["video", "image", "audio"])
def test_complete_project_of_each_kind(sandbox: Any, trigger: Any, kind: str) -> None:
    job = sandbox.add_job(kind, price=7)
    event = event_of(trigger(job.id, kind=kind))
    assert (event["project_id"], event["end"], event["status"]) == (job.id, "finished", "complete")
    assert (event["credits_charged"], event["code"], event["message"]) == (7, None, None)


@pytest.mark.parametrize(("outcome", "code"), [("error", "file_too_large"), ("canceled", "canceled")])
def test_project_that_failed_ends_the_wait_with_its_code(sandbox: Any, trigger: Any, outcome: str, code: str) -> None:
    job = sandbox.add_job(script={"outcome": outcome, "code": code})
    event = event_of(trigger(job.id))
    assert (event["end"], event["status"], event["code"]) == ("finished", outcome, code)


@pytest.mark.parametrize("word", ["draft", "queued", "polishing"])
def test_status_that_is_not_final_or_not_known_is_waited_for(sandbox: Any, trigger: Any, clock: Any, word: str) -> None:
    job = slow(sandbox, word=word)
    clock.at(200, lambda: sandbox.jobs.change(job, render_seconds=0))
    assert event_of(trigger(job))["status"] == "complete"
    assert clock.passed >= 200


def test_complete_without_downloads_is_waited_for(sandbox: Any, trigger: Any, clock: Any) -> None:
    job = str(sandbox.add_job(script={"downloads_delay": HOUR}).id)
    clock.at(200, lambda: sandbox.jobs.change(job, downloads_delay=0))
    assert event_of(trigger(job))["end"] == "finished"
    assert clock.passed >= 200


def test_deadline_ends_the_wait_with_a_last_look_on_it(sandbox: Any, trigger: Any, clock: Any) -> None:
    job = slow(sandbox)
    event = event_of(trigger(job, deadline=clock.time() + 47))
    assert (event["end"], event["status"], event["seconds"]) == ("timeout", "queued", 47)
    assert clock.passed == pytest.approx(47)
    assert event["credits_charged"] == 7


def test_deadline_stays_when_the_triggerer_starts_again(sandbox: Any, trigger: Any, clock: Any) -> None:
    stored = trigger(slow(sandbox), deadline=clock.time() + 100).serialize()[1]
    clock.move(90)
    assert event_of(MagicHourProjectTrigger(**stored))["end"] == "timeout"
    assert clock.passed == pytest.approx(100)


def test_deadline_that_passed_while_no_triggerer_ran_still_gives_a_finished_project(
    sandbox: Any, trigger: Any, clock: Any
) -> None:
    stored = trigger(sandbox.add_job().id, deadline=clock.time() + 100).serialize()[1]
    clock.move(HOUR)
    assert event_of(MagicHourProjectTrigger(**stored))["end"] == "finished"


def test_default_schedule_is_silent_first_then_looks_every_five_seconds(sandbox: Any, trigger: Any, clock: Any) -> None:
    job = slow(sandbox)
    clock.at(60, lambda: sandbox.jobs.change(job, render_seconds=0))
    event_of(trigger(job))
    assert clock.sleeps[0] == pytest.approx(22.2)
    assert set(clock.sleeps[1:-1]) == {5}


def test_given_interval_is_used_from_the_start(sandbox: Any, trigger: Any, clock: Any) -> None:
    job = slow(sandbox)
    clock.at(60, lambda: sandbox.jobs.change(job, render_seconds=0))
    event_of(trigger(job, poll_interval=3))
    assert set(clock.sleeps[:-1]) == {3}


def test_unknown_project_ends_the_wait_after_a_minute(sandbox: Any, trigger: Any, clock: Any) -> None:
    event = event_of(trigger("nobody", poll_interval=5))
    assert (event["end"], event["status_code"]) == ("unreachable", 404)
    assert 60 < clock.passed < 75


def test_gateways_404_page_ends_no_wait(sandbox: Any, trigger: Any, clock: Any) -> None:
    job = slow(sandbox)
    sandbox.faults.add("get", status=404, text="<html>no route</html>", times=None)
    clock.at(300, sandbox.faults.clear)
    clock.at(300, lambda: sandbox.jobs.change(job, render_seconds=0))
    assert event_of(trigger(job))["end"] == "finished"


def test_deleted_project_ends_the_wait(sandbox: Any, trigger: Any) -> None:
    job = sandbox.add_job()
    job.enabled = False
    event = event_of(trigger(job.id))
    assert event["end"] == "unreachable"
    assert "was deleted" in event["message"]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refusal_of_the_same_key_ends_the_wait_after_two_minutes(
    sandbox: Any, trigger: Any, clock: Any, status: int
) -> None:
    sandbox.faults.add("get", status=status, times=None)
    event = event_of(trigger(slow(sandbox), poll_interval=5))
    assert (event["end"], event["status_code"]) == ("unreachable", status)
    assert 120 <= clock.passed < 135


def test_key_that_is_rotated_is_found_by_resolving_the_connection_anew(
    sandbox: Any, trigger: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = slow(sandbox)

    def rotate() -> None:
        sandbox.api_key = "mhk_new"

    def tell_airflow() -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection)
        sandbox.jobs.change(job, render_seconds=0)

    clock.at(100, rotate)
    clock.at(190, tell_airflow)
    assert event_of(trigger(job))["end"] == "finished"
    assert {request.headers["authorization"] for request in sandbox.requests} == {"<right key>", "<wrong key>"}


def test_connection_that_is_away_for_a_while_ends_no_wait(
    sandbox: Any, trigger: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT")
    clock.at(300, lambda: monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection))
    assert event_of(trigger(sandbox.add_job().id))["end"] == "finished"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503, "headers": {"Retry-After": "7"}},
        {"status": 502, "text": "<html>Bad gateway</html>"},
        {"status": 200, "text": "<html>Log in</html>"},
        {"status": 200, "json": {"detail": "no project"}},
        {"half_body": True},
        {"cut": True},
        {"cut": True, "reset": True},
        {"drop": ["status"]},
    ],
    ids=str,
)
def test_transient_trouble_never_ends_a_wait(sandbox: Any, trigger: Any, clock: Any, fault: dict[str, Any]) -> None:
    job = slow(sandbox)
    sandbox.faults.add("get", times=None, **fault)
    clock.at(1800, sandbox.faults.clear)
    clock.at(1800, lambda: sandbox.jobs.change(job, render_seconds=0))
    assert event_of(trigger(job))["end"] == "finished"
    assert clock.passed >= 1800


def test_trouble_until_the_deadline_is_a_timeout_not_an_error(sandbox: Any, trigger: Any, clock: Any) -> None:
    sandbox.faults.add("get", status=500, times=None)
    event = event_of(trigger(slow(sandbox), deadline=clock.time() + 300))
    assert (event["end"], event["status"]) == ("timeout", None)


def test_api_that_does_not_listen_for_a_while_ends_no_wait(sandbox: Any, trigger: Any, clock: Any) -> None:
    job = sandbox.add_job()
    sandbox.stop()
    clock.at(600, sandbox.start)
    assert event_of(trigger(job.id))["end"] == "finished"


@pytest.mark.parametrize(("retry_after", "pause"), [("17", 17), ("86400", 60), ("1", 5), ("junk", 5)])
def test_retry_after_is_kept_within_bounds(
    sandbox: Any, trigger: Any, clock: Any, retry_after: str, pause: float
) -> None:
    sandbox.faults.add("get", status=429, headers={"Retry-After": retry_after})
    event_of(trigger(sandbox.add_job().id))
    assert clock.sleeps[1] == pause


def test_trouble_is_logged_once_while_it_stays_the_same(
    sandbox: Any, trigger: Any, clock: Any, logged: Callable[[], str]
) -> None:
    sandbox.faults.add("get", status=500, times=50)
    event_of(trigger(sandbox.add_job().id))
    assert len([line for line in logged().splitlines() if "Polling continues until the deadline" in line]) in (1, 2)


def test_event_never_leaves_before_airflow_has_settled(sandbox: Any, trigger: Any, clock: Any) -> None:
    event_of(trigger(sandbox.add_job().id, poll_interval=1))
    assert clock.passed == SETTLED


def test_event_is_not_held_back_when_the_wait_was_longer(sandbox: Any, trigger: Any, clock: Any) -> None:
    job = slow(sandbox)
    clock.at(200, lambda: sandbox.jobs.change(job, render_seconds=0))
    event_of(trigger(job, poll_interval=200))
    assert clock.passed == 200


def test_unknown_kind_is_an_error(sandbox: Any, trigger: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="kind='clip'"):
        event_of(trigger("p1", kind="clip"))


def test_cancelled_trigger_ends_at_once_and_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cancelled() -> None:
        asked, closed = asyncio.Event(), asyncio.Event()

        async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            assert await reader.read() == b""
            closed.set()
            writer.close()

        async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            connection = json.dumps({"conn_type": "magichour", "host": url, "password": "mhk_k"})
            monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", connection)
            now = time.time()
            # Long begun: the first look is due at once, without any patched clock.
            trigger = MagicHourProjectTrigger("p1", "video", "magichour_default", now - HOUR, now + HOUR)
            task = asyncio.create_task(anext(trigger.run()))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await closed.wait()

    asyncio.run(asyncio.wait_for(cancelled(), 20))


def test_event_repeats_no_url_that_the_api_has_put_into_its_message(
    trigger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.dumps({"message": "no such file https://videos.example.com/a.mp4?Signature=secret&Expires=5"}).encode()
    with FakeServer(answer(said, "404 Not Found")) as api:
        connection = json.dumps({"conn_type": "magichour", "host": api.url, "password": "mhk_k"})
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", connection)

        async def events() -> list[Any]:
            return [event async for event in trigger("p1").run()]

        (event,) = asyncio.run(events())
    assert "secret" not in json.dumps(event.payload)
