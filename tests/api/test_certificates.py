"""What the connection test says of a server's certificate, in processes of their own: the trust store is read once."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.scenes.certificates import self_signed

TEST = "from airflow_provider_magichour.hooks import MagicHourHook; print(MagicHourHook('mh').test_connection())"

Serve = Callable[[int], tuple[str, Path]]


class Account(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"tier": "pro", "credits": 5, "email": "someone@example.com"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start an HTTPS server whose certificate ends in so many days; returns its URL and its certificate."""
    server = HTTPServer(("127.0.0.1", 0), Account)

    def start(days: int) -> tuple[str, Path]:
        path = self_signed(tmp_path, valid_days=days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"https://127.0.0.1:{server.server_port}", path

    yield start
    server.shutdown()
    server.server_close()


def outcome(host: str, **environment: str) -> str:
    connection = json.dumps({"conn_type": "magichour", "password": "mhk_x", "host": host})
    done = subprocess.run(
        [sys.executable, "-c", TEST],
        env={**os.environ, "AIRFLOW_CONN_MH": connection, "NO_PROXY": "127.0.0.1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def test_self_signed_certificate_is_named(serve: Serve) -> None:
    text = outcome(serve(30)[0])
    assert text.startswith("(False")
    assert "certificate is not trusted: self-signed certificate" in text
    assert "SSL_CERT_FILE" in text


def test_expired_certificate_is_named(serve: Serve) -> None:
    url, path = serve(-1)
    assert "certificate is not trusted: certificate has expired" in outcome(url, SSL_CERT_FILE=str(path))


def test_certificate_of_a_private_authority_can_be_trusted(serve: Serve) -> None:
    url, path = serve(30)
    assert outcome(url, SSL_CERT_FILE=str(path)) == "(True, 'Connected to Magic Hour: plan pro, 5 credits')"


def test_file_of_certificates_that_is_not_there_is_named(serve: Serve) -> None:
    text = outcome(serve(30)[0], SSL_CERT_FILE="/nowhere/certificates.pem")
    assert text.startswith("(False")
    assert "SSL_CERT_FILE names does not exist" in text
