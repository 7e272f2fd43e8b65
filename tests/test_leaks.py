"""The API key and signatures of URLs: where they may be seen, and where not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import json
import logging
import pkgutil
import re
import sqlite3
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import rich.pretty
from airflow.lineage.hook import HookLineageCollector
from airflow.sdk import DAG
from airflow.sdk.execution_time.secrets_masker import redact
from pydantic import BaseModel

import airflow_provider_magichour
from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.api.endpoints import get_account
from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.api.signatures import secrets_in
from airflow_provider_magichour.compat import BaseOperator, TaskDeferred
from airflow_provider_magichour.exceptions import MagicHourError, MagicHourInvalidRequestError
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.operators import (
    MagicHourDetectFacesOperator,
    MagicHourDownloadOperator,
    MagicHourFaceSwapOperator,
    MagicHourGenerateOperator,
    MagicHourImageToVideoOperator,
)
from airflow_provider_magichour.sandbox import Sandbox
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from airflow_provider_magichour.triggers import MagicHourProjectTrigger
from tests.scenes.fake_server import FakeServer, answer
from tests.scenes.media import SECRET, connection_to, movie, running_bucket
from tools.airflow.local import LocalAirflow

pytest_plugins = ["tests.scenes.airflow_fixture"]

KEY = "mhk_leak_5e1f0c9a7b"
IMAGE_SIGNATURE = "f00dfacef00dfacef00dface"
SIGNED_IMAGE = f"https://bucket.s3.amazonaws.com/cat.jpg?X-Amz-Signature={IMAGE_SIGNATURE}"
TOKEN_IMAGE = f"https://u:{IMAGE_SIGNATURE}@cdn.example.com/cat.jpg?v=1&token={IMAGE_SIGNATURE}"
SIGNED_IMAGES = pytest.mark.parametrize("image", [SIGNED_IMAGE, TOKEN_IMAGE], ids=["signature", "token"])


class Seen:
    """All that Airflow would store or show of the tasks, apart from where download URLs belong."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.download_urls: list[str] = []

    def note(self, *values: Any) -> None:
        self.texts += [value if isinstance(value, str) else json.dumps(value, default=repr) for value in values]

    def xcom(self, pushed: dict[str, Any], value: Any) -> None:
        """Note what was pushed and returned; of the last two places where URLs may be, only the rest."""
        pushed = dict(pushed)
        self.download_urls += pushed.pop("download_urls", [])
        if isinstance(value, dict):
            value = dict(value)
            self.download_urls += value.pop("download_urls")
        self.note(pushed, value)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def secret_sandbox(sandbox: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    sandbox.api_key = KEY
    monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection)
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "airflow_provider_magichour"):
        caplog.set_level(logging.DEBUG, logger=name)
    return sandbox


def rendered(task: Any, context: Any) -> dict[str, Any]:
    task.render_template_fields(context)
    return {name: getattr(task, name) for name in task.template_fields}


def event_of(arguments: dict[str, Any]) -> dict[str, Any]:
    async def events() -> list[Any]:
        return [event async for event in MagicHourProjectTrigger(**arguments).run()]

    (event,) = asyncio.run(events())
    return dict(event.payload)


def signatures(sandbox: Any) -> set[str]:
    """Return the beginning of each signature handed out, used or not: every look at a finished project makes some."""
    used = {signature for request in sandbox.requests for signature in re.findall(r"Signature=(\w+)", request.query)}
    issued = set(sandbox.signer.issued)
    assert used <= issued
    assert issued - used
    return {signature[:16] for signature in issued}


@pytest.fixture
def lineage(monkeypatch: pytest.MonkeyPatch) -> HookLineageCollector:
    """A collector of this test's own, where Airflow has one for the whole process."""
    collector = HookLineageCollector()
    monkeypatch.setattr("airflow_provider_magichour.media.lineage.get_hook_lineage_collector", lambda: collector)
    return collector


def run_waiting(task: Any, context: Any, sandbox: Any, seen: Seen, finish: Callable[[], None]) -> Any:
    seen.note(rendered(task, context))
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    finish()
    stored = deferred.value.trigger.serialize()[1]
    event = event_of(stored)
    value = task.resume_execution(deferred.value.method_name, {"event": event}, context)
    seen.note(stored, event, repr(deferred.value), deferred.value.kwargs)
    seen.xcom(context["ti"].xcom, value)
    return value


def test_key_and_signatures_stay_where_they_belong(
    secret_sandbox: Any,
    clock: Any,
    context: Any,
    store: Any,
    photo: Path,
    tmp_path: Path,
    seen: Seen,
    lineage: HookLineageCollector,
    logged: Callable[[], str],
) -> None:
    sandbox = secret_sandbox

    def finish() -> None:
        sandbox.jobs.change(list(sandbox.jobs)[-1].id, render_seconds=0)

    with DAG("d", schedule=None):
        submit = MagicHourImageToVideoOperator(
            task_id="submit", image=str(photo), end_seconds=5, wait_for_completion=True, deferrable=True
        )
    # Trouble of each kind on the way.
    sandbox.faults.add("create", status=503)
    sandbox.faults.add("create", job={"render_seconds": 3600})
    sandbox.faults.add("upload", cut_at=100)
    sandbox.faults.add("get", status=500, nth=2)
    sandbox.faults.add("get", half_body=True, nth=3)
    value = run_waiting(submit, context(store), sandbox, seen, finish)

    job = sandbox.jobs[value["project_id"]]
    job.script.render_seconds = 3600
    with DAG("d2", schedule=None):
        wait = MagicHourProjectSensor(task_id="wait", project_id=value, deferrable=True)
    waited = run_waiting(wait, context(), sandbox, seen, finish)

    sandbox.faults.add("download", cut_at=5000)
    sandbox.faults.add("download", expired=403)
    with DAG("d3", schedule=None):
        download = MagicHourDownloadOperator(task_id="download", project_id=waited, destination=f"{tmp_path}/clips/")
    run = context()
    seen.note(rendered(download, run))
    seen.xcom(run["ti"].xcom, download.execute(run))

    seen.note(store.values, logged(), *(repr(vars(task)) for task in (submit, wait, download)))
    assert lineage.has_collected
    seen.note(repr(lineage.collected_assets))
    everything = "\n".join(seen.texts)
    assert KEY not in everything
    assert KEY not in "".join(seen.download_urls)
    for signature in signatures(sandbox):
        assert signature not in everything
    for url in seen.download_urls:
        assert url not in everything
    assert len(seen.download_urls) == 4
    assert "Submitted Magic Hour project" in everything
    assert "Download interrupted" in everything


def with_signed_urls(image: str) -> MagicHourImageToVideoOperator:
    return MagicHourImageToVideoOperator(
        task_id="submit",
        image=image,
        end_image=image,
        end_seconds=5,
        prompt=f"as in {image}",
        extra_body={"assets": {"masks": [{"url": image}]}, "references": [[image], {"deep": {"er": image}}]},
    )


@SIGNED_IMAGES
def test_signature_of_a_url_in_a_request_is_neither_logged_nor_recorded(
    secret_sandbox: Any, context: Any, store: Any, clock: Any, logged: Callable[[], str], image: str
) -> None:
    with_signed_urls(image).execute(context(store))
    assert IMAGE_SIGNATURE not in logged()
    assert IMAGE_SIGNATURE not in json.dumps(store.values)
    assert "cat.jpg" in json.dumps(store.values)
    sent = secret_sandbox.requests[0].body
    assert [sent["assets"]["image_file_path"], sent["assets"]["masks"][0]["url"], *sent["references"][0]] == [image] * 3


@SIGNED_IMAGES
def test_unsure_submission_shows_no_signature_of_a_url_in_its_request(
    secret_sandbox: Any, context: Any, store: Any, clock: Any, image: str
) -> None:
    secret_sandbox.faults.add("create", cut=True, times=None)
    for _ in ("lost", "found"):
        with pytest.raises(MagicHourError, match=r"Request: .*cat\.jpg") as caught:
            with_signed_urls(image).execute(context(store))
        assert IMAGE_SIGNATURE not in "".join(traceback.format_exception(caught.value))
    assert len(secret_sandbox.requests.to("create")) == 1


@SIGNED_IMAGES
def test_lineage_gets_no_signature_of_an_image_url(
    secret_sandbox: Any, context: Any, store: Any, lineage: HookLineageCollector, image: str
) -> None:
    with_signed_urls(image).execute(context(store))
    uris = {each.asset.uri for each in lineage.collected_assets.inputs}
    assert uris == {image.partition("?")[0].replace(f"u:{IMAGE_SIGNATURE}@", "")}


@SIGNED_IMAGES
def test_airflow_masks_signatures_in_further_fields(image: str) -> None:
    url = image.replace(IMAGE_SIGNATURE, "feedfacefeedface")  # masks stay, also those of other tests
    task = MagicHourImageToVideoOperator(
        task_id="submit", image="later.jpg", end_seconds=5, extra_body={"references": [[url], {"deep": {"er": url}}]}
    )
    fields = str(redact({"extra_body": task.extra_body}))
    assert url.partition("?")[2] not in fields
    assert fields.count("cat.jpg?***") == 2


@pytest.mark.parametrize(
    "template",
    [
        "{{ waited }}",
        "{{ waited | tojson }}",
        "{{ [waited, waited] }}",
        "{{ [waited, waited] | tojson }}",
        "{{ waited.download_urls }}",
        "{{ waited.download_urls[0] }}",
        "{'project_id': {{ waited }}",
        ["{{ waited }}", "{{ waited.download_urls }}"],
    ],
)
@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_result_of_a_wait_given_by_template_shows_no_signature(
    secret_sandbox: Any,
    clock: Any,
    context: Any,
    tmp_path: Path,
    logged: Callable[[], str],
    template: Any,
    native: bool,
) -> None:
    job = secret_sandbox.add_job()
    waited = MagicHourProjectSensor(task_id="wait", project_id=job.id).execute(context())
    (url,) = waited["download_urls"]
    signature = re.findall(r"Signature=([0-9a-f]+)", url)[0]
    with DAG("d", schedule=None, render_template_as_native_obj=native):
        tasks = [
            MagicHourProjectSensor(task_id="wait", project_id=template),
            MagicHourDownloadOperator(task_id="download", project_id=template, destination=f"{tmp_path}/"),
        ]
    for task in tasks:
        shown = repr(rendered(task, {**context(), "waited": waited}))
        try:
            task.execute(context())
        except MagicHourError as error:
            shown += "".join(traceback.format_exception(error))
            assert "project_id=" in shown
        assert signature not in shown
    assert signature not in logged()


@pytest.mark.parametrize("waits_itself", [True, False], ids=["operator", "sensor"])
@SIGNED_IMAGES
def test_failure_of_a_job_shows_no_signature_of_a_url_that_it_names(
    secret_sandbox: Any, clock: Any, context: Any, store: Any, logged: Callable[[], str], waits_itself: bool, image: str
) -> None:
    error = {"code": "invalid_input", "message": f"Could not fetch {image}: 403"}
    secret_sandbox.faults.add("get", patch={"status": "error", "downloads": [], "error": error}, times=None)
    if waits_itself:
        task: Any = MagicHourImageToVideoOperator(task_id="s", image=image, end_seconds=5, wait_for_completion=True)
    else:
        task = MagicHourProjectSensor(task_id="s", project_id=secret_sandbox.add_job().id)
    with pytest.raises(MagicHourError, match="Could not fetch https://") as caught:
        task.execute(context(store))
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + logged()
    assert image.partition("?")[2] not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"end_image": [SIGNED_IMAGE]}, id="list"),
        pytest.param({"extra_body": {"assets": {"image_file_path": "other"}}}, id="contradiction"),
        pytest.param({"image": SIGNED_IMAGE.replace("https", "httpx")}, id="scheme"),
        pytest.param({"model": "kling-3.0", "end_seconds": 59}, id="table"),
        pytest.param({"image": {"url": SIGNED_IMAGE}}, id="dict"),
    ],
)
def test_refusal_before_sending_does_not_repeat_a_signature(
    secret_sandbox: Any, context: Any, store: Any, arguments: Any
) -> None:
    task = MagicHourImageToVideoOperator(**{"task_id": "s", "image": SIGNED_IMAGE, "end_seconds": 5, **arguments})
    with pytest.raises(MagicHourError) as caught:
        task.execute(context(store))
    assert IMAGE_SIGNATURE not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "fault",
    [{"status": status} for status in (302, 400, 401, 402, 403, 404, 422, 429, 500, 502)]
    + [{"cut": True}, {"half_body": True}, {"drop": ["id"]}, {"text": "<html>", "status": 200}],
    ids=str,
)
def test_errors_of_a_submit_show_neither_key_nor_signature(
    secret_sandbox: Any,
    clock: Any,
    context: Any,
    store: Any,
    fault: dict[str, Any],
    logged: Callable[[], str],
) -> None:
    secret_sandbox.faults.add("create", times=None, **fault)
    with pytest.raises(MagicHourError) as caught:
        MagicHourImageToVideoOperator(task_id="s", image=SIGNED_IMAGE, end_seconds=5).execute(context(store))
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + logged()
    assert KEY not in shown
    assert IMAGE_SIGNATURE not in shown


def test_url_that_the_api_repeats_in_its_message_loses_its_signature(clock: Any) -> None:
    said = json.dumps({"message": f"Could not fetch {SIGNED_IMAGE}", "code": "invalid_request"}).encode()
    with FakeServer(answer(said, "422 Unprocessable Entity")) as api:
        settings = ClientSettings(api_key=KEY, base_url=api.url)
        with MagicHourClient(settings) as client, pytest.raises(MagicHourError, match="Could not fetch") as caught:
            client.send(get_account())
    assert IMAGE_SIGNATURE not in str(caught.value)


def test_errors_of_a_download_show_no_signature(
    secret_sandbox: Any, clock: Any, context: Any, tmp_path: Path, logged: Callable[[], str]
) -> None:
    job = secret_sandbox.add_job()
    for fault in ({"cut_at": 0}, {"status": 500}, {"expired": 403}):
        secret_sandbox.faults.clear()
        secret_sandbox.faults.add("download", times=None, **fault)
        task = MagicHourDownloadOperator(task_id="d", project_id=job.id, destination=f"{tmp_path}/")
        with pytest.raises(MagicHourError) as caught:
            task.execute(context())
        shown = "".join(traceback.format_exception(caught.value)) + logged()
        assert KEY not in shown
        for signature in signatures(secret_sandbox):
            assert signature not in shown


def test_redirect_of_a_download_is_not_logged(
    secret_sandbox: Any, clock: Any, context: Any, tmp_path: Path, logged: Callable[[], str]
) -> None:
    with FakeServer(answer(movie(1000))) as elsewhere:
        target = f"{elsewhere.url}/clip.mp4?Signature={IMAGE_SIGNATURE}"
        with FakeServer(answer(b"", "302 Found", Location=target)) as first:
            patch = {"downloads": [{"url": f"{first.url}/a.mp4?Signature={IMAGE_SIGNATURE}"}]}
            secret_sandbox.faults.add("get", patch=patch, times=None)
            job = secret_sandbox.add_job()
            MagicHourDownloadOperator(task_id="d", project_id=job.id, destination=f"{tmp_path}/").execute(context())
        assert KEY not in "".join([*first.heads, *elsewhere.heads])
    assert IMAGE_SIGNATURE not in logged()


def test_redirect_of_an_upload_is_not_followed(
    secret_sandbox: Any, clock: Any, context: Any, store: Any, photo: Path
) -> None:
    with FakeServer(answer(b"")) as elsewhere:
        redirect = answer(b"", "307 Temporary Redirect", Location=f"{elsewhere.url}/sink?Signature={IMAGE_SIGNATURE}")
        with FakeServer(redirect) as first:
            item = {"upload_url": f"{first.url}/put?Signature={IMAGE_SIGNATURE}", "file_path": "api-assets/a/cat.jpg"}
            secret_sandbox.faults.add("upload-urls", patch={"items": [item]}, times=None)
            with pytest.raises(MagicHourError, match="upload a file") as caught:
                MagicHourImageToVideoOperator(task_id="s", image=str(photo), end_seconds=5).execute(context(store))
        assert elsewhere.heads == []
    assert first.heads
    assert KEY not in "".join(first.heads)
    assert IMAGE_SIGNATURE not in "".join(traceback.format_exception(caught.value))
    assert secret_sandbox.requests.to("create") == []


def test_connection_test_and_hook_do_not_show_the_key(
    secret_sandbox: Any, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    hook = MagicHourHook()
    texts = [hook.test_connection()[1], repr(hook), repr(hook.settings())]
    secret_sandbox.api_key = "mhk_another"
    texts.append(hook.test_connection()[1])
    monkeypatch.setenv(
        "AIRFLOW_CONN_MAGICHOUR_DEFAULT", json.dumps({"conn_type": "magichour", "password": KEY + "\né"})
    )
    texts.append(hook.test_connection()[1])
    assert KEY not in "".join(texts) + logged()


@pytest.mark.parametrize("scheme", ["s3", "sftp", "nosuch"])
def test_a_login_in_the_uri_of_a_file_is_not_repeated_in_the_error(
    secret_sandbox: Any, context: Any, store: Any, scheme: str
) -> None:
    uri = f"{scheme}://access:{IMAGE_SIGNATURE}@bucket/cat.jpg"
    tasks = [
        MagicHourImageToVideoOperator(task_id="s", image=uri, end_seconds=5),
        MagicHourDownloadOperator(task_id="d", project_id=secret_sandbox.add_job().id, destination=uri),
    ]
    for task in tasks:
        with pytest.raises(MagicHourError, match="Could not open") as caught:
            task.execute(context(store))
        assert IMAGE_SIGNATURE not in "".join(traceback.format_exception(caught.value))


def test_the_id_of_a_connection_in_a_uri_is_no_secret() -> None:
    assert list(secrets_in("s3://aws_default@bucket/cat.jpg")) == []
    assert "token_of_mine" in list(secrets_in("https://token_of_mine@example.com/cat.jpg"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": f"a cat {KEY}"},
        {"name": KEY},
        {"extra_body": {"references": [{"url": f"https://x.example.com/?k={KEY.replace('_', '%5f')}"}]}},
    ],
    ids=["prompt", "name", "deep"],
)
def test_a_request_that_holds_the_key_is_neither_uploaded_nor_sent_nor_recorded(
    secret_sandbox: Any, context: Any, store: Any, photo: Path, logged: Callable[[], str], arguments: dict[str, Any]
) -> None:
    task = MagicHourImageToVideoOperator(**{"task_id": "s", "image": str(photo), "end_seconds": 5, **arguments})
    with pytest.raises(
        MagicHourInvalidRequestError, match=next(iter(arguments)).replace("extra_body", "references")
    ) as e:
        task.execute(context(store))
    assert list(secret_sandbox.requests) == []
    assert KEY not in json.dumps(store.values) + logged() + "".join(traceback.format_exception(e.value))


@pytest.mark.parametrize(
    ("task", "named"),
    [
        (
            lambda: MagicHourImageToVideoOperator(task_id="s", image=f"https://x.example.com/{KEY}", end_seconds=5),
            "image",
        ),
        (
            lambda: MagicHourGenerateOperator(
                task_id="s",
                tool="ai-image-editor",
                assets={"image_file_path": f"https://x.example.com/{KEY}"},
                style={"prompt": "a hat"},
            ),
            "assets.image_file_path",
        ),
        (
            lambda: MagicHourFaceSwapOperator(
                task_id="s",
                video="https://x.example.com/a.mp4",
                image=f"https://x.example.com/{KEY}",
                start_seconds=0,
                end_seconds=5,
            ),
            "image",
        ),
        (lambda: MagicHourDetectFacesOperator(task_id="s", target=f"https://x.example.com/{KEY}"), "target"),
    ],
    ids=["image-to-video", "any-tool", "face-swap", "face-detection"],
)
def test_the_field_that_holds_the_key_is_named_as_the_user_wrote_it(
    secret_sandbox: Any, context: Any, store: Any, task: Callable[[], Any], named: str
) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match=rf"\A{re.escape(named)} contains"):
        task().execute(context(store))
    assert list(secret_sandbox.requests) == []


def test_the_hook_sends_no_request_that_holds_the_key(secret_sandbox: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="prompt contains"):
        MagicHourHook().create(image_to_video_request(image="https://x.example.com/a.jpg", end_seconds=5, prompt=KEY))
    assert list(secret_sandbox.requests) == []


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("http://hour.example.com", True),
        ("http://10.0.0.5:8080", True),
        ("http://[2001:db8::1]", True),
        ("http://localhost.example.com", True),
        ("http://127.0.0.1:8000", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:80", False),
        ("http://localhost:80", False),
        ("http://a.localhost", False),
        ("https://hour.example.com", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("way", ["settings", "async_settings"])
def test_a_key_that_goes_over_a_network_in_clear_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str, told: bool, way: str
) -> None:
    conn_id = f"clear_{way}_{abs(hash(host))}"
    monkeypatch.setenv(
        f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "magichour", "password": KEY, "host": host})
    )
    for _ in range(3):
        settings = getattr(MagicHourHook(conn_id), way)()
        if way == "async_settings":
            asyncio.run(settings)
    lines = [line for line in caplog.messages if "is not encrypted" in line and conn_id in line]
    assert len(lines) == told
    assert KEY not in "".join(lines)


def test_a_cookie_and_a_redirect_are_not_logged_by_what_is_below_httpx(
    clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("httpx", "httpcore", "hpack", "h11", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    head = {"Location": f"https://x.example.com/?Signature={IMAGE_SIGNATURE}", "Set-Cookie": f"s={IMAGE_SIGNATURE}"}
    with FakeServer(answer(b"{}", "302 Found", **head)) as api:
        settings = ClientSettings(api_key=KEY, base_url=api.url)
        with MagicHourClient(settings) as client, pytest.raises(MagicHourError):
            client.send(get_account())
        assert IMAGE_SIGNATURE not in caplog.text
        assert KEY not in caplog.text
        httpx.get(api.url, trust_env=False)
    assert IMAGE_SIGNATURE in caplog.text, "requests of others are logged as ever"


# What a class shows of itself

ROWS = {"Tool", "Extra", "Capability", "Signing"}  # of tables that are written in this package
HARMLESS = re.compile(r"\b(int|float|bool|bytes|None|datetime|date)\b|[ |]")


def classes_with_fields() -> list[type]:
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(airflow_provider_magichour.__path__, "airflow_provider_magichour.")
    ]
    found = {
        each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__.startswith("airflow_provider_magichour.")
    }
    kinds = [each for each in found if dataclasses.is_dataclass(each) or issubclass(each, BaseModel)]
    shown = [each for each in kinds if each.__name__ not in ROWS and not issubclass(each, BaseOperator)]  # by its id
    return sorted(shown, key=lambda each: each.__qualname__)


def filled(kind: Any, value: Any) -> Any:
    """Return an instance whose fields, but numbers, are all a value."""
    if issubclass(kind, BaseModel):
        return kind.model_construct(**dict.fromkeys(kind.model_fields, value))
    instance = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(instance, field.name, value if HARMLESS.sub("", str(field.type)) else 0)
    return instance


@pytest.mark.parametrize("image", [SIGNED_IMAGE, TOKEN_IMAGE, SIGNED_IMAGE.replace("?", "%3F")])
@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: ({"a": [f"see {url}"]},)], ids=["text", "nested"])
def test_no_class_shows_a_secret_of_a_url_that_it_holds(image: str, wrap: Callable[[str], Any]) -> None:
    kinds = classes_with_fields()
    assert {"Project", "Call", "Step", "Record", "ClientSettings", "Submission"} <= {kind.__name__ for kind in kinds}
    for kind in kinds:
        for shown in (repr, str, "{}".format, rich.pretty.pretty_repr):
            instance = filled(kind, wrap(image))
            assert IMAGE_SIGNATURE not in shown(instance), kind
            assert IMAGE_SIGNATURE not in shown([instance]), kind


# A run through Airflow's real components, and all that they have written down

LEAKY = f"""
from airflow.sdk import DAG, AssetAlias, task

from airflow_provider_magichour.operators import (
    MagicHourDetectFacesOperator,
    MagicHourDownloadOperator,
    MagicHourFaceSwapOperator,
    MagicHourGenerateOperator,
    MagicHourImageToVideoOperator,
)
from airflow_provider_magichour.sensors import MagicHourProjectSensor

HOUR = {{"magichour_conn_id": "leaky_hour"}}

with DAG("leaky", schedule=None, default_args={{"retries": 1, "retry_delay": 1}}):
    @task(show_return_value_in_logs=False)
    def images():
        # Written backwards, as Airflow stores this very file too.
        return ["s3://leaky_bucket@media/cat.jpg", {SIGNED_IMAGE[::-1]!r}[::-1]]

    submit = MagicHourImageToVideoOperator.partial(
        task_id="submit",
        end_seconds=5,
        model="ltx-2.5",
        extra_body={{"references": [{{"url": "{{{{ ti.xcom_pull('images')[1] }}}}"}}]}},
        **HOUR,
    ).expand(image=images())
    wait = MagicHourProjectSensor.partial(
        task_id="wait", deferrable=True, poke_interval=1, map_index_template="{{{{ task.project_id }}}}", **HOUR
    ).expand(project_id=submit.output)
    MagicHourDownloadOperator.partial(
        task_id="download",
        destination="s3://leaky_bucket@media/clips/",
        outlets=[AssetAlias("leaky_clips")],
        map_index_template="{{{{ task.project_id }}}}",
        **HOUR,
    ).expand(project_id=wait.output)
    all_in_one = MagicHourImageToVideoOperator(
        task_id="all_in_one",
        image="s3://leaky_bucket@media/cat.jpg",
        end_seconds=5,
        model="ltx-2.5",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=1,
        map_index_template="{{{{ task.image }}}}",
        **HOUR,
    )
    by_text = MagicHourProjectSensor(task_id="by_text", project_id="{{{{ ti.xcom_pull('all_in_one') }}}}", **HOUR)
    all_in_one >> by_text
"""


def rows_of(database: Path) -> list[tuple[str, str]]:
    """Return every row of a database as its table's name and its text, compressed columns unpacked."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    with contextlib.closing(connection):
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(table, repr(row)) for table in tables for row in connection.execute(f'SELECT * FROM "{table}"')]


def test_a_real_run_writes_the_key_and_signatures_nowhere_else(local_airflow: LocalAirflow) -> None:
    airflow = local_airflow
    database = airflow.home / "airflow.db"
    with Sandbox(render_seconds=4, render=False, api_key=KEY) as sandbox, running_bucket() as bucket:
        bucket.put("cat.jpg", b"a cat")
        hour = json.loads(sandbox.connection)
        s3 = json.loads(connection_to(bucket.url))
        airflow.rest.add_connection("leaky_hour", "magichour", host=hour["host"], password=KEY)
        airflow.rest.add_connection(
            "leaky_bucket", "aws", login=s3["login"], password=s3["password"], extra=json.dumps(s3["extra"])
        )
        for fault in ({"cut_at": 1000}, {"expired": 403}, {"expired": 404}):
            sandbox.faults.add("download", **fault)
        (airflow.dag_folders[0] / "leaky.py").write_text(LEAKY)
        airflow.wait_for_dag("leaky")
        run_id = airflow.rest.trigger("leaky")
        # Triggers are rows only as long as they run.
        airflow.wait_for(lambda: any(table == "trigger" for table, _ in rows_of(database)), 60, "a task defers")
        rows = rows_of(database)
        assert airflow.wait_for_run("leaky", run_id, 180) == "success"
        assert len([name for name in bucket.names if name.startswith("clips/")]) == 2
        rows += rows_of(database)
        signed = signatures(sandbox) | {IMAGE_SIGNATURE}

    if version("apache-airflow").startswith("3.0."):  # it masks nothing in rendered fields
        rows = [(table, text if table == "xcom" else text.replace(IMAGE_SIGNATURE, "")) for table, text in rows]
    tables = {table for table, _ in rows}
    assert {"trigger", "xcom", "rendered_task_instance_fields", "asset_event", "log"} <= tables
    # Airflow encrypts connections when it is given a key for that; this one is not.
    texts = [text for table, text in rows if table not in ("connection", "xcom")]
    logs = [path for path in airflow.home.rglob("*") if path.is_file() and path.suffix in (".log", ".json", ".txt")]
    texts += [path.read_text(errors="replace") for path in logs]
    everything = "\n".join([*texts, *(text for table, text in rows if table == "xcom")])
    assert "Submitted Magic Hour project" in everything
    assert KEY not in everything
    assert SECRET not in everything
    # Airflow 3.0's own debug lines show each XCom and the rendered fields of a task; later ones do not.
    lines = [line for line in "\n".join(texts).splitlines() if "Received message from task runner" not in line]
    for signature in signed:
        assert [line for line in lines if signature in line] == []
    holders = [text for table, text in rows if table == "xcom" and any(each in text for each in signed)]
    assert holders
    keys = {"return_value", "download_urls"}
    assert all(any(f"'{key}'" in text for key in keys) for text in holders)
