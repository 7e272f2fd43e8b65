"""What the libraries of stores do each in their own way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar

import fsspec
import pytest
from airflow.sdk.io import attach
from fsspec import AbstractFileSystem

from airflow_provider_magichour.exceptions import MagicHourStorageError
from airflow_provider_magichour.media.stores import is_folder, opened, path_of, sha256_of, size_of

BODY = b"a line\n" * 50_000


class Plain:
    """Has ``read`` and little more, as the streams of sshfs."""

    def __init__(self) -> None:
        self.reads = self.place = 0
        self.is_closed = False

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        piece = BODY[self.place :] if size < 0 else BODY[self.place : self.place + size]
        self.place += len(piece)
        return piece

    def close(self) -> None:
        self.is_closed = True


class Odd(AbstractFileSystem):  # type: ignore[misc]
    protocol = "odd"
    cachable = False
    error: ClassVar[Exception | None] = None
    stream: ClassVar[Plain]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"name": path, "size": len(BODY), "type": "file"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return [self.info(path)]

    def open(self, path: str, mode: str = "rb", **_: Any) -> Plain:
        return self.stream


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Odd]]:
    fsspec.register_implementation("odd", Odd, clobber=True)
    attach("odd", fs=Odd())
    monkeypatch.setattr(Odd, "stream", Plain(), raising=False)
    monkeypatch.setattr(Odd, "error", None)
    return Odd


def named(name: str, **attributes: Any) -> Exception:
    """Return an error of a library that is not installed here."""
    error: Exception = type(name, (Exception,), attributes)("not allowed")
    return error


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(PermissionError(13, "Forbidden"), id="s3fs"),
        pytest.param(OSError("Forbidden: https://storage.googleapis.com/b/clips\nno access"), id="gcsfs"),
        pytest.param(named("HttpResponseError", status_code=403), id="adlfs"),
        pytest.param(named("SFTPPermissionDenied"), id="sshfs"),
    ],
)
def test_where_looking_is_not_allowed_nothing_is_known(
    odd: type[Odd], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Odd, "error", error)
    path = path_of("odd://clips/a.mp4", None)
    assert size_of(path) is None
    assert not is_folder(path)


def test_another_error_of_a_store_says_what_to_look_at(odd: type[Odd], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "error", named("HttpResponseError", status_code=500))
    with pytest.raises(MagicHourStorageError, match=r"(?s)clips/a\.mp4.*not allowed.*its connection may check"):
        size_of(path_of("odd://clips/a.mp4", None))


def test_a_stream_that_only_has_read_can_be_digested(odd: type[Odd]) -> None:
    assert sha256_of(path_of("odd://clips/a.mp4", None)) == hashlib.sha256(BODY).hexdigest()
    assert odd.stream.is_closed


def test_lines_of_a_store_are_not_asked_for_byte_by_byte(odd: type[Odd]) -> None:
    with opened(path_of("odd://clips/items.jsonl", None), "rb") as stream:
        assert stream.readline() == b"a line\n"
        assert len(list(stream)) == 49_999
    assert odd.stream.reads <= 3
