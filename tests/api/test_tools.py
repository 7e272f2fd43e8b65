"""All tools by their rows: what passes, what is refused before it is sent, what it should cost."""

from __future__ import annotations

import copy
import importlib
import json
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.api.requests import estimated_cost, field_warnings, tool_request
from airflow_provider_magichour.api.tool_rows import TOOLS
from airflow_provider_magichour.api.tools import Price, row
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from tests.scenes.bodies import body_of, take_out, value_for

SPEC_FILE = os.environ.get("MAGIC_HOUR_OPENAPI")
NOT_IN_THE_SPEC = {"ai-ugc-ad", "ai-video-translator", "ai-video-upscaler", "ai-music-generator"}
FIELDS_NOT_IN_THE_SPEC = {
    "ai-talking-photo": {"resolution"},
    "character-replace": {"model"},
    "text-to-video": {"references", "references[].file_path", "references[].name"},
}
ALL = pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
REQUIRED = [(tool, path) for tool in TOOLS.values() for path in tool.required]


def refusal(tool: str, fields: Mapping[str, Any]) -> str:
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        tool_request(tool, fields)
    text = str(caught.value)
    assert text.endswith("Nothing was sent.")
    return text


def cost(tool: str, **fields: Any) -> int | None:
    merged = body_of(TOOLS[tool])
    for name, value in fields.items():
        merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    estimate = estimated_cost(tool_request(tool, merged))
    return estimate and estimate.credits


@ALL
def test_what_a_tool_must_be_sent_is_enough(tool):
    body = body_of(tool)
    request = tool_request(tool.name, body)
    assert (request.body, field_warnings(request)) == (body, [])


@ALL
def test_every_field_of_a_row_passes_and_only_deprecated_ones_warn(tool):
    leaves = tuple(path for path, kind in tool.fields.items() if kind not in ("object", "list"))
    body = body_of(tool, paths=leaves)
    request = tool_request(tool.name, body)
    assert request.body == body
    assert len(field_warnings(request)) == len(tool.deprecated)


@pytest.mark.parametrize(("tool", "path"), REQUIRED, ids=lambda each: getattr(each, "name", each))
def test_what_is_required_and_missing_is_named(tool, path):
    body = body_of(tool, paths=tool.required)
    take_out(body, path)
    assert f"{path.replace('[]', '[0]')} is missing" in refusal(tool.name, body)


@pytest.mark.parametrize(
    ("tool", "path"),
    [(tool, path) for tool in TOOLS.values() for path, kind in tool.fields.items() if kind not in ("text", "word")],
    ids=lambda each: getattr(each, "name", each),
)
def test_a_value_of_another_type_is_named_with_what_is_needed(tool, path):
    body = body_of(tool, paths=(path,), words={path: value_for(tool, path)})
    wrong = "all" if tool.fields[path] in ("object", "list", "boolean") else {"a": 1}
    place = body
    steps = path.split(".")
    for step in steps[:-1]:
        place = place[step.removesuffix("[]")][0] if step.endswith("[]") else place[step]
    if steps[-1].endswith("[]"):
        place[steps[-1].removesuffix("[]")][0] = wrong if tool.fields[path] != "object" else "all"
    else:
        place[steps[-1]] = wrong
    assert f"{path.replace('[]', '[0]')}=" in refusal(tool.name, body)


@pytest.mark.parametrize("tool", [tool for tool in TOOLS.values() if tool.needs], ids=lambda tool: tool.name)
def test_conditions_between_fields_are_held(tool):
    for need in tool.needs:
        if not need.where:
            body = body_of(tool)
            take_out(body, need.of[0])
            assert f"{' or '.join(need.of)} is needed" in refusal(tool.name, body)
            continue
        body = body_of(tool, paths=(need.where,), words={need.where: need.value})
        take_out(body, need.of[0])
        assert f"{need.where}={need.value!r} needs {need.of[0]}" in refusal(tool.name, body)


def test_texts_that_templates_render_become_what_the_row_says():
    request = tool_request(
        "face-swap",
        {
            "assets": {
                "video_source": "file",
                "video_file_path": Path("/clips/a.mp4"),
                "face_mappings": [
                    {"original_face": "api-assets/0.png", "new_face": "s3://faces/a.png", "note": "None"},
                    "None",
                ],
            },
            "start_seconds": "0",
            "end_seconds": Decimal("2.5"),
            "width": " 512 ",
            "style": {"version": None},
            "name": "None",
        },
    )
    assert request.body == {
        "assets": {
            "video_source": "file",
            "video_file_path": "/clips/a.mp4",
            "face_mappings": [{"original_face": "api-assets/0.png", "new_face": "s3://faces/a.png"}],
        },
        "start_seconds": 0,
        "end_seconds": 2.5,
        "width": 512,
    }
    assert request.files == {
        "assets.face_mappings[0].new_face": "s3://faces/a.png",
        "assets.video_file_path": "/clips/a.mp4",
    }


def test_a_number_where_a_text_belongs_is_that_text_again():
    request = tool_request("ai-qr-code-generator", {"content": 1984, "style": {"art_style": "watercolor"}})
    assert request.body["content"] == "1984"


def test_an_object_that_must_be_there_may_be_empty():
    fields = {"assets": {"image_file_path": "a.png"}, "style": {"enhance_face": None}}
    assert tool_request("ai-face-editor", fields).body["style"] == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("text_to_video", "text-to-video"), ("Image To Video", "image-to-video"), ("ai-image-generater", "ai-image-gen")],
)
def test_an_unknown_tool_is_told_the_ones_it_may_have_meant(name, meant):
    assert f"did you mean {meant}" in refusal(name, {})


@pytest.mark.parametrize("name", ["xyzzy", None, 5, ["text-to-video"]])
def test_what_is_like_no_tool_is_told_them_all(name):
    assert "text-to-video, " in refusal(name, {})


def test_fields_that_no_row_knows_are_sent_with_one_warning():
    request = tool_request(
        "text-to-video", {"end_seconds": 5, "style": {"prompt": "a cat", "mood": [1, {"deep": 2}]}, "seed": 7}
    )
    assert (request.body["seed"], request.body["style"]["mood"]) == (7, [1, {"deep": 2}])
    (warning,) = field_warnings(request)
    assert "'style.mood', 'seed'" in warning


def test_the_name_is_not_sent_to_a_tool_that_has_none():
    assert tool_request("ai-ugc-ad", body_of(TOOLS["ai-ugc-ad"]), name="a").body == body_of(TOOLS["ai-ugc-ad"])
    assert tool_request("ai-gif-generator", {"style": {"prompt": "a"}}, name="a").name == "a"


@pytest.mark.parametrize("tool", ["text-to-video", "image-to-video"])
def test_what_a_known_model_cannot_do_is_refused_for_both_tools_that_have_models(tool):
    with pytest.raises(MagicHourInvalidRequestError, match=r"^end_seconds=40: kling-3\.0"):
        tool_request(tool, {**body_of(TOOLS[tool]), "model": "kling-3.0", "end_seconds": 40})


PRICES = [
    ("ai-clothes-changer", {}, 25),
    ("ai-face-editor", {}, 1),
    ("ai-gif-generator", {}, 50),
    ("ai-headshot-generator", {}, 50),
    ("ai-meme-generator", {}, 10),
    ("ai-qr-code-generator", {}, 0),
    ("face-swap-photo", {}, 10),
    ("head-swap", {}, 10),
    ("image-background-remover", {}, 5),
    ("photo-colorizer", {}, 10),
    ("face-swap", {"start_seconds": 2, "end_seconds": 10}, 192),
    ("video-to-video", {"start_seconds": 0, "end_seconds": 2.5}, 120),
    ("auto-subtitle-generator", {"start_seconds": 0, "end_seconds": 11}, 53),
    ("audio-to-video", {"end_seconds": 10, "resolution": "1080p"}, 720),
    ("audio-to-video", {"end_seconds": 10, "start_seconds": 4}, 288),
    ("ai-talking-photo", {"start_seconds": 0, "end_seconds": 10}, 480),
    ("ai-talking-photo", {"start_seconds": 0, "end_seconds": 10, "style": {"generation_mode": "prompted"}}, 240),
    ("ai-music-generator", {"duration": 60}, 60),
    ("animation", {"end_seconds": 10, "fps": 12}, 120),
    ("lip-sync", {"start_seconds": 0, "end_seconds": 10}, 300),
    (
        "lip-sync",
        {"start_seconds": 0, "end_seconds": 10, "max_fps_limit": 24, "style": {"generation_mode": "pro"}},
        480,
    ),
    ("ai-voice-generator", {"style": {"prompt": "x" * 101}}, 11),
    ("ai-voice-cloner", {"style": {"prompt": "x" * 1000}}, 100),
    ("ai-image-generator", {"image_count": 4, "model": "z-image-turbo", "resolution": "640px"}, 20),
    ("ai-image-editor", {"model": "nano-banana-pro", "resolution": "1k"}, 150),
    ("ai-image-upscaler", {"scale_factor": 2}, 50),
    ("ai-image-upscaler", {"scale_factor": "4", "style": {"mode": "preserve"}}, 100),
    ("body-swap", {"resolution": "640px"}, 50),
    ("text-to-video", {"end_seconds": 5, "model": "kling-3.0", "resolution": "720p"}, 240),
    # No price is published for these.
    ("ai-ugc-ad", {}, None),
    ("ai-video-editor", {}, None),
    ("ai-video-translator", {}, None),
    ("ai-video-upscaler", {}, None),
    ("character-replace", {}, None),
    ("body-swap", {"resolution": "4k"}, None),
    ("ai-image-generator", {"model": "nano-banana-2", "resolution": "4k"}, None),
    ("ai-image-generator", {"model": "nano-banana-2"}, None),
    ("ai-image-upscaler", {"scale_factor": 8}, None),
    ("lip-sync", {"style": {"generation_mode": "new"}}, None),
    ("face-swap", {"start_seconds": 10, "end_seconds": 2}, None),
    ("text-to-video", {"model": "wan-3.0"}, None),
]


@pytest.mark.parametrize(("tool", "fields", "credits"), PRICES)
def test_a_tool_costs_what_is_published(tool, fields, credits):
    assert cost(tool, **fields) == credits


def test_a_row_is_all_that_a_tool_needs():
    made_up = row(
        "sound-to-scent audio SCENT Sound to Scent",
        "assets.layers[].sound!:audio|video strength!:count style.notes[]",
        needs=("mode=strong style.notes",),
        price=Price("image", {3: ("",)}, of="strength"),
        has_name=False,
    )
    assert made_up.fields["assets.layers[]"] == "object"
    assert made_up.fields["style.notes"] == "list"
    assert made_up.files == {"assets.layers[].sound": ("audio", "video")}
    assert made_up.required == ("assets.layers[].sound", "strength")
    assert (made_up.path, made_up.has_name) == ("/v1/sound-to-scent", False)


# Against what the vendor publishes


def flattened(schema: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield each field of a schema with its dotted path, and whether it is required in its parent."""
    for name, inner in schema.get("properties", {}).items():
        path = f"{at}{name}"
        yield path, inner, name in schema.get("required", ())
        yield from flattened(inner, f"{path}.")
        yield from flattened(inner.get("items", {}), f"{path}[].")


@pytest.mark.skipif(not SPEC_FILE, reason="MAGIC_HOUR_OPENAPI does not name the vendor's specification")
@pytest.mark.parametrize(
    "tool", [tool for tool in TOOLS.values() if tool.name not in NOT_IN_THE_SPEC], ids=lambda t: t.name
)
def test_a_row_agrees_with_the_specification(tool):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    assert SPEC_FILE is not None
    operation = json.loads(Path(SPEC_FILE).read_text())["paths"][tool.path]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    fields = {path: inner for path, inner, _ in flattened(schema)}
    known = {path for path in tool.fields if not path.endswith("[]")}
    newer = FIELDS_NOT_IN_THE_SPEC.get(tool.name, set())
    assert known - newer - set(fields) <= set(tool.deprecated)
    assert set(fields) <= known
    words = {path: inner["example"] for path, inner in fields.items() if "maximum" in inner}
    words |= {path: inner["enum"][0] for path, inner in fields.items() if "enum" in inner}
    body = body_of(tool, words=words)
    jsonschema.validate(tool_request(tool.name, body).body, schema)
    for path in set(tool.required) & set(fields):
        without = copy.deepcopy(body)
        take_out(without, path)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(without, schema)


@ALL
def test_the_vendors_sdk_takes_what_a_row_lets_pass(tool):
    pytest.importorskip("magic_hour", reason="the vendor's SDK is not installed: pip install magic-hour")
    params = importlib.import_module("magic_hour.types.params")
    name = "".join(word.capitalize() for word in tool.name.split("-"))
    schema = getattr(params, f"_SerializerV1{name}CreateBody")
    words = {path: next(iter(enum)) for path, enum in enums(schema.model_json_schema())}
    body = body_of(tool, words=words)
    schema.model_validate(tool_request(tool.name, body).body)
    for path in tool.required:
        without = copy.deepcopy(body)
        take_out(without, path)
        with pytest.raises(ValueError, match="Field required"):
            schema.model_validate(without)


def enums(schema: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    def resolved(inner: Mapping[str, Any]) -> Mapping[str, Any]:
        for option in (inner, *inner.get("anyOf", ())):
            if "$ref" in option:
                return resolved(schema["$defs"][option["$ref"].rpartition("/")[2]])
            if "items" in option:
                return {**option, "items": resolved(option["items"])}
            if "enum" in option or "const" in option:
                return option
        if "properties" in inner:
            return {**inner, "properties": {name: resolved(each) for name, each in inner["properties"].items()}}
        return inner

    for path, inner, _ in flattened(resolved(schema)):
        if "enum" in inner or "const" in inner:
            yield path, inner.get("enum") or [inner["const"]]
