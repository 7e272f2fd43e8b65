"""What counts as the same request, and what of a URL is remembered."""

from __future__ import annotations

import pytest

from airflow_provider_magichour.api.signatures import without_signatures
from airflow_provider_magichour.api.tools import IMAGE_TO_VIDEO, Request
from airflow_provider_magichour.submission.fingerprint import fingerprint, unsigned

REQUEST = {
    "end_seconds": 5,
    "assets": {"image_file_path": "https://bucket.example.com/a.png?v=1"},
    "model": "kling-3.0",
    "resolution": "720p",
    "style": {"prompt": "ein Hund läuft"},
    "name": "shop.clip run a1b2",
}


def print_of(*, files=None, conn_id="magichour_default", host="https://api.magichour.ai", image=None, **changes):
    request = {**REQUEST, **changes}
    if image is not None:
        request["assets"] = {**request["assets"], "image_file_path": image}
    return fingerprint(Request(IMAGE_TO_VIDEO, request), files=files or {}, conn_id=conn_id, host=host)


def test_the_fingerprint_is_the_same_in_every_release():
    """A change of this digest makes every task in flight submit, and pay, again after an upgrade."""
    assert print_of() == "v1:bbe342377ff9e22468f963b9675639af3b789d1db3fd3d35cf9c9b73e498d97a"


def test_the_name_does_not_count():
    assert print_of(name="shop.clip run c3d4") == print_of()


def test_the_order_of_keys_does_not_count():
    reversed_request = {key: REQUEST[key] for key in reversed(REQUEST)}
    assert list(reversed_request) != list(REQUEST)
    request = Request(IMAGE_TO_VIDEO, reversed_request)
    assert fingerprint(request, files={}, conn_id="magichour_default", host="https://api.magichour.ai") == print_of()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"end_seconds": 6}, id="end_seconds"),
        pytest.param({"model": "veo3.1"}, id="model"),
        pytest.param({"resolution": "1080p"}, id="resolution"),
        pytest.param({"audio": False}, id="audio"),
        pytest.param({"style": {"prompt": "run"}}, id="prompt"),
        pytest.param({"seed": 7}, id="extra"),
        pytest.param({"image": "https://bucket.example.com/b.png?v=1"}, id="image"),
        pytest.param({"assets": {**REQUEST["assets"], "end_image_file_path": "b"}}, id="end_image"),
        pytest.param({"conn_id": "magichour_other"}, id="connection"),
        pytest.param({"host": "http://127.0.0.1:8000"}, id="host"),
    ],
)
def test_everything_else_counts(changes):
    assert print_of(**changes) != print_of()


SIGNATURES = {
    "s3": "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=K%2F20260901%2Fus&X-Amz-Date=20260901T000000Z"
    "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature=",
    "s3-version-2": "AWSAccessKeyId=K&Expires=1788220800&Signature=",
    "gcs": "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=c&X-Goog-Date=d&X-Goog-Expires=3600"
    "&X-Goog-SignedHeaders=host&X-Goog-Signature=",
    "gcs-version-2": "GoogleAccessId=a%40b&Expires=1788220800&Signature=",
    "azure": "sv=2025-01-05&st=2026-09-01T00%3A00%3A00Z&se=2026-09-02T00%3A00%3A00Z&sr=b&sp=r&spr=https&sig=",
    "azure-user-delegation": "skoid=o&sktid=t&skt=2026-09-01&ske=2026-09-02&sks=b&skv=2025-01-05&sv=v&sr=b&sp=r&sig=",
    "cloudfront": "Policy=p&Key-Pair-Id=K&Signature=",
    "cloudfront-canned": "Expires=1788220800&Key-Pair-Id=K&Signature=",
    "lower-case": "x-amz-date=d&x-amz-signature=",
}


@pytest.mark.parametrize("parameters", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_signing_a_url_again_does_not_count(parameters):
    plain = "https://bucket.example.com/a.png?v=1"
    prints = {print_of(image=f"{plain}&{parameters}{value}") for value in ("first", "second")}
    assert prints == {print_of(image=plain)}


@pytest.mark.parametrize("parameters", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_nothing_of_a_signature_is_left_in_what_is_recorded(parameters):
    signed = f"https://bucket.example.com/a.png?{parameters}secret"
    assert unsigned(signed) == "https://bucket.example.com/a.png"


@pytest.mark.parametrize("parameters", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_nothing_of_a_signed_query_is_left_in_what_a_person_may_read(parameters):
    signed = f"https://bucket.example.com/a.png?v=1&{parameters}secret"
    assert without_signatures(signed) == "https://bucket.example.com/a.png"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("?v=1", "?v=2", id="version"),
        pytest.param("?versionId=1&X-Amz-Signature=s", "?versionId=2&X-Amz-Signature=s", id="object-version"),
        pytest.param("?w=100", "?w=200", id="width"),
        pytest.param("?token=1", "?token=2", id="token"),
        pytest.param("?v=", "?", id="empty-value"),
        pytest.param("?id=1&id=2", "?id=1", id="repeated"),
        pytest.param("?response-content-type=a", "?response-content-type=b", id="response-header"),
    ],
)
def test_other_query_parameters_count(one, other):
    base = "https://bucket.example.com/a.png"
    assert print_of(image=base + one) != print_of(image=base + other)


@pytest.mark.parametrize("value", [None, 5, "", "api-assets/1.png", "s3://bucket/a.png", "https://x.example.com/a.png"])
def test_what_has_no_query_stays_as_it_is(value):
    assert unsigned(value) == value


def test_a_url_that_cannot_be_parsed_stays_as_it_is():
    assert unsigned("http://[bad/a.png?v=1") == "http://[bad/a.png?v=1"


def test_the_identity_of_a_file_counts_and_not_its_path():
    same = {"files": {"assets.image_file_path": "sha256:aa"}}
    assert print_of(image="/checkout-1/a.png", **same) == print_of(image="/checkout-2/a.png", **same)
    assert print_of(**same) != print_of(files={"assets.image_file_path": "sha256:bb"})
    assert print_of(**same) != print_of()


def test_each_file_counts_for_its_own_field():
    assets = {"image_file_path": "a.png", "end_image_file_path": "b.png"}
    first, last = "assets.image_file_path", "assets.end_image_file_path"
    one = print_of(assets=assets, files={first: "sha256:aa", last: "sha256:bb"})
    swapped = print_of(assets=assets, files={first: "sha256:bb", last: "sha256:aa"})
    assert one != swapped


@pytest.mark.parametrize("url", ["https://h.example/a.png?st=red", "https://h.example/a.png?policy=1&expires=2"])
def test_a_parameter_that_only_may_be_part_of_a_signature_counts_where_there_is_none(url):
    assert unsigned(url) == url


def test_a_login_in_a_url_is_not_remembered():
    assert unsigned("https://u:p@h.example/a.png") == "https://h.example/a.png"
