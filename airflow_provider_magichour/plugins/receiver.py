"""What the API server does with a delivery of Magic Hour's webhook; only it imports this."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select, update
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.plugins.deliveries import (
    DeliveryRefusedError,
    earliest_record,
    event_extra,
    genuine_delivery,
)

log = logging.getLogger(__name__)

# Type of a delivery: URI of the asset that gets an event.
ASSETS = {"video.completed": "magichour://videos/completed", "video.errored": "magichour://videos/errored"}

# A delivery is some 2 kB.
MOST_BYTES = 256 * 1024


class Receiver:
    """Turns deliveries into events of assets, in this process one at a time: each takes one database connection.

    :param secret: of the webhook.
    :param tolerance: seconds that a delivery's timestamp may lie before or after our clock.
    """

    def __init__(self, secret: str, tolerance: float) -> None:
        self.application = Starlette(routes=[Route("/webhooks", self._answer, methods=["POST"])])
        self._secret = secret
        self._tolerance = tolerance
        self._one_at_a_time = asyncio.Lock()

    async def _answer(self, request: Request) -> JSONResponse:
        try:
            message = await self._take(request)
        except DeliveryRefusedError as refusal:
            sender = request.client.host if request.client else "an unknown address"
            log.warning("Refused a Magic Hour webhook delivery from %s (%d): %s", sender, refusal.status, refusal)
            return JSONResponse({"message": str(refusal)}, refusal.status)
        return JSONResponse({"message": message})

    async def _take(self, request: Request) -> str:
        body = await _body(request)
        delivery = genuine_delivery(
            request.headers, body, secret=self._secret, tolerance=self._tolerance, now=time.time()
        )
        if delivery.type not in ASSETS:
            return "ignored: only finished videos make events"
        video = delivery.video()
        async with self._one_at_a_time:
            message = await asyncio.to_thread(_record, delivery.type, video, earliest_record(video, self._tolerance))
        log.info("Magic Hour webhook, %s of project %s: %s", delivery.type, video.id, message)
        return message


async def _body(request: Request) -> bytes:
    """Return the body, without ever holding much more than is allowed."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise DeliveryRefusedError(413, f"its body is larger than {MOST_BYTES // 1024} KiB")
    except ClientDisconnect:
        raise DeliveryRefusedError(400, "its body ended early") from None
    return body


def _record(delivered: str, video: Project, since: datetime) -> str:
    """Make the asset event of a delivery, unless the project has had one; return what was done.

    Airflow's database decides which delivery is the first: there may be several API servers, and Airflow has no
    unique key for events.

    :param since: no event of this project can be older.
    """
    # An event of an asset that no DAG names any more would be seen by nobody.
    uri = ASSETS[delivered]
    wanted = AssetModel.uri == uri, AssetModel.active.has()
    with create_session() as session:
        # This changes nothing, but until the transaction ends all others wait here: for the row in PostgreSQL and
        # MySQL, for the database in SQLite, which knows no SELECT ... FOR UPDATE.
        lock = update(AssetModel).where(*wanted).values(updated_at=AssetModel.updated_at)
        session.execute(lock, execution_options={"synchronize_session": False})
        asset = session.scalar(select(AssetModel).where(*wanted))
        if asset is None:
            return f"ignored, as no DAG uses the asset {uri}"
        # Compared here and not in SQL: the type of this JSON column differs between Airflow's versions.
        recorded = select(AssetEvent.extra).where(AssetEvent.asset_id == asset.id, AssetEvent.timestamp >= since)
        if any((extra or {}).get("project_id") == video.id for extra in session.scalars(recorded)):
            return "known already"
        asset_manager.register_asset_change(asset=asset, extra=event_extra(delivered, video), session=session)
        return f"made an event of the asset {uri}"
