"""What reaches Airflow's lineage and asset events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.lineage.hook import HookLineageCollector, get_hook_lineage_collector
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator

PHOTO = Path(__file__).parents[2] / "example_dags" / "photos" / "cat.jpg"


@pytest.fixture
def lineage(monkeypatch: pytest.MonkeyPatch) -> HookLineageCollector:
    """A collector that collects: Airflow's own does so only where a reader, such as OpenLineage, is installed."""
    collector = HookLineageCollector()
    # Where it comes from differs between the versions of Airflow.
    monkeypatch.setattr(f"{get_hook_lineage_collector.__module__}.get_hook_lineage_collector", lambda: collector)
    monkeypatch.setattr("airflow_provider_magichour.media.lineage.get_hook_lineage_collector", lambda: collector)
    return collector


def read(lineage: HookLineageCollector) -> list[str]:
    return sorted({each.asset.uri for each in lineage.collected_assets.inputs})


def written(lineage: HookLineageCollector) -> list[str]:
    return sorted({each.asset.uri for each in lineage.collected_assets.outputs})


@pytest.mark.parametrize(
    ("image", "uri"),
    [
        pytest.param(str(PHOTO), PHOTO.as_uri(), id="local"),
        pytest.param(PHOTO.as_uri(), PHOTO.as_uri(), id="object-storage"),
        pytest.param(
            "https://h.example/cat.jpg?v=1&X-Amz-Signature=secret", "https://h.example/cat.jpg", id="signed-url"
        ),
        pytest.param("https://u:p@h.example/cat.jpg?token=secret", "https://h.example/cat.jpg", id="token-and-login"),
        pytest.param("https://h.example/cat.jpg?v=1", "https://h.example/cat.jpg", id="plain-query"),
    ],
)
def test_an_image_is_an_input_without_its_signature(
    sandbox: Any, context: Any, lineage: HookLineageCollector, image: str, uri: str
) -> None:
    MagicHourImageToVideoOperator(task_id="submit", image=image, end_seconds=5).execute(context())
    assert read(lineage) == [uri]


def test_a_magic_hour_path_is_no_input(sandbox: Any, context: Any, lineage: HookLineageCollector) -> None:
    MagicHourImageToVideoOperator(task_id="submit", image="saved-items/1/a.png", end_seconds=5).execute(context())
    assert read(lineage) == []


def test_clips_are_outputs_and_reach_the_outlets_events(
    sandbox: Any, context: Any, lineage: HookLineageCollector, tmp_path: Path
) -> None:
    project = sandbox.add_job(script={"render_seconds": 0}).id
    alias, asset = AssetAlias("clips"), Asset("library", uri="file:///library")
    run = context()
    run["outlet_events"] = OutletEventAccessors()
    task = MagicHourDownloadOperator(
        task_id="download", project_id=project, destination=f"{tmp_path}/", outlets=[alias, asset]
    )
    (path,) = task.execute(run)
    uri = Path(path).as_uri()
    assert written(lineage) == [uri]
    (event,) = run["outlet_events"][alias].asset_alias_events
    assert (event.dest_asset_key.uri, event.extra) == (uri, {"project_id": project})
    assert run["outlet_events"][asset].extra == {"project_id": project, "uris": [uri]}
