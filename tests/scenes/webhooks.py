"""Magic Hour's side of a webhook, and more API servers to receive it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tools.airflow.guard import Guard
from tools.airflow.local import LocalAirflow
from tools.airflow.processes import Component, free_port, stop_all
from tools.airflow.settings import component_environment

SECRET = "whsec_Tr1cky.secret-of/tests="
SETTINGS = {"AIRFLOW__MAGICHOUR__WEBHOOK_SECRET": SECRET, "AIRFLOW__MAGICHOUR__WEBHOOK_TOLERANCE": "600"}


def body(event: str = "video.completed", project_id: str = "clip1", **changes: Any) -> bytes:
    """A delivery as the vendor's specification of August 2026 has it."""
    failed = event.endswith(".errored")
    payload = {
        "id": project_id,
        "name": "A cat",
        "status": "error" if failed else "complete",
        "type": "IMAGE_TO_VIDEO",
        "created_at": "2026-11-20T08:00:00.000Z",
        "width": 512,
        "height": 960,
        "enabled": True,
        "start_seconds": 0,
        "end_seconds": 5,
        "credits_charged": 0 if failed else 240,
        "fps": 30,
        "error": {"code": "no_source_face", "message": "Use a face"} if failed else None,
        "downloads": []
        if failed
        else [
            {"url": "https://videos.magichour.ai/id/output.mp4?Signature=s1gned", "expires_at": "2026-11-21T08:00:00Z"}
        ],
    }
    return json.dumps({"type": event, "payload": payload | changes}).encode()


def signed(content: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """The headers that Magic Hour sends with this body."""
    timestamp = str(int(time.time() if at is None else at))
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + content, hashlib.sha256).hexdigest()
    return {
        "magic-hour-event-signature": signature,
        "magic-hour-event-timestamp": timestamp,
        "content-type": "application/json",
    }


def deliver(url: str, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    """Post a delivery, signed unless other headers are given."""
    return httpx.post(
        url, content=content, headers=signed(content) if headers is None else headers, timeout=60, verify=False
    )


@contextlib.contextmanager
def api_server(
    airflow: LocalAirflow, home: Path, path: str = "", database: str | None = None, **settings: str
) -> Iterator[tuple[str, Component]]:
    """Run one more API server, below this path, on this database or the SQLite; yields the receiver's URL there."""
    port = free_port()
    home.mkdir()
    environment = component_environment(home, port=port, password="not-used", dag_folders=[home], parallelism=1)
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database or f"sqlite:///{airflow.home / 'airflow.db'}"
    environment["AIRFLOW__API__BASE_URL"] = f"http://127.0.0.1:{port}{path}"
    command = [sys.executable, "-m", "airflow", "api-server"]
    guard = Guard(home, remove=False)
    server = Component(home.name, command, environment | settings, home / "log", guard)
    server.start()
    try:
        health = f"http://127.0.0.1:{port}{path}/api/v2/monitor/health"
        airflow.wait_for(lambda: answers(health), 120, f"{home.name} answers\n{server.log_tail()}")
        yield f"http://127.0.0.1:{port}{path}/magichour/webhooks", server
    finally:
        stop_all([server], 3)
        guard.close()


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url).is_success
    return False
