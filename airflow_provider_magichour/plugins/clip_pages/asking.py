"""What the pages ask Magic Hour: how a project is now, and where its files are; never for long."""

from __future__ import annotations

import logging
import mimetypes
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from airflow_provider_magichour.api import endpoints
from airflow_provider_magichour.api.addresses import check_address
from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.tools import KINDS
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.plugins.clip_pages import views

log = logging.getLogger(__name__)

PATIENCE = 4.0
"""Seconds that a page waits for the API."""

# The threads of the API server are not held longer than that, whatever hangs: these are.
_pool = ThreadPoolExecutor(8, thread_name_prefix="magichour-clips")


@discreet
@dataclass(frozen=True)
class Seen:
    """What the API says of a project.

    :param project: as the API shows it; its URLs are signed, and none goes into a page.
    :param trouble: why it, or the file that was asked for, is not known.
    :param url: of that file; signed.
    """

    project: Project | None = None
    trouble: str = ""
    url: str = ""

    @property
    def files(self) -> list[str]:
        """The kind of each result, by its extension; "" where that does not tell."""
        there = self.project and self.project.is_complete and not self.project.is_deleted
        outputs = self.project.outputs if self.project and there else ()
        kinds = ((mimetypes.guess_type(urlsplit(each.url).path)[0] or "").partition("/")[0] for each in outputs)
        return [kind if kind in KINDS else "" for kind in kinds]

    @property
    def reason(self) -> str:
        """Why the project failed, in full."""
        if self.project is None or not self.project.is_failed:
            return ""
        if self.project.is_canceled:
            return "Somebody has canceled it in Magic Hour's web app."
        message = self.project.error.message if self.project.error else None
        return ": ".join(filter(None, (self.project.failure_code, message))) or self.project.ending


def ask(project: views.Project, conn_id: str, number: int | None = None) -> Seen:
    """Ask for a project, once.

    :param number: of the result whose URL is wanted, fresh from the API and checked as a download checks it.
    """
    answer = _pool.submit(_ask, project, conn_id, number)
    try:
        return answer.result(PATIENCE)
    except TooLateError:
        answer.cancel()
        return Seen(trouble=f"Magic Hour did not answer within {PATIENCE:g} s")
    except Exception as error:
        if getattr(error, "status_code", None) == 404:
            return Seen(trouble="Magic Hour does not know this project, or no longer")
        # Its text names hosts and connections, which are not for everyone who may see an XCom.
        log.warning("Magic Hour's clips: project not read (%s): %s", type(error).__name__, error)
        return Seen(trouble="Magic Hour could not be asked: the API server's log says why")


def _ask(project: views.Project, conn_id: str, number: int | None) -> Seen:
    settings = MagicHourHook(conn_id).settings()
    # The page gives up first; this ends the thread.
    with MagicHourClient(replace(settings, request_timeout=min(settings.request_timeout, PATIENCE + 1))) as client:
        seen = client.send(endpoints.get_project(project.id, project.kind))
    if number is None:
        return Seen(seen, "Its result was deleted in Magic Hour" if seen.is_deleted else "")
    if not seen.is_complete or seen.is_deleted or not 0 <= number < len(seen.outputs):
        return Seen(seen, "There is no such file")
    url = seen.outputs[number].url
    if urlsplit(url).scheme not in ("http", "https"):
        return Seen(seen, "The API named no file that a browser may open")
    check_address(url, before=settings.base_url, base_url=settings.base_url)
    return Seen(seen, url=url)
