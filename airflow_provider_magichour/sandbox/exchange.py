"""Every request passes through here: it is recorded, and its scripted fault happens."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_magichour.sandbox import answers
from airflow_provider_magichour.sandbox.control import PREFIX
from airflow_provider_magichour.sandbox.faults import Fault
from airflow_provider_magichour.sandbox.recording import RecordedRequest, record_of

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.stage import Stage
    from airflow_provider_magichour.sandbox.tcp import SandboxConnection


NOTHING = Fault()


PIECE_SECONDS = 0.05


class Gate:
    """The application as a whole.

    :param app: answers requests without a scripted fault.
    :param routes: the routes that have a name in faults and records.
    :param stage: whose faults and records they are.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], stage: Stage) -> None:
        self._app = app
        self._routes = routes
        self._stage = stage
        self._rate = _Rate()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        connection: SandboxConnection = scope["state"]["connection"]
        route = self._route_name(scope)
        raw = b"" if route == "upload" else await _whole_body(receive)
        record = record_of(
            scope,
            route=route,
            raw=raw,
            api_key=self._stage.settings.api_key,
            connection=connection.number,
            reused=connection.answered > 0,
        )
        self._stage.requests.add(record)
        fault = self._stage.faults.take(record) or self._too_many(scope) or NOTHING
        scope["record"], scope["fault"] = record, fault
        exchange = Exchange(fault, record, connection, receive if route == "upload" else _again(raw, receive), send)
        await exchange.run(self._app, scope)

    def _route_name(self, scope: Scope) -> str | None:
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return str(getattr(route, "name", ""))
        return None

    def _too_many(self, scope: Scope) -> Fault | None:
        settings = self._stage.settings
        limit = settings.requests_per_second
        if limit is None or not scope["path"].startswith("/v1/") or self._rate.allows(limit):
            return None
        headers = {} if settings.retry_after is None else {"Retry-After": str(settings.retry_after)}
        return Fault(status=429, headers=headers)


class _Rate:
    """A token bucket that fills evenly and holds one second's worth."""

    def __init__(self) -> None:
        self._left = 1.0
        self._since = 0.0

    def allows(self, per_second: float) -> bool:
        now = time.monotonic()
        self._left = min(max(1.0, per_second), self._left + (now - self._since) * per_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Exchange:
    """One request and its answer, with the fault that was scripted for it."""

    def __init__(
        self,
        fault: Fault,
        record: RecordedRequest,
        connection: SandboxConnection,
        receive: Receive,
        send: Send,
    ) -> None:
        self._fault = fault
        self._record = record
        self._connection = connection
        self._receive = receive
        self._send = send
        self._room: int | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Answer, as scripted."""
        fault = self._fault
        if fault.delay:
            await self._connection.wait_gone(fault.delay)
        if not fault.replaces_answer:
            await self._real_answer(app, scope)
            return
        if fault.after:
            await app(scope, self._receive, _ignored)
        await self._scripted_answer(scope)

    async def _real_answer(self, app: ASGIApp, scope: Scope) -> None:
        if self._fault.edits_answer:
            await self._edited_answer(app, scope)
        elif self._record.route == "upload":
            await app(scope, self._slow_receive, self._send_noted)
        else:
            await app(scope, self._receive, self._faulty_send)

    async def _scripted_answer(self, scope: Scope) -> None:
        fault = self._fault
        if fault.hang:
            await self._connection.wait_gone(None)
        elif fault.cut:
            await self._connection.cut(reset=fault.reset)
        elif fault.expired is not None:
            await answers.expired(fault.expired)(scope, self._receive, self._faulty_send)
        elif fault.status is not None:
            answer = answers.scripted(fault.status, fault.json, fault.text, fault.headers)
            await answer(scope, self._receive, self._faulty_send)

    async def _edited_answer(self, app: ASGIApp, scope: Scope) -> None:
        """Do the real work, then drop and replace fields of its JSON."""
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await app(scope, self._receive, keep)
        body = json.loads(b"".join(message.get("body", b"") for message in kept) or b"{}")
        body = {name: value for name, value in body.items() if name not in self._fault.drop}
        answer = answers.scripted(kept[0]["status"], body | dict(self._fault.patch or {}), None, {})
        await answer(scope, self._receive, self._faulty_send)

    async def _send_noted(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._connection.is_gone:
            self._record.status = message["status"]
            self._connection.answered += 1
        await self._send(message)

    async def _faulty_send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._room = self._cut_at(message)
        if message["type"] == "http.response.start" or not self._fault.spoils_body:
            await self._send_noted(message)
            return
        body = message.get("body", b"")
        last = not message.get("more_body", False)
        for piece in self._pieces(body):
            await self._send_piece(piece)
        if last and not self._connection.is_gone:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_piece(self, piece: bytes) -> None:
        if self._connection.is_gone:
            return
        if self._room is not None and len(piece) >= self._room:
            await self._send({"type": "http.response.body", "body": piece[: self._room], "more_body": True})
            await self._connection.cut(reset=self._fault.reset)
            return
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        if self._room is not None:
            self._room -= len(piece)
        if self._fault.bytes_per_second:
            await self._connection.wait_gone(len(piece) / self._fault.bytes_per_second)

    def _pieces(self, body: bytes) -> list[bytes]:
        pace = self._fault.bytes_per_second
        size = max(1, int(pace * PIECE_SECONDS)) if pace else max(1, len(body))
        return [body[start : start + size] for start in range(0, len(body), size)]

    def _cut_at(self, start: Message) -> int | None:
        if self._fault.half_body:
            lengths = [int(value) for name, value in start["headers"] if name == b"content-length"]
            return lengths[0] // 2 if lengths else 0
        return self._fault.cut_at

    async def _slow_receive(self) -> Message:
        """Receive an upload at the scripted pace and up to the scripted byte."""
        message = await self._receive()
        size = len(message.get("body", b""))
        if self._fault.bytes_per_second:
            await self._connection.wait_gone(size / self._fault.bytes_per_second)
        cut_at = self._fault.cut_at
        if cut_at is not None and self._record.body_bytes + size >= cut_at:
            await self._connection.cut(reset=self._fault.reset)
            return {"type": "http.disconnect"}
        return message


async def _ignored(message: Message) -> None:
    pass


async def _whole_body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def _again(raw: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that repeats a body that was read already, then continues with the original."""
    bodies: list[Any] = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive_again() -> Message:
        return bodies.pop() if bodies else await receive()

    return receive_again
