"""Polls a project: on the worker, and in the triggerer."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_magichour.api.client import AsyncMagicHourClient, MagicHourClient
from airflow_provider_magichour.api.endpoints import Call, get_project
from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourError
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.waiting.schedule import LOOK_INTERVAL
from airflow_provider_magichour.waiting.shared import SharedClient
from airflow_provider_magichour.waiting.watch import Step, Watch, next_step

log = logging.getLogger(__name__)


LAST_LOOK = 60.0
"""Seconds after the deadline during which the last poll, which begins on it, may still get its turn and its answer."""


def _project(watch: Watch) -> Call[Project]:
    return get_project(watch.project_id, watch.kind)


class Lookout:
    """Polls a project from the worker, over one connection. Trouble with the API never raises.

    :param hook: calls the API; after a refused key it resolves the Airflow connection again.
    :param ask: what each poll sends.
    """

    def __init__(self, hook: MagicHourHook, ask: Callable[[Watch], Call[Any]] = _project) -> None:
        self._hook = hook
        self._ask = ask
        self._client: MagicHourClient | None = None

    def look(self, watch: Watch) -> Step:
        """Poll once, decide, and log what changed.

        :param watch: what the wait knows so far.
        """
        try:
            client = self._client = self._client or self._hook.client()
        except Exception as error:
            return _decided(watch, _unresolved(self._hook, error), "")
        try:
            seen: Project | MagicHourApiError = client.send(self._ask(watch))
        except MagicHourApiError as error:
            seen = error
            if error.status_code == 401:
                self._hook.forget_settings()
                self.close()
        except MagicHourError:
            raise  # an invalid id or kind
        except Exception as error:
            seen = _unexpected(error)
            self.close()
        return _decided(watch, seen, client.settings.key_digest)

    def wait(self, watch: Watch) -> Step:
        """Poll until the project is finished or the wait is over. Holds the worker.

        :param watch: what the wait knows so far.
        """
        time.sleep(watch.first_delay(time.time()))
        step = self.look(watch)
        while step.end is None:
            time.sleep(step.delay)
            step = self.look(step.watch)
        return step

    def outlast_refusal(self, step: Step) -> Step:
        """Keep polling while the API refuses the key, for at most two minutes. Holds the worker.

        :param step: of the previous poll.
        """
        while step.end is None and step.watch.refused_since is not None:
            time.sleep(step.delay)
            step = self.look(step.watch)
        return step

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class AsyncLookout:
    """Polls projects from an event loop; all that wait there on one connection share its client and rate.

    :param hook: resolves the Airflow connection.
    :param resolve: does so instead of the hook.
    :param tells: whether it logs what changes; for many projects at a time the caller does so in one line.
    """

    def __init__(
        self,
        hook: MagicHourHook,
        *,
        resolve: Callable[[], Awaitable[ClientSettings]] | None = None,
        tells: bool = True,
    ) -> None:
        self._hook = hook
        self._resolve = resolve or hook.async_settings
        self._tells = tells
        self._shared = SharedClient.join(hook.magichour_conn_id)
        self._behind = 0.0
        self._unfinished_at: dict[str, float] = {}

    async def look(self, watch: Watch) -> Step:
        """Poll once, decide, and log what changed; see :meth:`Lookout.look`."""
        try:
            async with asyncio.timeout(max(0.0, watch.deadline - time.time()) + LAST_LOOK):
                seen, key = await self._seen(watch)
        except TimeoutError:
            seen, key = MagicHourApiError("The last poll was not sent, or not answered, before the deadline"), ""
        watch = replace(watch, seconds_behind=max(watch.seconds_behind, self._behind))
        return _decided(watch, seen, key, self._learned(watch, seen), tell=self._tell)

    def _tell(self, level: int, text: str, *values: object) -> None:
        if self._tells:
            self._shared.lines.tell(log, level, text, *values)

    async def _seen(self, watch: Watch) -> tuple[Project | MagicHourApiError, str]:
        """Return the project, or why it could not be read, and the digest of the key that was used."""
        try:
            client = await self._shared.current(self._resolve)
        except Exception as error:
            return _unresolved(self._hook, error), ""
        self._tell_queue(client)
        key = client.settings.key_digest
        try:
            return await client.send(_project(watch)), key
        except MagicHourApiError as error:
            if error.status_code == 401:
                self._shared.doubt()
            return error, key
        except MagicHourError:
            raise  # an invalid id or kind
        except Exception as error:
            return _unexpected(error), key

    def _learned(self, watch: Watch, seen: Project | MagicHourApiError) -> Sequence[float]:
        """Return the last render times of this kind, and add this one if it is seen finished."""
        unfinished_at = self._unfinished_at.pop(watch.project_id, None)
        if isinstance(seen, MagicHourApiError):
            return ()
        if not seen.is_finished:
            self._unfinished_at[watch.project_id] = time.time()
        elif seen.is_complete and unfinished_at is not None:
            self._shared.renders.add(seen, (unfinished_at + time.time()) / 2 - watch.started_at)
        return self._shared.renders.of(seen)

    def _tell_queue(self, client: AsyncMagicHourClient) -> None:
        behind = self._behind = client.gate.seconds_behind
        if behind > LOOK_INTERVAL and self._shared.may_tell_queue():
            self._shared.lines.tell(
                log,
                logging.WARNING,
                "More polls are due than the %g requests per second of connection %r allow: each is about %.0f s "
                "late. Raise requests_per_second in the connection's extra if Magic Hour allows more",
                client.settings.requests_per_second,
                self._hook.magichour_conn_id,
                behind,
            )

    async def aclose(self) -> None:
        """Leave the shared client."""
        await self._shared.leave()


def _decided(
    watch: Watch,
    seen: Project | MagicHourApiError,
    key: str,
    renders: Sequence[float] = (),
    tell: Callable[[int, str, object], None] = log.log,
) -> Step:
    step = next_step(watch, seen, time.time(), key=key, renders=renders)
    if step.note:
        tell(logging.WARNING if step.error or step.warns else logging.INFO, "%s", step.note)
    return step


def _unexpected(error: Exception) -> MagicHourApiError:
    """Return the error of a poll that met a bug of ours: none of those may end a wait.

    The error's text is not shown, as it may contain secrets; the place is enough for a bug report.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}, line {place.lineno}"
    return MagicHourApiError(f"A poll failed unexpectedly ({type(error).__name__} in {where})")


def _unresolved(hook: MagicHourHook, error: Exception) -> MagicHourApiError:
    """Return the error of a poll whose connection cannot be resolved: it may come back, so this ends no wait."""
    return MagicHourApiError(f"Connection {hook.magichour_conn_id!r} could not be resolved: {error}")
