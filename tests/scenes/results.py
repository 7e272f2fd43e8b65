"""What the sandbox makes, and what it is made from: small files, and what is seen and heard of a result."""

from __future__ import annotations

import io
import threading
import time
from fractions import Fraction
from typing import Any

import httpx
import pytest

av = pytest.importorskip("av", reason="the extra [sandbox] is not installed")
np = pytest.importorskip("numpy", reason="the extra [sandbox] is not installed")

# After the skips above: there is nothing to import without the extra.
from airflow_provider_magichour.api import tool_rows  # noqa: E402

PATIENCE = 30.0
ELSEWHERE = "https://example.com/picture.jpg"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def eventually(api: httpx.Client, path: str) -> dict[str, Any]:
    """Return what GET says at last."""
    deadline = time.monotonic() + PATIENCE
    while True:
        project = dict(api.get(path).raise_for_status().json())
        if project["status"] in ("complete", "error"):
            return project
        assert time.monotonic() < deadline, "it never came to an end"
        threading.Event().wait(0.02)


def project_of(api: httpx.Client, tool: str, **body: Any) -> dict[str, Any]:
    answer = api.post(f"/v1/{tool}", json=body)
    assert answer.status_code == 200, answer.text
    kind = tool_rows.TOOLS[tool].kind
    return eventually(api, f"/v1/{kind}-projects/{answer.json()['id']}")


def results(project: dict[str, Any]) -> list[httpx.Response]:
    assert project["status"] == "complete", project["error"]
    return [httpx.get(each["url"], trust_env=False, verify=False).raise_for_status() for each in project["downloads"]]


def made(api: httpx.Client, tool: str, **body: Any) -> bytes:
    (result,) = results(project_of(api, tool, **body))
    return result.content


def upload(api: httpx.Client, data: bytes, kind: str, extension: str) -> str:
    items = [{"type": kind, "extension": extension}]
    item = api.post("/v1/files/upload-urls", json={"items": items}).raise_for_status().json()["items"][0]
    httpx.put(item["upload_url"], content=data, trust_env=False, verify=False).raise_for_status()
    return str(item["file_path"])


def picture(width: int, height: int, colour: tuple[int, int, int] = RED) -> bytes:
    return filmed([(width, height, colour)], "png", "rgb24")


def video(*colours: tuple[int, int, int], container: str = "mp4", codec: str = "libx264") -> bytes:
    """Film a second of each colour."""
    return filmed([(64, 48, colour) for colour in colours for _ in range(10)], codec, "yuv420p", container)


def filmed(frames: list[Any], codec: str, pixels: str, container: str = "image2pipe") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = frames[0][0], frames[0][1], pixels
        for number, (width, height, colour) in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), colour, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def seen(data: bytes) -> list[Any]:
    """Return each frame as pixels."""
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def frames_in(data: bytes) -> int:
    """Return how many frames can be seen; of a long clip, their pixels would be gigabytes."""
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


def heard(data: bytes) -> tuple[str, float, float]:
    """Return codec, length in seconds, and the loudest sample."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        parts = [frame.to_ndarray() for frame in container.decode(stream)]
        samples = sum(part.shape[-1] for part in parts)
        loudest = max(float(np.abs(part).max()) for part in parts)
        return stream.codec_context.name, samples / stream.rate, loudest


def is_coloured(pixels: Any, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixels.mean(axis=(0, 1)) - colour).max() < 40)
