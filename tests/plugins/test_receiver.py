"""What the receiver answers, whatever is sent to it: without Airflow, its database, and a network."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.plugins.deliveries import MOST_BYTES, DeliveryRefusedError
from airflow_provider_magichour.plugins.receiver import MOST_HELD, Receiver
from tests.scenes.simulated_time import run_simulated
from tests.scenes.webhooks import SECRET, body, signed

DOCUMENTED = {200, 400, 401, 404, 405, 408, 413, 503}
Message = dict[str, Any]
Answer = tuple[int, dict[bytes, bytes], bytes]


class Records:
    """What the receiver has had recorded."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.error: Exception | None = None

    def record(self, delivered: str, video: Project, since: datetime) -> str:
        if self.error:
            raise self.error
        self.ids.append(video.id)
        return "created an event"


class Sender:
    """Sends a request to a receiver in pieces; `asked` counts how often its body was asked for."""

    def __init__(self, receiver: Receiver, *pieces: bytes, stalls: bool = False, ends: bool = True) -> None:
        self.receiver, self.pieces, self.stalls, self.ends, self.asked = receiver, list(pieces), stalls, ends, 0

    async def _receive(self) -> Message:
        self.asked += 1
        if not self.pieces and self.stalls:
            await asyncio.Event().wait()
        if not self.pieces and not self.ends:
            return {"type": "http.disconnect"}
        piece = self.pieces.pop(0) if self.pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.stalls or not self.ends}

    async def send(
        self,
        headers: dict[str, str] | list[tuple[bytes, bytes]],
        *,
        method: str = "POST",
        path: str = "/webhooks",
        host: str | None = "203.0.113.7",
    ) -> Answer:
        if isinstance(headers, dict):
            headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        answers: list[Message] = []

        async def answer(message: Message) -> None:
            answers.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": f"/magichour{path}",
            "root_path": "/magichour",
            "query_string": b"",
            "scheme": "http",
            "server": ("airflow", 8080),
            "headers": headers,
            "client": None if host is None else (host, 1234),
        }
        await self.receiver.application(scope, self._receive, answer)
        content = b"".join(message.get("body", b"") for message in answers[1:])
        return answers[0]["status"], dict(answers[0]["headers"]), content


@pytest.fixture
def records() -> Records:
    return Records()


def received(records: Records, by: Callable[[Receiver], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await by(Receiver(SECRET, 300, records.record))

    return asyncio.run(run())


def post(
    records: Records, content: bytes, headers: Any = None, **request: Any
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent = signed(content) if headers is None else headers
    answer: Answer = received(records, lambda receiver: Sender(receiver, content).send(sent, **request))
    return answer


def test_a_genuine_delivery_is_recorded(records: Records) -> None:
    status, _, content = post(records, body())
    assert (status, json.loads(content), records.ids) == (200, {"message": "created an event"}, ["clip1"])


@pytest.mark.parametrize("path", ["/webhooks/", "//webhooks", "/", "", "/webhooks/x"])
def test_another_path_is_not_found_and_leads_nowhere(records: Records, path: str) -> None:
    headers = [(b"host", b"evil.example"), *((k.encode(), v.encode()) for k, v in signed(body()).items())]
    status, answered, _ = post(records, body(), headers, path=path)
    assert (status, b"location" in answered) == (404, False)


def test_another_method_is_not_allowed(records: Records) -> None:
    assert post(records, b"", {}, method="GET")[0] == 405


STAMP = "magic-hour-event-timestamp"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # Made when the test begins: a delivery that was signed long ago is refused for that.
        pytest.param(dict, 401, id="unsigned"),
        pytest.param(
            lambda: signed(body()) | {"magic-hour-event-signature": "v1,abc"}, 401, id="no signature of its form"
        ),
        pytest.param(lambda: signed(body()) | {STAMP: "soon"}, 401, id="no time"),
        pytest.param(lambda: signed(body(), at=1_730_742_038), 401, id="too old"),
        pytest.param(lambda: signed(body()) | {"content-length": str(MOST_BYTES + 1)}, 413, id="announced too large"),
        pytest.param(lambda: signed(body()) | {"content-length": "many"}, 400, id="no length"),
    ],
)
def test_the_headers_are_judged_before_a_byte_of_the_body_is_asked_for(
    records: Records, headers: Callable[[], dict[str, str]], status: int
) -> None:
    async def send(receiver: Receiver) -> tuple[int, int]:
        sender = Sender(receiver, stalls=True)
        return (await sender.send(headers()))[0], sender.asked

    assert received(records, send) == (status, 0)


def test_a_body_is_cut_off_where_it_becomes_too_large(records: Records) -> None:
    async def send(receiver: Receiver) -> tuple[int, int]:
        sender = Sender(receiver, *[b"x" * 0x10000] * 100)
        return (await sender.send(signed(b"")))[0], sender.asked

    assert received(records, send) == (413, MOST_BYTES // 0x10000 + 1)


def test_a_body_that_ends_early_is_refused(records: Records) -> None:
    status = received(records, lambda receiver: Sender(receiver, body()[:9], ends=False).send(signed(body())))[0]
    assert (status, records.ids) == (400, [])


def test_a_slow_body_is_given_up(records: Records) -> None:
    async def send() -> int:
        receiver = Receiver(SECRET, 300, records.record)
        return (await Sender(receiver, body()[:9], stalls=True).send(signed(body())))[0]

    assert run_simulated(send()) == 408


def test_slow_senders_hold_a_bounded_memory_and_then_leave_room_again(records: Records) -> None:
    slow = MOST_HELD // MOST_BYTES

    async def send() -> tuple[list[int], list[int]]:
        receiver = Receiver(SECRET, 300, records.record)
        full = b"x" * MOST_BYTES

        async def one() -> int:
            return (await Sender(receiver, full, stalls=True).send(signed(full)))[0]

        async def small() -> int:
            return (await Sender(receiver, body("video.started")).send(signed(body("video.started"))))[0]

        held = [asyncio.create_task(one()) for _ in range(slow)]
        await asyncio.sleep(0)
        while_held = [await small(), await one()]
        return while_held, [*set(await asyncio.gather(*held)), await small()]

    assert run_simulated(send()) == ([503, 503], [408, 200])


def test_deliveries_that_wait_for_the_database_are_answered_in_time() -> None:
    free = threading.Event()

    def record(delivered: str, video: Project, since: datetime) -> str:
        free.wait()
        return "created an event"

    async def send() -> list[int]:
        receiver = Receiver(SECRET, 300, record)
        sent = [asyncio.create_task(Sender(receiver, body()).send(signed(body()))) for _ in range(3)]
        await asyncio.sleep(60)
        free.set()
        return sorted([status for status, _, _ in await asyncio.gather(*sent)])

    assert run_simulated(send()) == [200, 503, 503]


def test_what_cannot_be_recorded_comes_again(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    records.error = RuntimeError("the database is down")
    status, _, content = post(records, body())
    assert (status, json.loads(content)) == (503, {"message": "its event was not made: RuntimeError"})
    assert "the database is down" in caplog.text  # for who runs it, not for the sender
    records.error = DeliveryRefusedError(503, "no DAG uses it at the moment")
    assert post(records, body())[0] == 503


def test_the_log_shows_no_text_of_the_senders(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    post(records, b"", {}, host="fe80::1%\nCRITICAL forged")
    post(records, b"", {}, host="\nCRITICAL forged")
    post(records, b"", {}, host=None)
    post(records, body(project_id="clip\nCRITICAL forged"))
    post(records, body(project_id="x" * 5000))
    lines = [record.getMessage() for record in caplog.records if "Magic Hour" in record.getMessage()]
    assert "fe80::1 (401)" in lines[0]
    assert ["an unknown address (401)" in line for line in lines[1:3]] == [True] * 2
    assert "of project clip%0ACRITICAL%20forged: created" in lines[3]
    assert max(map(len, lines)) < 300
    assert "\n" not in "".join(lines)


TEXTS = st.text() | st.sampled_from(["\ud83d", "\0", "\n", "video.completed", "complete", "9" * 5000])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["id", "status", "name", "type", "created_at", "width", "fps", "credits_charged", "error", "downloads", "download"]
)
PAYLOADS = st.dictionaries(FIELDS, VALUES) | VALUES
DELIVERIES = st.fixed_dictionaries(
    {"type": st.sampled_from(["video.completed", "video.errored", "image.completed"]) | VALUES},
    optional={"payload": PAYLOADS, "object": PAYLOADS},
).map(lambda said: json.dumps(said).encode())


@settings(max_examples=300, deadline=None)
@given(content=DELIVERIES | st.binary(max_size=300), at=st.integers(0, 200), put=st.binary(max_size=4))
@example(content=b"[" * 100_000, at=0, put=b"")
@example(content=b'{"type": "video.completed", "payload": ' + b'{"a": ' * 20_000, at=0, put=b"")
@example(content=body(name="x").replace(b'"x"', rb'"\ud83d"'), at=0, put=b"")
def test_whatever_is_signed_gets_a_documented_answer(content: bytes, at: int, put: bytes) -> None:
    spoiled = content[:at] + put + content[at:]
    status, _, answer = post(Records(), spoiled)
    assert status in {200, 400}
    assert isinstance(json.loads(answer)["message"], str)


HEADER_NAMES = st.sampled_from(
    [b"magic-hour-event-signature", b"magic-hour-event-timestamp", b"content-length", b"host", b"content-type"]
)
HEADER_VALUES = (
    st.binary(max_size=80)
    | st.integers(-(10**20), 10**20).map(lambda number: str(number).encode())
    | st.sampled_from([b"9" * 5000, b"0" * 64, b"nan", b"inf", b"1e9"])
)


@settings(max_examples=300, deadline=None)
@given(
    others=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=4),
    genuine=st.booleans(),
    first=st.booleans(),
    path=st.sampled_from(["/webhooks", "/webhooks/"]) | st.text(max_size=20).map(lambda text: f"/{text}"),
    method=st.sampled_from(["POST", "GET", "HEAD", "OPTIONS", "TRACE", "PUT"]),
    host=st.none() | st.text(max_size=40),
)
def test_whatever_the_head_is_it_gets_a_documented_answer(
    others: list[tuple[bytes, bytes]], genuine: bool, first: bool, path: str, method: str, host: str | None
) -> None:
    records = Records()
    own = [(name.encode(), value.encode()) for name, value in signed(body()).items()] if genuine else []
    headers = own + others if first else others + own
    status, answered, _ = post(records, body(), headers, path=path, method=method, host=host)
    assert status in DOCUMENTED
    assert b"location" not in answered
    assert status == 200 or records.ids == []
    assert genuine or status != 200


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(st.binary(max_size=50), max_size=5), ends=st.booleans())
def test_a_body_in_any_pieces_gets_a_documented_answer(pieces: list[bytes], ends: bool) -> None:
    content = b"".join(pieces)
    sent = received(Records(), lambda receiver: Sender(receiver, *pieces, ends=ends).send(signed(content)))
    assert sent[0] in ({200, 400} if ends else {400})


def test_a_delivery_is_read_once_and_its_time_is_that_of_its_arrival(records: Records) -> None:
    started = time.time()
    assert post(records, body(), signed(body(), at=started - 299))[0] == 200
