from __future__ import annotations

import http.server
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

av = pytest.importorskip("av", reason="the extra [sandbox] is not installed")
np = pytest.importorskip("numpy", reason="the extra [sandbox] is not installed")

# After the skips above: there is nothing to import without the extra.
from airflow_provider_magichour.sandbox import JobScript, Sandbox  # noqa: E402

AUTHORIZED = {"Authorization": "Bearer mhk_sandbox"}
NEUTRAL = "https://example.com/picture.jpg"
BODY: dict[str, Any] = {"end_seconds": 1, "model": "ltx-2.5", "resolution": "480p"}
PATIENCE = 30.0
# Plain HTTP on this machine: loading certificates for each client would take longer than the tests.
LOCAL: dict[str, Any] = {"trust_env": False, "verify": False}
web = httpx.Client(timeout=PATIENCE, headers={"Connection": "close"}, **LOCAL)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(render_seconds=0) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, headers=AUTHORIZED, timeout=PATIENCE, **LOCAL) as client:
        yield client


def body(image: str = NEUTRAL, **changes: Any) -> dict[str, Any]:
    assets = {"image_file_path": image} | changes.pop("assets", {})
    return BODY | {"assets": assets} | changes


def create(api: httpx.Client, **changes: Any) -> str:
    answer = api.post("/v1/image-to-video", json=body(**changes))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def show(api: httpx.Client, job: str) -> dict[str, Any]:
    return dict(api.get(f"/v1/video-projects/{job}").raise_for_status().json())


def eventually(look: Callable[[], Any]) -> Any:
    """Return the first true value that looking gives."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.02)
    return found


def finished(api: httpx.Client, job: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        project = show(api, job)
        return project if project["status"] in ("complete", "error", "canceled") else None

    return dict(eventually(look))


def upload(api: httpx.Client, data: bytes, extension: str = "png") -> str:
    items = [{"type": "image", "extension": extension}]
    item = api.post("/v1/files/upload-urls", json={"items": items}).raise_for_status().json()["items"][0]
    web.put(item["upload_url"], content=data).raise_for_status()
    return str(item["file_path"])


def picture(width: int, height: int, *, negative: bool = False) -> bytes:
    """Draw a PNG: red grows to the right, green downwards, with a pattern that shows any move."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, ((x // 16 + y // 16) % 2) * 120], axis=2)
    frame = av.VideoFrame.from_ndarray((255 - pixels if negative else pixels).astype(np.uint8), format="rgb24")
    return encoded(frame, "png", "rgb24")


def encoded(frame: Any, codec: str, pixel_format: str) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixel_format
    encoder.time_base = Fraction(1, 24)
    packets = [*encoder.encode(frame.reformat(format=pixel_format)), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def pixels_of(data: bytes) -> Any:
    with av.open(io.BytesIO(data)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


def clip_of(api: httpx.Client, **changes: Any) -> bytes:
    project = finished(api, create(api, **changes))
    assert project["status"] == "complete", project["error"]
    return web.get(project["downloads"][0]["url"]).raise_for_status().content


def frames_of(clip: bytes) -> list[Any]:
    with av.open(io.BytesIO(clip)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def difference(one: Any, other: Any) -> float:
    """Return the mean difference of two pictures, each scaled to 16 x 16, of 255."""

    def small(pixels: Any) -> Any:
        rows = np.array_split(pixels, 16)
        return np.array([[part.mean(axis=(0, 1)) for part in np.array_split(row, 16, axis=1)] for row in rows])

    return float(np.abs(small(one) - small(other)).mean())


# The clip


def test_clip_is_h264_of_the_wanted_length_with_its_index_first(api: httpx.Client) -> None:
    clip = clip_of(api, end_seconds=3)
    with av.open(io.BytesIO(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.duration * stream.time_base) == 3
        assert (stream.frames, stream.average_rate) == (72, 24)
    assert 0 < clip.index(b"moov") < clip.index(b"mdat")


@pytest.mark.parametrize(
    ("shape", "resolution", "size"),
    [
        pytest.param((320, 180), "480p", (854, 480), id="landscape"),
        pytest.param((180, 320), "480p", (480, 854), id="portrait"),
        pytest.param((200, 200), "480p", (480, 480), id="square"),
        pytest.param((301, 200), "720p", (1084, 720), id="odd"),
        pytest.param((600, 60), "480p", (1120, 480), id="wider-than-21-to-9"),
    ],
)
def test_clip_keeps_the_shape_of_the_picture(
    api: httpx.Client, shape: tuple[int, int], resolution: str, size: tuple[int, int]
) -> None:
    project = finished(api, create(api, image=upload(api, picture(*shape)), resolution=resolution))
    with av.open(io.BytesIO(web.get(project["downloads"][0]["url"]).content)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size == (project["width"], project["height"])


def test_clip_starts_as_the_picture_and_moves_a_little_with_every_frame(api: httpx.Client) -> None:
    data = picture(320, 180)
    frames = frames_of(clip_of(api, image=upload(api, data), end_seconds=2))
    assert difference(frames[0], pixels_of(data)) < 4
    assert difference(frames[0], frames[-1]) > 8
    steps = [np.abs(one - other).mean() for one, other in pairwise(frames[8:-8])]
    assert min(steps) > 0.5
    assert max(steps) < 4 * min(steps)


def test_clip_ends_as_the_end_picture(api: httpx.Client) -> None:
    start, end = picture(320, 180), picture(320, 180, negative=True)
    frames = frames_of(
        clip_of(
            api,
            image=upload(api, start),
            assets={"end_image_file_path": upload(api, end)},
            end_seconds=2,
        )
    )
    assert difference(frames[0], pixels_of(start)) < 4
    assert difference(frames[-1], pixels_of(end)) < 4


def test_clip_with_audio_has_a_track_as_long_as_the_picture(api: httpx.Client) -> None:
    with av.open(io.BytesIO(clip_of(api, audio=True))) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        assert float(sound.duration * sound.time_base) == pytest.approx(1, abs=0.05)


def test_clip_without_audio_has_no_track(api: httpx.Client) -> None:
    with av.open(io.BytesIO(clip_of(api))) as container:
        assert not container.streams.audio


@pytest.mark.parametrize(("codec", "pixel_format"), [("png", "rgb24"), ("mjpeg", "yuvj420p"), ("bmp", "bgr24")])
def test_picture_is_judged_by_its_bytes_not_its_extension(api: httpx.Client, codec: str, pixel_format: str) -> None:
    frame = av.VideoFrame.from_ndarray(pixels_of(picture(64, 48)).astype(np.uint8), format="rgb24")
    path = upload(api, encoded(frame, codec, pixel_format), "webp")
    assert finished(api, create(api, image=path))["status"] == "complete"


def test_picture_that_a_phone_took_upright_becomes_an_upright_clip(api: httpx.Client) -> None:
    sideways = pixels_of(picture(320, 180)).astype(np.uint8)
    data = encoded(av.VideoFrame.from_ndarray(sideways, format="rgb24"), "mjpeg", "yuvj420p")
    turn_right = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    frames = frames_of(clip_of(api, image=upload(api, data[:2] + turn_right + data[2:], "jpg")))
    assert difference(frames[0], np.rot90(sideways, -1).astype(int)) < 4


def test_equal_orders_are_rendered_once(sandbox: Sandbox, api: httpx.Client) -> None:
    path = upload(api, picture(64, 48))
    jobs = [create(api, image=path) for _ in range(3)]
    for job in jobs:
        finished(api, job)
    assert len({sandbox.jobs[job].result.file for job in jobs if sandbox.jobs[job].result}) == 1  # type: ignore[union-attr]


# Where pictures come from


def test_picture_is_fetched_from_this_machine(api: httpx.Client) -> None:
    data = picture(320, 180)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        frames = frames_of(clip_of(api, image=f"http://127.0.0.1:{server.server_port}/a.png"))
        server.shutdown()
    assert difference(frames[0], pixels_of(data)) < 4


@pytest.mark.parametrize("path", [NEUTRAL, "saved-items/abc/1.png", "https://magichour.ai/my-library?imageId=1"])
def test_picture_elsewhere_is_replaced_by_a_drawn_one(api: httpx.Client, path: str) -> None:
    assert finished(api, create(api, image=path))["status"] == "complete"


@pytest.mark.parametrize("path", ["api-assets/none/image.png", "/home/me/cat.png", "http://127.0.0.1:9/a.png"])
def test_picture_that_is_not_there_fails_the_job_and_pays_it_back(
    sandbox: Sandbox, api: httpx.Client, path: str
) -> None:
    project = finished(api, create(api, image=path))
    assert (project["status"], project["error"]["code"]) == ("error", "invalid_file_format")
    assert (project["credits_charged"], sandbox.jobs.balance) == (0, sandbox.settings.credits)


def test_file_that_is_no_picture_fails_the_job_and_pays_it_back(sandbox: Sandbox, api: httpx.Client) -> None:
    project = finished(api, create(api, image=upload(api, b"this is text, whatever its name says" * 9)))
    assert project["error"]["code"] == "invalid_file_format"
    assert sandbox.jobs.balance == sandbox.settings.credits


def test_playlist_cannot_make_the_sandbox_open_other_files(api: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(64, 48))
    playlist = f"ffconcat version 1.0\nfile '{tmp_path / 'secret.png'}'\n".encode()
    assert finished(api, create(api, image=upload(api, playlist)))["status"] == "error"


# Uploads


def test_upload_urls_keep_the_order_of_the_request(api: httpx.Client) -> None:
    items = [{"type": "video", "extension": "mp4"}, {"type": "image", "extension": "jpg"}]
    given = api.post("/v1/files/upload-urls", json={"items": items}).json()["items"]
    assert [item["file_path"].rpartition("/")[2] for item in given] == ["video.mp4", "image.jpg"]
    assert all(item["file_path"].startswith("api-assets/") for item in given)


def test_upload_needs_a_good_signature(api: httpx.Client) -> None:
    items = [{"type": "image", "extension": "png"}]
    url = api.post("/v1/files/upload-urls", json={"items": items}).json()["items"][0]["upload_url"]
    answers = [web.put(bad, content=b"x") for bad in (url[:-1] + "?", url.partition("?")[0])]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert "<Code>SignatureDoesNotMatch</Code>" in answers[0].text


def test_upload_url_expires(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.upload_lifetime = -1
    items = [{"type": "image", "extension": "png"}]
    url = api.post("/v1/files/upload-urls", json={"items": items}).json()["items"][0]["upload_url"]
    assert web.put(url, content=b"x").status_code == 403


def test_storage_wants_no_api_key(sandbox: Sandbox, api: httpx.Client) -> None:
    items = [{"type": "image", "extension": "png"}]
    url = api.post("/v1/files/upload-urls", json={"items": items}).json()["items"][0]["upload_url"]
    assert web.put(url, content=b"x", headers=AUTHORIZED).status_code == 400
    job = finished(api, create(api))
    assert web.get(job["downloads"][0]["url"], headers=AUTHORIZED).status_code == 400


@pytest.mark.parametrize(
    ("item", "status", "word"),
    [
        pytest.param({"type": "image", "extension": "gif"}, 422, "png", id="wrong-extension"),
        pytest.param({"type": "audio", "extension": "mp4"}, 422, "mp3", id="wrong-type"),
        pytest.param({"type": "image", "extension": ".png"}, 400, "extension", id="dot"),
        pytest.param({"type": "gif", "extension": "gif"}, 400, "type", id="unknown-type"),
        pytest.param({"type": "image"}, 400, "items[0].extension", id="no-extension"),
        pytest.param("image.png", 400, "items[0]", id="no-object"),
    ],
)
def test_upload_urls_refuse(api: httpx.Client, item: Any, status: int, word: str) -> None:
    answer = api.post("/v1/files/upload-urls", json={"items": [item]})
    assert (answer.status_code, word in answer.json()["message"]) == (status, True)


# Projects


def test_project_goes_from_queued_to_rendering_to_complete(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.render_seconds = 0.5
    job = create(api)
    seen: list[str] = []

    def look() -> bool:
        seen.append(show(api, job)["status"])
        return seen[-1] == "complete"

    eventually(look)
    assert list(dict.fromkeys(seen)) == ["queued", "rendering", "complete"]


def test_project_says_all_that_the_api_says(api: httpx.Client) -> None:
    project = finished(api, create(api, name="night 7", model="minimax-h3"))
    assert project["name"] == "night 7"
    assert (project["type"], project["enabled"], project["error"]) == ("IMAGE_TO_VIDEO", True, None)
    assert (project["start_seconds"], project["end_seconds"], project["fps"]) == (0, 1, 24)
    assert project["credits_charged"] == project["total_frame_cost"] == 24
    assert project["download"] == project["downloads"][0]
    assert project["downloads"][0]["url"].partition("?")[0].endswith("/output.mp4")


def test_deprecated_fields_can_be_left_out(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.deprecated_fields = False
    assert not {"download", "total_frame_cost"} & set(show(api, create(api)))


@pytest.mark.parametrize(("kind", "media_type"), [("image", "image/png"), ("audio", "audio/wav")])
def test_project_of_another_kind_can_be_made_with_several_outputs(
    sandbox: Sandbox, api: httpx.Client, kind: Any, media_type: str
) -> None:
    job = sandbox.add_job(kind, outputs=2)
    path = f"/v1/{kind}-projects/{job.id}"
    eventually(lambda: api.get(path).json()["downloads"])
    answers = [web.get(download["url"]) for download in api.get(path).json()["downloads"]]
    assert [answer.headers["content-type"] for answer in answers] == [media_type] * 2
    assert api.get(f"/v1/video-projects/{job.id}").status_code == 404


def test_deleted_project_is_shown_as_disabled_and_its_file_is_gone(api: httpx.Client) -> None:
    project = finished(api, create(api))
    assert api.delete(f"/v1/video-projects/{project['id']}").status_code == 204
    deleted = show(api, project["id"])
    assert (deleted["enabled"], deleted["downloads"]) == (False, [])
    assert web.get(project["downloads"][0]["url"]).status_code == 404


def test_deleted_project_can_be_missing(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.deleted = "missing"
    job = create(api)
    api.delete(f"/v1/video-projects/{job}")
    assert api.get(f"/v1/video-projects/{job}").status_code == 404


def test_without_rendering_every_job_gets_the_same_small_clip(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.render = False
    projects = [finished(api, create(api, image=image, end_seconds=9)) for image in ("no/such", NEUTRAL)]
    clips = [web.get(project["downloads"][0]["url"]).content for project in projects]
    assert clips[0] == clips[1]
    assert [project["height"] for project in projects] == [360, 360]


# Downloads


@pytest.fixture
def download(api: httpx.Client) -> str:
    return str(finished(api, create(api))["downloads"][0]["url"])


def test_download_has_length_type_and_etag(download: str) -> None:
    whole, head = web.get(download), web.head(download)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert int(head.headers["content-length"]) == len(whole.content)
    assert head.headers["etag"] == whole.headers["etag"]


def test_download_can_be_resumed(download: str) -> None:
    whole = web.get(download).content
    rest = web.get(download, headers={"Range": "bytes=1000-"})
    assert (rest.status_code, rest.content) == (206, whole[1000:])
    assert rest.headers["content-range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"


def test_download_beyond_the_end_is_refused(download: str) -> None:
    assert web.get(download, headers={"Range": "bytes=99999999-"}).status_code == 416


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (404, "NoSuchKey")])
def test_download_url_expires(sandbox: Sandbox, api: httpx.Client, status: int, code: str) -> None:
    sandbox.settings.update({"download_lifetime": -1, "expired_status": status})
    answer = web.get(finished(api, create(api))["downloads"][0]["url"])
    assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True)


def test_download_url_of_another_sandbox_is_refused(sandbox: Sandbox, download: str) -> None:
    with Sandbox() as other:
        assert web.get(download.replace(sandbox.url, other.url)).status_code == 403


# Key, account, refusals


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "mhk_sandbox"}])
def test_wrong_key_is_refused(sandbox: Sandbox, headers: dict[str, str]) -> None:
    for path in ("/v1/account", "/v1/video-projects/x"):
        answer = web.get(f"{sandbox.url}{path}", headers=headers)
        assert (answer.status_code, answer.json()) == (
            401,
            {"code": "unauthorized", "message": "Unauthorized"},
        )


def test_replaced_key_revokes_the_old_one(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.api_key = "mhk_new"
    assert api.get("/v1/account").status_code == 401
    assert api.get("/v1/account", headers={"Authorization": "Bearer mhk_new"}).status_code == 200
    assert json.loads(sandbox.connection)["password"] == "mhk_new"


def test_account_pays_for_jobs_and_gets_back_what_failed(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.credits = 100
    sandbox.faults.add("create", job=JobScript(outcome="canceled"))
    create(api, model="minimax-h3")
    create(api, model="minimax-h3")
    assert api.get("/v1/account").json()["credits"] == 100 - 24


def test_job_that_the_account_cannot_pay_is_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.credits = 23
    answer = api.post("/v1/image-to-video", json=body(model="minimax-h3"))
    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_credits")
    assert len(sandbox.jobs) == 0


def test_canceled_job_is_paid_back_once(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.render_seconds = 100
    job = create(api)
    sandbox.jobs.change(job, outcome="canceled", render_seconds=0)
    assert show(api, job)["status"] == "canceled"
    assert [sandbox.jobs.balance for _ in range(2)] == [sandbox.settings.credits] * 2


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        pytest.param({"end_seconds": None}, 400, "end_seconds", id="seconds-null"),
        pytest.param({"end_seconds": "5"}, 400, "end_seconds", id="seconds-text"),
        pytest.param({"end_seconds": 61}, 400, "end_seconds", id="seconds-above-60"),
        pytest.param({"assets": {"image_file_path": ""}}, 400, "image_file_path", id="image-empty"),
        pytest.param({"assets": {"image_file_path": 1}}, 400, "image_file_path", id="image-number"),
        pytest.param({"audio": "true"}, 400, "audio", id="audio-text"),
        pytest.param({"name": None}, 400, "name", id="name-null"),
        pytest.param({"style": {"prompt": 1}}, 400, "style.prompt", id="prompt-number"),
        pytest.param({"model": "kling-99"}, 422, "kling-99", id="model-unknown"),
        pytest.param({"resolution": "8k"}, 422, "8k", id="resolution-unknown"),
        pytest.param({"model": "kling-2.6"}, 422, "5, 10", id="seconds-impossible"),
        pytest.param({"model": "veo3.1", "end_seconds": 4}, 422, "480p", id="resolution-impossible"),
        pytest.param({"model": "default", "resolution": "4k", "end_seconds": 30}, 422, "4k", id="default"),
    ],
)
def test_create_refuses(api: httpx.Client, changes: dict[str, Any], status: int, word: str) -> None:
    answer = api.post("/v1/image-to-video", json=body(**changes))
    assert (answer.status_code, word in answer.json()["message"]) == (status, True), answer.text
    assert answer.json()["code"] == {400: "invalid_request", 422: "unprocessable_entity"}[status]


@pytest.mark.parametrize(
    ("content", "word"), [(b"", "Missing request body"), (b"{", "JSON"), (b"[]", "object"), (b"{}", "assets")]
)
def test_create_refuses_what_is_no_request(api: httpx.Client, content: bytes, word: str) -> None:
    answer = api.post("/v1/image-to-video", content=content)
    assert (answer.status_code, word in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        pytest.param({"model": "kling-3.0", "end_seconds": 5, "resolution": "720p"}, 240, id="kling"),
        pytest.param({"model": "kling-3.0", "end_seconds": 5, "resolution": "720p", "audio": True}, 360, id="audio"),
        pytest.param({"model": "default", "end_seconds": 5, "resolution": "720p"}, 240, id="default"),
        pytest.param({"model": "default", "end_seconds": 20, "resolution": "720p"}, 960, id="long-default"),
        pytest.param({"model": "ltx-2.5", "end_seconds": 2}, 96, id="no-published-price"),
    ],
)
def test_create_charges(sandbox: Sandbox, api: httpx.Client, changes: dict[str, Any], price: int) -> None:
    sandbox.settings.render = False
    answer = api.post("/v1/image-to-video", json=body(**changes)).json()
    assert answer["credits_charged"] == answer["estimated_frame_cost"] == price


def test_unknown_project_is_not_found_as_the_api_says_it(api: httpx.Client) -> None:
    answer = api.get("/v1/video-projects/none")
    assert (answer.status_code, answer.json()) == (404, {"code": "not_found", "message": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/nothing"), ("GET", "/v1/image-to-video"), ("POST", "/"), ("PUT", "/_sandbox/x")]
)
def test_route_that_the_sandbox_lacks_names_the_sandbox(api: httpx.Client, method: str, path: str) -> None:
    answer = api.request(method, path)
    message = f"the sandbox has no such route: {method} {path}"
    assert (answer.status_code, answer.json()) == (404, {"code": "not_found", "message": message})


def test_cookies_are_neither_set_nor_kept(sandbox: Sandbox, api: httpx.Client) -> None:
    answer = api.get("/v1/account", headers={"Cookie": "session=abc"})
    assert "set-cookie" not in answer.headers
    assert "cookie" not in sandbox.requests[-1].headers


@pytest.mark.parametrize(
    "arguments",
    [
        {"port": -1},
        {"port": 65536},
        {"api_key": ""},
        {"api_key": "two words"},
        {"api_key": "line\n"},
        {"credits": -1},
        {"render_seconds": -0.1},
        {"render_seconds": float("nan")},
        {"render_seconds": float("inf")},
    ],
)
def test_values_that_cannot_be_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Sandbox(**arguments)


@pytest.mark.parametrize("changes", ['{"credits": -1}', '{"render_seconds": NaN}', '{"api_key": ""}'])
def test_settings_that_cannot_be_are_refused(api: httpx.Client, changes: str) -> None:
    before = api.get("/_sandbox/settings").json()
    answer = api.put("/_sandbox/settings", content=changes)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(changes.split('"')[1])
    assert api.get("/_sandbox/settings").json() == before


def test_error_bodies_can_lack_the_code(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.error_codes = False
    assert api.get("/v1/video-projects/none").json() == {"message": "Not Found"}


# Faults


def test_scripted_status_happens_so_often_and_no_job_is_made(sandbox: Sandbox, api: httpx.Client) -> None:
    fault = sandbox.faults.add("create", status=503, times=2, headers={"Retry-After": "3"})
    answers = [api.post("/v1/image-to-video", json=body()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "3"
    assert answers[0].headers["content-type"].startswith("text/html")
    assert (fault.hits, len(sandbox.jobs)) == (2, 1)


def test_scripted_status_can_come_after_the_job_was_made(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", status=500, after=True)
    assert api.post("/v1/image-to-video", json=body()).json()["code"] == "internal_server_error"
    assert len(sandbox.jobs) == 1


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(("after", "jobs"), [(False, 0), (True, 1)])
def test_cut_leaves_the_client_without_an_answer(
    sandbox: Sandbox, api: httpx.Client, reset: bool, after: bool, jobs: int
) -> None:
    sandbox.faults.add("create", cut=True, after=after, reset=reset)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        api.post("/v1/image-to-video", json=body())
    assert len(sandbox.jobs) == jobs
    assert sandbox.requests[-1].status is None
    assert (sandbox.requests[-1].job is not None) is after


def test_hang_gives_no_answer(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", hang=True, after=True)
    with pytest.raises(httpx.ReadTimeout):
        api.post("/v1/image-to-video", json=body(), timeout=0.2)
    assert len(sandbox.jobs) == 1


def test_sandbox_stops_while_a_request_hangs(sandbox: Sandbox) -> None:
    sandbox.faults.add("account", hang=True)
    failed = threading.Event()

    def ask() -> None:
        with pytest.raises(httpx.HTTPError):
            web.get(f"{sandbox.url}/v1/account", timeout=PATIENCE)
        failed.set()

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: len(sandbox.requests))
    sandbox.stop()
    thread.join(PATIENCE)
    assert failed.is_set()


def test_half_a_body_is_announced_as_a_whole_one(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("get", half_body=True)
    job = create(api)
    with pytest.raises(httpx.RemoteProtocolError):
        show(api, job)


def test_answer_can_lack_the_id(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", drop=["id"])
    answer = api.post("/v1/image-to-video", json=body())
    assert (answer.status_code, "id" in answer.json()) == (200, False)
    assert len(sandbox.jobs) == 1


def test_answer_can_be_patched(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("get", patch={"status": "pondering"})
    assert show(api, create(api))["status"] == "pondering"


def test_download_can_be_cut_after_some_bytes(sandbox: Sandbox, download: str) -> None:
    sandbox.faults.add("download", cut_at=1000)
    pieces: list[bytes] = []
    with web.stream("GET", download) as answer, pytest.raises(httpx.RemoteProtocolError):
        pieces.extend(answer.iter_raw())
    assert b"".join(pieces) == web.get(download).content[:1000]


def test_download_url_can_be_expired_once(sandbox: Sandbox, download: str) -> None:
    sandbox.faults.add("download", expired=403)
    assert [web.get(download).status_code for _ in range(2)] == [403, 200]


def test_slow_body_arrives_in_pieces_and_whole(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("account", bytes_per_second=2000)
    with api.stream("GET", "/v1/account") as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 1
    assert json.loads(b"".join(pieces))["tier"] == "pro"


def test_upload_that_is_cut_leaves_nothing(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("upload", cut_at=100_000)
    items = [{"type": "image", "extension": "png"}]
    item = api.post("/v1/files/upload-urls", json={"items": items}).json()["items"][0]
    with pytest.raises(httpx.TransportError):
        web.put(item["upload_url"], content=bytes(5_000_000))
    assert sandbox.uploads.find(item["file_path"]) is None
    assert sandbox.requests.to("upload")[0].status is None


def test_request_on_a_reused_connection_can_be_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", reused=True, cut=True)
    api.get("/v1/account")
    with pytest.raises(httpx.RemoteProtocolError):
        api.post("/v1/image-to-video", json=body())
    create(api)
    assert [request.reused for request in sandbox.requests] == [False, True, False]


def test_idle_connections_can_be_closed(sandbox: Sandbox) -> None:
    address = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(b"GET /v1/account HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        sandbox.close_idle_connections()
        assert connection.recv(1) == b""


def test_fault_can_be_for_the_nth_request_with_a_certain_body(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", body={"style": {"prompt": "b"}}, nth=2, status=422)
    statuses = [api.post("/v1/image-to-video", json=body(style={"prompt": prompt})).status_code for prompt in "abbab"]
    assert statuses == [200, 200, 422, 200, 200]


def test_fault_can_be_for_a_path(sandbox: Sandbox, api: httpx.Client) -> None:
    first, second = create(api), create(api)
    sandbox.faults.add("get", path=f"*/{second}", status=404, json={"message": "Not Found"}, times=None)
    assert [api.get(f"/v1/video-projects/{job}").status_code for job in (first, second, second)] == [
        200,
        404,
        404,
    ]


def test_cleared_faults_no_longer_happen(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("*", status=500, times=None)
    sandbox.faults.clear()
    assert api.get("/v1/account").status_code == 200


@pytest.mark.parametrize(
    "script", [{"stauts": 500}, {"status": "500"}, {"route": "nowhere"}, {"job": {"outcome": "lost"}}]
)
def test_fault_that_makes_no_sense_is_refused(sandbox: Sandbox, api: httpx.Client, script: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        sandbox.faults.add(**script)
    answer = api.post("/_sandbox/faults", json=script)
    assert (answer.status_code, len(sandbox.faults)) == (400, 0)


def test_too_many_requests_are_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.update({"requests_per_second": 0.001, "retry_after": 7})
    answers = [api.get("/v1/account") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "7"


# How jobs go


def test_job_can_fail_with_a_code(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", job=JobScript(outcome="error", code="no_source_face", message="No face"))
    project = finished(api, create(api))
    assert project["error"] == {"code": "no_source_face", "message": "No face"}
    assert (project["status"], project["downloads"], project["credits_charged"]) == ("error", [], 0)


def test_job_can_say_an_unknown_word_for_ever(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", job=JobScript(outcome="never", word="pondering"))
    assert show(api, create(api))["status"] == "pondering"


def test_job_can_be_complete_before_its_downloads_are_there(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.faults.add("create", job=JobScript(downloads_delay=1000))
    job = create(api)
    project = finished(api, job)
    assert (project["status"], project["downloads"], project["download"]) == ("complete", [], None)
    sandbox.jobs.change(job, downloads_delay=0.0)
    assert show(api, job)["downloads"]


# Records and control


def test_requests_are_recorded_without_the_key(sandbox: Sandbox, api: httpx.Client) -> None:
    job = create(api)
    web.get(f"{sandbox.url}/v1/account", headers={"Authorization": "Bearer secret"})
    first, second = sandbox.requests
    assert (first.method, first.path, first.route) == ("POST", "/v1/image-to-video", "create")
    assert (first.status, first.job, first.body) == (200, job, body())
    assert first.headers["authorization"] == "<right key>"
    assert second.headers["authorization"] == "<wrong key>"
    assert sandbox.requests.counts == {"create": 1, "account": 1}


def test_another_process_can_script_and_look(sandbox: Sandbox, api: httpx.Client) -> None:
    script = {"route": "create", "job": {"outcome": "error"}, "times": 1}
    assert api.post("/_sandbox/faults", json=script).status_code == 201
    api.put("/_sandbox/settings", json={"render_seconds": 0.0}).raise_for_status()
    job = create(api)
    jobs = api.get("/_sandbox/jobs").json()["jobs"]
    assert [(entry["id"], entry["status"], entry["credits_charged"]) for entry in jobs] == [(job, "error", 0)]
    recorded = api.get("/_sandbox/requests", params={"route": "create"}).json()
    assert (recorded["counts"], recorded["requests"][0]["job"]) == ({"create": 1}, job)
    assert api.get("/_sandbox/faults").json()["faults"][0]["hits"] == 1


def test_another_process_can_replace_the_key_and_change_a_job(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.settings.render_seconds = 1000
    job = create(api)
    api.patch(f"/_sandbox/jobs/{job}", json={"outcome": "canceled", "render_seconds": 0}).raise_for_status()
    assert sandbox.jobs[job].status == "canceled"
    api.put("/_sandbox/settings", json={"api_key": "mhk_other"}).raise_for_status()
    assert (sandbox.api_key, api.get("/v1/account").status_code) == ("mhk_other", 401)


def test_another_process_can_add_a_job_of_another_kind(sandbox: Sandbox, api: httpx.Client) -> None:
    added = api.post("/_sandbox/jobs", json={"kind": "image", "script": {"outcome": "never"}}).json()
    assert api.get(f"/v1/image-projects/{added['id']}").json()["status"] in ("queued", "rendering")


def test_settings_that_do_not_exist_are_refused(api: httpx.Client) -> None:
    answer = api.put("/_sandbox/settings", json={"render_secs": 1})
    assert (answer.status_code, "render_seconds" in answer.json()["message"]) == (400, True)


# Life


def test_stopped_sandbox_comes_back_at_its_address_with_its_jobs(sandbox: Sandbox, api: httpx.Client) -> None:
    job, url = create(api), sandbox.url
    sandbox.stop()
    with pytest.raises(httpx.ConnectError):
        web.get(f"{url}/v1/account")
    sandbox.start()
    assert sandbox.url == url
    assert web.get(f"{url}/v1/video-projects/{job}", headers=AUTHORIZED).status_code == 200


def test_closed_sandbox_leaves_no_thread_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(threading.enumerate())
    with Sandbox(render_seconds=0) as sandbox:
        with httpx.Client(base_url=sandbox.url, headers=AUTHORIZED, **LOCAL) as api:
            upload(api, picture(64, 48))
            create(api, end_seconds=60, resolution="1080p")
        assert list(tmp_path.iterdir())
    assert set(threading.enumerate()) <= before
    assert not list(tmp_path.iterdir())


def test_taken_port_is_an_error(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"), Sandbox(port=port):
        pass


def test_fixture_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, airflow_provider_magichour.sandbox.pytest_plugin\n"
        "print(sorted({'airflow', 'av', 'httpx', 'numpy', 'pydantic', 'starlette', 'uvicorn'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert ended.stdout.strip() == "[]"


PLUGIN_TEST = """
import json, os, urllib.request

def test_it(magichour_sandbox):
    connection = json.loads(os.environ["AIRFLOW_CONN_MAGICHOUR_DEFAULT"])
    assert connection["host"] == magichour_sandbox.url
    headers = {"Authorization": f"Bearer {connection['password']}"}
    request = urllib.request.Request(connection["host"] + "/v1/account", headers=headers)
    assert urllib.request.urlopen(request).status == 200
    assert len(magichour_sandbox.requests) == 1
"""


def test_fixture_gives_a_sandbox_and_its_connection(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PLUGIN_TEST)
    plugin = "airflow_provider_magichour.sandbox.pytest_plugin"
    # The plugin is named here, so that the test does not hang on the package being installed.
    command = [sys.executable, "-m", "pytest", "-q", "-p", plugin, "-p", "no:cacheprovider", str(tmp_path)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr
