"""A whole sandbox: its state, and the server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn

from airflow_provider_magichour.sandbox.app import build_app
from airflow_provider_magichour.sandbox.recording import Requests
from airflow_provider_magichour.sandbox.settings import DEFAULT_API_KEY, Settings, check_port
from airflow_provider_magichour.sandbox.stage import Stage
from airflow_provider_magichour.sandbox.studio import check_rendering
from airflow_provider_magichour.sandbox.tcp import SandboxConnection

HOST = "127.0.0.1"
START_TIMEOUT = 30.0
KEEP_ALIVE_SECONDS = 75


class Sandbox(Stage):
    """Run a local Magic Hour that renders, on 127.0.0.1, in threads of this process.

    Use it as a context manager, or call :meth:`start` and :meth:`close`. It leaves nothing behind: threads
    end, and uploads and clips are in a temporary folder that is removed. No request ever leaves the machine:
    pictures on other hosts are replaced by a drawn one.

    :param api_key: the key that is accepted: ASCII without blanks.
    :param port: port to listen on, up to 65535; 0 for a free one.
    :param render_seconds: seconds from create to complete.
    :param credits: that the account has at first.
    :param render: False gives every job the same tiny clip, for load tests; it needs neither PyAV nor numpy.
    :raises ImportError: rendering needs a package that is not installed.
    :raises ValueError: for an impossible value.
    """

    def __init__(
        self,
        api_key: str = DEFAULT_API_KEY,
        port: int = 0,
        render_seconds: float = 3.0,
        credits: int = 1_000_000,
        *,
        render: bool = True,
    ) -> None:
        check_port(port)
        if render:
            check_rendering()
        super().__init__(Settings(api_key=api_key, render_seconds=render_seconds, credits=credits, render=render))
        self._port = port
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Base URL, without a trailing slash; the port is known once it was started."""
        return f"http://{HOST}:{self._port}"

    @property
    def api_key(self) -> str:
        """The key that is accepted; setting it revokes the old one at once."""
        return self.settings.api_key

    @api_key.setter
    def api_key(self, key: str) -> None:
        self.settings.update({"api_key": key})

    @property
    def connection(self) -> str:
        """The Airflow connection to this sandbox as JSON, for ``AIRFLOW_CONN_MAGICHOUR_DEFAULT``."""
        return json.dumps({"conn_type": "magichour", "host": self.url, "password": self.api_key})

    def start(self) -> None:
        """Listen, and return once requests are answered; after :meth:`stop` on the same port as before.

        :raises OSError: the port is taken.
        """
        if self._server is not None:
            return
        listener = _bound(self._port)
        self._port = listener.getsockname()[1]
        server = _Server(build_app(self), self.requests, listener)
        server.start()
        self._server = server

    def stop(self) -> None:
        """Stop listening and cut all connections; jobs and settings are kept, and jobs continue."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """Stop, abandon what is being rendered, and remove all files."""
        self.stop()
        super().close()

    def close_idle_connections(self) -> None:
        """Close the connections that wait for a next request, as servers do with old ones."""
        if self._server is not None:
            self._server.close_idle()

    def __enter__(self) -> Sandbox:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(uvicorn.Server):
    """Uvicorn in a thread of its own."""

    def __init__(self, app: Any, requests: Requests, listener: socket.socket) -> None:
        connection = type("Connection", (SandboxConnection,), {"next_number": requests.number_connection})
        config = uvicorn.Config(
            app,
            http=connection,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        super().__init__(config)
        self._listener = listener
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="magichour-sandbox", daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT) or not self.started:
            raise RuntimeError("the sandbox did not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def close_idle(self) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._close_idle, done)
        done.wait(START_TIMEOUT)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        await super().startup(sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        # Uvicorn's own loop and shutdown take tenths of a second: too slow to start and stop for each test.
        await self._ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in self._connections():
            connection.reset()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1)

    def _run(self) -> None:
        try:
            self.run(sockets=[self._listener])
        finally:
            self._ready.set()

    def _close_idle(self, done: threading.Event) -> None:
        for connection in self._connections():
            if connection.is_idle:
                connection.transport.close()
        done.set()

    def _connections(self) -> list[SandboxConnection]:
        return [each for each in self.server_state.connections if isinstance(each, SandboxConnection)]


def _bound(port: int) -> socket.socket:
    # The protocol is named because asyncio turns off delayed sending only for sockets that say TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener
