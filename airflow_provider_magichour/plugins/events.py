"""Asset events in Airflow's database, from Magic Hour's deliveries; only the API server imports this."""

from __future__ import annotations

import json
import time
from datetime import datetime

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import Text, cast, or_, select, update
from sqlalchemy.sql.elements import ColumnElement  # Airflow 3.0 has SQLAlchemy 1.4, which has it only there

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.plugins.deliveries import ASSETS, REPEATED, DeliveryRefusedError, event_extra

LONGEST_SOUGHT = 200
"""Most characters of an id that the database compares."""


class Events:
    """Creates an asset event for each delivery, and remembers since when no DAG has used an asset."""

    def __init__(self) -> None:
        self._unused_since: dict[str, float] = {}

    def record(self, delivered: str, video: Project, since: datetime) -> str:
        """Create the asset event of a delivery, unless the project already has one; return what was done.

        Airflow's database decides which delivery is the first: there may be several API servers, and Airflow has no
        unique key for asset events.

        :param delivered: type of the delivery.
        :param since: no event of this project can be older.
        :raises DeliveryRefusedError: no DAG uses the asset at the moment.
        """
        uri = ASSETS[delivered]
        # Nobody would see an event of an asset that no DAG uses.
        wanted = AssetModel.uri == uri, AssetModel.active.has()
        with create_session() as session:
            # This changes nothing, but all others wait here until the transaction ends: for the row in PostgreSQL and
            # MySQL, for the database in SQLite, which has no SELECT ... FOR UPDATE.
            lock = update(AssetModel).where(*wanted).values(updated_at=AssetModel.updated_at)
            session.execute(lock, execution_options={"synchronize_session": False})
            asset = session.scalar(select(AssetModel).where(*wanted))
            if asset is None:
                # Airflow keeps the row of an asset that no DAG uses any more.
                used_before = session.scalar(select(AssetModel.id).where(AssetModel.uri == uri).limit(1)) is not None
                return self._unused(uri) if used_before else f"ignored, as no DAG uses the asset {uri}"
            self._unused_since.pop(uri, None)
            recorded = select(AssetEvent.extra).where(
                AssetEvent.asset_id == asset.id, AssetEvent.timestamp >= since, _holds(video.id)
            )
            # Compared here and not in SQL: the type of this JSON column differs between Airflow's versions.
            if any((extra or {}).get("project_id") == video.id for extra in session.scalars(recorded)):
                return "already recorded"
            asset_manager.register_asset_change(asset=asset, extra=event_extra(delivered, video), session=session)
            return f"created an event of the asset {uri}"

    def _unused(self, uri: str) -> str:
        """While a DAG file cannot be imported its assets are unused: deliveries are then refused, to be sent again."""
        if time.monotonic() - self._unused_since.setdefault(uri, time.monotonic()) < REPEATED.total_seconds():
            raise DeliveryRefusedError(503, f"no DAG uses the asset {uri} at the moment")
        return f"ignored, as no DAG has used the asset {uri} for {REPEATED.total_seconds() / 3600:.0f} hours"


def _holds(project_id: str) -> ColumnElement[bool]:
    """Whether an event's extra contains an id, or the start of a long one, as JSON: so that few others are loaded.

    SQLite refuses long patterns; MySQL undoes escapes.
    """
    start = project_id[:LONGEST_SOUGHT]
    end = None if start == project_id else -1
    text = cast(AssetEvent.extra, Text)
    return or_(*(text.contains(json.dumps(start, ensure_ascii=each)[:end], autoescape=True) for each in (True, False)))
