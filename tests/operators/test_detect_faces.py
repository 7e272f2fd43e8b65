"""MagicHourDetectFacesOperator: from a file, wherever it lies, to paths for ``face_mappings``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.api.requests import tool_request
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourInvalidRequestError,
    MagicHourProjectFailedError,
    MagicHourProjectRejectedError,
    MagicHourStorageError,
    MagicHourTimeoutError,
)
from airflow_provider_magichour.operators import MagicHourDetectFacesOperator
from airflow_provider_magichour.sandbox import Sandbox
from tests.conftest import Clock
from tests.scenes.fake_api import KEY, FakeApi

SIGNED = "https://videos.example.com/0-0.png?X-Amz-Signature=5ecret"
CREATE, GET = "POST /v1/face-detection", "GET /v1/face-detection/d1"
Context = Callable[..., dict[str, Any]]


def detection(status: str, faces: int = 0, **fields: Any) -> dict[str, Any]:
    found = [{"path": f"api-assets/d1/0-{index}.png", "url": SIGNED} for index in range(faces)]
    return {"id": "d1", "credits_charged": 0, "status": status, "faces": found, **fields}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[FakeApi]:
    with FakeApi() as api:
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", api.connection)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        api.answers[CREATE] = [{"id": "d1", "credits_charged": 0}]
        api.answers[GET] = [detection("queued"), detection("rendering", 1), detection("complete", 2)]
        yield api


def detect(target: Any = "https://example.com/friends.jpg", **arguments: Any) -> MagicHourDetectFacesOperator:
    return MagicHourDetectFacesOperator(task_id="detect", target=target, **arguments)


def test_the_paths_of_the_faces_go_into_face_mappings(
    api: FakeApi, context: Context, logged: Callable[[], str]
) -> None:
    run = context()

    faces = detect(confidence_score="0.7").execute(run)

    assert faces == [{"path": "api-assets/d1/0-0.png"}, {"path": "api-assets/d1/0-1.png"}]
    (created,) = api.of("POST")
    assert created.json == {
        "assets": {"target_file_path": "https://example.com/friends.jpg"},
        "confidence_score": 0.7,
    }
    assert run["ti"].xcom == {"detection_id": "d1"}
    mappings = [{"original_face": face["path"], "new_face": "api-assets/me/1.png"} for face in faces]
    assets = {"face_swap_mode": "individual-faces", "face_mappings": mappings, "target_file_path": "a.jpg"}
    assert tool_request("face-swap-photo", {"assets": assets}).body["assets"]["face_mappings"] == mappings
    told = logged()
    assert "face detection d1 is rendering" in told
    assert "5ecret" not in told + json.dumps(run["ti"].xcom)


@pytest.mark.parametrize(("name", "type_"), [("friends.jpg", "image"), ("friends.mp4", "video")])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_local_file_is_uploaded_first(
    api: FakeApi, context: Context, tmp_path: Path, name: str, type_: str, scheme: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"faces" * 1000)

    detect(f"{scheme}{path}").execute(context())

    asked, created = api.of("POST")
    assert asked.json == {"items": [{"type": type_, "extension": name[-3:]}]}
    (put,) = api.of("PUT")
    assert put.body == b"faces" * 1000
    assert put.key is None
    assert created.json == {"assets": {"target_file_path": f"api-assets/u/1.{name[-3:]}"}}


@pytest.mark.parametrize("target", ["api-assets/id/1.png", "saved-items/s1/0.mp4"])
def test_what_magic_hour_has_is_named_as_it_is(api: FakeApi, context: Context, target: str) -> None:
    detect(target).execute(context())

    assert api.of("POST")[0].json == {"assets": {"target_file_path": target}}


def test_no_faces_are_no_failure(api: FakeApi, context: Context) -> None:
    api.answers[GET] = [detection("complete")]
    assert detect().execute(context()) == []


def test_it_is_looked_at_every_second_by_default(api: FakeApi, context: Context, clock: Clock) -> None:
    detect().execute(context())
    assert clock.sleeps == [1, 1, 1]


def test_trouble_of_the_api_is_outlasted(api: FakeApi, context: Context) -> None:
    api.answers[GET] = [(502, "<html>"), (500, {"message": "x"}), (429, {"message": "y"}), detection("complete", 1)]
    assert len(detect().execute(context())) == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (detection("error"), MagicHourProjectFailedError, "face detection d1 ended as error. A retry"),
        (detection("error", error={"message": "no luck"}), MagicHourProjectFailedError, "no luck"),
        (detection("error", error={"code": "invalid_image"}), MagicHourProjectRejectedError, "invalid_image"),
        (detection("queued"), MagicHourTimeoutError, "face detection d1 was not finished after 20 s"),
        ((404, {"message": "Not Found"}), MagicHourTimeoutError, "last status: unknown"),
    ],
)
def test_an_end_without_faces_says_why(
    api: FakeApi, context: Context, answer: Any, error: type[Exception], said: str
) -> None:
    api.answers[GET] = [answer]

    with pytest.raises(error, match=said) as caught:
        detect(timeout=20).execute(context())

    assert type(caught.value) is error


def test_a_refused_key_ends_the_wait_with_the_apis_words(api: FakeApi, context: Context) -> None:
    api.answers[GET] = [(401, {"message": "Unauthorized"})]

    with pytest.raises(MagicHourApiError, match="API key of"):
        detect().execute(context())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"target": ["a.png"]}, "target"),
        ({"target": " "}, "target"),
        ({"target": "/data/friends.txt"}, "txt"),
        ({"confidence_score": 2}, "confidence_score"),
        ({"timeout": "soon"}, "timeout"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"target": f"https://example.com/{KEY}"}, "API key"),
    ],
)
def test_what_cannot_be_sent_is_named_before_anything_is(
    api: FakeApi, context: Context, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match=named):
        detect(**arguments).execute(context())
    assert not api.asked


def test_a_file_that_is_not_there_is_named(api: FakeApi, context: Context, tmp_path: Path) -> None:
    with pytest.raises(MagicHourStorageError, match=r"friends\.jpg"):
        detect(str(tmp_path / "friends.jpg")).execute(context())
    assert not api.asked


def test_a_detection_that_costs_is_told(api: FakeApi, context: Context, logged: Callable[[], str]) -> None:
    api.answers[CREATE] = [{"id": "d1", "credits_charged": 3}]
    detect().execute(context())
    assert "cost 3 credits" in logged()


def test_side_keys_honour_do_xcom_push(api: FakeApi, context: Context) -> None:
    run = context()
    detect(do_xcom_push=False).execute(run)
    assert run["ti"].xcom == {}


def test_a_signed_target_is_not_shown(api: FakeApi, context: Context, logged: Callable[[], str]) -> None:
    task = detect(SIGNED)
    task.execute(context())
    assert "5ecret" not in logged()
    assert "5ecret" not in repr({name: each for name, each in vars(task).items() if "kwargs" not in name})


def test_the_sandbox_detects_faces(sandbox: Sandbox, photo: Path, context: Context) -> None:
    faces = detect(str(photo)).execute(context())
    assert faces
    assert all(face["path"].startswith("api-assets/") for face in faces)
