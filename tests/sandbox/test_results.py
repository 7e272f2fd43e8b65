"""What the sandbox makes with each kind of tool, of what was sent and asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytest.importorskip("av", reason="the extra [sandbox] is not installed")
pytest.importorskip("numpy", reason="the extra [sandbox] is not installed")

# After the skips above: there is nothing to import without the extra.
from airflow_provider_magichour.sandbox.studio import SAMPLES
from tests.scenes.results import (
    BLUE,
    RED,
    filmed,
    heard,
    is_coloured,
    made,
    picture,
    project_of,
    results,
    seen,
    upload,
    video,
)

# Pictures


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        pytest.param({}, (1024, 1024), id="square"),
        pytest.param({"resolution": "640px", "aspect_ratio": "16:9"}, (640, 360), id="wide"),
        pytest.param({"resolution": "2k", "orientation": "portrait"}, (1152, 2048), id="tall"),
    ],
)
def test_images_have_the_asked_size(api: httpx.Client, asked: dict[str, Any], size: tuple[int, int]) -> None:
    image = made(api, "ai-image-generator", image_count=1, style={"prompt": "a cat"}, **asked)
    assert image.startswith(b"\x89PNG")
    (pixels,) = seen(image)
    assert pixels.shape == (size[1], size[0], 3)


def test_as_many_images_are_made_as_asked_for_each_another(api: httpx.Client) -> None:
    project = project_of(api, "ai-image-generator", image_count=4, resolution="640px", style={"prompt": "a cat"})
    images = [result.content for result in results(project)]
    assert (project["image_count"], len(images), len(set(images))) == (4, 4, 4)


def test_a_prompt_decides_what_is_drawn(api: httpx.Client) -> None:
    cat, dog, again = (
        made(api, "ai-qr-code-generator", content=prompt, style={"art_style": "Minecraft"})
        for prompt in ("a cat", "a dog", "a cat")
    )
    assert cat == again
    assert cat != dog


@pytest.mark.parametrize(
    ("tool", "asked", "size"),
    [
        pytest.param("ai-image-upscaler", {"scale_factor": 4}, (240, 160), id="upscaled"),
        pytest.param("photo-colorizer", {}, (60, 40), id="as-sent"),
    ],
)
def test_an_image_is_made_from_the_one_that_was_sent(
    api: httpx.Client, tool: str, asked: dict[str, Any], size: tuple[int, int]
) -> None:
    path = upload(api, picture(60, 40, BLUE), "image", "png")
    (pixels,) = seen(made(api, tool, assets={"image_file_path": path}, **asked))
    assert pixels.shape == (size[1], size[0], 3)
    assert is_coloured(pixels, BLUE)


def test_every_image_that_was_sent_is_in_the_result(api: httpx.Client) -> None:
    paths = [upload(api, picture(64, 64, colour), "image", "png") for colour in (RED, BLUE)]
    (pixels,) = seen(made(api, "ai-image-editor", assets={"image_file_paths": paths}, style={"prompt": "both"}))
    assert is_coloured(pixels[:16], RED)
    assert is_coloured(pixels[-16:, :16], BLUE)


@pytest.mark.parametrize(
    ("asked", "media_type", "start"),
    [
        pytest.param({}, "image/gif", b"GIF89a", id="gif"),
        pytest.param({"output_format": "gif"}, "image/gif", b"GIF89a", id="said-gif"),
        pytest.param({"output_format": "webm"}, "video/webm", b"\x1a\x45\xdf\xa3", id="webm"),
        pytest.param({"output_format": "mp4"}, "video/mp4", b"\0\0\0", id="mp4"),
        pytest.param({"output_format": "webp"}, "image/webp", b"RIFF", id="webp"),
    ],
)
def test_a_format_is_asked_for_by_its_field(
    api: httpx.Client, asked: dict[str, str], media_type: str, start: bytes
) -> None:
    (result,) = results(project_of(api, "ai-gif-generator", style={"prompt": "a cat"}, **asked))
    assert result.headers["content-type"] == media_type
    assert result.content.startswith(start)
    assert (len(seen(result.content)) > 1) is ("webp" not in media_type)


# Sounds


def test_music_is_as_long_as_asked_and_can_be_heard(api: httpx.Client) -> None:
    codec, seconds, loudest = heard(made(api, "ai-music-generator", duration=15, style={"prompt": "a waltz"}))
    assert codec.startswith("mp3")
    assert seconds == pytest.approx(15, abs=0.1)
    assert loudest > 0.1


def test_a_voice_takes_longer_for_a_longer_text(api: httpx.Client) -> None:
    lengths = [
        heard(made(api, "ai-voice-generator", style={"prompt": "word " * words, "voice_name": "Anyone"}))[1]
        for words in (1, 30)
    ]
    assert lengths[0] == pytest.approx(1, abs=0.1)
    assert lengths[1] == pytest.approx(10, abs=0.1)


# Clips


def test_a_clip_shows_the_part_of_the_video_that_was_asked_for(api: httpx.Client) -> None:
    assets = {
        "video_source": "file",
        "video_file_path": upload(api, video(RED, BLUE), "video", "mp4"),
        "audio_file_path": upload(api, SAMPLES["audio"].file.read_bytes(), "audio", "wav"),
    }
    project = project_of(api, "lip-sync", assets=assets, start_seconds=0.5, end_seconds=1.5)
    assert (project["start_seconds"], project["end_seconds"], project["type"]) == (0.5, 1.5, "LIP_SYNC")
    (result,) = results(project)
    frames = seen(result.content)
    assert len(frames) == 24
    assert [is_coloured(frame, RED) for frame in frames[:11]] == [True] * 11
    assert [is_coloured(frame, BLUE) for frame in frames[-11:]] == [True] * 11
    assert heard(result.content)[0] == "aac"
    assert (project["width"], project["height"]) == (frames[0].shape[1], frames[0].shape[0])


def test_a_video_that_ends_too_soon_stays_at_its_last_frame(api: httpx.Client) -> None:
    path = upload(api, video(RED, BLUE), "video", "mp4")
    frames = seen(made(api, "ai-video-editor", assets={"video_file_path": path}, end_seconds=4, style={"prompt": "x"}))
    assert len(frames) == 96
    assert is_coloured(frames[-1], BLUE)


def test_a_gif_can_stand_in_for_a_video(api: httpx.Client) -> None:
    gif = filmed([(64, 48, colour) for colour in (RED, BLUE) for _ in range(10)], "gif", "rgb8", "gif")
    faces = upload(api, picture(32, 32), "image", "png")
    assets = {
        "video_source": "file",
        "video_file_path": upload(api, gif, "video", "gif"),
        "image_file_path": faces,
    }
    frames = seen(made(api, "face-swap", assets=assets, start_seconds=0, end_seconds=2))
    assert is_coloured(frames[0], RED)
    assert is_coloured(frames[-1], BLUE)


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        pytest.param({}, (854, 480), id="usual"),
        pytest.param({"aspect_ratio": "9:16"}, (480, 854), id="tall"),
        pytest.param({"aspect_ratio": "1:1"}, (480, 480), id="square"),
    ],
)
def test_a_prompt_becomes_a_clip_of_the_asked_shape(
    api: httpx.Client, asked: dict[str, Any], size: tuple[int, int]
) -> None:
    body = {"end_seconds": 1, "model": "ltx-2.5", "resolution": "480p", "style": {"prompt": "a cat"}, **asked}
    frames = seen(made(api, "text-to-video", **body))
    assert (len(frames), frames[0].shape) == (24, (size[1], size[0], 3))


def test_a_picture_that_is_referred_to_is_in_the_clip(api: httpx.Client) -> None:
    references = [
        {"name": "song", "file_path": upload(api, SAMPLES["audio"].file.read_bytes(), "audio", "wav")},
        {"name": "sky", "file_path": upload(api, picture(64, 48, BLUE), "image", "png")},
    ]
    body = {"end_seconds": 1, "model": "ltx-2.5", "resolution": "480p", "style": {"prompt": "@sky"}}
    assert is_coloured(seen(made(api, "text-to-video", references=references, **body))[0], BLUE)


def test_a_clip_has_the_width_and_height_that_a_tool_asks_for(api: httpx.Client) -> None:
    style = {"art_style": "x", "camera_effect": "x", "prompt_type": "custom", "transition_speed": 5}
    body = {"assets": {"audio_source": "none"}, "end_seconds": 1, "fps": 12, "width": 200, "height": 100}
    assert seen(made(api, "animation", style=style, **body))[0].shape == (100, 200, 3)


def test_each_file_that_was_sent_is_looked_at(api: httpx.Client) -> None:
    assets = {
        "video_file_path": upload(api, video(RED), "video", "mp4"),
        "image_file_path": upload(api, b"this is a text" * 20, "image", "png"),
    }
    project = project_of(api, "character-replace", assets=assets, end_seconds=1)
    assert (project["status"], project["error"]["code"]) == ("error", "invalid_file_format")


@pytest.mark.parametrize("sent", ["nothing", "a text", "a picture"])
def test_what_is_no_sound_fails_a_job_that_needs_one(api: httpx.Client, sent: str) -> None:
    data = {"a text": b"this is a text" * 20, "a picture": picture(64, 48)}.get(sent)
    path = upload(api, data, "audio", "mp3") if data else "api-assets/none/audio.mp3"
    project = project_of(api, "ai-voice-cloner", assets={"audio_file_path": path}, style={"prompt": "hello"})
    assert (project["status"], project["error"]["code"]) == ("error", "invalid_file_format")
    assert project["credits_charged"] == 0
