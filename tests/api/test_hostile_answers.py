"""Whatever a server says: a look, or a call, ends with a value or an error of ours, and in time."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from airflow_provider_magichour.api import answers, endpoints
from airflow_provider_magichour.api.bodies import LONGEST, unpacked
from airflow_provider_magichour.api.client import AsyncMagicHourClient, MagicHourClient
from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourUnsureSubmissionError
from tests.scenes.fake_server import EndlessServer, FakeServer, answer

ACCOUNT = endpoints.get_account()
PROJECT = endpoints.get_project("p1")
CREATE = endpoints.create(image_to_video_request(image="saved-items/cat.png", end_seconds=5))
SECONDS = 0.5

IS_ASYNC = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def outcome(url: str, call: Any, is_async: bool) -> Any:
    """Return what a call brings: its value, or our error. Anything else is raised."""
    settings = ClientSettings(api_key="mhk_k", base_url=url, request_timeout=SECONDS, requests_per_second=1e6)

    async def wait() -> Any:
        async with AsyncMagicHourClient(settings) as client:
            return await client.send(call)

    try:
        if is_async:
            return asyncio.run(asyncio.wait_for(wait(), 20))
        with MagicHourClient(settings) as client:
            return client.send(call)
    except (MagicHourApiError, MagicHourUnsureSubmissionError) as error:
        return error


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines, b"", b""))


BOMB = gzip.compress(b" " * (64 << 20))
BROKEN = {
    "101": head(b"Upgrade: websocket", b"Connection: Upgrade", status=b"101 Switching Protocols") + b"{}",
    "101 alone": head(status=b"101 Switching Protocols"),
    "only informational": head(status=b"103 Early Hints") * 3,
    "no status": b"HTTP/1.1\r\n\r\n{}",
    "status of five digits": head(status=b"20000 OK"),
    "status 000": head(status=b"000 Nothing"),
    "Content-Length of 5,000 digits": head(b"Content-Length: " + b"9" * 5000) + b"{}",
    "negative Content-Length": head(b"Content-Length: -1") + b"{}",
    "Content-Length that is none": head(b"Content-Length: two") + b"{}",
    "two Content-Lengths": head(b"Content-Length: 2", b"Content-Length: 1") + b"{}",
    "a chunk of 5,000 digits": head(b"Transfer-Encoding: chunked") + b"f" * 5000 + b"\r\n{}",
    "a chunk that is none": head(b"Transfer-Encoding: chunked") + b"two\r\n{}\r\n",
    "header without end": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * (2 << 20),
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X-More: x\r\n" * 100_000,
    "header without a name": head(b": x", b"Content-Length: 2") + b"{",
    "damaged gzip": head(b"Content-Encoding: gzip") + b"\x1f\x8b not gzip",
    "damaged gzip with length": answer(b"\x1f\x8b not gzip", Content_Encoding="gzip"),
    "cut gzip": answer(gzip.compress(b"{}" * 100)[:-12], Content_Encoding="gzip"),
    "damaged deflate": answer(b"not deflate", Content_Encoding="deflate"),
    "damaged br": answer(b"not br", Content_Encoding="br"),
    "an encoding nobody knows": answer(b"{}", Content_Encoding="x-" + "y" * 300),
    "gzip bomb": answer(BOMB, Content_Encoding="gzip"),
    "gzip bomb without length": head(b"Content-Encoding: gzip") + BOMB,
    "body of 3 MiB": answer(b"{}" + b" " * (3 << 20)),
    "body of 3 MiB without length": head() + b"{}" + b" " * (3 << 20),
    "half a body": head(b"Content-Length: 50") + b"{}",
    "arrays in arrays": answer(b"[" * 500_000),
    "nothing": b"",
}


@IS_ASYNC
@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_an_error_of_ours(said, is_async):
    with FakeServer(said) as server:
        error = outcome(server.url, ACCOUNT, is_async)
    assert isinstance(error, MagicHourApiError), error
    assert len(str(error)) < 1000


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_to_a_create_is_unsure(said):
    with FakeServer(said) as server:
        assert isinstance(outcome(server.url, CREATE, False), MagicHourUnsureSubmissionError)


@IS_ASYNC
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_a_compressed_answer_is_read_though_nobody_asked_for_it(encoding, packed, is_async):
    body = packed(b'{"tier": "pro", "credits": {"total": 5}}')
    with FakeServer(answer(body, Content_Encoding=encoding)) as server:
        assert outcome(server.url, ACCOUNT, is_async).tier == "pro"
        assert "accept-encoding: identity" in server.heads[0].lower()


@IS_ASYNC
@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Encoding": "gzip"},
        {"Retry_After": "Mon, 01 Jan 999999999999999 00:00:00 GMT"},
        {"Retry_After": "9" * 5000},
        {"Date": "Mon, 01 Jan 999999999999999 00:00:00 GMT", "Retry_After": "Mon, 01 Jan 2029 00:00:00 GMT"},
    ],
    ids=["damaged gzip", "a year without calendar", "5,000 digits", "a date without calendar"],
)
def test_the_status_of_an_answer_counts_whatever_else_it_says(headers, is_async):
    with FakeServer(answer(b"{}" * 10, "429 Too Many Requests", **headers)) as server:
        error = outcome(server.url, ACCOUNT, is_async)
    assert error.status_code == 429


@IS_ASYNC
@pytest.mark.parametrize(
    ("begin", "piece", "pause"),
    [
        (head(), b"x" * 65536, 0.0),
        (head(), b"x", 0.02),
        (head(b"Content-Length: 100000"), b"x", 0.02),
        (head(b"Transfer-Encoding: chunked"), b"1\r\nx\r\n", 0.02),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 4096 + b"\r\n", 0.0),
    ],
    ids=["fast", "slow", "slow with length", "slow in chunks", "in its head"],
)
def test_an_answer_without_end_ends_in_time(begin, piece, pause, is_async):
    with EndlessServer(begin, piece, pause) as server:
        assert isinstance(outcome(server.url, ACCOUNT, is_async), MagicHourApiError)


# Whatever Hypothesis can think of

NAMES = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Connection", b"Retry-After", b"Date", b"Upgrade"]
) | st.binary(max_size=10)
VALUES = st.sampled_from(
    [b"gzip", b"deflate", b"br", b"chunked", b"close", b"2", b"-1", b"9" * 5000, b"\xc3\x28", b"\xff", b"1e400", b"nan"]
) | st.binary(max_size=30)
LINES = st.lists(st.tuples(NAMES, VALUES).map(b": ".join), max_size=5)
STATUSES = st.sampled_from(
    [b"200 OK", b"101 Switching Protocols", b"100 Continue", b"204 No Content", b"304 Not Modified", b"429 Too Many"]
) | st.binary(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)
FIELDS = st.sampled_from(
    "id status downloads error credits_charged created_at enabled tier credits message code url expires_at".split()
)
PROJECTS = st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON, max_size=3), max_size=8)
BODIES = (
    st.binary(max_size=60)
    | (JSON | PROJECTS).map(lambda value: json.dumps(value).encode())
    | PROJECTS.map(lambda value: gzip.compress(json.dumps(value).encode()))
    | st.binary(max_size=40).map(lambda value: b"\x1f\x8b" + value)
)
WHOLE = st.binary(max_size=300) | st.builds(
    lambda status, lines, body: head(*lines, status=status) + body, STATUSES, LINES, BODIES
)
OFTEN = examples(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(b"") as server:
        yield server


@IS_ASYNC
@OFTEN
@given(said=WHOLE)
def test_whatever_a_server_says_a_look_ends_with_a_project_or_an_error_of_ours(server, is_async, said):
    server.say(said)
    outcome(server.url, PROJECT, is_async)


@OFTEN
@given(said=WHOLE)
def test_whatever_a_server_says_a_create_ends_with_an_id_or_an_error_of_ours(server, said):
    server.say(said)
    outcome(server.url, CREATE, False)


TEXTS = st.text(max_size=60) | st.sampled_from(["Mon, 01 Jan 99999999 00:00:00 GMT", "9" * 5000, "1e999", "-nan"])


@given(
    status=st.integers(100, 999),
    headers=st.dictionaries(st.sampled_from(["retry-after", "date", "content-encoding"]), TEXTS, max_size=3),
    body=BODIES,
)
def test_whatever_an_answer_holds_it_is_a_value_or_a_failure(status, headers, body):
    for call in (PROJECT, ACCOUNT, CREATE, endpoints.upload_urls("jpg")):
        found = answers.read_answer(call, status, headers, body, now=1e9)
        if isinstance(found, answers.Failure):
            assert found.retry_after is None or 0 <= found.retry_after < float("inf")
            answers.error_for(call, found, source="connection 'c'")


@given(body=BODIES, encoding=st.none() | st.sampled_from(["gzip", "deflate", "br", "GZIP", ""]))
def test_a_body_is_unpacked_within_its_bound_or_refused(body, encoding):
    with contextlib.suppress(ValueError):
        assert len(unpacked(body, encoding)) <= LONGEST
