"""Events of assets in Airflow's database, made of Magic Hour's deliveries; only the API server imports this."""

from __future__ import annotations

import json
import time
from datetime import datetime

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import Text, cast, or_, select, update
from sqlalchemy.sql.elements import ColumnElement  # Airflow 3.0 has SQLAlchemy 1.4, which has it there alone

from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.plugins.deliveries import ASSETS, REPEATED, DeliveryRefusedError, event_extra

LONGEST_SOUGHT = 200
"""Characters of an id that the database compares."""


class Events:
    """Makes an event of each delivery, and remembers since when this process has seen an asset out of use."""

    def __init__(self) -> None:
        self._unused_since: dict[str, float] = {}

    def record(self, delivered: str, video: Project, since: datetime) -> str:
        """Make the asset event of a delivery, unless the project has had one; return what was done.

        Airflow's database decides which delivery is the first: there may be several API servers, and Airflow has no
        unique key for events.

        :param delivered: type of the delivery.
        :param since: no event of this project can be older.
        :raises DeliveryRefusedError: no DAG uses the asset at the moment.
        """
        uri = ASSETS[delivered]
        # An event of an asset that no DAG names would be seen by nobody.
        wanted = AssetModel.uri == uri, AssetModel.active.has()
        with create_session() as session:
            # This changes nothing, but until the transaction ends all others wait here: for the row in PostgreSQL and
            # MySQL, for the database in SQLite, which knows no SELECT ... FOR UPDATE.
            lock = update(AssetModel).where(*wanted).values(updated_at=AssetModel.updated_at)
            session.execute(lock, execution_options={"synchronize_session": False})
            asset = session.scalar(select(AssetModel).where(*wanted))
            if asset is None:
                # Airflow keeps the row of an asset that no DAG names any more.
                used_before = session.scalar(select(AssetModel.id).where(AssetModel.uri == uri).limit(1)) is not None
                return self._unused(uri) if used_before else f"ignored, as no DAG uses the asset {uri}"
            self._unused_since.pop(uri, None)
            recorded = select(AssetEvent.extra).where(
                AssetEvent.asset_id == asset.id, AssetEvent.timestamp >= since, _holds(video.id)
            )
            # Compared here and not in SQL: the type of this JSON column differs between Airflow's versions.
            if any((extra or {}).get("project_id") == video.id for extra in session.scalars(recorded)):
                return "known already"
            asset_manager.register_asset_change(asset=asset, extra=event_extra(delivered, video), session=session)
            return f"made an event of the asset {uri}"

    def _unused(self, uri: str) -> str:
        """A DAG file that cannot be imported for a while takes its assets out of use: what comes then, comes again."""
        if time.monotonic() - self._unused_since.setdefault(uri, time.monotonic()) < REPEATED.total_seconds():
            raise DeliveryRefusedError(503, f"no DAG uses the asset {uri} at the moment")
        return f"ignored, as no DAG has used the asset {uri} for {REPEATED.total_seconds() / 3600:.0f} hours"


def _holds(project_id: str) -> ColumnElement[bool]:
    """Whether an event's extra holds an id, or a long one's beginning, as JSON: few others are loaded while all wait.

    SQLite refuses long patterns; MySQL undoes escapes.
    """
    start = project_id[:LONGEST_SOUGHT]
    end = None if start == project_id else -1
    text = cast(AssetEvent.extra, Text)
    return or_(*(text.contains(json.dumps(start, ensure_ascii=each)[:end], autoescape=True) for each in (True, False)))
