"""Every tool in the sandbox: what its row refuses, and how one follows another."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

pytest.importorskip("av", reason="the extra [sandbox] is not installed")
pytest.importorskip("numpy", reason="the extra [sandbox] is not installed")

# After the skips above: there is nothing to import without the extra.
from airflow_provider_magichour.api import tool_rows
from airflow_provider_magichour.api.tool_rows import TOOLS
from airflow_provider_magichour.api.tools import row
from airflow_provider_magichour.sandbox import JobScript, Sandbox
from airflow_provider_magichour.sandbox.studio import SAMPLES
from tests.scenes.bodies import body_of, put, take_out
from tests.scenes.results import (
    BLUE,
    ELSEWHERE,
    eventually,
    is_coloured,
    picture,
    project_of,
    results,
    seen,
    upload,
)

ALL = pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
CHOSEN = {"assets.video_source": "file", "assets.audio_source": "file"}


# What the rows refuse


@pytest.mark.parametrize(
    ("tool", "path"),
    [(tool, path) for tool in TOOLS.values() for path in tool.required],
    ids=lambda each: getattr(each, "name", each),
)
def test_what_is_required_is_asked_for(api: httpx.Client, tool: Any, path: str) -> None:
    body = body_of(tool, words=CHOSEN)
    take_out(body, path)
    answer = api.post(tool.path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert path.replace("[]", "[0]") in answer.json()["message"]


@pytest.mark.parametrize(
    ("tool", "need"),
    [(tool, need) for tool in TOOLS.values() for need in tool.needs],
    ids=lambda each: getattr(each, "name", getattr(each, "value", "")) or "always",
)
def test_what_another_field_needs_is_asked_for(sandbox: Sandbox, api: httpx.Client, tool: Any, need: Any) -> None:
    sandbox.settings.render = False
    parts = tuple(path for path in tool.fields if path.startswith(f"{need.of[0]}[]."))
    body = body_of(tool, words={need.where: need.value}, paths=(*([need.where] if need.where else []), *parts))
    assert api.post(tool.path, json=body).status_code == 200
    take_out(body, need.of[0])
    answer = api.post(tool.path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable_entity")
    assert need.of[0] in answer.json()["message"]


@ALL
def test_values_are_taken_as_json_has_them(sandbox: Sandbox, api: httpx.Client, tool: Any) -> None:
    """Nothing is converted."""
    sandbox.settings.render = False
    for path, wanted in tool.fields.items():
        if path in tool.deprecated:
            continue
        body = body_of(tool, words=CHOSEN, paths=(path,))
        take_out(body, path)
        put(body, path, 5 if wanted in ("text", "word", "file", "boolean", "object", "list") else "5")
        answer = api.post(tool.path, json=body)
        assert (answer.status_code, path.replace("[]", "[0]") in answer.json()["message"]) == (400, True), answer.text


@pytest.mark.parametrize("wrong", [None, "5", [], {}, True, -1, 0, 1e400, 10**400], ids=lambda value: repr(value)[:9])
def test_a_length_is_a_number_above_zero(api: httpx.Client, wrong: Any) -> None:
    body = json.dumps({**body_of(TOOLS["ai-ugc-ad"]), "end_seconds": wrong})
    answer = api.post("/v1/ai-ugc-ad", content=body)
    assert (answer.status_code, "end_seconds" in answer.json()["message"]) == (400, True), answer.text


@pytest.mark.parametrize(
    ("tool", "changes"),
    [("video-to-video", {"style": {"art_style": "GTA", "prompt": None}}), ("face-swap", {"width": None})],
)
def test_null_is_taken_where_the_api_takes_it(
    sandbox: Sandbox, api: httpx.Client, tool: str, changes: dict[str, Any]
) -> None:
    sandbox.settings.render = False
    assert api.post(f"/v1/{tool}", json={**body_of(TOOLS[tool], words=CHOSEN), **changes}).status_code == 200


@pytest.mark.parametrize(
    ("tool", "changes", "word"),
    [
        ("lip-sync", {"start_seconds": 5}, "start_seconds"),
        ("lip-sync", {"end_seconds": 10**9}, "3600"),
        ("ai-music-generator", {"duration": 10**9}, "3600"),
        ("ai-image-generator", {"image_count": 17}, "image_count"),
        ("animation", {"width": 10**6}, "width"),
        ("ai-gif-generator", {"output_format": "exe"}, "output_format"),
        ("text-to-video", {"model": "kling-99"}, "kling-99"),
    ],
)
def test_what_cannot_be_made_is_refused(api: httpx.Client, tool: str, changes: dict[str, Any], word: str) -> None:
    answer = api.post(f"/v1/{tool}", json={**body_of(TOOLS[tool], words=CHOSEN), **changes})
    assert (answer.status_code, word in answer.json()["message"]) == (422, True)


@pytest.mark.parametrize(
    ("tool", "changes", "price"),
    [
        ("ai-face-editor", {}, 1),
        ("ai-image-upscaler", {"scale_factor": 2.0}, 50),
        ("ai-image-generator", {"model": "seedream-v4", "resolution": "640px", "image_count": 3}, 120),
        ("ai-music-generator", {"duration": 20}, 20),
        ("lip-sync", {"max_fps_limit": 10}, 50),
        ("ai-ugc-ad", {}, 240),
        ("character-replace", {}, 240),
        ("body-swap", {"resolution": "4k"}, 50),
    ],
)
def test_tools_cost_what_is_published(
    sandbox: Sandbox, api: httpx.Client, tool: str, changes: dict[str, Any], price: int
) -> None:
    sandbox.settings.render = False
    answer = api.post(f"/v1/{tool}", json={**body_of(TOOLS[tool], words=CHOSEN), **changes})
    assert answer.json()["credits_charged"] == price


# From one to the next


def test_the_result_of_a_project_is_taken_from_the_library(api: httpx.Client) -> None:
    path = upload(api, picture(64, 48, BLUE), "image", "png")
    first = project_of(api, "photo-colorizer", assets={"image_file_path": path})
    library = {"image_file_path": f"https://magichour.ai/my-library?imageId={first['id']}"}
    clip = project_of(api, "image-to-video", assets=library, end_seconds=1, model="ltx-2.5", resolution="480p")
    assert is_coloured(seen(results(clip)[0].content)[0], BLUE)
    library = {"video_file_path": f"https://magichour.ai/my-library?videoId={clip['id']}"}
    upscaled = project_of(api, "ai-video-upscaler", assets=library, end_seconds=1, resolution="720p")
    assert (upscaled["height"], is_coloured(seen(results(upscaled)[0].content)[-1], BLUE)) == (720, True)


def test_a_tool_that_is_new_needs_a_row_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = "assets.audio_file_path:audio duration!:positive style.prompt! output_format:word"
    new = row("ai-jingle audio JINGLE AI Jingle Maker", fields, price=7)
    monkeypatch.setattr(tool_rows, "TOOLS", {**TOOLS, new.name: new})
    with Sandbox(render_seconds=0) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, verify=False) as api:
            project = project_of(
                api, "ai-jingle", duration=2, style={"prompt": "buy it"}, name="one", output_format="mp3"
            )
            assert api.post("/v1/ai-jingle", json={"duration": 2}).status_code == 400
    assert (project["type"], project["name"], project["credits_charged"]) == ("JINGLE", "one", 7)


# Faces


def test_faces_are_found_and_can_be_looked_at_without_a_key(api: httpx.Client) -> None:
    path = upload(api, picture(64, 48, BLUE), "image", "png")
    created = api.post("/v1/face-detection", json={"assets": {"target_file_path": path}}).json()
    assert set(created) == {"id", "credits_charged"}
    found = eventually(api, f"/v1/face-detection/{created['id']}")
    assert found["faces"]
    for face in found["faces"]:
        assert face["path"].startswith("api-assets/")
        (pixels,) = seen(httpx.get(face["url"], trust_env=False, verify=False).raise_for_status().content)
        assert is_coloured(pixels, BLUE)


def test_a_detection_is_no_project(api: httpx.Client) -> None:
    created = api.post("/v1/face-detection", json={"assets": {"target_file_path": ELSEWHERE}}).json()
    assert api.get(f"/v1/image-projects/{created['id']}").status_code == 404
    project = project_of(api, "photo-colorizer", assets={"image_file_path": ELSEWHERE})
    assert api.get(f"/v1/face-detection/{project['id']}").status_code == 404
    assert api.delete(f"/v1/face-detection/{created['id']}").status_code == 404


@pytest.mark.parametrize("outcome", ["error", "canceled"])
def test_a_detection_can_fail(sandbox: Sandbox, api: httpx.Client, outcome: Any) -> None:
    sandbox.faults.add("create", job=JobScript(outcome=outcome))
    created = api.post("/v1/face-detection", json={"assets": {"target_file_path": ELSEWHERE}}).json()
    found = api.get(f"/v1/face-detection/{created['id']}").json()
    assert (found["status"], found["faces"]) == ("error", [])


@pytest.mark.parametrize(
    "body",
    [
        {"assets": {}},
        {"assets": {"target_file_path": ""}},
        {"assets": {"target_file_path": ELSEWHERE}, "confidence_score": 2},
        {"assets": {"target_file_path": ELSEWHERE}, "confidence_score": "0.5"},
    ],
)
def test_a_detection_is_refused_as_a_create_is(api: httpx.Client, body: dict[str, Any]) -> None:
    assert api.post("/v1/face-detection", json=body).status_code == 400


def test_uploads_are_not_shown_to_anybody(api: httpx.Client) -> None:
    path = upload(api, picture(64, 48), "image", "png")
    for each in (path, f"{path.rpartition('/')[0]}/0-0.png"):
        assert api.get(f"/{each}", headers={"Authorization": ""}).status_code == 404


# What is saved


def test_saved_items_are_listed_by_the_page_and_taken_as_files(api: httpx.Client) -> None:
    first = api.get("/v1/saved-items", params={"limit": 1}).json()
    second = api.get("/v1/saved-items", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert second["next_cursor"] is None
    assert [page["items"][0]["type"] for page in (first, second)] == ["voice", "character"]
    (asset,) = second["items"][0]["assets"]
    assert httpx.get(asset["url"], trust_env=False, verify=False).content == SAMPLES["image"].file.read_bytes()
    assert project_of(api, "photo-colorizer", assets={"image_file_path": asset["file_path"]})["status"] == "complete"


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"type": "cat"}, {"cursor": "x"}])
def test_saved_items_are_refused(api: httpx.Client, query: dict[str, Any]) -> None:
    assert api.get("/v1/saved-items", params=query).status_code == 400
