"""A place in each store, and tasks that read from it and write to it."""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk.io.store import _STORE_CACHE
from fsspec import AbstractFileSystem

from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from tests_stores.places import PLACES, Place

# Asked for a bucket's layout over gRPC, which no emulator has, gcsfs waits up to a minute; it looks here when imported.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

# It tells of each connection's end, also where that comes after the end of the tests and of their log.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

NUMBERS = itertools.count(1)


def forget_file_systems(kind: Any) -> None:
    """Let no task have what another one had opened, as in a process of its own: fsspec keeps them by their options."""
    kind.clear_instance_cache()
    for each in kind.__subclasses__():
        forget_file_systems(each)


@pytest.fixture(scope="session", params=PLACES)
def running_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with PLACES[request.param](tmp_path_factory.mktemp(request.param)) as place:
        yield place


@pytest.fixture
def place(running_place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place, empty, and the way there whole."""
    running_place.way.mend()
    running_place.empty()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return running_place


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Give Airflow a connection under an id of its own: it keeps a file system for each for the life of a process."""

    def run(connection: str) -> str:
        forget_file_systems(AbstractFileSystem)
        conn_id = f"store_{next(NUMBERS)}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)
        return conn_id

    return run


@pytest.fixture
def another_process() -> Callable[[], None]:
    """Let a task's next try have none of what this one had opened, under the same connection id."""

    def run() -> None:
        forget_file_systems(AbstractFileSystem)
        _STORE_CACHE.clear()

    return run


@pytest.fixture
def conn_id(place: Place, connect: Any) -> str:
    return str(connect(place.connection))


@pytest.fixture
def submit(sandbox: Any, clock: Any, context: Any, store: Any) -> Callable[..., bytes]:
    """Submit an image, and return what lies at Magic Hour of it."""

    def run(image: str, conn_id: str | None) -> bytes:
        task = MagicHourImageToVideoOperator(task_id="submit", image=image, conn_id=conn_id, end_seconds=5)
        task.execute(context(store))
        path = sandbox.requests.to("create")[-1].body["assets"]["image_file_path"]
        return bytes(sandbox.uploads.find(path).read_bytes())

    return run


@pytest.fixture
def download(sandbox: Any, clock: Any, context: Any, project: str) -> Callable[..., str]:
    """Download the project, and return where it is."""

    def run(destination: str, conn_id: str | None, **arguments: Any) -> str:
        task = MagicHourDownloadOperator(
            task_id="download", project_id=project, destination=destination, conn_id=conn_id, **arguments
        )
        (written,) = json.loads(json.dumps(task.execute(context())))
        return str(written)

    return run
