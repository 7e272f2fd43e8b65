"""Fingerprints tell one request from another: no release may change a rule that has been used. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from airflow_provider_magichour.api.tool_rows import IMAGE_TO_VIDEO
from airflow_provider_magichour.api.tools import Request


def fingerprints(
    request: Request, *, files: Mapping[str, str], old_files: Mapping[str, str], conn_id: str, host: str
) -> tuple[str, str]:
    """Return a request's fingerprints, stable over releases: by today's rule, and by that of 0.1.0.

    :param request: the ``name`` in its body does not count.
    :param files: identity of the bytes behind a file field, by its path; replaces the body's value.
    :param old_files: the same by the rule of 0.1.0.
    :param conn_id: of the connection, as another account means another project.
    :param host: the API's base URL.
    """
    named = {path: files.get(path, value) for path, value in request.files.items()}
    told = {**_told(request.with_files(named), conn_id, _canonical(host)), "tool": request.tool.name}
    if request.tool is IMAGE_TO_VIDEO:
        del told["tool"]
    told["request"] = _at_any_depth(told["request"])
    return f"v2:{_digest(told)}", f"v1:{_digest(_told_of_old(request, old_files, conn_id, host))}"


def _told(request: Request, conn_id: str, host: str) -> dict[str, Any]:
    body = {key: value for key, value in request.body.items() if key != "name"}
    return {"conn_id": conn_id, "host": host, "request": body}


def _digest(told: Mapping[str, Any]) -> str:
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


# Version 2


@dataclass(frozen=True)
class Signing:
    """How one service signs URLs.

    :param marks: parameters, in lower case, that all appear in a URL signed this way.
    :param also: further parameters that belong to the signature.
    :param value: pattern of the first mark's value.
    :param path: pattern in the path of the URL.
    """

    marks: tuple[str, ...]
    also: tuple[str, ...] = ()
    value: str = ""
    path: str = ""

    def covers(self, path: str, parameters: Mapping[str, str]) -> bool:
        """Whether a URL is signed this way."""
        if not all(mark in parameters for mark in self.marks) or self.path not in path:
            return False
        return bool(re.match(self.value, parameters[self.marks[0]]))


def _prefixed(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{name}" for name in names.split())


AZURE = tuple("se st sp sr spr sip ss srt sdd si ses scid saoid suoid skoid sktid skt ske sks skv sduoid".split())

# Each with the page that names its parameters, read in 2026. When in doubt a parameter counts: a clip too many is
# logged, a wrong one is noticed by nobody.
SIGNINGS = (
    # AWS, Authenticating requests: using query parameters (Signature Version 4); R2, B2 and MinIO sign likewise
    Signing(
        ("x-amz-signature", "x-amz-credential"),
        _prefixed("x-amz-", "algorithm date expires signedheaders security-token"),
    ),
    # AWS, Signing and authenticating REST requests (Version 2)
    Signing(("signature", "awsaccesskeyid", "expires"), ("x-amz-security-token",)),
    # Google Cloud Storage, Signed URLs (V4, V2); Media and Cloud CDN, Use signed URLs
    Signing(("x-goog-signature", "x-goog-credential"), _prefixed("x-goog-", "algorithm date expires signedheaders")),
    Signing(("signature", "googleaccessid", "expires")),
    Signing(("signature", "keyname", "expires")),
    # Azure Storage, Create an account, a service and a user delegation SAS
    Signing(("sig", "sv"), AZURE),
    # CloudFront, Use signed URLs (canned and custom policy)
    Signing(("signature", "key-pair-id", "policy"), ("hash-algorithm",)),
    Signing(("signature", "key-pair-id", "expires"), ("hash-algorithm",)),
    # Alibaba OSS, Add signatures to URLs (V1, V4); its CDN, URL signing type A
    Signing(("signature", "ossaccesskeyid", "expires"), ("security-token",)),
    Signing(
        ("x-oss-signature", "x-oss-credential"),
        _prefixed("x-oss-", "signature-version date expires security-token additional-headers"),
    ),
    Signing(("auth_key",), value=r"\d{10}-\w+-\w+-[0-9a-f]{32}\Z"),
    # Huawei OBS, Authentication of signature in a URL
    Signing(("signature", "accesskeyid", "expires"), ("x-obs-security-token",)),
    # Tencent COS, Request signature
    Signing(
        ("q-signature", "q-ak"),
        (*_prefixed("q-", "sign-algorithm sign-time key-time header-list url-param-list"), "x-cos-security-token"),
    ),
    # Qiniu, Download credentials: access key, and the signature of the URL
    Signing(("token", "e"), value=r"[\w-]+:[\w=-]+\Z"),
    # Supabase Storage, createSignedUrl: a JSON Web Token
    Signing(("token",), value=r"ey[\w-]+\.[\w-]+\.[\w-]+\Z", path="/sign/"),
    # Bunny, Token authentication; KeyCDN, Secure token; nginx, ngx_http_secure_link_module
    Signing(("token", "expires"), ("token_path", "token_countries", "token_countries_blocked")),
    Signing(("token", "expire")),
    Signing(("md5", "expires")),
    # Akamai, Auth Token 2.0
    *(Signing((name,), value=r".*~?hmac=[0-9a-fA-F]+") for name in ("hdnts", "hdnea", "hdntl", "__token__")),
    # Cloudflare, Token authentication: is_timed_hmac_valid_v0
    Signing(("verify",), value=r"\d{10}-[\w+/=%-]+\Z"),
    # Discord, Attachment URLs: ex, is, hm
    Signing(("hm", "ex", "is")),
    # SharePoint and OneDrive, pre-authenticated download URLs
    Signing(("tempauth",)),
    # Backblaze B2, b2_get_download_authorization
    Signing(("authorization",), value=r"\d_"),
    # OpenStack Swift, Temporary URLs
    Signing(("temp_url_sig", "temp_url_expires"), ("temp_url_ip_range",)),
    # Volcengine TOS, URL signing
    Signing(
        ("x-tos-signature", "x-tos-credential"),
        _prefixed("x-tos-", "algorithm date expires signedheaders security-token"),
    ),
)

URL = re.compile(r"\A\s*+https?://\S", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}
DEEPEST = 3
"""How deep URLs within URLs are searched for signatures."""


def _at_any_depth(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _at_any_depth(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_at_any_depth(each) for each in value]
    return _canonical(value) if isinstance(value, str) else value


def _canonical(url: str, depth: int = DEEPEST) -> str:
    """Return a URL normalized, without login and signature; any other text as it is."""
    if not depth or not URL.match(url):
        return url
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    shown_host = f"[{host}]" if ":" in host else host
    if port is not None and port != DEFAULT_PORTS.get(scheme):
        shown_host = f"{shown_host}:{port}"
    return urlunsplit((scheme, shown_host, parts.path, _unsigned_query(parts.path, parts.query, depth), parts.fragment))


def _unsigned_query(path: str, query: str, depth: int) -> str:
    parameters = parse_qsl(query, keep_blank_values=True)
    given = {name.lower(): value for name, value in parameters}
    of_signatures = {
        name for signing in SIGNINGS if signing.covers(path, given) for name in (*signing.marks, *signing.also)
    }
    kept = [(name, value) for name, value in parameters if name.lower() not in of_signatures]
    return urlencode([(name, _canonical(value, depth - 1)) for name, value in kept])


# Version 1, of release 0.1.0: its records have to be recognized.

# The first two kinds are S3's and Google's own; the short names of Azure, CloudFront and others count only next to a
# signature, as elsewhere they may mean anything.
SIGNATURE_PARAMETERS = frozenset(
    "signature expires key-pair-id policy awsaccesskeyid ossaccesskeyid googleaccessid security-token "
    "se sp sv sr sig st spr skoid sktid skt ske sks skv ses sip".split()
)
SIGNATURE_PREFIXES = ("x-amz-", "x-goog-", "x-oss-")


def _told_of_old(request: Request, files: Mapping[str, str], conn_id: str, host: str) -> dict[str, Any]:
    told = _told(request, conn_id, host)
    assets = told["request"].get("assets", {})
    told["request"]["assets"] = {key: files.get(f"assets.{key}", unsigned(value)) for key, value in assets.items()}
    return told


def unsigned(url: Any) -> Any:
    """Return a URL without the signature parameters that 0.1.0 knew, and without login."""
    if not isinstance(url, str) or "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    query = parse_qsl(parts.query, keep_blank_values=True)
    is_signed = any(key.lower() in ("sig", "signature") for key, _ in query)
    kept = [
        (key, value)
        for key, value in query
        if not key.lower().startswith(SIGNATURE_PREFIXES) and not (is_signed and key.lower() in SIGNATURE_PARAMETERS)
    ]
    return urlunsplit(parts._replace(query=urlencode(kept), netloc=parts.netloc.rpartition("@")[2]))
