"""From an Airflow connection to Magic Hour's API."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from airflow_provider_magichour import get_provider_info
from airflow_provider_magichour.api.arguments import checked_text
from airflow_provider_magichour.api.settings import KEY_PAGE, ClientSettings, settings_from
from airflow_provider_magichour.api.signatures import said
from airflow_provider_magichour.compat import AirflowNotFoundException, BaseHook
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourError, MagicHourInvalidRequestError

# DAG files import the hook at each parse: what talks to the API is imported by the methods that do.
if TYPE_CHECKING:
    from airflow_provider_magichour.api.client import AsyncMagicHourClient, MagicHourClient
    from airflow_provider_magichour.api.endpoints import Call
    from airflow_provider_magichour.api.repeats import Attempts
    from airflow_provider_magichour.api.schemas import (
        Account,
        CreatedProject,
        FaceDetection,
        Project,
        SavedItems,
        UploadUrl,
    )
    from airflow_provider_magichour.api.tools import Kind, Request

log = logging.getLogger(__name__)

T = TypeVar("T")


READ_PATIENCE = 60.0
"""Seconds during which a read or a delete may be repeated in place."""


class MagicHourHook(BaseHook):
    """Call Magic Hour's API with the key of an Airflow connection.

    The connection's type is ``magichour``: ``password`` is the API key, ``host`` the base URL (empty: the real API).
    Extras: ``request_timeout`` (seconds, 30); ``max_connections`` (8) and ``requests_per_second`` (20) of all tasks
    that wait in one triggerer process. Every method raises MagicHourInvalidRequestError, with nothing sent, if the
    connection, an id or a kind cannot be used, and MagicHourApiError if Airflow does not find the connection.

    :param magichour_conn_id: id of the connection.
    """

    conn_name_attr = "magichour_conn_id"
    default_conn_name = "magichour_default"
    conn_type = "magichour"
    hook_name = "Magic Hour"

    def __init__(self, magichour_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.magichour_conn_id = magichour_conn_id
        self._settings: ClientSettings | None = None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the labels of the connection form for Airflow 3.0 and 3.1; later releases read the provider info."""
        (connection,) = get_provider_info()["connection-types"]
        return {name.replace("-", "_"): value for name, value in connection["ui-field-behaviour"].items()}

    def settings(self) -> ClientSettings:
        """Resolve the connection once; again only after the API has refused its key.

        :raises MagicHourInvalidRequestError: when it has no API key, or one of its values cannot be used.
        :raises MagicHourApiError: when it is missing or cannot be read.
        """
        if self._settings is None:
            self._settings = self._read_settings()
        return self._settings

    def _read_settings(self) -> ClientSettings:
        with _explained(self.magichour_conn_id):
            connection = self.get_connection(self.magichour_conn_id)
        return _told(settings_from(connection, connection.extra_dejson, self.magichour_conn_id))

    async def async_settings(self) -> ClientSettings:
        """Resolve the connection, each time and without blocking the event loop; see :meth:`settings`."""
        from asgiref.sync import sync_to_async

        from airflow_provider_magichour.compat import Connection

        if not hasattr(Connection, "aextra_dejson"):
            # Before Airflow 3.3.2 masking blocks, and raises DeadlockImminentError where another async call to the
            # supervisor is on its way. Threads of asgiref may block: Airflow finds the event loop from them.
            return await sync_to_async(self._read_settings)()
        with _explained(self.magichour_conn_id):
            connection = await self.aget_connection(self.magichour_conn_id)
        return _told(settings_from(connection, await connection.aextra_dejson(), self.magichour_conn_id))

    def client(self) -> MagicHourClient:
        """Return a client; use it in ``with``."""
        from airflow_provider_magichour.api.client import MagicHourClient

        return MagicHourClient(self.settings())

    @contextlib.asynccontextmanager
    async def async_client(self) -> AsyncIterator[AsyncMagicHourClient]:
        """Open an async client, which only reads: ``async with hook.async_client() as client``."""
        from airflow_provider_magichour.api.client import AsyncMagicHourClient

        async with AsyncMagicHourClient(await self.async_settings()) as client:
            yield client

    def create_image_to_video(self, request: Request) -> CreatedProject:
        """Submit an image-to-video project. Each call costs credits.

        The request is repeated in place for at most 120 s, and only if it is certain that it created nothing. After a
        gateway's 502 or 503 it is repeated once.

        :param request: what to make; see :func:`~airflow_provider_magichour.api.requests.image_to_video_request`.
        :raises MagicHourRejectedError: the API refused the request for good.
        :raises MagicHourUnsureSubmissionError: the request was sent and its answer is not known.
        :raises MagicHourApiError: no project was created.
        """
        return self.create(request)

    def create(self, request: Request, *, attempts: Attempts | None = None) -> CreatedProject:
        """Submit a project of any tool. Each call costs credits; see :meth:`create_image_to_video`.

        :param request: the tool, and what to make.
        :param attempts: is told of each attempt.
        """
        from airflow_provider_magichour.api import endpoints
        from airflow_provider_magichour.api.repeats import CREATE_PATIENCE

        return self._send(endpoints.create(request), patience=CREATE_PATIENCE, create=attempts)

    def get_project(self, project_id: str, kind: Kind = "video", *, patience: float = READ_PATIENCE) -> Project:
        """Return a project in its current state; costs nothing.

        :param project_id: id that the submit returned.
        :param kind: ``video``, ``image`` or ``audio``.
        :param patience: seconds during which the read may be repeated; 0 for one attempt.
        :raises MagicHourApiError: the API or the network failed for that long.
        """
        from airflow_provider_magichour.api import endpoints

        return self._send(endpoints.get_project(project_id, kind), patience=patience)

    def delete_project(self, project_id: str, kind: Kind = "video") -> None:
        """Delete a project's result for good.

        This does not cancel: what it does to a project that still renders, and to its credits, is not documented.

        :param project_id: id that the submit returned.
        :param kind: ``video``, ``image`` or ``audio``.
        :raises MagicHourApiError: the API or the network failed for a minute.
        """
        from airflow_provider_magichour.api import endpoints

        self._send(endpoints.delete_project(project_id, kind), patience=READ_PATIENCE)

    def create_face_detection(self, target: str, *, confidence_score: float | None = None) -> CreatedProject:
        """Start to detect the faces in an image or a video; free for now, and repeated like a read.

        :param target: path or URL of the image or video, as the API takes it; :meth:`upload` a local file first.
        :param confidence_score: from 0 to 1: how certain it must be that something is a face; the API's default is 0.5.
        :return: its ``id`` is for :meth:`get_face_detection`.
        :raises MagicHourApiError: the API or the network failed for a minute.
        """
        from airflow_provider_magichour.api import endpoints

        return self._send(endpoints.create_face_detection(target, confidence_score), patience=READ_PATIENCE)

    def get_face_detection(self, detection_id: str, *, patience: float = READ_PATIENCE) -> FaceDetection:
        """Return a face detection in its current state: ``is_finished``, ``is_complete`` and the ``faces`` so far.

        :param detection_id: id that :meth:`create_face_detection` returned.
        :param patience: seconds during which the read may be repeated; 0 for one attempt.
        :raises MagicHourApiError: the API or the network failed for that long.
        """
        from airflow_provider_magichour.api import endpoints

        return self._send(endpoints.get_face_detection(detection_id), patience=patience)

    def get_saved_items(
        self, type: str | None = None, *, limit: int | None = None, cursor: str | None = None
    ) -> SavedItems:
        """Return a page of what was saved in Magic Hour's web app, newest first; costs nothing.

        :param type: such as ``character``, ``reference`` or ``voice``; all by default.
        :param limit: how many, from 1 to 100; the API's default is 20.
        :param cursor: ``next_cursor`` of the previous page.
        :return: the ``file_path`` of an item's asset goes into a request as it is, and does not expire.
        :raises MagicHourApiError: the API or the network failed for a minute.
        """
        from airflow_provider_magichour.api import endpoints

        return self._send(endpoints.get_saved_items(type, limit, cursor), patience=READ_PATIENCE)

    def get_account(self, *, patience: float = 0.0) -> Account:
        """Return plan and credits of the key's account; costs nothing.

        :param patience: seconds during which the read may be repeated; 0 for one attempt.
        :raises MagicHourApiError: the API or the network failed.
        """
        from airflow_provider_magichour.api import endpoints

        return self._send(endpoints.get_account(), patience=patience)

    def _send(self, call: Call[T], *, patience: float = 0.0, create: Attempts | None = None) -> T:
        with self._calling() as client:
            return client.send(call, patience=patience, create=create)

    @contextlib.contextmanager
    def _calling(self) -> Iterator[MagicHourClient]:
        with self.client() as client:
            try:
                yield client
            except MagicHourApiError as error:
                if error.status_code == 401:
                    self.forget_settings()
                raise

    def forget_settings(self) -> None:
        """Resolve the connection again at the next call: the refused key may have been replaced."""
        self._settings = None

    def upload(
        self,
        content: Path | str | Callable[[], IO[bytes]],
        *,
        size: int | None = None,
        extension: str | None = None,
        type: Kind = "image",
    ) -> UploadUrl:
        """Upload a file, streamed; costs nothing.

        Magic Hour keeps it for 7 days (inputs and outputs page, 2026-08-22).

        :param content: local path, or a function that opens a binary stream (then with ``size`` and ``extension``).
        :param size: bytes.
        :param extension: such as ``png``.
        :param type: ``image``, ``video`` or ``audio``.
        :return: its ``file_path`` goes into a request.
        :raises MagicHourApiError: the API or the network failed.
        :raises MagicHourInvalidRequestError: ``size`` or ``extension`` is missing.
        :raises OSError: the path cannot be read.
        """
        if isinstance(content, Path | str):
            path = Path(content)
            size = path.stat().st_size if size is None else size
            extension = extension or path.suffix.lstrip(".").lower()
            opener: Callable[[], IO[bytes]] = lambda: path.open("rb")  # noqa: E731 -- one of two sources
        else:
            opener = content
        if size is None or not extension:
            raise MagicHourInvalidRequestError("upload needs size and extension, unless content is a path")
        with self._calling() as client:
            return client.upload(opener, size=size, extension=extension, type=type)

    def test_connection(self) -> tuple[bool, str]:
        """Request the account once, at no cost.

        :return: whether it works, and plan and credits or what is wrong; raises no error of this provider.
        """
        try:
            account = self.get_account()
        except MagicHourError as error:
            # Airflow's UI and REST API test a copy under a random id, which would only confuse.
            named = f"onnection {self.magichour_conn_id!r}"
            text = error.args[0].replace(f"of c{named}", "of this connection").replace(f"C{named}", "This connection")
            return False, text
        if account.tier is None and account.credits is None:
            return False, "Something other than Magic Hour's API answered: check the base URL (host)"
        return True, f"Connected to Magic Hour: plan {account.tier}, {account.credits} credits"


def _told(settings: ClientSettings) -> ClientSettings:
    if settings.sends_key_in_clear:
        _tell_clear(settings.source, settings.base_url)
    return settings


@functools.cache
def _tell_clear(source: str, base_url: str) -> None:
    """Log once per process, not at each poll."""
    log.warning(
        "The base URL %s of %s is not encrypted: anyone on the network path can read the API key. Use https, or an "
        "address of this machine",
        said(base_url),
        source,
    )


@contextlib.contextmanager
def _explained(conn_id: object) -> Any:
    checked_text("magichour_conn_id", conn_id, "the id of a connection of type Magic Hour")
    try:
        yield
    except AirflowNotFoundException:
        # Retryable: Airflow 3.3.2 raises this also when a secrets backend has failed (sdk context, _get_connection).
        raise MagicHourApiError(
            f"Airflow has no connection {conn_id!r}, or cannot read it right now. If it is missing, add one of type "
            f"Magic Hour (magichour) with the API key as password; get a key at {KEY_PAGE}"
        ) from None
