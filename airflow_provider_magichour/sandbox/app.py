"""The routes of the API and of its storage, as one Starlette application."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_magichour.api import tool_rows
from airflow_provider_magichour.api.tools import KINDS, Kind, Tool
from airflow_provider_magichour.sandbox import account, answers, control, detection
from airflow_provider_magichour.sandbox.answers import Refused, StoreRefused
from airflow_provider_magichour.sandbox.asking import Endpoint, authorize, json_object
from airflow_provider_magichour.sandbox.exchange import Gate
from airflow_provider_magichour.sandbox.jobs import Job, timestamp
from airflow_provider_magichour.sandbox.orders import Order, read_order, read_upload_items

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.stage import Stage

FRAME_COSTS = {"video": "estimated_frame_cost", "image": "frame_cost"}
"""By kind, the deprecated name of the price in the answer to a create request, which the vendor's SDK requires."""


def build_app(stage: Stage) -> Gate:
    """Build the application of one stage, all its faults and records included."""
    routes = [*_api_routes(stage), *_store_routes(stage)]
    app = Starlette(
        routes=[*routes, *control.routes(stage)],
        exception_handlers={
            Refused: _refused(stage),
            StoreRefused: _store_refused,
            HTTPException: _unknown_route(stage),
        },
    )
    return Gate(app, routes, stage)


def _api_routes(stage: Stage) -> list[BaseRoute]:
    api = Api(stage)
    routes: list[BaseRoute] = [
        Route("/v1/files/upload-urls", api.upload_urls, methods=["POST"], name="upload-urls"),
    ]
    for tool in tool_rows.TOOLS.values():
        routes.append(Route(tool.path, api.create(tool), methods=["POST"], name="create"))
    for kind in KINDS:
        path = f"/v1/{kind}-projects/{{id}}"
        routes.append(Route(path, api.project(kind), methods=["GET"], name="get"))
        routes.append(Route(path, api.deletion(kind), methods=["DELETE"], name="delete"))
    return [*routes, *account.routes(stage), *detection.routes(stage)]


def _store_routes(stage: Stage) -> list[BaseRoute]:
    store = Store(stage)
    return [
        Route("/api-assets/{id}/{name}", store.upload, methods=["PUT"], name="upload"),
        Route("/downloads/{id}/{number:int}/{name}", store.download, methods=["GET"], name="download"),
    ]


class Api:
    """Endpoints below ``/v1``: each requires the API key."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def upload_urls(self, request: Request) -> Response:
        """Hand out a signed URL for each file to upload."""
        authorize(request, self._stage.settings.api_key)
        expires = time.time() + self._stage.settings.upload_lifetime
        items = []
        for kind, extension in read_upload_items(await json_object(request)):
            path = self._stage.uploads.hand_out(kind, extension)
            url = f"{request.base_url}{path}?{self._stage.signer.query('PUT', f'/{path}', expires)}"
            items.append({"upload_url": url, "expires_at": timestamp(expires), "file_path": path})
        return JSONResponse({"items": items})

    def create(self, tool: Tool) -> Endpoint:
        """Return the endpoint that creates and charges a job of this tool."""

        async def make(request: Request) -> Response:
            authorize(request, self._stage.settings.api_key)
            order = read_order(tool, await json_object(request))
            job = self._opened(request, order)
            request.scope["record"].job = job.id
            answer = {"id": job.id, "credits_charged": job.price}
            if tool.kind in FRAME_COSTS:
                answer[FRAME_COSTS[tool.kind]] = job.price
            return JSONResponse(answer)

        return make

    def project(self, kind: Kind) -> Endpoint:
        """Return the endpoint that shows a project of this kind."""

        async def show(request: Request) -> Response:
            authorize(request, self._stage.settings.api_key)
            job = self._stage.jobs.find(request.path_params["id"], kind)
            if not job.enabled and self._stage.settings.deleted == "missing":
                raise Refused(404)
            downloads = self._downloads(request, job)
            return JSONResponse(job.body(downloads, deprecated=self._stage.settings.deprecated_fields))

        return show

    def deletion(self, kind: Kind) -> Endpoint:
        """Return the endpoint that deletes a project of this kind."""

        async def delete(request: Request) -> Response:
            authorize(request, self._stage.settings.api_key)
            job = self._stage.jobs.find(request.path_params["id"], kind)
            if not job.enabled:
                raise Refused(404)
            job.enabled = False
            return Response(status_code=204)

        return delete

    def _opened(self, request: Request, order: Order) -> Job:
        settings = self._stage.settings
        script = request.scope["fault"].job
        default_name = f"{order.tool.title.replace('-', ' ')} - {datetime.now(UTC):%Y-%m-%d %H:%M}"
        job = Job(
            name=order.request.name if order.request.name is not None else default_name,
            price=order.credits,
            kind=order.tool.kind,
            type=order.tool.type,
            outputs=order.outputs,
            render_seconds=settings.render_seconds,
            start_seconds=order.start,
            end_seconds=order.start + order.seconds,
            **({"script": script} if script else {}),
        )
        self._stage.jobs.open(job)
        if job.script.outcome == "complete":
            studio = self._stage.studio
            self._stage.jobs.render(job, studio.make(order) if settings.render else studio.sample(job.kind))
        return job

    def _downloads(self, request: Request, job: Job) -> list[dict[str, str]]:
        if not job.is_downloadable or not job.results:
            return []
        expires = time.time() + self._stage.settings.download_lifetime
        downloads = []
        for number in range(job.outputs):
            path = f"downloads/{job.id}/{number}/{job.output(number).name}"
            url = f"{request.base_url}{path}?{self._stage.signer.query('GET', f'/{path}', expires)}"
            downloads.append({"url": url, "expires_at": timestamp(expires)})
        return downloads


class Store:
    """The storage behind signed URLs: no API key is needed there, and one is refused."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def upload(self, request: Request) -> Response:
        """Write an upload to its file, piece by piece; an interrupted one leaves nothing."""
        expired = StoreRefused(403, "AccessDenied", "Request has expired")
        self._check(request, "PUT", expired)
        target = self._stage.uploads.target(request.url.path[1:])
        partial = target.with_suffix(".part")
        try:
            etag = await self._receive(request, partial)
        except ClientDisconnect:
            partial.unlink(missing_ok=True)
            return Response(status_code=400)
        partial.replace(target)
        return Response(headers={"etag": f'"{etag}"'})

    async def download(self, request: Request) -> Response:
        """Serve a result, or the requested part of it."""
        status = self._stage.settings.expired_status
        missing = StoreRefused(404, "NoSuchKey", "The specified key does not exist.")
        late = missing if status == 404 else StoreRefused(status, "AccessDenied", "Request has expired")
        self._check(request, "GET", late)
        job = self._stage.jobs[request.path_params["id"]]
        if not job.enabled or not job.results:
            raise missing
        output = job.output(request.path_params["number"])
        return FileResponse(output.file, media_type=output.media_type)

    def _check(self, request: Request, method: str, expired: StoreRefused) -> None:
        if "authorization" in request.headers:
            raise StoreRefused(400, "InvalidArgument", "Only one auth mechanism allowed")
        self._stage.signer.check(method, request.url.path, request.query_params, expired)

    async def _receive(self, request: Request, partial: Path) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        received = 0
        with partial.open("wb") as file:
            async for piece in request.stream():
                file.write(piece)
                digest.update(piece)
                received += len(piece)
                request.scope["record"].body_bytes = received
        return digest.hexdigest()


def _refused(stage: Stage) -> Any:
    async def answer(request: Request, error: Refused) -> Response:
        with_code = stage.settings.error_codes
        return answers.api_error(error.status, error.code, error.message, with_code=with_code)

    return answer


def _unknown_route(stage: Stage) -> Any:
    async def answer(request: Request, error: HTTPException) -> Response:
        code, _ = answers.CODES[404]
        message = f"the sandbox has no such route: {request.method} {request.url.path}"
        return answers.api_error(404, code, message, with_code=stage.settings.error_codes)

    return answer


async def _store_refused(request: Request, error: Any) -> Response:
    return answers.store_error(error.status, error.code, error.message)
