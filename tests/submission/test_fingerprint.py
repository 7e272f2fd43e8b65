"""What tells one request from another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_magichour.api.signatures import without_signatures
from airflow_provider_magichour.api.tool_rows import IMAGE_TO_VIDEO
from airflow_provider_magichour.api.tools import Request
from airflow_provider_magichour.submission.fingerprint import fingerprints, unsigned

API = "https://api.magichour.ai"

REQUEST = {
    "end_seconds": 5,
    "assets": {"image_file_path": "https://bucket.example.com/a.png?v=1"},
    "model": "kling-3.0",
    "resolution": "720p",
    "style": {"prompt": "ein Hund läuft"},
    "name": "shop.clip run a1b2",
}


def print_of(*, rule=0, files=None, conn_id="magichour_default", host=API, image=None, **changes):
    request = {**REQUEST, **changes}
    if image is not None:
        request["assets"] = {**request["assets"], "image_file_path": image}
    return prints_of(request, files=files, conn_id=conn_id, host=host)[rule]


def prints_of(request, *, files=None, conn_id="magichour_default", host=API):
    files = files or {}
    return fingerprints(Request(IMAGE_TO_VIDEO, request), files=files, old_files=files, conn_id=conn_id, host=host)


def test_the_fingerprint_is_the_same_in_every_release():
    """A change of this digest makes every task in flight submit, and pay, again after an upgrade."""
    assert print_of() == "v2:bbe342377ff9e22468f963b9675639af3b789d1db3fd3d35cf9c9b73e498d97a"


def test_what_the_first_release_has_recorded_is_known():
    """It knew this request by this digest."""
    assert print_of(rule=1) == "v1:bbe342377ff9e22468f963b9675639af3b789d1db3fd3d35cf9c9b73e498d97a"


def test_the_name_does_not_count():
    assert print_of(name="shop.clip run c3d4") == print_of()


def test_the_order_of_keys_does_not_count():
    reversed_request = {key: REQUEST[key] for key in reversed(REQUEST)}
    assert list(reversed_request) != list(REQUEST)
    assert prints_of(reversed_request)[0] == print_of()


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
    "lower-case": "x-amz-date=d&x-amz-credential=c&x-amz-signature=",
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


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1cmwiOiJhL2IucG5nIn0.c2lnbmF0dXJl"
RESIGNED = {
    "supabase": (
        f"https://p.supabase.co/storage/v1/object/sign/a/b.png?token={JWT}",
        f"https://p.supabase.co/storage/v1/object/sign/a/b.png?token={JWT}x",
    ),
    "bunny": ("https://z.b-cdn.net/a.png?token=abc&expires=1", "https://z.b-cdn.net/a.png?token=def&expires=2"),
    "qiniu": ("https://q.example/a.png?e=1&token=AK_1:c2ln-_=", "https://q.example/a.png?e=2&token=AK_1:b3RoZXI="),
    "tencent": tuple(
        "https://b.cos.ap-1.myqcloud.com/a.png?q-sign-algorithm=sha1&q-ak=AK&q-sign-time=1;2&q-key-time=1;2"
        f"&q-header-list=host&q-url-param-list=&q-signature={sign}"
        for sign in ("aa", "bb")
    ),
    "akamai": tuple(f"https://a.example/a.png?hdnts=exp={n}~acl=/*~hmac=00{n}ff" for n in (1, 2)),
    "discord": tuple(f"https://cdn.discordapp.com/attachments/1/2/a.png?ex={n}&is={n}&hm={n}" for n in (1, 2)),
    "sharepoint": tuple(
        f"https://t.sharepoint.com/_layouts/15/download.aspx?UniqueId=5&tempauth=v1.{n}" for n in (1, 2)
    ),
    "backblaze": tuple(f"https://f1.backblazeb2.com/file/b/a.png?Authorization=3_20{n}_x" for n in (1, 2)),
    "oss-4": tuple(
        f"https://b.oss-cn.aliyuncs.com/a.png?x-oss-credential=c{n}&x-oss-date={n}&x-oss-signature=s{n}" for n in (1, 2)
    ),
    "alibaba-cdn": tuple(f"https://c.example/a.png?auth_key=178822080{n}-0-0-{'ab' * 16}" for n in (1, 2)),
    "obs": tuple(f"https://o.example/a.png?AccessKeyId=A&Expires={n}&Signature=s{n}" for n in (1, 2)),
    "google-cdn": tuple(f"https://g.example/a.png?Expires={n}&KeyName=k&Signature=s{n}" for n in (1, 2)),
    "swift": tuple(f"https://s.example/a.png?temp_url_sig=s{n}&temp_url_expires={n}" for n in (1, 2)),
    "url-in-a-url": tuple(
        f"https://proxy.example/?url=https%3A%2F%2Fs.example%2Fa.png%3Ftemp_url_sig%3D{n}%26temp_url_expires%3D{n}"
        for n in (1, 2)
    ),
    "scheme": ("HTTPS://h.example/a.png", "https://h.example/a.png"),
    "host": ("https://H.Example/a.png", "https://h.example/a.png"),
    "port": ("https://h.example:443/a.png", "https://h.example/a.png"),
    "port-of-http": ("http://h.example:80/a.png", "http://h.example/a.png"),
    "login": ("https://u:p@h.example/a.png", "https://u:q@h.example/a.png"),
}


@pytest.mark.parametrize(("one", "other"), RESIGNED.values(), ids=RESIGNED.keys())
@pytest.mark.parametrize("deep", [False, True], ids=["image", "deep"])
def test_the_same_image_signed_or_spelt_otherwise_does_not_count(one, other, deep):
    def told(url):
        return print_of(style={"references": [{"file_path": url}]}) if deep else print_of(image=url)

    assert told(one) == told(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("?sig=1&st=a", "?sig=1&st=b", id="half-an-azure-signature"),
        pytest.param("?sig=1&sr=a", "?sig=2&sr=a", id="sig-that-is-none-of-azures"),
        pytest.param("?sv=1&sig=s&snapshot=1", "?sv=1&sig=s&snapshot=2", id="azure-snapshot"),
        pytest.param("?X-Amz-Signature=a", "?X-Amz-Signature=b", id="half-of-s3"),
        pytest.param("?Signature=a", "?Signature=b", id="signature-alone"),
        pytest.param("?e=1&token=a", "?e=1&token=b", id="token-that-is-none-of-qinius"),
        pytest.param(f"?token={JWT}", f"?token={JWT}x", id="jwt-at-no-storage"),
        pytest.param("?verify=1", "?verify=2", id="verify"),
        pytest.param("?auth_key=1", "?auth_key=2", id="auth-key"),
        pytest.param("?a=1&b=2", "?b=2&a=1", id="order"),
        pytest.param("?token=t&expires=1&v=1", "?token=t&expires=1&v=2", id="beside-a-signature"),
    ],
)
def test_what_is_in_doubt_counts(one, other):
    assert print_of(image=f"https://h.example/a.png{one}") != print_of(image=f"https://h.example/a.png{other}")


@pytest.mark.parametrize(("one", "other"), [("https://h/a.png", "https://h/A.png"), ("https://h:8/a", "https://h:9/a")])
def test_path_and_port_count(one, other):
    assert print_of(image=one) != print_of(image=other)


def test_the_spelling_of_the_host_of_the_api_does_not_count():
    assert print_of(host="HTTPS://API.magichour.ai:443") == print_of()


def test_a_tool_counts():
    other = Request(replace(IMAGE_TO_VIDEO, name="text-to-video", files={}), {"style": {"prompt": "a cat"}})
    same = Request(IMAGE_TO_VIDEO, {"style": {"prompt": "a cat"}})
    prints = [fingerprints(each, files={}, old_files={}, conn_id="c", host=API)[0] for each in (other, same)]
    assert prints[0] != prints[1]
