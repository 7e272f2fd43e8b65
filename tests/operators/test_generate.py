"""Any tool by the API's own fields: the operator knows no tool by name."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_magichour import operators
from airflow_provider_magichour.api import tool_rows
from airflow_provider_magichour.api.tool_rows import TOOLS
from airflow_provider_magichour.api.tools import Price, row
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.operators import MagicHourGenerateOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.operators.generate import FIELDS
from tests.scenes.bodies import body_of, put

IMAGE = "https://example.com/cat.jpg"
KEY = "mhk_test_of_any_tool"


class AnyTool(ThreadingHTTPServer):
    """Takes every create and every upload, and shows each project as complete."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.creates: list[tuple[str, Any]] = []
        self.uploads: dict[str, tuple[str, bytes]] = {}
        self.numbers = itertools.count()
        self.headers: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: AnyTool

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.headers.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path == "/v1/files/upload-urls":
            (item,) = body["items"]
            path = f"api-assets/{next(self.server.numbers)}/file.{item['extension']}"
            self.server.uploads[path] = (item["type"], b"")
            self.say({"items": [{"upload_url": f"{self.server.url}/put/{path}", "file_path": path}]})
            return
        self.server.creates.append((self.path, body))
        self.say({"id": f"p{len(self.server.creates)}", "credits_charged": 7})

    def do_PUT(self) -> None:
        path = self.path.removeprefix("/put/")
        self.server.headers.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.uploads[path] = (self.server.uploads[path][0], content)
        self.say({})

    def do_GET(self) -> None:
        kind, project = self.path.split("/")[2:]
        urls = [{"url": f"{self.server.url}/{n}.{kind[:5]}", "expires_at": None} for n in range(2)]
        self.say({"id": project, "status": "complete", "credits_charged": 5, "downloads": urls})

    def say(self, body: Any) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyTool]:
    server = AnyTool()
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    monkeypatch.setenv(
        "AIRFLOW_CONN_MAGICHOUR_DEFAULT",
        json.dumps({"conn_type": "magichour", "host": server.url, "password": KEY}),
    )
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def operator(tool: str, **arguments: Any) -> MagicHourGenerateOperator:
    return MagicHourGenerateOperator(task_id="submit", tool=tool, **arguments)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_each_tool_is_submitted_waited_for_and_found_again(api: AnyTool, context: Any, store: Any, tool: Any) -> None:
    body = body_of(tool)
    run = context(store)
    result = operator(tool.name, **body, wait_for_completion=True).execute(run)
    ((path, sent),) = api.creates
    name = sent.pop("name", None)
    assert (path, sent) == (tool.path, body)
    assert (name is not None) == tool.has_name
    assert (result["kind"], len(result["download_urls"])) == (tool.kind, 2)
    assert {**run["ti"].xcom, "download_urls": None} == {
        "project_id": "p1",
        "credits_charged": 5,
        "kind": tool.kind,
        "download_urls": None,
    }
    assert run["ti"].links == {"_link_MagicHourProjectLink": f"https://magichour.ai/my-library?{tool.kind}Id=p1"}
    assert operator(tool.name, **body, wait_for_completion=True).execute(context(store)) == result
    assert len(api.creates) == 1


FILES = [(tool, path) for tool in TOOLS.values() for path in tool.files]
EXTENSIONS = {"image": "JPG", "video": "mov", "audio": "wav", "gif": "gif"}


@pytest.mark.parametrize(("tool", "path"), FILES, ids=lambda each: getattr(each, "name", each))
def test_a_local_file_is_uploaded_from_wherever_it_stands(
    api: AnyTool, context: Any, store: Any, tmp_path: Path, tool: Any, path: str
) -> None:
    for media in tool.files[path]:
        file = tmp_path / f"input.{EXTENSIONS[media]}"
        file.write_bytes(media.encode() * 1000)
        body = body_of(tool)
        put(body, path, str(file))
        if path.endswith("[]"):
            body["assets"]["image_file_paths"] = [str(file)]
        api.creates.clear()
        api.uploads.clear()
        operator(tool.name, **body, durable=False).execute(context(store))
        ((uploaded, (kind, content)),) = api.uploads.items()
        assert (kind, content) == ("video" if media == "gif" else media, file.read_bytes())
        assert uploaded in json.dumps(api.creates[0][1])
        assert str(file) not in json.dumps(api.creates[0][1])


def test_a_file_of_another_kind_is_refused_before_anything_is_sent(api: AnyTool, context: Any, store: Any) -> None:
    task = operator(
        "face-swap",
        **{**body_of(TOOLS["face-swap"]), "assets": {"video_source": "file", "video_file_path": "/clips/a.png"}},
    )
    with pytest.raises(MagicHourInvalidRequestError, match=r"assets\.video_file_path=.* not that of a video or a GIF"):
        task.execute(context(store))
    assert api.headers == []


def test_fields_are_rendered_at_any_depth_and_typed_afterwards(api: AnyTool, context: Any, store: Any) -> None:
    with DAG("a_dag", schedule=None):
        task = operator(
            "text-to-video",
            style={"prompt": "{{ params.what }}", "mood": ["{{ params.what }}"]},
            end_seconds="{{ params.length }}",
            audio="{{ params.loud }}",
            references=[{"name": "cat", "file_path": "{{ params.file }}"}],
            resolution="{{ params.nothing }}",
        )
    run = context(store)
    params = {"what": "a cat", "length": 5, "loud": True, "file": IMAGE, "nothing": None}
    task.render_template_fields({**run, "params": params})
    task.execute(run)
    ((_, sent),) = api.creates
    del sent["name"]
    assert sent == {
        "style": {"prompt": "a cat", "mood": ["a cat"]},
        "end_seconds": 5,
        "audio": True,
        "references": [{"name": "cat", "file_path": IMAGE}],
    }


def test_only_the_fields_that_are_given_are_shown_as_rendered() -> None:
    task = operator("ai-gif-generator", style={"prompt": "a cat"})
    assert [name for name in task.template_fields if name in FIELDS] == ["style"]


def test_fields_may_be_mapped_over_and_come_from_default_args() -> None:
    with DAG("a_dag", schedule=None, default_args={"model": "kling-3.0"}):
        mapped = MagicHourGenerateOperator.partial(task_id="many", tool="text-to-video", end_seconds=5).expand(
            style=[{"prompt": "a cat"}, {"prompt": "a dog"}]
        )
        plain = operator("text-to-video", style={"prompt": "a cat"}, end_seconds=5)
    assert "style" in mapped.template_fields
    assert (plain.model, "model" in plain.template_fields) == ("kling-3.0", True)


def test_the_names_that_may_be_mapped_over_are_those_of_the_rows() -> None:
    assert tool_rows.top_level_fields() == FIELDS


def test_a_field_that_nobody_knows_points_at_extra_body() -> None:
    with pytest.raises(TypeError, match=r"seeed.*\n.*extra_body"):
        operator("text-to-video", style={"prompt": "a cat"}, end_seconds=5, seeed=7)


def test_a_row_alone_makes_a_tool_work(
    api: AnyTool, context: Any, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up = row(
        "sound-to-scent image SCENT Sound to Scent",
        "layers[].sound!:audio strength!:count",
        expected=3,
        price=Price("image", {3: ("",)}, of="strength"),
    )
    monkeypatch.setattr(tool_rows, "TOOLS", {**TOOLS, made_up.name: made_up})
    sounds = [tmp_path / "a.wav", tmp_path / "b.mp3"]
    for sound in sounds:
        sound.write_bytes(sound.name.encode())
    layers = [{"sound": str(sound)} for sound in sounds]
    with pytest.raises(MagicHourInvalidRequestError, match="estimate of 12 credits"):
        operator(made_up.name, layers=layers, strength="4", max_credits=11).execute(context(store))
    result = operator(made_up.name, layers=layers, strength="4", wait_for_completion=True).execute(context(store))
    assert result["kind"] == "image"
    ((path, sent),) = api.creates
    assert (path, sent["strength"]) == ("/v1/sound-to-scent", 4)
    assert [api.uploads[layer["sound"]] for layer in sent["layers"]] == [("audio", b"a.wav"), ("audio", b"b.mp3")]


def test_a_limit_refuses_what_has_no_published_price(api: AnyTool, context: Any, store: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="no price is published for ai-ugc-ad"):
        operator("ai-ugc-ad", **body_of(TOOLS["ai-ugc-ad"]), max_credits=10_000).execute(context(store))
    assert api.creates == []


def test_both_ways_to_image_to_video_are_the_same_request(api: AnyTool, context: Any, store: Any) -> None:
    face = MagicHourImageToVideoOperator(task_id="submit", image=IMAGE, end_seconds=5, prompt="zoom", model="kling-3.0")
    face.execute(context(store))
    fields = {"assets": {"image_file_path": IMAGE}, "style": {"prompt": "zoom"}, "model": "kling-3.0"}
    assert operator("image-to-video", end_seconds="5", **fields).execute(context(store)) == "p1"
    assert len(api.creates) == 1


FACES = {
    operators.MagicHourTextToVideoOperator: {"prompt": "a cat", "end_seconds": 5},
    operators.MagicHourImageGeneratorOperator: {"prompt": "a cat", "image_count": "2"},
    operators.MagicHourImageEditorOperator: {"images": [IMAGE], "prompt": "a hat"},
    operators.MagicHourFaceSwapOperator: {"video": IMAGE, "image": IMAGE, "start_seconds": 0, "end_seconds": 5},
    operators.MagicHourFaceSwapPhotoOperator: {"target": IMAGE, "source": IMAGE},
    operators.MagicHourTalkingPhotoOperator: {"image": IMAGE, "audio": IMAGE, "end_seconds": 5},
    operators.MagicHourLipSyncOperator: {"video": IMAGE, "audio": IMAGE, "start_seconds": 0, "end_seconds": 5},
    operators.MagicHourImageUpscalerOperator: {"image": IMAGE, "scale_factor": "2"},
    operators.MagicHourBackgroundRemoverOperator: {"image": IMAGE},
    operators.MagicHourCharacterReplaceOperator: {"image": IMAGE, "video": IMAGE, "end_seconds": 5},
    operators.MagicHourImageToVideoOperator: {"image": IMAGE, "end_seconds": 5},
}


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_a_face_asks_its_tool_and_names_its_own_arguments(api: AnyTool, context: Any, store: Any, face: Any) -> None:
    arguments = FACES[face]
    assert face(task_id="submit", **arguments, conn_id=None).execute(context(store)) == "p1"
    ((path, _),) = api.creates
    tool = TOOLS[path.removeprefix("/v1/")]
    assert face.tool == tool.name
    assert set(face.arguments.values()) <= set(tool.fields) - set(tool.deprecated)
    given = {face.arguments[name] for name in arguments}
    assert {path for path in tool.required if not path.endswith("[]")} <= {
        *given,
        "start_seconds",
        "assets",
        "style",
        "assets.video_source",
        *(p for p in tool.required if "[]" in p),
    }
    first = next(name for name in arguments if face.arguments[name] in tool.required or name == "images")
    with pytest.raises(MagicHourInvalidRequestError, match=f"{first}(=| is missing| or | is needed)"):
        face(task_id="submit", **{**arguments, first: None}).execute(context(store))


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_a_faces_arguments_are_templated_and_may_be_mapped_over(face: Any) -> None:
    with DAG("a_dag", schedule=None, default_args={"magichour_conn_id": "other", "model": "kling-3.0"}):
        name, value = next(iter(FACES[face].items()))
        others = {each: given for each, given in FACES[face].items() if each != name}
        mapped = face.partial(task_id="many", max_credits=100, **others).expand(**{name: [value]})
        task = face(task_id="one", **FACES[face])
    assert {*face.arguments, "name", "extra_body"} <= set(mapped.template_fields)
    assert (task.magichour_conn_id, getattr(task, "model", "kling-3.0")) == ("other", "kling-3.0")


def test_the_api_alone_is_told_where_requests_come_from(api: AnyTool, context: Any, store: Any, tmp_path: Path) -> None:
    image = tmp_path / "cat.png"
    image.write_bytes(b"a cat")
    operators.MagicHourBackgroundRemoverOperator(task_id="submit", image=str(image)).execute(context(store))
    sources = {path.split("/")[1]: headers.get("x-magichour-source") for path, headers in api.headers}
    assert sources == {"v1": "airflow", "put": None}
    assert all(headers["user-agent"].startswith("airflow-provider-magichour/") for _, headers in api.headers)
