from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.compat import AirflowFailException
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourInvalidRequestError
from airflow_provider_magichour.hooks import MagicHourHook
from tests.scenes.fake_server import FakeServer, answer

KEY = "mhk_live_0123456789"

Resolve = Callable[[str], ClientSettings]


@pytest.fixture(params=["sync", "async"])
def resolve(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Resolve a connection that is given as in an environment variable."""

    def settings(connection: str) -> ClientSettings:
        monkeypatch.setenv("AIRFLOW_CONN_MH", connection)
        hook = MagicHourHook("mh")
        return hook.settings() if request.param == "sync" else asyncio.run(hook.async_settings())

    return settings


def as_json(**fields: Any) -> str:
    return json.dumps({"conn_type": "magichour", "password": KEY, **fields})


# From a connection to settings


def test_key_alone_leads_to_the_real_api_with_defaults(resolve: Resolve) -> None:
    settings = resolve(as_json())
    assert (settings.api_key, settings.base_url) == (KEY, "https://api.magichour.ai")
    assert (settings.request_timeout, settings.requests_per_second, settings.max_connections) == (30, 20, 8)


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "http://127.0.0.1:8123"}, "http://127.0.0.1:8123"),
        ({"host": "http://127.0.0.1:8123/"}, "http://127.0.0.1:8123"),
        ({"host": "gateway.example.com"}, "https://gateway.example.com"),
        ({"host": "gateway.example.com", "port": 8443}, "https://gateway.example.com:8443"),
        ({"host": "gateway.example.com", "schema": "http"}, "http://gateway.example.com"),
        ({"host": "https://gateway.example.com/magic/hour/"}, "https://gateway.example.com/magic/hour"),
        ({"host": "https://gateway.example.com/magic", "port": 81}, "https://gateway.example.com:81/magic"),
        ({"host": "https://gateway.example.com:82", "port": 81}, "https://gateway.example.com:82"),
        ({"host": "http://[::1]", "port": 81}, "http://[::1]:81"),
    ],
)
def test_host_of_a_json_connection(resolve: Resolve, fields: dict[str, Any], base_url: str) -> None:
    assert resolve(as_json(**fields)).base_url == base_url


@pytest.mark.parametrize(
    ("uri", "base_url"),
    [
        (f"magichour://:{KEY}@", "https://api.magichour.ai"),
        (f"magichour://:{KEY}@127.0.0.1:8123/http", "http://127.0.0.1:8123"),
        (f"magichour://:{KEY}@gateway.example.com", "https://gateway.example.com"),
        (f"magichour://:{KEY}@{quote('http://127.0.0.1:8123', safe='')}", "http://127.0.0.1:8123"),
        (f"magichour://:{KEY}@{quote('https://host.example.com/a/b', safe='')}/", "https://host.example.com/a/b"),
    ],
)
def test_host_of_a_uri_connection(resolve: Resolve, uri: str, base_url: str) -> None:
    settings = resolve(uri)
    assert (settings.api_key, settings.base_url) == (KEY, base_url)


def test_extras_of_a_uri_connection_are_texts_that_become_numbers(resolve: Resolve) -> None:
    settings = resolve(f"magichour://:{KEY}@/?request_timeout=2.5&requests_per_second=7&max_connections=3")
    assert (settings.request_timeout, settings.requests_per_second, settings.max_connections) == (2.5, 7, 3)


@pytest.mark.parametrize("name", ["request_timeout", "requests_per_second", "max_connections"])
@pytest.mark.parametrize("value", ["junk", "0", -1, True, "nan", "inf", "1_0", "\u0665", "1e999", 1001, [], {}])
def test_an_extra_that_is_no_number_within_its_bounds_is_named(resolve: Resolve, name: str, value: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match=f"{name}=.*'mh'.*a number from") as caught:
        resolve(as_json(extra={name: value}))
    assert KEY not in str(caught.value)


def test_extra_that_is_no_object_is_refused_clearly(resolve: Resolve) -> None:
    # Airflow 3.0 cannot make a connection of it at all.
    with pytest.raises((MagicHourInvalidRequestError, MagicHourApiError), match="'mh'"):
        resolve(as_json(extra="[1]"))


@pytest.mark.parametrize(
    "host",
    [
        "ftp://example.com",
        "file:///etc/passwd",
        "unix://x",
        "ht!tp://example.com",
        "https://exa mple.com",
        "https://:80",
        "https://example.com:99999",
        "https://[::1",
        "https://api..magichour.ai",
        f"https://{'a' * 64}.magichour.ai",
    ],
)
def test_host_that_is_no_base_url_is_refused(resolve: Resolve, host: str) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="http or https"):
        resolve(as_json(host=host))


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("https://me:secret@api.magichour.ai", "https://api.magichour.ai"),
        ("https://secret@api.magichour.ai/v2", "https://api.magichour.ai/v2"),
        ("me:secret@api.magichour.ai:8443", "https://api.magichour.ai:8443"),
        ("https://me:sec/secret@api.magichour.ai", "https://api.magichour.ai"),
        ("https://me:sec ret secret@api.magichour.ai", "https://api.magichour.ai"),
        ("https://api.magichour.ai?token=secret", "https://api.magichour.ai"),
        ("https://api.magichour.ai/v2?", "https://api.magichour.ai/v2"),
        ("https://api.magichour.ai/v2#secret", "https://api.magichour.ai/v2"),
        ("https://me:sec?secret@api.magichour.ai", "https://..."),
        ("https://api.magichour.ai?token=a@secret", "https://..."),
        ("ftp://me:secret@api.magichour.ai", "ftp://api.magichour.ai"),
    ],
)
def test_login_query_and_fragment_of_a_base_url_are_refused_and_not_shown(
    resolve: Resolve, host: str, shown: str
) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="remove it") as caught:
        resolve(as_json(host=host))
    assert f"Host {shown!r} of connection 'mh' has a" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", [None, "", "  ", "\n"])
def test_connection_without_a_key_says_where_to_get_one(resolve: Resolve, password: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match=r"'mh' has no API key.*magichour\.ai/developer"):
        resolve(as_json(password=password))


@pytest.mark.parametrize("key", ["mhk_a\nb_secret", "mhk_schlüssel_secret", "Bearer mhk_secret", "mhk_\x00secret"])
def test_key_that_no_header_can_carry_is_refused_without_being_shown(resolve: Resolve, key: str) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="'mh'") as caught:
        resolve(as_json(password=key))
    assert "secret" not in str(caught.value)


def test_line_break_after_the_key_does_no_harm(resolve: Resolve) -> None:
    assert resolve(as_json(password=f" {KEY}\n")).api_key == KEY


def test_missing_connection_is_named_with_the_way_to_add_it(resolve: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(as_json())
    monkeypatch.delenv("AIRFLOW_CONN_MH")
    with pytest.raises(MagicHourApiError, match=r"(?s)no connection 'mh'.*password") as caught:
        MagicHourHook("mh").settings()
    with pytest.raises(MagicHourApiError, match=r"(?s)no connection 'mh'.*password"):
        asyncio.run(MagicHourHook("mh").async_settings())
    # Airflow says the same when a secrets back end has failed, so the task has to be retried.
    assert not isinstance(caught.value, AirflowFailException)


def test_settings_do_not_show_the_key() -> None:
    assert KEY not in repr(ClientSettings(api_key=KEY))


def test_path_prefix_of_the_base_url_is_kept_in_requests(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MH", as_json(host=f"{sandbox.url}/prefix/"))
    assert MagicHourHook("mh").test_connection()[0] is False
    assert [request.path for request in sandbox.requests] == ["/prefix/v1/account"]


# The methods


def test_hook_submits_shows_and_deletes_a_project(sandbox: Any) -> None:
    hook = MagicHourHook()
    created = hook.create_image_to_video(image_to_video_request(image="saved-items/cat.png", end_seconds=5))
    assert hook.get_project(created.id).is_complete
    hook.delete_project(created.id)
    assert hook.get_project(created.id).is_deleted
    assert hook.get_account().credits == sandbox.jobs.balance


@pytest.mark.parametrize("kind", ["video", "image", "audio"])
def test_hook_finds_projects_of_each_kind(sandbox: Any, kind: Any) -> None:
    assert MagicHourHook().get_project(sandbox.add_job(kind).id, kind).name == "Sandbox"


def test_project_of_another_kind_is_not_found_and_the_message_says_what_may_be_wrong(sandbox: Any) -> None:
    with pytest.raises(MagicHourApiError, match="another kind"):
        MagicHourHook().get_project(sandbox.add_job("image").id)


@pytest.mark.parametrize("project_id", ["", " ", "https://magichour.ai/my-library", None, ["p1"]])
def test_what_can_be_no_id_is_refused_before_any_request(sandbox: Any, project_id: Any) -> None:
    hook = MagicHourHook()
    for method in (hook.get_project, hook.delete_project):
        with pytest.raises(MagicHourInvalidRequestError, match="project_id"):
            method(project_id)
    assert len(sandbox.requests) == 0


def test_hook_uploads_a_path_and_a_stream(sandbox: Any, photo: Path) -> None:
    hook = MagicHourHook()
    size = photo.stat().st_size
    for uploaded in (
        hook.upload(photo),
        hook.upload(str(photo)),
        hook.upload(lambda: photo.open("rb"), size=size, extension="jpg"),
    ):
        assert uploaded.file_path.endswith(".jpg")
        assert sandbox.uploads.find(uploaded.file_path).read_bytes() == photo.read_bytes()


def test_upload_after_a_refused_key_resolves_the_connection_again(
    sandbox: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MH", as_json(host=sandbox.url))
    hook = MagicHourHook("mh")
    with pytest.raises(MagicHourApiError, match="401"):
        hook.upload(photo)
    monkeypatch.setenv("AIRFLOW_CONN_MH", sandbox.connection)
    assert hook.upload(photo).file_path.endswith(".jpg")


def test_stream_without_its_size_is_refused(photo: Path) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="size and extension"):
        MagicHourHook().upload(lambda: photo.open("rb"))


def test_async_client_comes_from_the_same_connection(sandbox: Any) -> None:
    from airflow_provider_magichour.api.endpoints import get_account

    async def tier() -> str | None:
        async with MagicHourHook().async_client() as client:
            return (await client.send(get_account())).tier

    assert asyncio.run(tier()) == "pro"


# The connection test


def test_connection_test_says_plan_and_credits(sandbox: Any) -> None:
    ok, text = MagicHourHook().test_connection()
    assert ok
    assert "pro" in text
    assert str(sandbox.jobs.balance) in text


def test_connection_test_explains_a_wrong_key(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MH", as_json(host=sandbox.url))
    ok, text = MagicHourHook("mh").test_connection()
    assert not ok
    assert "The API key of this connection is missing, wrong or revoked" in text
    assert KEY not in text


def test_connection_test_explains_a_server_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("AIRFLOW_CONN_MH", as_json(host=f"http://127.0.0.1:{port}"))
    ok, text = MagicHourHook("mh").test_connection()
    assert not ok
    assert "refused: nothing is listening there" in text
    assert "base URL" in text


def test_connection_test_explains_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MH", as_json(host="http://no-such-host.invalid"))
    ok, text = MagicHourHook("mh").test_connection()
    assert not ok
    assert "the host name cannot be resolved" in text


def test_connection_test_explains_a_server_that_says_nothing(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.faults.add("account", hang=True, times=None)
    connection = json.loads(sandbox.connection) | {"extra": {"request_timeout": 0.2}}
    monkeypatch.setenv("AIRFLOW_CONN_MH", json.dumps(connection))
    ok, text = MagicHourHook("mh").test_connection()
    assert not ok
    assert "no answer within 0.2 s" in text


def test_connection_test_asks_once(sandbox: Any) -> None:
    sandbox.faults.add("account", status=503, times=None)
    ok, text = MagicHourHook().test_connection()
    assert (ok, len(sandbox.requests)) == (False, 1)
    assert "HTTP 503" in text


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(b"{}"), id="another-api"),
        pytest.param(answer(b'{"message": "no such route"}', "404 Not Found"), id="404-of-another-api"),
        pytest.param(answer(b"<html>Welcome</html>", Content_Type="text/html"), id="page"),
        pytest.param(answer(b"<html>Not here</html>", "404 Not Found", Content_Type="text/html"), id="404-page"),
        pytest.param(answer(b"", "301 Moved Permanently", Location="https://example.com/"), id="redirect"),
    ],
)
def test_connection_test_explains_a_base_url_that_is_another_sites(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    with FakeServer(said) as other:
        monkeypatch.setenv("AIRFLOW_CONN_MH", as_json(host=other.url))
        ok, text = MagicHourHook("mh").test_connection()
    assert not ok
    assert "base URL" in text


def test_connection_test_explains_a_missing_connection() -> None:
    ok, text = MagicHourHook("nowhere").test_connection()
    assert not ok
    assert "'nowhere'" in text
