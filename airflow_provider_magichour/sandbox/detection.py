"""Face detection: not a project, but a task of its own kind, whose faces are open to anyone who knows their URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_magichour.api.tools import row
from airflow_provider_magichour.sandbox.answers import Refused, StoreRefused
from airflow_provider_magichour.sandbox.asking import authorize, json_object
from airflow_provider_magichour.sandbox.jobs import Job
from airflow_provider_magichour.sandbox.judging import judged

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.stage import Stage

# Bodies are checked against it as against a tool's row; the kind is not used (SDK 0.90.0, face detection).
BODY = row(
    "face-detection image - Face Detection",
    "assets.target_file_path!:image|video confidence_score:number",
    has_name=False,
)


def routes(stage: Stage) -> list[BaseRoute]:
    """Return the endpoints of face detection."""
    detection = Detection(stage)
    return [
        Route(BODY.path, detection.create, methods=["POST"], name="create"),
        Route(f"{BODY.path}/{{id}}", detection.show, methods=["GET"], name="get"),
        # Until there are faces nothing is served there, and uploads never are.
        Route("/api-assets/{id}/0-{number:int}.png", detection.face, methods=["GET"], name="download"),
    ]


class Detection:
    """Endpoints of face detection; it is free, and what it finds does not expire."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def create(self, request: Request) -> Response:
        """Start a detection."""
        settings = self._stage.settings
        authorize(request, settings.api_key)
        asked = judged(BODY, await json_object(request))
        if not 0 <= asked.body.get("confidence_score", 0) <= 1:
            raise Refused(400, "confidence_score: 0 to 1 is needed")
        script = request.scope["fault"].job
        job = Job(
            name=BODY.title,
            price=0,
            kind="faces",
            render_seconds=settings.render_seconds,
            **({"script": script} if script else {}),
        )
        self._stage.jobs.open(job)
        request.scope["record"].job = job.id
        if job.script.outcome == "complete":
            studio = self._stage.studio
            faces = studio.faces(asked.files["assets.target_file_path"]) if settings.render else studio.sample("image")
            self._stage.jobs.render(job, faces)
        return JSONResponse({"id": job.id, "credits_charged": 0})

    async def show(self, request: Request) -> Response:
        """Show what was found; a detection cannot be canceled, so a canceled one is shown as an error."""
        authorize(request, self._stage.settings.api_key)
        job = self._stage.jobs.find(request.path_params["id"], "faces")
        status = "error" if job.is_refunded else job.status
        faces = self._faces(request, job) if job.is_downloadable else []
        return JSONResponse({"id": job.id, "credits_charged": 0, "status": status, "faces": faces})

    async def face(self, request: Request) -> Response:
        """Serve one face."""
        number = request.path_params["number"]
        try:
            job = self._stage.jobs.find(request.path_params["id"], "faces")
        except Refused:
            job = None
        if job is None or not job.is_downloadable or number >= len(job.results):
            raise StoreRefused(404, "NoSuchKey", "The specified key does not exist.")
        return FileResponse(job.output(number).file, media_type=job.output(number).media_type)

    def _faces(self, request: Request, job: Job) -> list[dict[str, Any]]:
        paths = [f"api-assets/{job.id}/0-{number}.png" for number in range(len(job.results))]
        return [{"path": path, "url": f"{request.base_url}{path}"} for path in paths]
