"""What the pages say of the stores' libraries: where a newer one does otherwise, the page has to change."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourStorageError
from tests_stores.places import Place

pytest_plugins = ["tests.conftest", "tests.scenes.media_fixtures"]


def over(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("running_place", [kind], indirect=True)


@over("sftp")
def test_the_host_of_a_uri_is_not_asked(download: Any, place: Place, conn_id: str, clip: bytes) -> None:
    download(f"{place.root.replace('127.0.0.1', 'elsewhere.example')}/clip.mp4", conn_id)
    assert place.get("clip.mp4") == clip


@over("sftp")
def test_a_broken_connection_stays_broken_for_its_process(
    download: Any, place: Place, conn_id: str, connect: Any, clip: bytes
) -> None:
    place.way.cuts_up = [10_000]
    for _ in range(2):
        with pytest.raises(MagicHourStorageError):
            download(f"{place.root}/clip.mp4", conn_id)
    assert place.way.cuts_up == []
    download(f"{place.root}/clip.mp4", connect(place.connection))
    assert place.get("clip.mp4") == clip


@over("abfs")
def test_a_name_with_a_question_mark_and_a_later_hash_is_taken_for_another(
    download: Any, place: Place, conn_id: str
) -> None:
    download(f"{place.root}/a?b#c.mp4", conn_id)
    assert place.names != ["a?b#c.mp4"]


@pytest.mark.parametrize(("value", "library"), [(None, "ExtendedGcsFileSystem"), ("false", "GCSFileSystem")])
def test_a_variable_keeps_googles_library_from_grpc(value: str | None, library: str) -> None:
    pytest.importorskip("gcsfs", reason="gcsfs is not installed: make test-stores does it")
    variable = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
    environment = {name: each for name, each in os.environ.items() if name != variable}
    command = [sys.executable, "-c", "import gcsfs; print(gcsfs.GCSFileSystem.__name__)"]
    said = subprocess.check_output(command, env=environment | ({variable: value} if value else {}), text=True)
    assert said.split() == [library]
