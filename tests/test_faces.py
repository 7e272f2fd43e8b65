"""Face detection and saved items: what the hook asks for, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_magichour.api.endpoints import get_saved_items
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourInvalidRequestError
from airflow_provider_magichour.hooks import MagicHourHook
from tests.scenes.fake_api import KEY, FakeApi

SIGNED = "https://videos.example.com/0-0.png?X-Amz-Signature=5ecret"
DETECTION = "/v1/face-detection/d1"


def detection(status: str, *faces: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "d1", "credits_charged": 0, "status": status, "faces": list(faces), **fields}


def face(index: int) -> dict[str, str]:
    return {"path": f"api-assets/d1/0-{index}.png", "url": SIGNED}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with FakeApi() as api:
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", api.connection)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield api


def test_faces_are_detected_by_two_calls(api: FakeApi) -> None:
    api.answers["POST /v1/face-detection"] = [{"id": "d1", "credits_charged": 0}]
    api.answers[f"GET {DETECTION}"] = [detection("rendering", face(0)), detection("complete", face(0), face(1))]
    hook = MagicHourHook()

    created = hook.create_face_detection("api-assets/id/1.png", confidence_score=0.9)
    first, second = hook.get_face_detection(created.id), hook.get_face_detection(created.id)

    assert api.asked[0].json == {"assets": {"target_file_path": "api-assets/id/1.png"}, "confidence_score": 0.9}
    assert (first.is_finished, second.is_complete) == (False, True)
    assert [each.path for each in second.faces] == ["api-assets/d1/0-0.png", "api-assets/d1/0-1.png"]
    assert second.faces[0].url == SIGNED
    assert "5ecret" not in repr(second)


@pytest.mark.parametrize(
    ("answer", "complete", "failed"),
    [
        (detection("queued"), False, False),
        (detection("rendering", face(0)), False, False),
        (detection("complete"), True, False),
        (detection("Completed", face(0)), True, False),
        (detection("error", face(0)), False, True),
        (detection("complete", face(0), error={"code": "x"}), False, True),
        (detection("warming_up"), False, False),
        ({"id": "d1", "status": "complete"}, True, False),
        ({"id": "d1", "status": "complete", "faces": None, "credits_charged": "?"}, True, False),
    ],
)
def test_a_detection_is_read_by_what_it_means(
    api: FakeApi, answer: dict[str, Any], complete: bool, failed: bool
) -> None:
    api.answers[f"GET {DETECTION}"] = [answer]

    seen = MagicHourHook().get_face_detection("d1")

    assert (seen.is_complete, seen.is_failed) == (complete, failed)


@pytest.mark.parametrize("odd", [{"url": SIGNED}, {"path": ""}, {"path": SIGNED}, {"path": "x" * 501}, "x", None])
def test_a_face_without_a_usable_path_is_left_out(api: FakeApi, odd: Any) -> None:
    api.answers[f"GET {DETECTION}"] = [detection("complete", odd, face(1))]

    seen = MagicHourHook().get_face_detection("d1")

    assert [each.path for each in seen.faces] == ["api-assets/d1/0-1.png"]


def test_an_answer_about_another_detection_is_not_believed(api: FakeApi) -> None:
    api.answers[f"GET {DETECTION}"] = [{**detection("complete"), "id": "d2"}]

    with pytest.raises(MagicHourApiError, match="another"):
        MagicHourHook().get_face_detection("d1", patience=0)


@pytest.mark.parametrize(
    ("target", "score", "named"),
    [
        ("", None, "target"),
        (None, None, "target"),
        (["a.png"], None, "target"),
        ("a.png", 1.5, "confidence_score"),
        ("a.png", "much", "confidence_score"),
        ("a.png", True, "confidence_score"),
    ],
)
def test_what_cannot_be_sent_is_named_and_nothing_is_sent(api: FakeApi, target: Any, score: Any, named: str) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match=named):
        MagicHourHook().create_face_detection(target, confidence_score=score)
    assert not api.asked


def test_the_key_is_not_sent_as_what_faces_are_looked_for_in(api: FakeApi) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match="API key") as caught:
        MagicHourHook().create_face_detection(f"https://example.com/{KEY}.png")
    assert KEY not in str(caught.value)
    assert not api.asked


@pytest.mark.parametrize("detection_id", ["../account", "..", "a?b=c"])
def test_no_id_can_leave_its_place_in_the_path(api: FakeApi, detection_id: str) -> None:
    with pytest.raises(MagicHourApiError):
        MagicHourHook().get_face_detection(detection_id, patience=0)
    assert api.asked[0].target.startswith("/v1/face-detection/")
    last = api.asked[0].target.removeprefix("/v1/face-detection/")
    assert last != ".."
    assert not set(last) & {"/", "?"}


ASSET = {
    "file_path": "saved-items/s1/0.png",
    "media_kind": "IMAGE",
    "is_primary": True,
    "url": SIGNED,
    "url_expires_at": "2026-11-01T00:00:00Z",
}


def test_saved_items_come_in_pages(api: FakeApi) -> None:
    item = {"id": "s1", "type": "character", "name": None, "assets": [ASSET, {"file_path": ""}]}
    api.answers["GET /v1/saved-items"] = [{"items": [item], "next_cursor": "n/2"}, {"items": [], "next_cursor": None}]
    hook = MagicHourHook()

    first = hook.get_saved_items()
    last = hook.get_saved_items("character", limit=5, cursor=first.next_cursor)

    assert [asked.target for asked in api.asked] == [
        "/v1/saved-items",
        "/v1/saved-items?type=character&limit=5&cursor=n%2F2",
    ]
    (saved,) = first.items
    assert (saved.id, saved.type, saved.name) == ("s1", "character", None)
    assert [asset.file_path for asset in saved.assets] == ["saved-items/s1/0.png"]
    assert "5ecret" not in repr(first)
    assert (last.items, last.next_cursor) == ((), None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"type": ""}, "type"),
        ({"cursor": ["x"]}, "cursor"),
    ],
)
def test_a_page_that_cannot_be_asked_for_is_refused(api: FakeApi, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(MagicHourInvalidRequestError, match=named):
        MagicHourHook().get_saved_items(**arguments)
    assert not api.asked


def test_an_answer_without_items_is_none(api: FakeApi) -> None:
    api.answers["GET /v1/saved-items"] = [{}]

    with MagicHourHook().client() as client, pytest.raises(MagicHourApiError, match="cannot be read"):
        client.send(get_saved_items())
