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
from airflow_provider_magichour.plugins.clip_pages.views import Clip, Details

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
REFUSALS = {403: "Your role may not see the XComs and task instances of this DAG.", 404: "There is no such page."}

RUN = "/dags/{dag_id}/runs/{run_id}"
TASK = f"{RUN}/tasks/{{task_id}}"
Index = Annotated[int, Query(ge=-1, le=2**31 - 1)]
Chunk = Annotated[int, Query(ge=0, le=9999)]

templates = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
app = FastAPI(
    openapi_url=None,
    # What Airflow asks of whoever reads an XCom, or a task instance, by its own API.
    dependencies=[
        Depends(requires_access_dag(method="GET", access_entity=entity))
        for entity in (DagAccessEntity.XCOM, DagAccessEntity.TASK_INSTANCE)
    ],
)
app.mount("/static", StaticFiles(directory=HERE / "static"))


def answer(template: str, status: int = 200, **values: Any) -> Response:
    """Render a page, or the part of it that a tab shows; ``base.html`` alone is a note."""
    values |= {"static": f"{prefix()}{MOUNT}/static", "words": views.STATES}
    return HTMLResponse(templates.get_template(template).render(values), status)


@app.get(TASK)
def clip_page(
    dag_id: str, run_id: str, task_id: str, map_index: Index = -1, show: str = "", page: int = 1, part: Part = ""
) -> Response:
    """Show the clip of a task instance, or those of a batch."""
    rows = records.read_run(dag_id, run_id, map_index) or []
    key = (task_id, map_index)
    if key not in [row.key for row in rows]:
        return answer("base.html", 404, text="There is no such task instance, or not yet.", part=part)
    known: dict[str, Any] = {"part": part, "links": Links(part, dag_id, run_id, key)}
    details = records.read_details(dag_id, run_id, [row.key for row in rows if row.is_ours])
    clip = views.clip_at(views.clips_of(rows, details), key)
    if clip is None:
        return answer("base.html", text="No clip here: this task does not use Magic Hour.", **known)
    told = told_of(clip, details)
    known["title"] = views.title_of(clip, told)
    items = items_in([clip], dag_id, run_id, details)
    if items[0].item:
        return tiles(views.Page(items, show, page), told, batch=clip, facts=about.facts(clip, told), **known)
    seen = asking.ask(clip.project, about.conn_id_of(told)) if clip.project else asking.Seen()
    return answer("clip.html", clip=clip, seen=seen, facts=about.facts(clip, told, seen.project), **known)


@app.get(RUN)
def run_page(dag_id: str, run_id: str, show: str = "", page: int = 1, part: Part = "") -> Response:
    """Show the clips of a run."""
    rows = records.read_run(dag_id, run_id)
    if rows is None:
        return answer("base.html", 404, text="There is no such run.", part=part)
    alone = {row.key for row in rows if row.is_batch or (row.is_ours and not row.project and row.map_index < 0)}
    details = records.read_details(dag_id, run_id, alone)
    found = views.Page(items_in(views.clips_of(rows, details), dag_id, run_id, details), show, page)
    keys = {row.key for clip in found.clips for row in clip.tasks} - alone
    details |= records.read_details(dag_id, run_id, keys)
    return tiles(found, details, part=part, links=Links(part, dag_id, run_id))


def told_of(clip: Clip, details: Details) -> Details:
    """Return what is known of the tasks of a clip."""
    return {row.key: details[row.key] for row in clip.tasks if row.key in details}


def items_in(clips: list[Clip], dag_id: str, run_id: str, details: Details) -> list[Clip]:
    """Return clips with the items of batches in their place, where Airflow keeps those."""
    batches = {clip.place.key: clip for clip in clips if clip.place.is_batch}
    chunks = records.read_items(dag_id, run_id, batches)
    items = {key: views.items_of(clip, chunks.get(key, []), details.get(key, {})) for key, clip in batches.items()}
    return [each for clip in clips for each in items.get(clip.place.key) or [clip]]


def tiles(found: views.Page, details: Details, **values: Any) -> Response:
    """Show a page of clips."""
    shown = [
        (clip, views.title_of(clip, told := told_of(clip, details)), {} if clip.item else about.batch_counts(told))
        for clip in found.clips
    ]
    return answer("run.html", found=found, tiles=shown, **values)


@app.get(f"{TASK}/file")
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
    seen = asking.ask(project, about.conn_id_of(details), number)
    return RedirectResponse(seen.url, 302) if seen.url else PlainTextResponse(seen.trouble, 502)


@app.middleware("http")
async def with_headers(request: Request, answered: Callable[[Request], Awaitable[Response]]) -> Response:
    """Say with each answer what a browser may do with it."""
    response = await answered(request)
    response.headers.update(HEADERS)
    if request.scope["path"].partition(MOUNT)[2].startswith("/static/"):
        response.headers["Cache-Control"] = "no-cache"
    return response


@app.exception_handler(AnyHTTPException)
@app.exception_handler(RequestValidationError)
@app.exception_handler(records.UnreadableError)
def refused(request: Request, error: Any) -> Response:
    """Answer without a word of what was asked: FastAPI's own answer quotes it, and a tab is made of answers."""
    part, status = request.query_params.get("part", ""), getattr(error, "status_code", 404)
    if status == 401 and part:
        return answer("base.html", 401, text="Log in to Airflow again.", part=part)
    if status == 401:
        back = f"{prefix()}{MOUNT}{quote(request.scope['path'].partition(MOUNT)[2])}?{request.url.query}"
        return RedirectResponse(f"{prefix()}/api/v2/auth/login?next={quote(back, safe='')}", 303)
    return answer("base.html", status, text=REFUSALS.get(status, getattr(error, "detail", error)), part=part)
