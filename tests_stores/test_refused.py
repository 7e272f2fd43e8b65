"""What is not there, or not allowed: an error that names the place and what to do, and no secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourStorageError
from tests_stores.places import READ, WRITE, Place

pytest_plugins = ["tests.conftest", "tests.scenes.media_fixtures"]


def told(error: BaseException) -> str:
    """Return all that Airflow's log has of an error."""
    return "".join(traceback.format_exception(error))


def test_a_file_that_is_not_there_is_named_and_nothing_is_sent(
    submit: Any, sandbox: Any, place: Place, conn_id: str
) -> None:
    with pytest.raises(MagicHourStorageError, match=r"photos/no cat\.png"):
        submit(f"{place.root}/photos/no cat.png", conn_id)
    assert len(sandbox.requests) == 0


def test_a_place_that_is_not_there_is_named_both_ways(
    submit: Any, download: Any, sandbox: Any, place: Place, conn_id: str, project: str
) -> None:
    with pytest.raises(MagicHourStorageError, match=r"nowhere/cat\.png"):
        submit(f"{place.nowhere}/cat.png", conn_id)
    assert len(sandbox.requests.to("create")) == 0
    with pytest.raises(MagicHourStorageError, match=r"(?s)nowhere/clips/.*its connection may.*can still be downloaded"):
        download(f"{place.nowhere}/clips/", conn_id)
    place.put("proof", b"the store answers")


def test_a_connection_that_is_not_there_is_named(download: Any, place: Place) -> None:
    with pytest.raises(MagicHourStorageError, match=r"(?s)clips/.*no_such_store.*can still be downloaded"):
        download(f"{place.root}/clips/", "no_such_store")


def test_a_login_that_the_store_refuses_is_an_error_without_its_secret(
    submit: Any, download: Any, sandbox: Any, place: Place, connect: Any, logged: Callable[[], str]
) -> None:
    place.put("cat.png", b"a cat")
    with place.wrong() as connections:
        for connection, secret in connections.items():
            for run, uri in ((submit, f"{place.root}/cat.png"), (download, f"{place.root}/clips/")):
                with pytest.raises(MagicHourStorageError, match=r"media") as caught:
                    run(uri, connect(connection))
                assert secret not in told(caught.value)
            assert secret not in logged()
    assert len(sandbox.requests.to("create")) == 0
    assert place.names == ["cat.png"]


def test_a_role_that_may_not_write_is_an_error_that_says_so_and_leaves_nothing(
    download: Any, submit: Any, place: Place, connect: Any
) -> None:
    place.put("cat.png", b"a cat")
    with place.of_role(READ) as connection:
        conn_id = connect(connection)
        assert submit(f"{place.root}/cat.png", conn_id) == b"a cat"
        for destination in ("clips/", "clips/today.mp4", "clips"):
            with pytest.raises(MagicHourStorageError, match=r"(?s)write.*clips.*its connection may.*can still be"):
                download(f"{place.root}/{destination}", conn_id)
    assert place.names == ["cat.png"]


@pytest.mark.parametrize("destination", ["clips/", "clip.mp4"])
def test_a_role_that_may_only_write_writes(
    download: Any, place: Place, connect: Any, clip: bytes, destination: str
) -> None:
    with place.of_role(WRITE) as connection:
        download(f"{place.root}/{destination}", connect(connection))
    (name,) = place.names
    assert place.get(name) == clip


def test_a_role_that_may_only_write_writes_its_projects_file_again_and_no_other(
    download: Any, place: Place, connect: Any, project: str, clip: bytes
) -> None:
    place.put(f"{project}.mp4", b"half")
    place.put("today.mp4", b"another")
    with place.of_role(WRITE) as connection:
        conn_id = connect(connection)
        download(f"{place.root}/", conn_id)
        with pytest.raises(MagicHourStorageError, match=r"today\.mp4"):
            download(f"{place.root}/today.mp4", conn_id)
    assert place.get(f"{project}.mp4") == clip
    assert place.get("today.mp4") == b"another"
