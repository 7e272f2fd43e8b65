"""A small API on loopback that takes uploads and says what a test scripts: for what the sandbox does not serve."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

KEY = "mhk_fake_api"


class Asked(NamedTuple):
    """One request."""

    method: str
    target: str
    body: bytes
    key: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FakeApi:
    """Answer each route with the next of what is scripted for it; the last one repeats.

    :ivar answers: JSON, or a status and JSON, by route such as ``GET /v1/account``.
    :ivar asked: what came, in its order.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[Asked] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(self.command, self.path, body, self.headers.get("Authorization"))
                api.asked.append(asked)
                status, said = api.answer(asked)
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def connection(self) -> str:
        """The Airflow connection that leads here, as JSON."""
        return json.dumps({"conn_type": "magichour", "password": KEY, "host": self.url})

    def __enter__(self) -> FakeApi:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def of(self, method: str) -> list[Asked]:
        """Return what came by a method."""
        return [asked for asked in self.asked if asked.method == method]

    def answer(self, asked: Asked) -> tuple[int, Any]:
        route = f"{asked.method} {urlsplit(asked.target).path}"
        if route in self.answers:
            script = self.answers[route]
            said = script.pop(0) if len(script) > 1 else script[0]
            return said if isinstance(said, tuple) else (200, said)
        if route == "POST /v1/files/upload-urls":
            extension = asked.json["items"][0]["extension"]
            place = {"upload_url": f"{self.url}/put?sig=5ecret", "file_path": f"api-assets/u/1.{extension}"}
            return 200, {"items": [place]}
        return (200, {}) if route == "PUT /put" else (404, {"message": "Not Found"})
