"""Magic Hour's webhook in Airflow's API server: finished videos become asset events.

Every Airflow process loads this plugin, even if no webhook is used: the receiver is imported at the first request.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.compat import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

ASK_AGAIN = 60.0
"""Seconds until unreadable settings are read again: anybody can send requests, and reading may run a command."""


async def webhooks(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve ``POST /webhooks``; without ``[magichour] webhook_secret``, answer 404 to everything."""
    # In a thread: the secret may come from a command or a secrets backend, which may be slow.
    application = await asyncio.to_thread(_serving().application)
    await application(scope, receive, send)


@cache
def _serving() -> _Serving:
    return _Serving()


class _Serving:
    """This process's receiver: built once the settings could be read."""

    def __init__(self) -> None:
        self._one_builds = threading.Lock()
        self._built: ASGIApp | None = None
        self._until = 0.0

    def application(self) -> ASGIApp:
        with self._one_builds:
            if self._built is None or time.monotonic() > self._until:
                try:
                    self._built, self._until = _from_settings(), float("inf")
                except Exception as error:
                    # The error's text may contain a command's output.
                    log.error(
                        "Magic Hour webhooks: [magichour] webhook_secret cannot be read (%s). Deliveries are answered "
                        "with 503, so they are sent again; it is read again every %.0f s.",
                        type(error).__name__,
                        ASK_AGAIN,
                    )
                    self._built, self._until = _unavailable(), time.monotonic() + ASK_AGAIN
            return self._built


def _from_settings() -> ASGIApp:
    from airflow.configuration import conf
    from starlette.applications import Starlette

    # A command's output often ends in a newline.
    secret = conf.get("magichour", "webhook_secret", fallback="").strip()
    if not secret:
        return Starlette()
    from airflow_provider_magichour.plugins.deliveries import DEFAULT_TOLERANCE, MOST_TOLERANCE, bounded_tolerance
    from airflow_provider_magichour.plugins.events import Events
    from airflow_provider_magichour.plugins.receiver import Receiver

    configured = conf.get("magichour", "webhook_tolerance", fallback=str(DEFAULT_TOLERANCE))
    tolerance = bounded_tolerance(configured)
    if tolerance is None:
        log.warning(
            "[magichour] webhook_tolerance = %r: a number of seconds above 0 and up to %.0f is needed. Until that is "
            "corrected and the API server restarted, %.0f s are allowed.",
            configured,
            MOST_TOLERANCE,
            DEFAULT_TOLERANCE,
        )
        tolerance = DEFAULT_TOLERANCE
    return Receiver(secret, tolerance, Events().record).application


def _unavailable() -> ASGIApp:
    from starlette.responses import JSONResponse

    return JSONResponse({"message": "the receiver's settings cannot be read"}, 503)


class MagicHourWebhooksPlugin(AirflowPlugin):
    """Mounts the receiver at ``/magichour`` of the API server: ``POST /magichour/webhooks``.

    Airflow mounts any ASGI application (``airflow.api_fastapi.app``, 3.0 to 3.3), and requires no login there.
    """

    name = "magichour_webhooks"
    fastapi_apps: list[Any] = [{"name": "Magic Hour webhooks", "url_prefix": "/magichour", "app": webhooks}]  # noqa: RUF012
