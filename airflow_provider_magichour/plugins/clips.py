"""Clips in Airflow's web UI: a tab "Clip" for each task, a tab "Clips" for each run, and their pages.

Every Airflow process loads this plugin: what serves is imported at the first request. Airflow 3.1 or newer; on 3.0 it
does nothing. ``[magichour] clips_tab = False`` turns all of it off.
"""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_magichour.compat import AirflowPlugin, BaseOperatorLink, conf
from airflow_provider_magichour.plugins.clip_pages.places import MOUNT, page_of, prefix

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from airflow_provider_magichour.compat import TaskInstanceKey

log = logging.getLogger(__name__)


async def clips(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the pages, their files and what they are made of."""
    application = await asyncio.to_thread(_application)
    await application(scope, receive, send)


@cache
def _application() -> ASGIApp:
    from starlette.responses import PlainTextResponse

    try:
        from airflow_provider_magichour.plugins.clip_pages.routes import app
    except ImportError as error:
        log.error("Magic Hour's clips cannot be shown: this Airflow lacks %s, which their pages need", error.name)
        return PlainTextResponse("This release of airflow-provider-magichour cannot show clips in this Airflow.", 501)
    return app


class _Beginning(str):
    """Equal to each text that begins with this one, and has it for a part."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.startswith(str(self))

    __contains__ = __eq__


class MagicHourClipLink(BaseOperatorLink):
    """The page outside of the tab, for those whom Airflow shows no tabs of plugins (roles Viewer and User of FAB).

    The API server makes it at each request; it is stored nowhere.
    """

    name = "Clip"
    # Airflow compares the names of classes and modules, of mapped tasks that of the class alone, for a part
    # (serialized_objects and mappedoperator, 3.1 to 3.3). To name the classes would import them into every process.
    operators: ClassVar[list[Any]] = [
        SimpleNamespace(__name__=_Beginning("MagicHour"), __module__=_Beginning(f"{__package__.partition('.')[0]}."))
    ]

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the page of a task instance, with the path that Airflow is served below."""
        page = page_of(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)
        return f"{prefix()}{MOUNT}{page}"


def _tab(name: str, destination: str) -> dict[str, Any]:
    """A React app, as a frame would open a second Airflow for links to tasks."""
    return {
        "name": name,
        "url_route": f"magichour-{name.lower()}",
        "destination": destination,
        # Airflow below 3.3 takes no relative URL.
        "bundle_url": f"{prefix()}{MOUNT}/static/clips.js",
        "icon": f"{prefix()}{MOUNT}/static/clip.svg",
    }


def _is_on() -> bool:
    """Airflow 3.0 has no tabs, and takes no login from a browser for pages of plugins."""
    return hasattr(AirflowPlugin, "react_apps") and conf.getboolean("magichour", "clips_tab", fallback=True)


class MagicHourClipsPlugin(AirflowPlugin):
    """The tabs, the link, and what serves them at ``/magichour-clips`` of the API server.

    Source: Airflow's documentation of plugins, 3.1 to 3.3. Whoever asks must be allowed to see the XComs and the task
    instances of the DAG.
    """

    name = "magichour_clips"
    if _is_on():
        fastapi_apps: list[Any] = [{"name": "Magic Hour clips", "url_prefix": MOUNT, "app": clips}]
        react_apps: list[Any] = [_tab("Clip", "task_instance"), _tab("Clips", "dag_run")]
        operator_extra_links: list[Any] = [MagicHourClipLink()]
