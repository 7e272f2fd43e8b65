"""The pages and files: who may ask for them, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_provider_magichour.plugins.clip_pages import asking, records, views
from airflow_provider_magichour.plugins.clip_pages import facts as about
from airflow_provider_magichour.plugins.clip_pages.places import MOUNT, Links, Part, prefix
from airflow_provider_magichour.plugins.clip_pages.views import Clip, Details, Page

HERE = Path(__file__).parent

# The sandbox, on this machine, has no https.
STORES = "https: http://127.0.0.1:* http://localhost:*"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: {STORES}; connect-src 'self'; "
        f"media-src 'self' {STORES}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
}

templates = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)

Index = Annotated[int, Query(ge=-1, le=2**31 - 1)]
Chunk = Annotated[int, Query(ge=0, le=9999)]

# What Airflow asks of whoever reads an XCom, or a task instance, by its own API.
MAY_SEE = [
    Depends(requires_access_dag(method="GET", access_entity=entity))
    for entity in (DagAccessEntity.XCOM, DagAccessEntity.TASK_INSTANCE)
]


def answer(template: str, *, part: str, status: int = 200, **values: Any) -> Response:
    """Render a page, or the part of it that a tab shows."""
    values |= {"part": part, "static": f"{prefix()}{MOUNT}/static", "words": views.STATES}
    return HTMLResponse(templates.get_template(template).render(**values), status)


def note(text: str, *, part: str = "", status: int = 200, **values: Any) -> Response:
    return answer("note.html", part=part, status=status, text=text, **values)


def clip_page(
    dag_id: str, run_id: str, task_id: str, map_index: Index = -1, show: str = "", page: int = 1, part: Part = ""
) -> Response:
    """Show the clip of a task instance, or those of a batch."""
    rows = records.read_run(dag_id, run_id, map_index)
    key = (task_id, map_index)
    links = Links(part, dag_id, run_id, key)
    if rows is None or key not in [row.key for row in rows]:
        return note("There is no such task instance, or not yet.", part=part, status=404)
    ours = [row.key for row in rows if row.is_ours]
    details = records.read_details(dag_id, run_id, ours) if ours else {}
    clip = views.clip_at(views.clips_of(rows, details), key)
    if clip is None:
        return note("No clip here: this task does not use Magic Hour.", part=part, links=links)
    told = {row.key: details[row.key] for row in clip.tasks if row.key in details}
    known: dict[str, Any] = {"title": views.title_of(clip, told), "part": part, "links": links}
    items = items_in([clip], dag_id, run_id, details)
    if items[0].item:
        found = views.page_of_clips(items, show, page)
        return tiles(found, told, total=len(items), batch=clip, facts=about.facts(told), **known)
    seen = asking.look(clip.project, about.conn_id_of(told)) if clip.project else asking.Seen(None)
    facts, counts = about.facts(told, seen.told), about.batch_counts(told)
    return answer("clip.html", clip=clip, seen=seen, facts=facts, counts=counts, **known)


def run_page(dag_id: str, run_id: str, show: str = "", page: int = 1, part: Part = "") -> Response:
    """Show the clips of a run."""
    rows = records.read_run(dag_id, run_id)
    links = Links(part, dag_id, run_id)
    if rows is None:
        return note("There is no such run.", part=part, status=404)
    alone = [row.key for row in rows if row.is_batch or (row.is_ours and not row.project and row.map_index < 0)]
    details = records.read_details(dag_id, run_id, alone) if alone else {}
    clips = items_in(views.clips_of(rows, details), dag_id, run_id, details)
    found = views.page_of_clips(clips, show, page)
    keys = {row.key for clip in found.clips for row in clip.tasks} - set(alone)
    details |= records.read_details(dag_id, run_id, keys) if keys else {}
    return tiles(found, details, total=len(clips), part=part, links=links)


def items_in(clips: list[Clip], dag_id: str, run_id: str, details: Details) -> list[Clip]:
    """Return clips with the items of batches in their place, where Airflow keeps those."""
    batches = [clip.place.key for clip in clips if clip.place.is_batch]
    return views.with_items(clips, records.read_items(dag_id, run_id, batches), details) if batches else clips


def tiles(found: Page, details: Details, **values: Any) -> Response:
    """Show a page of clips."""
    shown = []
    for clip in found.clips:
        told = {row.key: details[row.key] for row in clip.tasks if row.key in details}
        shown.append((clip, views.title_of(clip, told), {} if clip.item else about.batch_counts(told)))
    return answer("run.html", found=found, tiles=shown, **values)


def clip_file(
    dag_id: str, run_id: str, task_id: str, map_index: Index = -1, number: int = 0, chunk: Chunk = 0, item: str = ""
) -> Response:
    """Lead to a result in Magic Hour's store, by a URL that the API has just made."""
    key = (task_id, map_index)
    row = next((row for row in records.read_run(dag_id, run_id, map_index) or [] if row.key == key), None)
    details, project = records.read_details(dag_id, run_id, [key]), row.project if row else None
    if row and item:
        chunks = records.read_items(dag_id, run_id, [key], chunk).get(key, [])
        items = views.items_of(Clip(None, (row,)), chunks, details.get(key, {}))
        project = next((each.project for each in items if each.item and each.item.id == item), None)
    if project is None:
        return PlainTextResponse("This task has no such project.", 404)
    url, trouble = asking.file_url(project, about.conn_id_of(details), number)
    return PlainTextResponse(trouble, 502) if trouble else RedirectResponse(url, 302)


def application() -> FastAPI:
    """Build what is mounted at :data:`MOUNT`."""
    app = FastAPI(title="Magic Hour clips", docs_url=None, redoc_url=None, openapi_url=None)
    run = "/dags/{dag_id}/runs/{run_id}"
    for path, page in (
        (run, run_page),
        (f"{run}/tasks/{{task_id}}", clip_page),
        (f"{run}/tasks/{{task_id}}/file", clip_file),
    ):
        app.get(path, dependencies=MAY_SEE)(page)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.middleware("http")(_with_headers)
    app.exception_handler(AnyHTTPException)(_refused)
    app.exception_handler(RequestValidationError)(_odd)
    app.exception_handler(records.UnreadableError)(_unreadable)
    return app


async def _with_headers(request: Request, answered: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answered(request)
    response.headers.update(HEADERS)
    if request.scope["path"].partition(MOUNT)[2].startswith("/static/"):
        response.headers["Cache-Control"] = "no-cache"
    return response


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    part, path = request.query_params.get("part", ""), request.scope["path"]
    if error.status_code == 401:
        back = f"{prefix()}{MOUNT}{quote(path.partition(MOUNT)[2])}"
        login = f"{prefix()}/api/v2/auth/login?next={quote(f'{back}?{request.url.query}', safe='')}"
        return note("Log in to Airflow again.", part=part, status=401) if part else RedirectResponse(login, 303)
    texts = {403: "Your role may not see the XComs and task instances of this DAG.", 404: "There is no such page."}
    return note(texts.get(error.status_code, str(error.detail)), part=part, status=error.status_code)


def _odd(request: Request, error: Exception) -> Response:
    """Answer without a word of what was asked: FastAPI's own answer quotes it, and a tab is made of answers."""
    return note("There is no such page.", part=request.query_params.get("part", ""), status=404)


def _unreadable(request: Request, error: Exception) -> Response:
    text = f"Airflow's tables could not be read ({error}). Tasks and clips go on; the API server's log says more."
    return note(text, part=request.query_params.get("part", ""))
