from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from airflow_provider_magichour.api import endpoints
from airflow_provider_magichour.api.client import USER_AGENT, AsyncMagicHourClient, MagicHourClient
from airflow_provider_magichour.api.repeats import Attempts
from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourRejectedError,
    MagicHourUnsureSubmissionError,
)
from tests.scenes.fake_server import FakeServer, answer

CREATE = endpoints.create(image_to_video_request(image="saved-items/cat.png", end_seconds=5))
ACCOUNT = endpoints.get_account()


class Both:
    """One session with either client: steps are calls to send, files to upload (sync), or things to do in between."""

    def __init__(self, is_async: bool) -> None:
        self._is_async = is_async

    def __call__(self, settings: ClientSettings, *steps: Any, patience: float = 120.0) -> Any:
        if self._is_async:
            return asyncio.run(self._run_async(settings, steps, patience))
        results: Any = None
        with MagicHourClient(settings) as client:
            for step in steps:
                if isinstance(step, endpoints.Call):
                    results = client.send(step, patience=patience)
                elif isinstance(step, Path):
                    results = client.upload(opener(step), size=step.stat().st_size, extension="jpg")
                else:
                    step()
        return results

    async def _run_async(self, settings: ClientSettings, steps: Any, patience: float) -> Any:
        results: Any = None
        async with AsyncMagicHourClient(settings) as client:
            for step in steps:
                if isinstance(step, endpoints.Call):
                    results = await client.send(step, patience=patience)
                else:
                    step()
        return results


def opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


@pytest.fixture
def send() -> Both:
    return Both(is_async=False)


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Both:
    return Both(request.param == "async")


@pytest.fixture
def settings(sandbox: Any) -> ClientSettings:
    return ClientSettings(api_key=sandbox.api_key, base_url=sandbox.url, source="connection 'c'")


def posts(sandbox: Any) -> int:
    return len(sandbox.requests.to("create"))


# What is repeated in place


@pytest.mark.parametrize("status", [502, 503])
def test_a_gateway_is_believed_once(sandbox: Any, settings: ClientSettings, clock: Any, status: int) -> None:
    sandbox.faults.add("create", status=status)
    with MagicHourClient(settings) as client:
        assert sandbox.jobs[client.send(CREATE, patience=120).id]
    assert posts(sandbox) == 2
    assert 30 <= clock.passed <= 60


@pytest.mark.parametrize("status", [502, 503])
def test_a_gateways_second_answer_is_unsure_as_each_may_have_made_a_project(
    sandbox: Any, settings: ClientSettings, clock: Any, status: int
) -> None:
    sandbox.faults.add("create", status=status, times=None)
    with MagicHourClient(settings) as client, pytest.raises(MagicHourUnsureSubmissionError, match=f"HTTP {status}"):
        client.send(CREATE, patience=120)
    assert posts(sandbox) == 2


def test_a_gateway_that_asks_for_a_long_pause_leaves_the_second_create_to_a_retry(
    sandbox: Any, settings: ClientSettings, clock: Any
) -> None:
    sandbox.faults.add("create", status=503, headers={"Retry-After": "600"})
    with MagicHourClient(settings) as client, pytest.raises(MagicHourApiError) as caught:
        client.send(CREATE, patience=120)
    assert (posts(sandbox), clock.sleeps, caught.value.retry_after) == (1, [], 600)


@pytest.mark.parametrize("status", [429])
def test_create_is_repeated_where_nothing_was_made(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any, status: int
) -> None:
    sandbox.faults.add("create", status=status, times=3)
    before = len(sandbox.jobs)
    created = send(settings, CREATE)
    assert sandbox.jobs[created.id]
    assert (posts(sandbox), len(sandbox.jobs) - before) == (4, 1)
    assert len(clock.sleeps) >= 3


def test_retry_after_in_seconds_is_kept(read: Both, sandbox: Any, settings: ClientSettings, clock: Any) -> None:
    sandbox.faults.add("account", status=429, headers={"Retry-After": "17"})
    read(settings, ACCOUNT)
    assert clock.sleeps == [17.0]


def test_retry_after_as_a_date_counts_from_the_answers_own_date(
    read: Both, sandbox: Any, settings: ClientSettings, clock: Any
) -> None:
    headers = {"Date": formatdate(1_000_000_000, usegmt=True), "Retry-After": formatdate(1_000_000_023, usegmt=True)}
    sandbox.faults.add("account", status=429, headers=headers)
    read(settings, ACCOUNT)
    assert clock.sleeps == [23.0]


def test_create_is_repeated_while_nobody_listens(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any
) -> None:
    before = len(sandbox.jobs)
    sandbox.stop()
    clock.at(5, sandbox.start)
    send(settings, CREATE)
    assert (posts(sandbox), len(sandbox.jobs) - before) == (1, 1)


def test_repeats_end_after_two_minutes_and_say_that_nothing_was_made(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any
) -> None:
    sandbox.faults.add("create", status=429, times=None)
    with pytest.raises(MagicHourApiError, match="HTTP 429") as caught:
        send(settings, CREATE)
    assert not isinstance(caught.value, MagicHourRejectedError)
    assert 100 < clock.passed <= 120


def test_retry_after_beyond_the_patience_fails_at_once(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any
) -> None:
    sandbox.faults.add("create", status=429, headers={"Retry-After": "7200"})
    with pytest.raises(MagicHourApiError) as caught:
        send(settings, CREATE)
    assert (caught.value.status_code, caught.value.retry_after) == (429, 7200)
    assert (posts(sandbox), clock.sleeps) == (1, [])


@pytest.mark.parametrize(
    "fault", [{"cut": True}, {"half_body": True}, {"status": 500}, {"text": "<html>", "status": 504}]
)
def test_reads_are_repeated_after_any_trouble(
    read: Both, sandbox: Any, settings: ClientSettings, clock: Any, fault: dict[str, Any]
) -> None:
    sandbox.faults.add("account", times=2, **fault)
    assert read(settings, ACCOUNT).tier == "pro"
    assert len(sandbox.requests.to("account")) == 3


def test_reads_without_patience_are_sent_once(read: Both, sandbox: Any, settings: ClientSettings, clock: Any) -> None:
    sandbox.faults.add("account", status=500, times=None)
    with pytest.raises(MagicHourApiError, match="HTTP 500"):
        read(settings, ACCOUNT, patience=0)
    assert (len(sandbox.requests), clock.sleeps) == (1, [])


def test_what_runs_before_an_attempt_can_stop_it(sandbox: Any, settings: ClientSettings, clock: Any) -> None:
    sandbox.faults.add("create", status=502)

    class Superseded(Attempts):
        begun = 0

        def begin(self) -> None:
            self.begun += 1
            if self.begun == 2:
                raise RuntimeError("superseded")

    with MagicHourClient(settings) as client, pytest.raises(RuntimeError, match="superseded"):
        client.send(CREATE, patience=120, create=Superseded())
    assert posts(sandbox) == 1


# What is never repeated


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"cut": True, "after": True}, id="cut-after-job-was-made"),
        pytest.param({"cut": True, "after": True, "reset": True}, id="reset-after-job-was-made"),
        pytest.param({"cut": True}, id="cut-before"),
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 504, "after": True}, id="504"),
        pytest.param({"status": 408}, id="408"),
        pytest.param({"half_body": True}, id="half-body"),
        pytest.param({"drop": ["id"]}, id="no-id"),
        pytest.param({"patch": {"id": ""}}, id="empty-id"),
        pytest.param({"status": 200, "text": "<html>welcome"}, id="200-html"),
        pytest.param({"status": 204}, id="204"),
    ],
)
def test_create_with_a_lost_answer_is_sent_once_and_unsure(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any, fault: dict[str, Any]
) -> None:
    sandbox.faults.add("create", **fault)
    with pytest.raises(MagicHourUnsureSubmissionError):
        send(settings, CREATE)
    assert (posts(sandbox), clock.sleeps) == (1, [])


def test_create_that_is_not_answered_in_time_is_unsure(send: Both, sandbox: Any, clock: Any) -> None:
    sandbox.faults.add("create", hang=True, after=True)
    impatient = ClientSettings(api_key=sandbox.api_key, base_url=sandbox.url, request_timeout=0.2)
    with pytest.raises(MagicHourUnsureSubmissionError, match=r"no answer within 0\.2 s"):
        send(impatient, CREATE)
    assert posts(sandbox) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, MagicHourRejectedError) for status in (400, 401, 402, 403, 404, 422)),
        *((status, MagicHourApiError) for status in (405, 409, 410, 413, 451)),  # the sandbox has no words for them
        *((status, MagicHourUnsureSubmissionError) for status in (301, 302, 303, 307, 308)),
    ],
)
def test_a_refused_create_is_sent_once_and_never_follows_a_redirect(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any, status: int, expected: type[MagicHourError]
) -> None:
    location = {"Location": f"{sandbox.url}/v1/image-to-video"}
    sandbox.faults.add("create", status=status, headers=location, times=None)
    with pytest.raises(expected, match=f"HTTP {status}") as caught:
        send(settings, CREATE)
    assert type(caught.value) is expected
    assert (posts(sandbox), len(sandbox.requests), clock.sleeps) == (1, 1, [])


# Connections


def test_create_survives_a_kept_alive_connection_that_the_server_has_closed(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any, photo: Path
) -> None:
    before = len(sandbox.jobs)
    send(settings, photo, sandbox.close_idle_connections, CREATE)
    assert (posts(sandbox), len(sandbox.jobs) - before) == (1, 1)


def test_create_never_uses_a_connection_that_was_used_before(
    send: Both, sandbox: Any, settings: ClientSettings, photo: Path
) -> None:
    send(settings, ACCOUNT, photo, CREATE, CREATE, ACCOUNT)
    assert [request.reused for request in sandbox.requests.to("create")] == [False, False]
    assert sandbox.requests.to("account")[1].reused


def test_every_request_names_the_provider_and_its_version(
    send: Both, sandbox: Any, settings: ClientSettings, photo: Path
) -> None:
    send(settings, ACCOUNT, CREATE, photo)
    assert [request.route for request in sandbox.requests] == ["account", "create", "upload-urls", "upload"]
    assert {request.headers["user-agent"] for request in sandbox.requests} == {USER_AGENT}


# The key goes to the API alone


def test_upload_is_streamed_with_its_length_and_without_the_key(
    send: Both, sandbox: Any, settings: ClientSettings, photo: Path
) -> None:
    target = send(settings, photo)
    (put,) = sandbox.requests.to("upload")
    assert put.headers["content-length"] == str(photo.stat().st_size)
    assert "transfer-encoding" not in put.headers
    assert "authorization" not in put.headers
    assert sandbox.uploads.find(target.file_path).read_bytes() == photo.read_bytes()


def test_upload_is_repeated_from_its_beginning(
    send: Both, sandbox: Any, settings: ClientSettings, clock: Any, photo: Path
) -> None:
    sandbox.faults.add("upload", cut_at=1000)
    sandbox.faults.add("upload-urls", status=500)
    target = send(settings, photo)
    assert sandbox.uploads.find(target.file_path).read_bytes() == photo.read_bytes()
    assert len(sandbox.requests.to("upload")) == 2


def test_upload_that_is_refused_does_not_show_the_signed_url(
    send: Both, sandbox: Any, settings: ClientSettings, photo: Path
) -> None:
    sandbox.settings.upload_lifetime = -1
    with pytest.raises(MagicHourApiError, match="Could not upload a file: HTTP 403") as caught:
        send(settings, photo)
    assert "Signature" not in str(caught.value)


def test_download_follows_redirects_without_the_key(sandbox: Any, settings: ClientSettings) -> None:
    with FakeServer(answer(b"clip")) as elsewhere:
        redirect = answer(b"", "302 Found", Location=f"{elsewhere.url}/clip.mp4")
        with (
            FakeServer(redirect) as first,
            MagicHourClient(settings) as client,
            client.stream(f"{first.url}/a?Signature=x", start=2) as response,
        ):
            assert response.read() == b"clip"
        for server in (first, elsewhere):
            assert "authorization" not in server.heads[0].lower()
            assert "Range: bytes=2-" in server.heads[0]
            assert f"User-Agent: {USER_AGENT}" in server.heads[0]


def test_redirect_of_a_read_is_not_followed(read: Both, clock: Any) -> None:
    with FakeServer(answer(b"{}")) as elsewhere:
        redirect = answer(b"", "302 Found", Location=f"{elsewhere.url}/v1/account")
        with FakeServer(redirect) as api, pytest.raises(MagicHourApiError, match="Redirects are not followed"):
            read(ClientSettings(api_key="mhk_k", base_url=api.url), ACCOUNT)
        assert elsewhere.heads == []


# What is said and logged


def test_refused_key_is_explained_with_connection_and_key_page(
    send: Both, sandbox: Any, settings: ClientSettings
) -> None:
    sandbox.settings.api_key = "mhk_another"
    with pytest.raises(MagicHourRejectedError) as caught:
        send(settings, CREATE)
    assert "connection 'c'" in str(caught.value)
    assert "https://magichour.ai/developer?tab=api-keys" in str(caught.value)
    assert settings.api_key not in str(caught.value)


def test_unreachable_api_is_explained_with_the_base_url_field(read: Both, clock: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MagicHourApiError, match=r"base URL \(host\) of connection 'c'") as caught:
        read(ClientSettings(api_key="mhk_k", base_url=f"http://127.0.0.1:{port}", source="connection 'c'"), ACCOUNT)
    assert caught.value.status_code is None


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:port", "http://[::1", "https://exa mple.com", "http://"])
def test_base_url_that_is_none_is_an_error_of_ours(read: Both, clock: Any, base_url: str) -> None:
    with pytest.raises(MagicHourApiError):
        read(ClientSettings(api_key="mhk_k", base_url=base_url), ACCOUNT)


def test_httpx_logs_requests_of_others_but_none_of_ours(
    send: Both, sandbox: Any, settings: ClientSettings, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="httpx")
    send(settings, ACCOUNT, photo, CREATE)
    assert not [record for record in caplog.records if record.name == "httpx"]
    httpx.get(f"{sandbox.url}/v1/account?of=another-user")
    assert "another-user" in "".join(record.getMessage() for record in caplog.records if record.name == "httpx")


def test_httpx_logs_requests_that_others_make_while_ours_is_under_way(
    sandbox: Any, settings: ClientSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="httpx")

    async def both() -> None:
        async with AsyncMagicHourClient(settings) as ours, httpx.AsyncClient() as theirs:
            await asyncio.gather(ours.send(ACCOUNT), theirs.get(f"{sandbox.url}/v1/account?of=another-user"))

    asyncio.run(both())
    (record,) = [record for record in caplog.records if record.name == "httpx"]
    assert "another-user" in record.getMessage()


def test_async_client_can_be_cancelled_while_it_waits_for_an_answer() -> None:
    async def cancelled() -> None:
        asked = asyncio.Event()

        async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with AsyncMagicHourClient(ClientSettings(api_key="mhk_k", base_url=url)) as client:
                task = asyncio.create_task(client.send(ACCOUNT, patience=60))
                await asked.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(asyncio.wait_for(cancelled(), 20))


@pytest.mark.parametrize(
    "call",
    [CREATE, endpoints.delete_project("p1"), endpoints.upload_urls("jpg")],
    ids=["create", "delete", "ask where to upload"],
)
def test_async_client_refuses_what_does_not_only_read(sandbox: Any, settings: ClientSettings, call: Any) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="only reads"):
        Both(is_async=True)(settings, call)
    assert len(sandbox.requests) == 0


def test_answer_that_is_too_liberal_to_be_read_strictly_is_read(send: Both, clock: Any) -> None:
    with FakeServer(answer(b'{"id": "p1", "estimated_frame_cost": 5, "new": [1]}')) as api:
        created = send(ClientSettings(api_key="mhk_k", base_url=api.url), CREATE)
    assert (created.id, created.credits_charged) == ("p1", 5)


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><p>Sign in", b"\xef\xbb\xbf\n<html>", b"<!-- a proxy -->\n<HTML lang='en'>"]
)
def test_page_that_answers_an_upload_is_no_success(send: Both, clock: Any, tmp_path: Path, page: bytes) -> None:
    # The server reads no body: a small one is sent before it answers.
    image = tmp_path / "cat.jpg"
    image.write_bytes(b"a cat")
    with FakeServer(answer(page, Content_Type="text/html")) as store:
        named = {"items": [{"upload_url": f"{store.url}/x?Signature=secret", "file_path": "api-assets/x.jpg"}]}
        told = r"upload a file.*an HTML page.*HTTP 200"
        with (
            FakeServer(answer(json.dumps(named).encode())) as api,
            pytest.raises(MagicHourApiError, match=told) as caught,
        ):
            send(ClientSettings(api_key="k", base_url=api.url), image)
    assert "secret" not in str(caught.value)
