"""Nothing in an answer, and no fault of ours, raises out of a look: it is trouble, and is looked at again."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.waiting.lookout import AsyncLookout, Lookout
from airflow_provider_magichour.waiting.watch import Step, Watch
from tests.scenes.fake_server import FakeServer, answer

DONE = {"id": "p1", "status": "complete", "downloads": [{"url": "https://x/1"}]}


def ours(**changes: Any) -> bytes:
    return answer(json.dumps({**DONE, **changes}).encode())


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeServer], None]:
    def connection(api: FakeServer) -> None:
        monkeypatch.setenv(
            "AIRFLOW_CONN_MAGICHOUR_DEFAULT",
            json.dumps({"conn_type": "magichour", "host": api.url, "password": "mhk_secret"}),
        )

    return connection


def watch(clock: Any, project_id: str = "p1") -> Watch:
    return Watch(project_id, started_at=clock.time(), deadline=clock.time() + 3600)


def on_the_worker(*watches: Watch) -> list[Step]:
    lookout = Lookout(MagicHourHook())
    try:
        return [lookout.look(each) for each in watches]
    finally:
        lookout.close()


def in_the_triggerer(*watches: Watch) -> list[Step]:
    async def look() -> list[Step]:
        lookout = AsyncLookout(MagicHourHook())
        try:
            return [await lookout.look(each) for each in watches]
        finally:
            await lookout.aclose()

    return asyncio.run(look())


looks = pytest.mark.parametrize("look", [on_the_worker, in_the_triggerer])


ODD = [
    pytest.param(
        answer(b"", "429 Too Many Requests", Retry_After="Mon, 01 Jan 99999999999999999999 0:0:0 GMT"), id="date"
    ),
    pytest.param(answer(b"", "503 Service Unavailable", Retry_After="9" * 5000, Date="1e999"), id="seconds"),
    pytest.param(answer(b"[" * 100_000), id="deep"),
    pytest.param(answer(b'{"id": "p1", "status": ' + b"9" * 5000 + b"}"), id="huge-number"),
    pytest.param(answer(b"<html>", "403 Forbidden"), id="page-of-a-gateway"),
    pytest.param(answer(b"<html>", "404 Not Found"), id="page-that-finds-nothing"),
    pytest.param(ours(id="p2"), id="another-project"),
    pytest.param(ours(id=1), id="another-number"),
]


@looks
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_is_trouble_and_the_next_look_counts(
    clock: Any, connect: Any, look: Callable[..., list[Step]], odd: bytes
) -> None:
    with FakeServer(odd, ours()) as api:
        connect(api)
        first, second = look(watch(clock), watch(clock))
    assert (first.end, first.error is None) == (None, False)
    assert second.end == "finished"


@looks
@pytest.mark.parametrize("name", [r"\ud83d", "\x01", r"\u0000"])
def test_an_odd_name_does_not_keep_a_wait_from_its_end(clock: Any, connect: Any, look: Any, name: str) -> None:
    with FakeServer(answer(json.dumps({**DONE, "name": "?"}).replace("?", name).encode())) as api:
        connect(api)
        (step,) = look(watch(clock))
    assert step.end == "finished"


@looks
def test_a_fault_of_ours_is_trouble_that_shows_no_secret(
    clock: Any, connect: Any, look: Any, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    faults = [OverflowError("Bearer mhk_secret"), RuntimeError("https://x/?sig=secret")]

    def fails() -> float:
        raise faults.pop(0)

    monkeypatch.setattr(random, "random", fails)  # asked for after an answer that may be asked for again
    unavailable = answer(b"", "503 Service Unavailable")
    with FakeServer(unavailable, unavailable, ours()) as api:
        connect(api)
        first, second, third = look(watch(clock), watch(clock), watch(clock))
    assert [step.end for step in (first, second, third)] == [None, None, "finished"]
    assert "OverflowError in test_lookout.py, line" in str(first.error)
    assert "secret" not in logged()


@looks
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_is_to_end_the_process_does(
    clock: Any, connect: Any, look: Any, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def stops(body: bytes) -> str:
        raise stop

    monkeypatch.setattr(json, "detect_encoding", stops)
    with FakeServer(ours()) as api:
        connect(api)
        with pytest.raises(stop):
            look(watch(clock))


@looks
def test_an_id_that_is_none_is_no_trouble(clock: Any, connect: Any, look: Any) -> None:
    with FakeServer(ours()) as api:
        connect(api)
        with pytest.raises(MagicHourInvalidRequestError):
            look(watch(clock, "https://x/a"))


@looks
def test_a_word_that_nobody_knows_is_warned_of_once(
    clock: Any, connect: Any, look: Any, logged: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    words = ["polishing", "polishing", "queued", "varnishing"]
    with FakeServer(*(ours(status=word, downloads=[]) for word in words)) as api:
        connect(api)
        at = watch(clock)
        warned = []
        for _ in words:
            (step,) = look(at)
            at = step.watch
            assert step.end is None
            warned.append(step.warns)
    assert warned == [True, False, False, False]
    assert logged().count("is polishing after 0 s: a status that this version does not know") >= 1
