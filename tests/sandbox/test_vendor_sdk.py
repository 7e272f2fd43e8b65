"""The vendor's own client runs against the sandbox unchanged: it parses strictly, so what it reads is right."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

magic_hour = pytest.importorskip("magic_hour", reason="the vendor's SDK is not installed: pip install magic-hour")
pytest.importorskip("av", reason="the extra [sandbox] is not installed")
pytest.importorskip("numpy", reason="the extra [sandbox] is not installed")

# After the skips above: there is nothing to import without the extra.
from make_api_request import ApiError  # noqa: E402

from airflow_provider_magichour.sandbox import JobScript, Sandbox  # noqa: E402
from airflow_provider_magichour.sandbox.studio import SAMPLES  # noqa: E402

Run = Callable[[Callable[[Any], Any]], Any]
ELSEWHERE = {"image_file_path": "https://example.com/picture.jpg"}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.1")
    with Sandbox(render_seconds=0.2) as running:
        yield running


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(SAMPLES["image"].file.read_bytes())
    return path


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, sandbox: Sandbox) -> Run:
    """Run a call with either of the vendor's clients."""

    # The vendor's clients never close the connections that they open, so they are given some that are closed here.
    async def awaited(call: Callable[[Any], Any]) -> Any:
        async with httpx.AsyncClient(timeout=60) as http:
            client = magic_hour.AsyncClient(token=sandbox.api_key, base_url=sandbox.url, httpx_client=http)
            return await call(client.v1)

    def plain(call: Callable[[Any], Any]) -> Any:
        with httpx.Client(timeout=60) as http:
            client = magic_hour.Client(token=sandbox.api_key, base_url=sandbox.url, httpx_client=http)
            return call(client.v1)

    return plain if request.param == "sync" else lambda call: asyncio.run(awaited(call))


def test_generate_uploads_waits_and_downloads(run: Run, sandbox: Sandbox, image: Path, tmp_path: Path) -> None:
    project = run(
        lambda api: api.image_to_video.generate(
            assets={"image_file_path": str(image)},
            end_seconds=1.0,
            model="ltx-2.5",
            resolution="480p",
            name="vendor",
            download_directory=str(tmp_path),
        )
    )
    assert (project.status, project.name, project.height, project.fps) == ("complete", "vendor", 480, 24)
    assert project.downloaded_paths == [str(tmp_path / "output.mp4")]
    result = sandbox.jobs[project.id].result
    assert result is not None
    assert (tmp_path / "output.mp4").read_bytes() == result.file.read_bytes()
    assert all(request.headers["authorization"] == "<right key>" for request in sandbox.requests.to("create"))


def test_generate_returns_a_failed_project(run: Run, sandbox: Sandbox, image: Path) -> None:
    sandbox.faults.add("create", job=JobScript(outcome="error", code="no_source_face", message="No face"))
    project = run(lambda api: api.image_to_video.generate(assets={"image_file_path": str(image)}, end_seconds=5.0))
    assert (project.status, project.error.code, project.credits_charged) == ("error", "no_source_face", 0)


def test_generate_does_not_upload_the_end_image(run: Run, sandbox: Sandbox, image: Path) -> None:
    end_image = image.with_name("end.png")
    shutil.copy(image, end_image)
    assets = {"image_file_path": str(image), "end_image_file_path": str(end_image)}
    project = run(lambda api: api.image_to_video.generate(assets=assets, end_seconds=5.0, resolution="720p"))
    assert (project.status, project.error.code) == ("error", "invalid_file_format")


def test_create_then_get_then_delete(run: Run, sandbox: Sandbox) -> None:
    created = run(lambda api: api.image_to_video.create(assets=dict(ELSEWHERE), end_seconds=5.0, audio=True))
    assert created.credits_charged == created.estimated_frame_cost == 5 * (48 + 24)
    project = run(lambda api: api.video_projects.get(id=created.id))
    assert (project.id, project.type_, project.end_seconds) == (created.id, "IMAGE_TO_VIDEO", 5)
    run(lambda api: api.video_projects.delete(id=created.id))
    assert run(lambda api: api.video_projects.get(id=created.id)).enabled is False


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_projects_of_other_kinds_are_read_and_deleted(run: Run, sandbox: Sandbox, kind: Any) -> None:
    job = sandbox.add_job(kind)
    resource = f"{kind}_projects"
    assert run(lambda api: getattr(api, resource).get(id=job.id)).id == job.id
    run(lambda api: getattr(api, resource).delete(id=job.id))
    assert run(lambda api: getattr(api, resource).get(id=job.id)).enabled is False


def test_upload_urls_are_read(run: Run) -> None:
    items: list[Any] = [{"type_": "image", "extension": "png"}, {"type_": "audio", "extension": "mp3"}]
    answer = run(lambda api: api.files.upload_urls.create(items=items))
    assert [item.file_path.rpartition("/")[2] for item in answer.items] == ["image.png", "audio.mp3"]


def test_account_is_read(run: Run, sandbox: Sandbox) -> None:
    account = run(lambda api: api.account.list())
    assert (account.tier, account.credits) == ("pro", sandbox.settings.credits)


def test_refusal_is_raised_with_its_body(run: Run) -> None:
    with pytest.raises(ApiError) as caught:
        run(lambda api: api.image_to_video.create(assets=dict(ELSEWHERE), end_seconds=5.0, model="veo3.1"))
    assert caught.value.status_code == 422
    assert caught.value.body["code"] == "unprocessable_entity"


def test_wrong_key_is_raised(sandbox: Sandbox) -> None:
    with httpx.Client() as http, pytest.raises(ApiError) as caught:
        magic_hour.Client(token="wrong", base_url=sandbox.url, httpx_client=http).v1.account.list()
    assert (caught.value.status_code, caught.value.body["message"]) == (401, "Unauthorized")
