"""The HTTP side of Magic Hour's webhook: reads requests and answers them. No Airflow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from sqlalchemy.exc import StatementError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.plugins.deliveries import (
    ASSETS,
    DeliveryRefusedError,
    check_headers,
    check_size,
    earliest_record,
    genuine_delivery,
    sender,
)

log = logging.getLogger(__name__)

# Most bytes of all bodies being received, so that slow senders cannot fill this process's memory.
MOST_HELD = 16 * 1024 * 1024

# Magic Hour waits this long for an answer, and then delivers again.
MOST_SECONDS = 10

LONGEST_ID = 200
"""Most characters of a project's id in the log."""

Record = Callable[[str, Project, datetime], str]
"""Creates the asset event of a delivery's type and project, unless there is one since a time; says what was done."""


class Receiver:
    """Takes deliveries, and has them recorded one at a time in this process: each needs a database connection.

    :param secret: of the webhook.
    :param tolerance: seconds that a delivery's timestamp may lie before or after our clock.
    :param record: called in a thread; raises DeliveryRefusedError to have a delivery sent again.
    """

    def __init__(self, secret: str, tolerance: float, record: Record) -> None:
        self.application = Starlette(routes=[Route("/webhooks", self._answer, methods=["POST"])])
        # Starlette would redirect /webhooks/ to whatever host the request names.
        self.application.router.redirect_slashes = False
        self._secret = secret
        self._tolerance = tolerance
        self._record = record
        self._one_at_a_time = asyncio.Lock()
        self._held = 0

    async def _answer(self, request: Request) -> JSONResponse:
        try:
            message = await self._take(request)
        except DeliveryRefusedError as refusal:
            host = sender(request.client.host if request.client else None)
            log.warning("Refused a Magic Hour webhook delivery from %s (%d): %s", host, refusal.status, refusal)
            return JSONResponse({"message": str(refusal)}, refusal.status)
        return JSONResponse({"message": message})

    async def _take(self, request: Request) -> str:
        headers, now = request.headers, time.time()
        check_headers(headers, tolerance=self._tolerance, now=now)
        body = await self._body(request)
        delivery = genuine_delivery(headers, body, secret=self._secret, tolerance=self._tolerance, now=now)
        del body  # not kept in memory while waiting for the database
        if delivery.type not in ASSETS:
            return "ignored: only finished videos make events"
        video = delivery.video()
        message = await self._recorded(
            delivery.type, video, earliest_record(video, self._tolerance, datetime.fromtimestamp(now, UTC))
        )
        # An id may be any text: percent-encoded it cannot add lines to the log.
        log.info(
            "Magic Hour webhook, %s of project %s: %s", delivery.type, quote(video.id[:LONGEST_ID], safe=""), message
        )
        return message

    async def _body(self, request: Request) -> bytes:
        """Return the body, without ever holding much more than is allowed for one request, or for all."""
        body = bytearray()
        try:
            async with asyncio.timeout(MOST_SECONDS):
                async for chunk in request.stream():
                    check_size(len(body) + len(chunk))
                    if self._held + len(chunk) > MOST_HELD:
                        raise DeliveryRefusedError(503, "too much is being received at the same time")
                    body += chunk
                    self._held += len(chunk)
        except ClientDisconnect:
            raise DeliveryRefusedError(400, "its body ended early") from None
        except TimeoutError:
            raise DeliveryRefusedError(408, f"its body took longer than {MOST_SECONDS} s") from None
        finally:
            self._held -= len(body)
        return bytes(body)

    async def _recorded(self, delivered: str, video: Project, since: datetime) -> str:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                await self._one_at_a_time.acquire()
        except TimeoutError:
            raise DeliveryRefusedError(503, f"earlier ones keep the database busy for {MOST_SECONDS} s") from None
        try:
            return await asyncio.to_thread(self._record, delivered, video, since)
        except DeliveryRefusedError:
            raise
        except Exception as error:
            if isinstance(error, StatementError):
                error.hide_parameters = True  # they contain the delivery
            log.exception("The event of a Magic Hour webhook delivery was not made")
            raise DeliveryRefusedError(503, f"its event was not made: {type(error).__name__}") from None
        finally:
            self._one_at_a_time.release()
