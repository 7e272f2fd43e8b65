"""Where media lie in tests: buckets of a real S3 server, results of any bytes, and a store that breaks off."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

MIB = 1 << 20
PATIENCE = 60.0
SECRET = "an-s3-secret"


@dataclass
class Bucket:
    """A bucket as its owner sees it, beside whatever the package does.

    :param client: boto3's.
    :param url: of the server.
    """

    client: Any
    url: str
    name: str = "media"

    @property
    def names(self) -> list[str]:
        return sorted(each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", []))

    @property
    def unfinished(self) -> list[str]:
        """Names of objects of which parts lie in the store, unseen."""
        uploads = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return sorted(each["Key"] for each in uploads)

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=name, Body=body)

    def get(self, name: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=name)["Body"].read())

    def empty(self) -> None:
        for upload in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])
        for name in self.names:
            self.client.delete_object(Bucket=self.name, Key=name)


def connection_to(url: str) -> str:
    """Return an Amazon connection as JSON that leads to a server of ours and does not repeat for long."""
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": url,
        "config_kwargs": {"retries": {"max_attempts": 0}, "s3": {"addressing_style": "path"}},
    }
    return json.dumps({"conn_type": "aws", "login": "nobody", "password": SECRET, "extra": extra})


@contextlib.contextmanager
def running_bucket() -> Iterator[Bucket]:
    """Run an S3 server with one empty bucket."""
    pytest.importorskip("s3fs", reason="apache-airflow-providers-amazon[s3fs] is not installed")
    pytest.importorskip("airflow.providers.amazon", reason="apache-airflow-providers-amazon[s3fs] is not installed")
    servers = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    import boto3

    server = servers.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        login = {"aws_access_key_id": "nobody", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        bucket = Bucket(boto3.client("s3", endpoint_url=url, **login), url)
        bucket.client.create_bucket(Bucket=bucket.name)
        yield bucket
    finally:
        server.stop()


FTYP = b"\0\0\0\x18ftypisom\0\0\2\0isommp41"


def movie(size: int, seed: int = 0) -> bytes:
    """Return so many bytes that are an MP4 by its boxes: what is in them is random."""
    rest = size - len(FTYP)
    return FTYP + rest.to_bytes(4, "big") + b"mdat" + random.Random(seed).randbytes(rest - 8)


def give_result(sandbox: Any, project: str, file: Path, size: int) -> bytes:
    """Let a project's result be an MP4 of so many bytes, and return those."""
    body = movie(size, seed=size)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(body)
    job = sandbox.jobs[project]
    job.results = (type(job.result)(file),)
    return body


def until(condition: Callable[[], Any], what: str) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"waited in vain until {what}")


def name_store(sandbox: Any, url: str) -> None:
    """Let the API name another store as the place of each result."""
    patch = {"downloads": [{"url": f"{url}/output.mp4?Signature=x", "expires_at": None}]}
    sandbox.faults.add("get", patch=patch, times=None)


def five_cuts(size: int, seed: int) -> list[int]:
    """Return how many bytes each of five answers gets through, so that the whole is cut at five random bytes."""
    places = sorted(random.Random(seed).sample(range(size), 5))
    return [place - before for place, before in zip(places, [0, *places], strict=False)]


class CuttingStore:
    """A store of one file, with ranges, that breaks its first answers off and counts what it sends.

    :param body: of the file.
    :param cuts: bytes after which each of the first answers ends.
    :param look: called before each answer; what it returns is kept in ``seen``.
    """

    def __init__(self, body: bytes, cuts: Sequence[int], look: Callable[[], Any] = lambda: None) -> None:
        self.sent = 0
        self.answers = 0
        self.seen: list[Any] = []
        self._cuts = list(cuts)
        self._body = body
        self._look = look
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                store._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._serving = serving(Handler)

    def __enter__(self) -> CuttingStore:
        self.url = self._serving.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._serving.__exit__(*error)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.seen.append(self._look())
        self.answers += 1
        span = request.headers.get("range")
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span else 0
        rest = memoryview(self._body)[start:]
        request.send_response(206 if span else 200)
        if span:
            request.send_header("Content-Range", f"bytes {start}-{len(self._body) - 1}/{len(self._body)}")
        request.send_header("Content-Length", str(len(rest)))
        request.send_header("ETag", '"of-this-file"')
        request.end_headers()
        piece = rest[: self._cuts.pop(0)] if self._cuts else rest
        request.wfile.write(piece)
        self.sent += len(piece)


@contextlib.contextmanager
def refusing_to_commit(bucket: Bucket, status: int, code: str) -> Iterator[str]:
    """Stand before an S3 server that takes the parts of an object and refuses to put them together; yields its URL."""

    def refuses(method: str, path: str) -> bool:
        return method == "POST" and "uploadId=" in path

    with refusing(bucket.url, refuses, status, s3_error(code)) as url:
        yield url


def s3_error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Not this time.</Message></Error>'.encode()


# What httpx has undone, or is of one connection.
_NOT_PASSED_ON = {"connection", "content-encoding", "content-length", "date", "server", "transfer-encoding"}


@contextlib.contextmanager
def refusing(store: str, refuses: Callable[[str, str], bool], status: int, said: bytes) -> Iterator[str]:
    """Stand before a store's server and refuse what a function of method and path says; yields its URL.

    :param store: URL of the server.
    :param said: what is answered then.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # S3's client waits for "100 Continue", which 1.0 does not know

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if refuses(self.command, self.path):
                self.answer(status, {}, said)
                return
            # With the host that was asked: a server may name it as the place where an upload goes on.
            sent = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            got = client.request(self.command, f"{store}{self.path}", content=body, headers=sent)
            headers = {name: value for name, value in got.headers.items() if name not in _NOT_PASSED_ON}
            self.answer(got.status_code, headers, got.content, got.headers.get("content-length"))

        def answer(self, status: int, headers: dict[str, str], body: bytes, size: str | None = None) -> None:
            is_head = self.command == "HEAD"
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", size or "0" if is_head else str(len(body)))
            self.end_headers()
            if not is_head:
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

        def log_message(self, *_: Any) -> None:
            pass

    with httpx.Client(trust_env=False) as client, serving(Handler) as url:
        yield url


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1; yields the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
