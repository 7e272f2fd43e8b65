"""The vendor's own client makes one of each tool, and finds faces, with the sandbox in the API's place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

magic_hour = pytest.importorskip("magic_hour", reason="the vendor's SDK is not installed: pip install magic-hour")

# After the skip above.
from airflow_provider_magichour.api.tool_rows import TOOLS  # noqa: E402
from airflow_provider_magichour.api.tools import Request, Tool  # noqa: E402
from airflow_provider_magichour.sandbox import Sandbox  # noqa: E402
from airflow_provider_magichour.sandbox.studio import SAMPLES  # noqa: E402
from tests.scenes.bodies import body_of  # noqa: E402

# The vendor's client takes no words but those that it knows.
WORDS: Mapping[str, Any] = {
    "assets.audio_source": "file",
    "assets.video_source": "file",
    "style.art_style": "3D Render",
    "style.camera_effect": "Accelerate",
    "style.prompt_type": "custom",
    "style.template": "karaoke",
    "style.transition_speed": 5,
    "style.voice_name": "50 Cent",
    "target_language": "Arabic",
}
WORDS_OF: Mapping[str, Mapping[str, Any]] = {
    "ai-meme-generator": {"style.template": "Absolute Cinema"},
    "ai-video-upscaler": {"resolution": "1080p"},
    "body-swap": {"resolution": "640px"},
}
NOT_UPLOADED = {"text-to-video"}
"""The vendor's client sends the paths of references as they are."""
SUFFIXES = {"image": ".png", "video": ".mp4", "audio": ".wav"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(render_seconds=0, render=False, credits=10**6) as running:
        yield running


@pytest.fixture(scope="module")
def api(sandbox: Sandbox) -> Iterator[Any]:
    # The vendor's client never closes the connections that it opens, so it is given some that are closed here.
    with httpx.Client(timeout=60) as http, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.01")
        yield magic_hour.Client(token=sandbox.api_key, base_url=sandbox.url, httpx_client=http).v1


def body_with_files(tool: Tool, folder: Path) -> dict[str, Any]:
    """Return what a tool must be sent, with local files where it takes some."""
    body = body_of(tool, words={**WORDS, **WORDS_OF.get(tool.name, {})})
    files = {}
    for number, (path, made_up) in enumerate(Request(tool, body).files.items()):
        suffix = Path(made_up).suffix.replace(".mp3", ".wav")
        kind = next(kind for kind, each in SUFFIXES.items() if each == suffix)
        files[path] = str(shutil.copy(SAMPLES[kind].file, folder / f"{number}{suffix}"))
    return dict(Request(tool, body).with_files(files).body)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_the_vendors_client_makes_one_of_each_tool(tool: Tool, api: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    body = body_with_files(tool, tmp_path)
    if tool.has_name:
        body["name"] = f"one {tool.name}"
    results = tmp_path / "results"
    results.mkdir()
    sandbox.requests.clear()
    project = getattr(api, tool.name.replace("-", "_")).generate(**body, download_directory=str(results))
    (created,) = sandbox.requests.to("create")
    assert (created.path, created.job) == (tool.path, project.id)
    uploaded = 0 if tool.name in NOT_UPLOADED else len(Request(tool, body).files)
    assert len(sandbox.requests.to("upload")) == uploaded
    assert (project.status, project.type_, project.error) == ("complete", tool.type, None)
    assert project.name == body.get("name", project.name)
    assert project.credits_charged == sandbox.jobs[project.id].price
    assert len(project.downloads) == body.get("image_count", 1)
    assert {Path(path).read_bytes() for path in project.downloaded_paths} == {SAMPLES[tool.kind].file.read_bytes()}


@pytest.mark.parametrize("tool", ["text-to-video", "ai-image-generator", "ai-voice-generator"])
def test_the_vendors_client_reads_what_a_create_answers(tool: str, api: Any, tmp_path: Path) -> None:
    created = getattr(api, tool.replace("-", "_")).create(**body_with_files(TOOLS[tool], tmp_path))
    old_name = {"video": "estimated_frame_cost", "image": "frame_cost"}.get(TOOLS[tool].kind, "credits_charged")
    assert created.credits_charged == getattr(created, old_name)


def test_the_vendors_client_finds_faces_and_downloads_them(api: Any, tmp_path: Path) -> None:
    picture = shutil.copy(SAMPLES["image"].file, tmp_path / "picture.png")
    faces = api.face_detection.generate(
        assets={"target_file_path": str(picture)}, confidence_score=0.5, download_directory=str(tmp_path)
    )
    assert (faces.status, faces.credits_charged) == ("complete", 0)
    assert len(faces.downloaded_paths) == len(faces.faces)
    assert all(face.path.startswith("api-assets/") for face in faces.faces)


def test_the_vendors_client_lists_saved_items(api: Any) -> None:
    listed = api.saved_items.list(type_="character", limit=20)
    assert ([item.type_ for item in listed.items], listed.next_cursor) == (["character"], None)
