"""What reaches Airflow's lineage and asset events."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.lineage.hook import HookLineageCollector, get_hook_lineage_collector
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_magichour import get_provider_info
from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.compat import TaskDeferred
from airflow_provider_magichour.exceptions import MagicHourError
from airflow_provider_magichour.media.datasets import project_uri
from airflow_provider_magichour.media.sources import file_uris
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from tests.scenes.examples import PHOTOS

PHOTO = PHOTOS / "cat.jpg"


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


# Airflow 3.0 takes no asset whose URI is not ASCII.
NAMES = ["a b.jpg", *([] if version("apache-airflow").startswith("3.0.") else ["ü.jpg"]), "50%.jpg", "a%20b.jpg"]


@pytest.mark.parametrize("name", NAMES)
def test_a_local_image_is_an_input_by_its_name_as_it_is(
    sandbox: Any, context: Any, lineage: HookLineageCollector, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(PHOTO.read_bytes())
    MagicHourImageToVideoOperator(task_id="submit", image=str(tmp_path / name), end_seconds=5).execute(context())
    assert read(lineage) == [f"file://{tmp_path}/{name}"]


@pytest.mark.parametrize("name", ["run #1.jpg", "why?.jpg", "a b?x=1.jpg"])
def test_of_a_name_that_airflow_would_cut_nothing_is_lost(
    sandbox: Any, context: Any, lineage: HookLineageCollector, tmp_path: Path, name: str
) -> None:
    image = tmp_path / name
    image.write_bytes(PHOTO.read_bytes())
    MagicHourImageToVideoOperator(task_id="submit", image=str(image), end_seconds=5).execute(context())
    assert read(lineage) == [image.as_uri()]


def test_an_image_in_a_store_is_an_input_with_its_host_and_without_the_connection() -> None:
    request = image_to_video_request(image="sftp://nas@nas.example:2022/cats/a b.jpg", end_seconds=5)
    assert file_uris(request) == ["sftp://nas.example:2022/cats/a b.jpg"]
    request = image_to_video_request(image="s3://aws_default@media/run #1/a b?.jpg", end_seconds=5)
    assert file_uris(request) == ["s3://media/run #1/a b?.jpg"]


def test_what_an_earlier_task_has_made_is_its_project(
    sandbox: Any, context: Any, lineage: HookLineageCollector
) -> None:
    made = sandbox.add_job(kind="image")
    earlier = {"project_id": made.id, "kind": "image", "status": "complete"}
    project = MagicHourImageToVideoOperator(task_id="submit", image=earlier, end_seconds=5).execute(context())
    assert read(lineage) == [f"magichour://image/{made.id}"]
    assert written(lineage) == [f"magichour://video/{project}"]


@pytest.mark.parametrize("url", ["https://magichour.ai/my-library", "https://magichour.ai/my-library?page=2"])
def test_a_page_of_the_library_that_names_no_project_is_a_url(url: str) -> None:
    assert file_uris(image_to_video_request(image=url, end_seconds=5)) == ["https://magichour.ai/my-library"]


def test_a_wait_that_defers_has_its_image_and_its_project_in_the_process_that_ends_it(
    sandbox: Any, context: Any, lineage: HookLineageCollector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = tmp_path / "cat.jpg"
    image.write_bytes(PHOTO.read_bytes())

    def task() -> MagicHourImageToVideoOperator:
        return MagicHourImageToVideoOperator(task_id="submit", image=str(image), end_seconds=5, deferrable=True)

    sandbox.settings.update({"render_seconds": 3600.0})
    with pytest.raises(TaskDeferred) as deferred:
        task().execute(context())
    project = deferred.value.trigger.serialize()[1]["project_id"]
    sandbox.jobs.change(project, render_seconds=0)
    image.unlink()  # another machine, perhaps
    resumed = HookLineageCollector()
    monkeypatch.setattr("airflow_provider_magichour.media.lineage.get_hook_lineage_collector", lambda: resumed)
    task().execute_complete(context(), {"project_id": project, "kind": "video", "end": "finished"})
    assert read(resumed) == [image.as_uri()]
    assert written(resumed) == [f"magichour://video/{project}"]


@pytest.mark.parametrize("event", [None, {}, {"project_id": 1}])
def test_lineage_fails_no_wait_that_ends(sandbox: Any, context: Any, lineage: HookLineageCollector, event: Any) -> None:
    task = MagicHourImageToVideoOperator(task_id="submit", image=None, end_seconds=5)  # type: ignore[arg-type]
    with pytest.raises(MagicHourError, match="event cannot be read"):
        task.execute_complete(context(), event)
    project = sandbox.add_job().id
    ended = task.execute_complete(context(), {"project_id": project, "kind": "video", "end": "finished"})
    assert ended["project_id"] == project


def test_the_submit_writes_what_the_download_reads(
    sandbox: Any, context: Any, lineage: HookLineageCollector, tmp_path: Path
) -> None:
    project = MagicHourImageToVideoOperator(task_id="submit", image=str(PHOTO), end_seconds=5).execute(context())
    between = f"magichour://video/{project}"
    assert (read(lineage), written(lineage)) == ([PHOTO.as_uri()], [between])
    sandbox.jobs.change(project, render_seconds=0)
    MagicHourDownloadOperator(task_id="download", project_id=project, destination=f"{tmp_path}/").execute(context())
    assert read(lineage) == [PHOTO.as_uri(), between]
    assert written(lineage) == [f"file://{tmp_path}/{project}.mp4", between]


def test_openlineage_knows_a_project(monkeypatch: pytest.MonkeyPatch) -> None:
    # None where OpenLineage is not installed.
    monkeypatch.setattr("airflow.providers.common.compat.openlineage.facet.Dataset", SimpleNamespace)
    asset = Asset(project_uri("video", "cm1/2"))
    assert asset.uri == asset.normalized_uri == "magichour://video/cm1%2F2"
    (declared,) = get_provider_info()["asset-uris"]
    module, _, name = declared["to_openlineage_converter"].rpartition(".")
    dataset = getattr(importlib.import_module(module), name)(asset, None)
    assert (dataset.namespace, dataset.name) == ("magichour://video", "cm1%2F2")


@pytest.mark.parametrize("uri", ["magichour://", "magichour://video", "magichour://video/"])
def test_a_uri_without_kind_or_id_is_no_project(uri: str) -> None:
    with pytest.raises(ValueError, match="must contain a kind and a project id"):
        Asset(uri)


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
