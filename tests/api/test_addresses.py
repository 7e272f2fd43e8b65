"""Where a URL that the API names, and a redirect, may lead."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from airflow_provider_magichour.api.addresses import addresses_of, is_private, refusal
from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.exceptions import MagicHourApiError
from tests.scenes.certificates import self_signed
from tests.scenes.fake_server import FakeServer, answer

NAMES = {
    "api.example": ["93.184.215.14"],
    "clips.example": ["93.184.215.15", "2606:2800:220::1"],
    "rebound.example": ["93.184.215.15", "10.0.0.1"],
    "inside.example": ["10.1.2.3"],
    "localhost": ["127.0.0.1", "::1"],
    "unknown.example": [],
}


def reason(url: str, before: str, base: str) -> str | None:
    return refusal(
        httpx.URL(url), before=httpx.URL(before), base=httpx.URL(base), addresses=lambda host: NAMES.get(host, [host])
    )


API = "https://api.example"


@pytest.mark.parametrize(
    ("url", "before", "base", "told"),
    [
        ("https://clips.example/a?b=c", API, API, None),
        ("https://unknown.example/a", API, API, None),
        ("http://clips.example/a", API, API, "not encrypted"),
        ("http://clips.example/a", "https://clips.example", "http://localhost", "not encrypted"),
        ("https://clips.example/a", "http://localhost", "http://localhost", None),
        ("http://localhost:9/a", "http://localhost:8", "http://localhost:8", None),
        ("http://inside.example/a", "http://localhost:8", "http://localhost:8", None),
        ("https://inside.example/a", API, API, "private network"),
        ("https://rebound.example/a", API, API, "private network"),
        ("https://localhost/a", API, API, "private network"),
        ("https://169.254.169.254/latest", API, API, "private network"),
        ("https://[::1]/a", API, API, "private network"),
        ("https://[::ffff:10.0.0.1]/a", API, API, "private network"),
        ("https://[fe80::1]/a", API, API, "private network"),
        ("https://0.0.0.0/a", API, API, "private network"),
        ("https://10.0.0.1/a", "https://inside.example", "https://inside.example", None),
    ],
)
def test_urls_lead_only_where_the_api_itself_could_be(url: str, before: str, base: str, told: str | None) -> None:
    found = reason(url, before, base)
    assert found is None if told is None else told in str(found)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_other_spellings_of_this_machine_are_known(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert any(map(is_private, addresses_of(host)))


def test_what_a_proxy_resolves_is_not_resolved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    assert addresses_of("localhost") == set()
    assert addresses_of("10.0.0.1") == {"10.0.0.1"}


def test_place_out_of_the_apis_world_is_never_connected_to_and_its_signature_not_told() -> None:
    with FakeServer(answer(b"")) as inside:
        client = MagicHourClient(ClientSettings(api_key="k", base_url="https://93.184.215.14"))
        url = f"{inside.url}/x?Signature=secret"
        for named, told in ((url, "not encrypted"), (url.replace("http:", "https:"), "private network")):
            with pytest.raises(MagicHourApiError, match=told) as caught, client.stream(named):
                pass
            assert "secret" not in str(caught.value)
    assert inside.heads == []


STREAM = """
import sys
from airflow_provider_magichour.api.client import MagicHourClient
from airflow_provider_magichour.api.settings import ClientSettings
with MagicHourClient(ClientSettings(api_key="k", base_url=sys.argv[1])).stream(sys.argv[1] + "/x?Signature=secret"):
    print("opened")
"""


class Redirecting(BaseHTTPRequestHandler):
    location = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_redirect_from_tls_to_none_is_refused(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = self_signed(tmp_path)
    context.load_cert_chain(certificate)
    with FakeServer(answer(b"")) as plain, HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        Redirecting.location = f"{plain.url}/there?Signature=secret"
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [sys.executable, "-c", STREAM, f"https://127.0.0.1:{server.server_port}"],
            env={**os.environ, "SSL_CERT_FILE": str(certificate), "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        server.shutdown()
    assert "http://127.0.0.1 is not encrypted, but 127.0.0.1, which leads there, is" in done.stderr
    assert plain.heads == []
    assert "Signature=secret" not in done.stderr.splitlines()[-1]


def test_redirects_without_end_are_not_followed_for_ever() -> None:
    with FakeServer(answer(b"", "302 Found", Location="/again")) as server:
        client = MagicHourClient(ClientSettings(api_key="k", base_url=server.url))
        with pytest.raises(httpx.TooManyRedirects), client.stream(server.url):
            pass
    assert len(server.heads) == 6
    assert not any("authorization" in head.lower() for head in server.heads)
