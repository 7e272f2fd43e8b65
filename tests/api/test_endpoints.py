"""What is sent to which path, and what is refused before it is."""

from __future__ import annotations

import io

import pytest

from airflow_provider_magichour.api import endpoints, signatures
from airflow_provider_magichour.api.requests import image_to_video_request
from airflow_provider_magichour.exceptions import (
    MagicHourInvalidRequestError,
)

CREATE = endpoints.create(image_to_video_request(image="https://x/a.png?sig=secret", end_seconds=5))
READ = endpoints.get_project("clx7")


def open_nothing():
    return io.BytesIO()


@pytest.mark.parametrize(
    ("call", "method", "target", "body"),
    [
        pytest.param(endpoints.get_project("a1"), "GET", "/v1/video-projects/a1", None, id="get"),
        pytest.param(endpoints.get_project("a1", "image"), "GET", "/v1/image-projects/a1", None, id="get-image"),
        pytest.param(endpoints.get_project("a1", "audio"), "GET", "/v1/audio-projects/a1", None, id="get-audio"),
        pytest.param(endpoints.delete_project("a1"), "DELETE", "/v1/video-projects/a1", None, id="delete"),
        pytest.param(endpoints.get_account(), "GET", "/v1/account", None, id="account"),
        pytest.param(
            endpoints.upload_urls("png"),
            "POST",
            "/v1/files/upload-urls",
            {"items": [{"type": "image", "extension": "png"}]},
            id="upload-urls",
        ),
        pytest.param(
            CREATE,
            "POST",
            "/v1/image-to-video",
            {"end_seconds": 5, "assets": {"image_file_path": "https://x/a.png?sig=secret"}},
            id="create",
        ),
        pytest.param(
            endpoints.put_file("https://x/put?sig=1", open_nothing, 3), "PUT", "https://x/put?sig=1", None, id="put"
        ),
    ],
)
def test_a_call_says_what_is_sent(call, method, target, body):
    assert (call.method, call.target, call.json) == (method, target, body)


def test_only_the_create_makes_something():
    others = [READ, endpoints.delete_project("a"), endpoints.get_account(), endpoints.upload_urls("png")]
    assert CREATE.creates
    assert not any(call.creates for call in others)


def test_an_upload_does_not_go_to_the_api():
    call = endpoints.put_file("https://x/put", open_nothing, 3)
    assert (call.is_to_api, call.content, call.size) == (False, open_nothing, 3)
    assert READ.is_to_api


@pytest.mark.parametrize("project_id", ["clx7uu86w0a5qp55yxz315r6r", "0", "a.b_c~d-e", "A" * 64, "..a"])
def test_an_id_that_cannot_change_the_path_passes(project_id):
    assert endpoints.get_project(project_id).target == f"/v1/video-projects/{project_id}"


@pytest.mark.parametrize("send", [endpoints.get_project, endpoints.delete_project])
@pytest.mark.parametrize(
    ("project_id", "escaped"),
    [
        pytest.param("../account", "..%2Faccount", id="path"),
        pytest.param("..", "%2E%2E", id="parent"),
        pytest.param(".", "%2E", id="dot"),
        pytest.param("a/b", "a%2Fb", id="slash"),
        pytest.param("a%2Fb", "a%252Fb", id="escaped-slash"),
        pytest.param("a\\b", "a%5Cb", id="backslash"),
        pytest.param("a#b", "a%23b", id="fragment"),
        pytest.param("a?b=c:d", "a%3Fb%3Dc%3Ad", id="query"),
        pytest.param("a b", "a%20b", id="blank"),
        pytest.param("a\r\nb", "a%0D%0Ab", id="line-end"),
        pytest.param("\u00e4", "%C3%A4", id="beyond-ascii"),
    ],
)
def test_no_id_can_leave_its_place_in_the_path(send, project_id, escaped):
    assert send(project_id).target == f"/v1/video-projects/{escaped}"


@pytest.mark.parametrize("project_id", ["", " ", "x" * 501, "https://magichour.ai/my-library", "\ud83d"])
def test_what_can_be_no_id_is_refused(project_id):
    with pytest.raises(MagicHourInvalidRequestError, match="use the one that the submitting task returned"):
        endpoints.get_project(project_id)


@pytest.mark.parametrize(
    ("project_id", "advice"),
    [
        pytest.param(None, "the upstream task pushed nothing", id="none"),
        pytest.param(["a", "b"], ".expand(project_id=...)", id="list"),
        pytest.param([], ".expand(project_id=...)", id="empty-list"),
        pytest.param({"project_id": "a"}, "one project id (a text)", id="dict"),
        pytest.param(5, "one project id (a text)", id="number"),
        pytest.param(b"a", "one project id (a text)", id="bytes"),
    ],
)
def test_what_is_no_id_is_refused_and_the_message_says_what_to_look_at(project_id, advice):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        endpoints.get_project(project_id)
    assert f"project_id={project_id!r}" in str(caught.value)
    assert advice in str(caught.value)


SIGNED = "https://x/a.mp4?sig=secret"


@pytest.mark.parametrize(
    ("project_id", "shown"),
    [
        pytest.param(SIGNED, "project_id='https://x/a.mp4?...'", id="url"),
        pytest.param(str({"download_urls": [SIGNED]}), "https://x/a.mp4?...", id="text-of-a-dict"),
        pytest.param({"project_id": "a", "download_urls": [SIGNED]}, "'project_id': 'a'", id="dict"),
        pytest.param([{"download_urls": [SIGNED]}], "https://x/a.mp4?...", id="list"),
        pytest.param([SIGNED] * 10_000, "https://x/a.mp4?...", id="long-list"),
        pytest.param(SIGNED * 10_000, "https://x/a.mp4?...", id="long-text"),
        pytest.param("a/" * 10_000, "'a/a/", id="long-path"),
    ],
)
def test_a_refused_id_is_shown_in_short_and_without_a_signature(project_id, shown):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        endpoints.checked_project_id(project_id)
    assert shown in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 900


def test_a_value_that_was_cut_ends_in_dots():
    assert signatures.shown("x" * 10_000) == "'" + "x" * 499 + "..."
    assert signatures.shown("x" * 498) == repr("x" * 498)


@pytest.mark.parametrize("kind", ["Video", "videos", "../video", "", None, ["video"]])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        endpoints.get_project("a", kind)
    assert str(caught.value) == f"kind={kind!r}: one of video, image, audio is needed"
