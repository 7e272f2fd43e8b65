"""Where the pages are, and where their links lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

from airflow_provider_magichour.compat import conf

if TYPE_CHECKING:
    from airflow_provider_magichour.plugins.clip_pages.views import Clip, Key, Row

MOUNT = "/magichour-clips"

Part = Literal["", "tab", "page"]
"""The whole page, or what a tab or an open page has around it already."""


def prefix() -> str:
    """Return the path that Airflow is served below: that of ``[api] base_url``, without a slash at its end."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


def page_of(dag_id: str, run_id: str, task_id: str | None = None, map_index: int = -1) -> str:
    """Return the path of a page, below :data:`MOUNT`; that of a run is Airflow's own below its prefix."""
    run = f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    return run if task_id is None else f"{run}/tasks/{quote(task_id, safe='')}?map_index={map_index}"


class Links:
    """Where the links of a page lead: in a tab to tabs, else to pages.

    :param key: of the task instance whose page it is.
    """

    def __init__(self, part: Part, dag_id: str, run_id: str, key: Key | None = None) -> None:
        self._in_tab, self._ids, self._key = part == "tab", (dag_id, run_id), key
        self._airflow = f"{prefix()}{page_of(*self._ids)}"
        self.run = f"{self._airflow}/plugin/magichour-clips" if self._in_tab else self._own()

    def _own(self, key: Key | None = None) -> str:
        return f"{prefix()}{MOUNT}{page_of(*self._ids, *(key or ()))}"

    def task(self, row: Row) -> str:
        mapped = f"/mapped/{row.map_index}" if row.map_index >= 0 else ""
        return f"{self._airflow}/tasks/{quote(row.task_id, safe='')}{mapped}"

    def clip(self, row: Row) -> str:
        return f"{self.task(row)}/plugin/magichour-clip" if self._in_tab else self._own(row.key)

    def page(self, shown: str, number: int) -> str:
        """Another page of the same, in the tab as well."""
        return f"{self._own(self._key)}{'&' if self._key else '?'}show={shown}&page={number}"

    def file(self, clip: Clip, number: int = 0) -> str:
        item = f"&chunk={clip.item.chunk}&item={quote(clip.item.id, safe='')}" if clip.item else ""
        return f"{self._own(clip.place.key).replace('?', '/file?')}&number={number}{item}"

    def answer(self, row: Row) -> str:
        """Airflow's own address of what a task asks a person, and of the answer (3.1 to 3.3)."""
        dag_id, run_id, task_id = (quote(each, safe="") for each in (*self._ids, row.task_id))
        run = f"{prefix()}/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        return f"{run}/taskInstances/{task_id}/{row.map_index}/hitlDetails"
