"""The triggers that wait for projects in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_magichour.api import endpoints
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.waiting.ending import event_of
from airflow_provider_magichour.waiting.lookout import AsyncLookout
from airflow_provider_magichour.waiting.many import until_some_end
from airflow_provider_magichour.waiting.schedule import EXPECTED_RENDER
from airflow_provider_magichour.waiting.watch import Watch

SETTLING = 8.0
"""Seconds after the start of ``run`` before which no event is sent. Airflow 3.3.2 fails a task whose trigger fires
within about 3 s of its deferral, before the scheduler has read that the task's process ended."""

ARGUMENTS = (
    "project_id",
    "kind",
    "magichour_conn_id",
    "started_at",
    "deadline",
    "poll_interval",
    "status",
    "credits_charged",
    "expected_render",
)


class MagicHourProjectTrigger(BaseTrigger):
    """Wait until a project is finished or the deadline has passed; only reads.

    Airflow stores its arguments in its database as plain JSON: they contain no key and no URL. A triggerer that
    restarts runs it again with the same arguments, so the deadline stays.

    :param project_id: id that the submit returned.
    :param kind: ``video``, ``image`` or ``audio``.
    :param magichour_conn_id: id of the connection.
    :param started_at: when this attempt's wait began, in seconds since the epoch.
    :param deadline: when it ends, in seconds since the epoch.
    :param poll_interval: seconds between polls; None for the default schedule.
    :param status: its status word before the deferral.
    :param credits_charged: what it costs, if that was known then.
    :param expected_render: seconds that such a render usually takes.
    """

    def __init__(
        self,
        project_id: str,
        kind: str,
        magichour_conn_id: str,
        started_at: float,
        deadline: float,
        poll_interval: float | None = None,
        status: str | None = None,
        credits_charged: int | None = None,
        expected_render: float = EXPECTED_RENDER,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.project_id = project_id
        self.kind = kind
        self.magichour_conn_id = magichour_conn_id
        self.started_at = started_at
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.status = status
        self.credits_charged = credits_charged
        self.expected_render = expected_render

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments to build an equal trigger from."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {name: getattr(self, name) for name in ARGUMENTS},
        )

    @classmethod
    def of(cls, watch: Watch, magichour_conn_id: str) -> MagicHourProjectTrigger:
        """Return the trigger that continues a wait."""
        return cls(
            project_id=watch.project_id,
            kind=watch.kind,
            magichour_conn_id=magichour_conn_id,
            started_at=watch.started_at,
            deadline=watch.deadline,
            poll_interval=watch.interval,
            status=watch.status,
            credits_charged=watch.credits_charged,
            expected_render=watch.expected_render,
        )

    def _watch(self) -> Watch:
        return Watch(
            self.project_id,
            started_at=self.started_at,
            deadline=self.deadline,
            interval=self.poll_interval,
            status=self.status,
            credits_charged=self.credits_charged,
            kind=endpoints.checked_kind(self.kind),
            expected_render=self.expected_render,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the wait is over."""
        # One frame for all: thousands wait here.
        loop = asyncio.get_running_loop()
        began = loop.time()
        lookout = AsyncLookout(MagicHourHook(self.magichour_conn_id))
        watch = self._watch()
        delay = watch.first_delay(time.time())
        try:
            while True:
                await asyncio.sleep(delay)
                step = await lookout.look(watch)
                if step.end:
                    break
                watch, delay = step.watch, step.delay
                del step  # it keeps the project in memory, a kilobyte
        finally:
            await lookout.aclose()
        await asyncio.sleep(max(0.0, SETTLING - (loop.time() - began)))
        yield TriggerEvent(event_of(step, time.time()).model_dump(mode="json"))  # type: ignore[no-untyped-call]


class MagicHourBatchTrigger(BaseTrigger):
    """Wait until enough of a batch's projects have ended; only reads.

    It ends once a third of them have, or one has and a minute has passed, or all, but not within 8 s (an Airflow bug,
    see :data:`SETTLING`). Airflow stores its arguments in its database as plain JSON: they contain no key and no URL.

    :param ids: of the projects.
    :param offsets: seconds after ``started_at`` at which the wait for each began.
    :param kind: ``video``, ``image`` or ``audio``.
    :param magichour_conn_id: id of the connection.
    :param started_at: when the first wait began, in seconds since the epoch.
    :param deadline: when all of them end, in seconds since the epoch.
    :param item_timeout: seconds that each may take.
    :param expected_render: seconds that such a render usually takes.
    """

    def __init__(
        self,
        ids: Sequence[str],
        offsets: Sequence[int],
        kind: str,
        magichour_conn_id: str,
        started_at: float,
        deadline: float,
        item_timeout: float,
        expected_render: float = EXPECTED_RENDER,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ids, self.offsets = list(ids), list(offsets)
        self.kind, self.magichour_conn_id = kind, magichour_conn_id
        self.started_at, self.deadline, self.item_timeout = started_at, deadline, item_timeout
        self.expected_render = expected_render

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments to build an equal trigger from."""
        names = (
            "ids", "offsets", "kind", "magichour_conn_id", "started_at", "deadline", "item_timeout", "expected_render",
        )  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    def watches(self) -> list[Watch]:
        """Return the state of each wait."""
        kind = endpoints.checked_kind(self.kind)
        return [
            Watch(
                project_id,
                started_at=(started := self.started_at + offset),
                deadline=min(started + self.item_timeout, self.deadline),
                kind=kind,
                expected_render=self.expected_render,
            )
            for project_id, offset in zip(self.ids, self.offsets, strict=True)
        ]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when enough projects have ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        lookout = AsyncLookout(MagicHourHook(self.magichour_conn_id), tells=False)
        try:
            event = await until_some_end(lookout, self.watches(), SETTLING)
        finally:
            await lookout.aclose()
        await asyncio.sleep(max(0.0, SETTLING - (loop.time() - began)))
        yield TriggerEvent(event.model_dump(mode="json"))  # type: ignore[no-untyped-call]
