"""What the pages ask Magic Hour: how a project is now, and where its files are; never for long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_magichour.api import endpoints
from airflow_provider_magichour.api.addresses import check_address
from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.plugins.clip_pages import views

log = logging.getLogger(__name__)

PATIENCE = 4.0
"""Seconds that a page waits for the API."""

# The threads of the API server are not held longer than that, whatever hangs: these are.
_pool = ThreadPoolExecutor(8, thread_name_prefix="magichour-clips")

ELEMENTS = {
    **dict.fromkeys(("mp4", "webm", "mov", "m4v"), "video"),
    **dict.fromkeys(("png", "jpg", "jpeg", "webp", "gif", "avif"), "image"),
    **dict.fromkeys(("mp3", "wav", "m4a", "aac", "ogg", "flac"), "audio"),
}


@discreet
@dataclass(frozen=True)
class Seen:
    """What the API says of a project.

    :param project: as the API shows it; its URLs are signed, and none goes into a page.
    :param trouble: why it is not known.
    """

    project: Project | None
    trouble: str = ""

    @property
    def files(self) -> list[str]:
        """How each result is shown, by its extension; "" where that does not tell."""
        there = self.project and self.project.is_complete and not self.project.is_deleted
        outputs = self.project.outputs if self.project and there else ()
        return [ELEMENTS.get(urlsplit(each.url).path.rpartition(".")[2].lower(), "") for each in outputs]

    @property
    def told(self) -> dict[str, Any]:
        """The figures of the project."""
        if self.project is None:
            return {}
        result = {**self.project.result("video"), "end_seconds": self.project.end_seconds}
        return {name: result[name] for name in ("width", "height", "fps", "end_seconds", "credits_charged")}

    @property
    def reason(self) -> str:
        """Why the project failed, in full."""
        if self.project is None or not self.project.is_failed:
            return ""
        if self.project.is_canceled:
            return "Somebody has canceled it in Magic Hour's web app."
        message = self.project.error.message if self.project.error else None
        return ": ".join(filter(None, (self.project.failure_code, message))) or self.project.ending


def look(project: views.Project, conn_id: str) -> Seen:
    """Ask for a project, once."""

    def ask() -> Seen:
        seen, _ = _get(project, conn_id)
        return Seen(seen, "Its result was deleted in Magic Hour" if seen.is_deleted else "")

    return _in_time(ask)


def file_url(project: views.Project, conn_id: str, number: int) -> tuple[str, str]:
    """Return the signed URL of a result, fresh from the API and checked as a download checks it, or else the reason."""
    found: list[str] = []

    def ask() -> Seen:
        seen, base_url = _get(project, conn_id)
        if not seen.is_complete or seen.is_deleted or not 0 <= number < len(seen.outputs):
            return Seen(seen, "There is no such file")
        url = seen.outputs[number].url
        if urlsplit(url).scheme not in ("http", "https"):
            return Seen(seen, "The API named no file that a browser may open")
        check_address(url, before=base_url, base_url=base_url)
        found.append(url)
        return Seen(seen)

    trouble = _in_time(ask).trouble
    return ("", trouble) if trouble or not found else (found[0], "")


def _get(project: views.Project, conn_id: str) -> tuple[Project, str]:
    from airflow_provider_magichour.api.client import MagicHourClient

    settings = MagicHourHook(conn_id).settings()
    # The page gives up first; this ends the thread.
    with MagicHourClient(replace(settings, request_timeout=min(settings.request_timeout, PATIENCE + 1))) as client:
        return client.send(endpoints.get_project(project.id, project.kind)), settings.base_url


def _in_time(ask: Callable[[], Seen]) -> Seen:
    answer = _pool.submit(ask)
    try:
        return answer.result(PATIENCE)
    except TooLateError:
        answer.cancel()
        return Seen(None, f"Magic Hour did not answer within {PATIENCE:g} s")
    except Exception as error:
        if getattr(error, "status_code", None) == 404:
            return Seen(None, "Magic Hour does not know this project, or no longer")
        # Its text names hosts and connections, which are not for everyone who may see an XCom.
        log.warning("Magic Hour's clips: project not read (%s): %s", type(error).__name__, error)
        return Seen(None, "Magic Hour could not be asked: the API server's log says why")
