"""Routes with which another process scripts a sandbox: ``/_sandbox/...``, without key, from this machine only."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_magichour.sandbox.faults import JobScript
from airflow_provider_magichour.sandbox.jobs import Job, timestamp
from airflow_provider_magichour.sandbox.settings import check_fields

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.stage import Stage

PREFIX = "/_sandbox/"
Endpoint = Callable[[Request], Awaitable[Response]]


def routes(stage: Stage) -> list[BaseRoute]:
    """Return the control routes of one stage."""
    control = Control(stage)
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "faults", control.list_faults),
        ("POST", "faults", control.add_fault),
        ("DELETE", "faults", control.clear_faults),
        ("GET", "requests", control.list_requests),
        ("DELETE", "requests", control.clear_requests),
        ("GET", "jobs", control.list_jobs),
        ("POST", "jobs", control.add_job),
        ("PATCH", "jobs/{id}", control.change_job),
        ("GET", "settings", control.show_settings),
        ("PUT", "settings", control.change_settings),
    ]
    return [Route(PREFIX + path, _guarded(endpoint), methods=[method]) for method, path, endpoint in table]


class Control:
    """The control endpoints: each offers as JSON what :class:`Sandbox` offers to Python."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def list_faults(self, request: Request) -> Response:
        return JSONResponse({"faults": [asdict(fault) for fault in self._stage.faults]})

    async def add_fault(self, request: Request) -> Response:
        return JSONResponse(asdict(self._stage.faults.add(**await request.json())), 201)

    async def clear_faults(self, request: Request) -> Response:
        self._stage.faults.clear()
        return Response(status_code=204)

    async def list_requests(self, request: Request) -> Response:
        """List the recorded requests; ``?route=`` names one route."""
        route = request.query_params.get("route")
        requests = self._stage.requests.to(route) if route else self._stage.requests
        counts = dict(self._stage.requests.counts)
        return JSONResponse({"counts": counts, "requests": [asdict(each) for each in requests]})

    async def clear_requests(self, request: Request) -> Response:
        self._stage.requests.clear()
        return Response(status_code=204)

    async def list_jobs(self, request: Request) -> Response:
        return JSONResponse({"jobs": [_job(job) for job in self._stage.jobs]})

    async def add_job(self, request: Request) -> Response:
        return JSONResponse(_job(self._stage.add_job(**await request.json())), 201)

    async def change_job(self, request: Request) -> Response:
        changes = await request.json()
        check_fields(JobScript, changes)
        return JSONResponse(_job(self._stage.jobs.change(request.path_params["id"], **changes)))

    async def show_settings(self, request: Request) -> Response:
        return JSONResponse(asdict(self._stage.settings))

    async def change_settings(self, request: Request) -> Response:
        self._stage.settings.update(await request.json())
        return await self.show_settings(request)


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "name": job.name,
        "status": job.status,
        "credits_charged": job.credits_charged,
        "price": job.price,
        "created_at": timestamp(job.created),
        "enabled": job.enabled,
    }


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Answer only this machine, and say what is wrong with an unreadable script."""

    async def guarded(request: Request) -> Response:
        host = request.client.host if request.client else ""
        if not host or not ipaddress.ip_address(host).is_loopback:
            return JSONResponse({"message": "this machine only"}, 403)
        try:
            return await endpoint(request)
        except KeyError as error:
            return JSONResponse({"message": f"missing or unknown: {error.args[0]}"}, 404)
        except (TypeError, ValueError) as error:
            return JSONResponse({"message": str(error)}, 400)

    return guarded
