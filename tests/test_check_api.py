"""`make check-api`: what a made-up OpenAPI file, or a made-up wheel, has that the rows do not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.api import tools
from airflow_provider_magichour.api.capabilities import CAPABILITIES
from airflow_provider_magichour.api.tool_rows import ROWS, TOOLS
from tools.check_api import specification
from tools.check_api.__main__ import main
from tools.check_api.differences import differences
from tools.check_api.facts import JSON_TYPES, ROUTES, of_rows


def schema_of(tool: tools.Tool) -> dict[str, Any]:
    """Return the schema of a row, as the vendor would write it."""
    whole: dict[str, Any] = {}
    for path, type_ in sorted(tool.fields.items()):
        place = whole
        for step in path.replace("[]", ".[]").split("."):
            if step == "[]":
                place = place.setdefault("items", {})
            else:
                place = place.setdefault("properties", {}).setdefault(step, {})
        place["type"] = JSON_TYPES[type_]
        if path in tool.deprecated:
            place["deprecated"] = True
    for path in tool.required:
        while path and not path.endswith("[]"):
            parent, _, name = path.rpartition(".")
            place = whole
            for step in filter(None, parent.replace("[]", ".[]").split(".")):
                place = place["items"] if step == "[]" else place["properties"][step]
            place.setdefault("required", []).append(name)
            path = parent
    return {"type": "object", **whole}


def post(schema: dict[str, Any], kind: str = "video", title: str = "A Tool") -> dict[str, Any]:
    body = {"content": {"application/json": {"schema": schema}}}
    return {"post": {"summary": title, "tags": [f"{kind.capitalize()} Projects"], "requestBody": body}}


def document() -> dict[str, Any]:
    """Return an OpenAPI document of all that this package has."""
    paths = {tool.path: post(schema_of(tool), tool.kind, tool.title) for tool in ROWS}
    for route in ROUTES:
        method, path = route.split()
        paths.setdefault(path, {})[method.lower()] = {"tags": ["Files"]}
    return {"openapi": "3.0.2", "paths": paths}


def body_of(document: dict[str, Any], tool: str) -> dict[str, Any]:
    content = document["paths"][f"/v1/{tool}"]["post"]["requestBody"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(document: Any, *arguments: str) -> tuple[int, str]:
        path = tmp_path / "openapi.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        code = main(["--spec", str(path), *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


MADE_UP = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "amount": {"type": "integer"},
        "is_loud": {"type": "boolean"},
        "assets": {
            "type": "object",
            "properties": {
                "image_file_path": {"type": "string"},
                "clips": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"video_file_path": {"type": "string"}, "at": {"type": "number"}},
                        "required": ["video_file_path"],
                    },
                },
            },
            "required": ["image_file_path"],
        },
        "style": {"type": "object", "properties": {"prompt": {"type": "string"}}},
    },
    "required": ["assets", "amount", "style"],
}


def test_a_source_that_says_what_the_rows_say_differs_in_nothing(check: Any) -> None:
    code, said = check(document())

    assert code == 0
    assert "0 came, 0 went, 0 changed" in said


def test_a_32nd_tool_is_printed_as_the_row_that_makes_it_known(check: Any) -> None:
    made_up = document()
    made_up["paths"]["/v1/ai-made-up"] = post(MADE_UP, "audio", "Made Up")

    code, said = check(made_up)

    assert code == 1
    assert "+ ai-made-up: a new tool (audio, Made Up)" in said
    written = said[said.index("row(") : said.index("\n  )") + 4]
    row = eval(written, {"row": tools.row})
    assert (row.name, row.kind, row.type, row.title) == ("ai-made-up", "audio", "MADE_UP", "Made Up")
    assert row.files == {"assets.image_file_path": ("image",), "assets.clips[].video_file_path": ("video",)}
    facts = specification.facts(made_up, "the file")
    assert not list(differences(of_rows([*ROWS, row]), facts))


def test_a_tool_without_a_tag_is_told_as_well(check: Any) -> None:
    made_up = document()
    made_up["paths"]["/v1/ai-made-up"] = {"post": {"requestBody": {}}}

    code, said = check(made_up)

    assert code == 1
    assert "ai-made-up: a new tool (kind unknown" in said


def test_what_came_went_and_changed_is_told_with_what_to_write(check: Any) -> None:
    made_up = document()
    fields = body_of(made_up, "head-swap")
    fields["properties"]["strength"] = {"type": "number"}
    fields["properties"]["max_resolution"] = {"type": "string"}
    body_of(made_up, "ai-gif-generator")["required"].append("output_format")
    body_of(made_up, "ai-headshot-generator")["required"] = []
    del body_of(made_up, "photo-colorizer")["properties"]["name"]
    del made_up["paths"]["/v1/body-swap"]
    made_up["paths"]["/v1/estimates"] = {"get": {}}
    body_of(made_up, "ai-meme-generator")["properties"]["style"]["properties"]["topic"]["description"] = (
        "Deprecated: use `subject`."
    )

    code, said = check(made_up)

    assert code == 1
    assert "+ head-swap: strength: new (number)" in said
    assert "`strength:number` in the row of head-swap" in said
    assert "~ head-swap: max_resolution: string, was integer" in said
    assert "~ ai-gif-generator: output_format: required now" in said
    assert "`output_format!` in the row of ai-gif-generator" in said
    assert "~ ai-headshot-generator: assets.image_file_path: required no longer" in said
    assert "- photo-colorizer: name: only in the rows (string)" in said
    assert "- body-swap: only in the rows" in said
    assert "+ GET /v1/estimates: a new endpoint" in said
    assert "~ ai-meme-generator: style.topic: deprecated now" in said


def test_what_only_went_fails_nothing(check: Any) -> None:
    older = document()
    del older["paths"]["/v1/ai-ugc-ad"]
    del older["paths"]["/v1/account"]
    del body_of(older, "face-swap")["properties"]["height"]

    code, said = check(older)

    assert code == 0
    assert "- ai-ugc-ad: only in the rows" in said
    assert "- GET /v1/account: only in the rows" in said
    assert "- face-swap: height: deprecated, and not there (integer)" in said


def test_models_and_what_they_can_do_are_held_against_the_table(check: Any) -> None:
    newer = document()
    fields = body_of(newer, "image-to-video")["properties"]
    fields["model"]["enum"] = ["default", "vidu-9", *(name for name in CAPABILITIES if name != "wan-2.2")]
    body_of(newer, "text-to-video")["properties"]["model"]["enum"] = ["default"]
    fields["end_seconds"]["description"] = "* **`kling-2.6`**: 5, 10, 15\n* **`kling-3.0`**: any integer from 3 to 9"
    fields["resolution"]["description"] = "* **`kling-2.6`**: Supports 720p, 1080p, 4k."
    fields["audio"]["description"] = "* **`kling-2.6`**: Toggle-able: no additional credits for audio"
    body_of(newer, "ai-image-editor")["properties"]["model"]["enum"] = ["krea-2"]

    code, said = check(newer)

    assert code == 1
    assert "+ image-to-video: model: enum +vidu-9" in said
    assert "rows of vidu-9 in CAPABILITIES of api/capabilities.py" in said
    assert "- image-to-video: model: enum -wan-2.2" in said
    assert "+ kling-2.6: end_seconds: +15" in said
    assert "- kling-3.0: end_seconds: -10,11,12,13,14,15" in said
    assert "+ kling-2.6: resolution: +4k" in said
    assert "+ kling-2.6: audio: +free" in said
    # Those of the image tools have prices alone: which of them have none is told, and nothing is to be written.
    (went,) = (line for line in said.splitlines() if "- ai-image-editor: model: enum -" in line)
    assert "flux-schnell" in went
    assert "krea-2" not in went


def test_references_alternatives_and_null_are_read(check: Any) -> None:
    newer = document()
    newer["components"] = {"schemas": {"Length": {"type": ["number", "null"]}}}
    fields = body_of(newer, "photo-colorizer")["properties"]
    fields["length"] = {"allOf": [{"$ref": "#/components/schemas/Length"}, {"description": "In seconds."}]}
    fields["tone"] = {"anyOf": [{"type": "null"}, {"type": "boolean"}]}

    _, said = check(newer)

    assert "photo-colorizer: length: new (number)" in said
    assert "photo-colorizer: tone: new (boolean)" in said


@pytest.mark.parametrize("text", ["{", "[]", '{"paths": 1}', "openapi: 3.0.2"])
def test_a_file_that_is_no_specification_is_refused(check: Any, text: str) -> None:
    code, said = check(text)

    assert code == 2
    assert "openapi.json" in said


CLIENT = '''
from magic_hour.resources.v1.audio_projects.client import AudioProjectsClient
raise SystemExit("imported")


class MadeUpClient:
    def create(self, *, amount: int):
        """
        Made Up

        POST /v1/ai-made-up
        """
        _json = to_encodable(item={}, dump_with=params._SerializerV1AiMadeUpCreateBody)
        return self._base_client.request(method="POST", path="/v1/ai-made-up", json=_json)

    def estimate(self, *, id: str):
        return self._base_client.request(method="GET", path=f"/v1/estimates/{id}")
'''
PARAMS = '''
class V1AiMadeUpCreateBody(typing_extensions.TypedDict):
    amount: typing_extensions.Required[int]
    """
    How many.
    """

    is_loud: typing_extensions.NotRequired[typing.Union[bool, None]]
    old: typing_extensions.NotRequired[str]
    """
    DEPRECATED: use `amount`.
    """
    mode: typing_extensions.NotRequired[typing_extensions.Literal["loud", "low"]]
    assets: typing_extensions.Required[V1AiMadeUpCreateBodyAssets]


class _SerializerV1AiMadeUpCreateBody(pydantic.BaseModel):
    is_loud: typing.Optional[bool] = pydantic.Field(alias="isLoud", default=None)


class V1AiMadeUpCreateBodyAssets(typing_extensions.TypedDict):
    audio_file_paths: typing_extensions.Required[typing.List[str]]
'''


def wheel(path: Path, **modules: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in modules.items():
            archive.writestr(f"magic_hour/{name.replace('__', '/')}.py", text)
    return str(path)


def test_a_wheel_is_read_and_not_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = wheel(
        tmp_path / "magic_hour-1.0.0-py3-none-any.whl",
        resources__v1__made_up__client=CLIENT,
        types__params__made_up=PARAMS,
    )

    code = main(["--sdk", path])

    said = capsys.readouterr().out
    assert code == 1
    assert "+ ai-made-up: a new tool (audio, Made Up)" in said
    assert "+ GET /v1/estimates/{id}: a new endpoint" in said
    row = eval(said[said.index("row(") : said.index("\n  )") + 4], {"row": tools.row})
    assert row.fields == {
        "amount": "integer",
        "assets": "object",
        "assets.audio_file_paths": "list",
        "assets.audio_file_paths[]": "file",
        "isLoud": "boolean",
        "mode": "text",
        "old": "text",
    }
    assert row.required == ("amount", "assets.audio_file_paths")
    assert not row.has_name


def test_a_file_and_a_wheel_are_held_against_each_other(check: Any, tmp_path: Path) -> None:
    path = wheel(tmp_path / "sdk.whl", resources__v1__made_up__client=CLIENT, types__params__made_up=PARAMS)
    newer = document()
    newer["paths"]["/v1/ai-made-up"] = post({"properties": {"mode": {"type": "string", "enum": ["loud", "high"]}}})

    _, said = check(newer, "--sdk", path)

    assert "sdk.whl against openapi.json" in said
    last = said.rpartition(" against ")[2]
    assert "+ ai-made-up: mode: enum +low" in last
    assert "- ai-made-up: mode: enum -high" in last
    assert "To write" not in last


@pytest.mark.parametrize("content", [b"no wheel", None])
def test_a_file_that_is_no_wheel_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "sdk.whl"
    if content is None:
        wheel(path, resources__v1__client="")
    else:
        path.write_bytes(content)

    assert main(["--sdk", str(path)]) == 2
    assert "sdk.whl" in capsys.readouterr().err


def test_every_row_is_written_as_it_is_read() -> None:
    facts = specification.facts(document(), "the file")
    assert set(facts.tools) == set(TOOLS)
    assert facts.routes == ROUTES
