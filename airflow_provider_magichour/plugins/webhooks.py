"""Webhooks of Magic Hour at Airflow's API server: finished videos become events of assets.

Every Airflow process loads this plugin, also where no webhook is used: what serves is imported at the first request.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.compat import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


async def webhooks(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve ``POST /webhooks``; with no ``[magichour] webhook_secret``, answer 404 to everything."""
    # In a thread: the secret may come from a command or a secrets back end, which take their time.
    application = await asyncio.to_thread(_application)
    await application(scope, receive, send)


@cache
def _application() -> ASGIApp:
    """Read the settings, once in each API server process, and build what serves."""
    from airflow.configuration import conf
    from starlette.applications import Starlette

    # A command's output often ends in a newline.
    secret = conf.get("magichour", "webhook_secret", fallback="").strip()
    if not secret:
        return Starlette()
    from airflow_provider_magichour.plugins.receiver import Receiver

    return Receiver(secret, conf.getfloat("magichour", "webhook_tolerance", fallback=300.0)).application


class MagicHourWebhooksPlugin(AirflowPlugin):
    """Mounts the receiver at ``/magichour`` of the API server: ``POST /magichour/webhooks``.

    Source: Airflow mounts any ASGI application (``airflow.api_fastapi.app``, 3.0 to 3.3), and asks for no login there.
    """

    name = "magichour_webhooks"
    fastapi_apps: list[Any] = [{"name": "Magic Hour webhooks", "url_prefix": "/magichour", "app": webhooks}]  # noqa: RUF012
