"""Every answer of the sandbox and every request of the client, held against the vendor's published specification.

Set MAGIC_HOUR_OPENAPI to the file ``api-reference/openapi.json`` of https://github.com/magichourhq/docs.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
pytest.importorskip("av", reason="the extra [sandbox] is not installed")
pytest.importorskip("numpy", reason="the extra [sandbox] is not installed")

# After the skips above: there is nothing to import without the extra.
from airflow_provider_magichour.api.capabilities import CAPABILITIES  # noqa: E402
from airflow_provider_magichour.api.requests import image_to_video_request  # noqa: E402
from airflow_provider_magichour.hooks import MagicHourHook  # noqa: E402
from airflow_provider_magichour.sandbox import JobScript, Sandbox  # noqa: E402

PATIENCE = 30.0
SPEC_FILE = os.environ.get("MAGIC_HOUR_OPENAPI")
pytestmark = pytest.mark.skipif(not SPEC_FILE, reason="MAGIC_HOUR_OPENAPI does not name the vendor's specification")

# Where the specification of 2026-08-18 is known to be behind the API (SDK 0.90.0, after 2026-09-02).
PATHS_NOT_IN_THE_SPEC = {"/v1/account"}
STATUSES_NOT_IN_THE_SPEC = {429, 500, 503}
FIELDS_NOT_IN_THE_SPEC = {
    "/v1/image-to-video": {"estimated_frame_cost"},
    "/v1/video-projects/{id}": {"download", "total_frame_cost"},
    "/v1/image-projects/{id}": {"total_frame_cost"},
}
ERROR_FIELDS_NOT_IN_THE_SPEC = {"code"}
MODELS_NOT_IN_THE_SPEC = {"gemini-omni-1.1", "ltx-2.5", "seedance-2.0-fast", "wan-3.0"}
RESOLUTIONS_NOT_IN_THE_SPEC = {"360p"}
CAPABILITIES_NOT_IN_THE_SPEC = {
    "minimax-h3": {"seconds", "end_image"},
    "seedance-2.0": {"resolutions", "end_image"},
    "seedance-2.5": {"resolutions", "end_image"},
}
NEUTRAL = {"image_file_path": "https://example.com/picture.jpg"}
ITEMS = [{"type": "image", "extension": "png"}, {"type": "video", "extension": "mp4"}]


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    assert SPEC_FILE is not None
    return dict(json.loads(Path(SPEC_FILE).read_text()))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(render_seconds=0, render=False) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox, spec: dict[str, Any]) -> Iterator[CheckedClient]:
    with CheckedClient(sandbox, spec) as client:
        yield client


class CheckedClient(httpx.Client):
    """A client that holds each answer against the specification."""

    def __init__(self, sandbox: Sandbox, spec: Mapping[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        super().__init__(base_url=sandbox.url, headers=headers, trust_env=False, verify=False)
        self._spec = spec

    def checked(self, method: str, path: str, template: str | None = None, **options: Any) -> httpx.Response:
        answer = self.request(method, path, **options)
        operation = self._spec["paths"][template or path][method.lower()]
        if answer.status_code not in STATUSES_NOT_IN_THE_SPEC:
            check_answer(operation, template or path, answer)
        return answer

    def polled(self, path: str, template: str) -> Iterator[dict[str, Any]]:
        """Yield what GET says, again and again, until somebody has seen enough."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            yield self.checked("GET", path, template).json()
            threading.Event().wait(0.02)
        pytest.fail(f"{path} did not get there")


def check_answer(operation: Mapping[str, Any], path: str, answer: httpx.Response) -> None:
    described = operation["responses"][str(answer.status_code)]
    if "content" not in described:
        assert answer.content == b""
        return
    schema = described["content"]["application/json"]["schema"]
    allowed = FIELDS_NOT_IN_THE_SPEC.get(path, set()) if answer.is_success else ERROR_FIELDS_NOT_IN_THE_SPEC
    validate(answer.json(), schema)
    assert set(answer.json()) - set(schema["properties"]) <= allowed


def validate(value: Any, schema: Mapping[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(
        with_null(schema), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    assert not [error.message for error in validator.iter_errors(value)]


def with_null(schema: Any) -> Any:
    """Write OpenAPI 3.0's ``nullable`` as JSON Schema does."""
    if isinstance(schema, list):
        return [with_null(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    plain = {name: with_null(part) for name, part in schema.items() if name not in ("nullable", "example")}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def body_schema(spec: Mapping[str, Any], path: str) -> Any:
    return spec["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def test_answers_of_a_project_that_succeeds(api: CheckedClient, sandbox: Sandbox) -> None:
    path = "/v1/video-projects/{id}"
    body = {"end_seconds": 5, "assets": NEUTRAL, "name": "spec", "model": "kling-3.0"}
    job = api.checked("POST", "/v1/image-to-video", json=body).json()["id"]
    sandbox.jobs.change(job, render_seconds=1000.0)
    assert api.checked("GET", f"/v1/video-projects/{job}", path).json()["status"] == "queued"
    sandbox.jobs.change(job, render_seconds=0.0)
    for project in api.polled(f"/v1/video-projects/{job}", path):
        if project["status"] == "complete":
            break
    assert api.checked("DELETE", f"/v1/video-projects/{job}", path).status_code == 204
    assert api.checked("GET", f"/v1/video-projects/{job}", path).json()["enabled"] is False


@pytest.mark.parametrize("outcome", ["error", "canceled"])
def test_answers_of_a_project_that_fails(api: CheckedClient, sandbox: Sandbox, outcome: Any) -> None:
    sandbox.faults.add("create", job=JobScript(outcome=outcome))
    body = {"end_seconds": 5, "assets": NEUTRAL}
    job = api.checked("POST", "/v1/image-to-video", json=body).json()["id"]
    project = api.checked("GET", f"/v1/video-projects/{job}", "/v1/video-projects/{id}").json()
    assert project["status"] == outcome


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_answers_of_projects_of_other_kinds(api: CheckedClient, sandbox: Sandbox, kind: Any) -> None:
    template = f"/v1/{kind}-projects/{{id}}"
    job = sandbox.add_job(kind, outputs=2)
    for project in api.polled(f"/v1/{kind}-projects/{job.id}", template):
        if project["downloads"]:
            break
    assert api.checked("DELETE", f"/v1/{kind}-projects/{job.id}", template).status_code == 204


def test_answer_of_upload_urls(api: CheckedClient) -> None:
    assert api.checked("POST", "/v1/files/upload-urls", json={"items": ITEMS}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/v1/files/upload-urls", None, 400, id="uploads-no-body"),
        pytest.param(
            "/v1/files/upload-urls",
            {"items": [{"type": "image", "extension": "gif"}]},
            422,
            id="uploads-wrong-extension",
        ),
        pytest.param("/v1/image-to-video", {"assets": NEUTRAL}, 400, id="create-no-seconds"),
        pytest.param(
            "/v1/image-to-video",
            {"end_seconds": 5, "assets": NEUTRAL, "model": "veo3.1"},
            422,
            id="create-impossible",
        ),
        pytest.param("/v1/image-to-video", {"end_seconds": 50, "assets": NEUTRAL}, 402, id="create-no-credits"),
    ],
)
def test_refused_posts(api: CheckedClient, sandbox: Sandbox, path: str, body: Any, status: int) -> None:
    sandbox.settings.credits = 1000
    assert api.checked("POST", path, json=body).status_code == status


def test_unknown_projects_and_wrong_keys(api: CheckedClient) -> None:
    for kind in ("video", "image", "audio"):
        path, template = f"/v1/{kind}-projects/none", f"/v1/{kind}-projects/{{id}}"
        for method in ("GET", "DELETE"):
            assert api.checked(method, path, template).status_code == 404
            assert api.checked(method, path, template, headers={"Authorization": "no"}).status_code == 401


def test_requests_that_the_sandbox_takes_are_requests_of_the_spec(api: CheckedClient, spec: dict[str, Any]) -> None:
    full = {
        "name": "spec",
        "end_seconds": 8,
        "model": "veo3.1",
        "resolution": "1080p",
        "audio": True,
        "style": {"prompt": "a dog running"},
        "assets": NEUTRAL | {"end_image_file_path": "saved-items/1/a.png"},
    }
    for body in (full, {"end_seconds": 5.0, "assets": NEUTRAL}):
        validate(body, body_schema(spec, "/v1/image-to-video"))
        assert api.checked("POST", "/v1/image-to-video", json=body).status_code == 200
    validate({"items": ITEMS}, body_schema(spec, "/v1/files/upload-urls"))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"end_seconds": "5"}, id="seconds-text"),
        pytest.param({"end_seconds": 0}, id="seconds-zero"),
        pytest.param({"end_seconds": 61}, id="seconds-61"),
        pytest.param({"assets": {}}, id="no-image"),
        pytest.param({"assets": {"image_file_path": ""}}, id="empty-image"),
        pytest.param({"audio": "yes"}, id="audio-text"),
        pytest.param({"name": None}, id="name-null"),
        pytest.param({"style": None}, id="style-null"),
        pytest.param({"resolution": "8k"}, id="resolution"),
        pytest.param({"model": "kling-99"}, id="model"),
    ],
)
def test_requests_that_the_spec_refuses_are_refused(
    api: CheckedClient, spec: dict[str, Any], broken: dict[str, Any]
) -> None:
    body = {"end_seconds": 5, "assets": NEUTRAL} | broken
    with pytest.raises(AssertionError):
        validate(body, body_schema(spec, "/v1/image-to-video"))
    assert api.checked("POST", "/v1/image-to-video", json=body).status_code in (400, 422)


def test_known_differences_are_still_differences(spec: dict[str, Any]) -> None:
    """A newer specification that has caught up: take what it has off the lists above."""
    fields = body_schema(spec, "/v1/image-to-video")["properties"]
    assert not MODELS_NOT_IN_THE_SPEC & set(fields["model"]["enum"])
    assert not RESOLUTIONS_NOT_IN_THE_SPEC & set(fields["resolution"]["enum"])
    assert not PATHS_NOT_IN_THE_SPEC & set(spec["paths"])
    create = spec["paths"]["/v1/image-to-video"]["post"]["responses"]
    assert not STATUSES_NOT_IN_THE_SPEC & {int(status) for status in create}
    assert not ERROR_FIELDS_NOT_IN_THE_SPEC & set(create["400"]["content"]["application/json"]["schema"]["properties"])


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"end_seconds": "5"}, id="least"),
        pytest.param(
            {
                "end_seconds": 8,
                "model": "veo3.1",
                "resolution": "1080p",
                "audio": "true",
                "prompt": "a dog running",
                "name": "spec",
                "end_image": "saved-items/1/a.png",
            },
            id="all",
        ),
        pytest.param({"end_seconds": 5, "extra_body": {"style": {"prompt": "a dog"}}}, id="extra-body"),
    ],
)
def test_requests_of_the_client_are_requests_of_the_spec(
    sandbox: Sandbox, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection)
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"picture")
    hook = MagicHourHook()
    path = hook.upload(picture).file_path
    project = hook.create_image_to_video(image_to_video_request(image=path, **arguments))
    hook.get_project(project.id)
    hook.delete_project(project.id)
    posted = {"upload-urls": "/v1/files/upload-urls", "create": "/v1/image-to-video"}
    for route, template in posted.items():
        (request,) = sandbox.requests.to(route)
        assert request.path == template
        validate(request.body, body_schema(spec, template))
    paths = {template.replace("{id}", project.id): methods for template, methods in spec["paths"].items()}
    for request in sandbox.requests.to("get") + sandbox.requests.to("delete"):
        assert request.method.lower() in paths[request.path]


AUDIO = {
    "Not supported": "no",
    "Toggle-able: audio adds extra credits when enabled": "extra",
    "Toggle-able: no additional credits for audio": "free",
}


def documented(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the specification says of each AI model, by the fields of a row of the table."""
    fields = body_schema(spec, "/v1/image-to-video")["properties"]

    def lines(field: Mapping[str, Any]) -> list[tuple[str, str]]:
        return re.findall(r"^\* \*\*`(.+?)`\*\*: (.+)$", field["description"], re.MULTILINE)

    models: dict[str, dict[str, Any]] = {name: {} for name, _ in lines(fields["end_seconds"])}
    for name, text in lines(fields["end_seconds"]):
        models[name]["seconds"] = tuple(int(number) for number in text.split(","))
    for name, text in lines(fields["resolution"]):
        models[name]["resolutions"] = tuple(re.findall(r"\d+[pk]\b", text))
    for name, text in lines(fields["audio"]):
        models[name]["audio"] = AUDIO[text]
    for name, text in lines(fields["assets"]["properties"]["end_image_file_path"]):
        limit = re.search(r"(\d+) seconds or less", text)
        models[name]["end_image"] = tuple(re.findall(r"\d+[pk]\b", text))
        models[name]["end_image_seconds"] = int(limit[1]) if limit else None
    return models


def test_the_table_of_models_says_what_the_spec_says(spec: dict[str, Any]) -> None:
    """A row may know more, as listed above, and never less: what is documented must pass."""
    models = documented(spec)
    names = {"seconds", "resolutions", "audio", "end_image", "end_image_seconds"}
    assert len(models) >= 12
    for model, said in models.items():
        assert set(said) == names
        differing = {name for name in names if getattr(CAPABILITIES[model], name) != said[name]}
        assert (model, differing) == (model, CAPABILITIES_NOT_IN_THE_SPEC.get(model, set()))
        for name in differing:
            assert set(said[name]) <= set(getattr(CAPABILITIES[model], name))


def test_the_table_knows_every_model_of_the_spec_and_names_those_it_documents_no_more(spec: dict[str, Any]) -> None:
    taken = set(body_schema(spec, "/v1/image-to-video")["properties"]["model"]["enum"]) - {"default"}
    assert taken <= set(CAPABILITIES)
    assert {name for name in taken if CAPABILITIES[name].legacy} >= taken - set(documented(spec))
