"""Pytest fixtures for tests of media: a bucket, and a finished project with its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenes.media import MIB, Bucket, connection_to, give_result, refusing, running_bucket, s3_error


@pytest.fixture(scope="session")
def running() -> Iterator[Bucket]:
    """One for all files of a process: Airflow keeps a store's file system by connection id."""
    with running_bucket() as bucket:
        yield bucket


@pytest.fixture
def bucket(running: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The session's bucket, empty; the connection ``bucket`` leads to it."""
    running.empty()
    monkeypatch.setenv("AIRFLOW_CONN_BUCKET", connection_to(running.url))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return running


@pytest.fixture
def write_only(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """Id of a connection to the bucket whose role may write, and neither look nor list."""
    # Airflow keeps a store's file system by connection id.
    conn_id = f"write_only_{abs(hash(request.node.nodeid))}"
    with refusing(bucket.url, lambda method, _: method in ("HEAD", "GET"), 403, s3_error("AccessDenied")) as url:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection_to(url))
        yield conn_id


@pytest.fixture
def project(sandbox: Any) -> str:
    """A finished project."""
    return str(sandbox.add_job().id)


@pytest.fixture
def clip(sandbox: Any, project: str) -> bytes:
    """The project's result."""
    return bytes(sandbox.jobs[project].result.file.read_bytes())


@pytest.fixture
def big_clip(sandbox: Any, project: str, tmp_path: Path) -> bytes:
    """The project's result, made one that no single request carries into S3."""
    return give_result(sandbox, project, tmp_path / "result" / "big.mp4", 12 * MIB + 345)
