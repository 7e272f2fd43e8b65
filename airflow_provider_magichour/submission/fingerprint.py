"""What tells one request from another: no release may change it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from airflow_provider_magichour.api.tools import IMAGE_TO_VIDEO, Request

# Query parameters that change at each signing. The first two kinds are S3's and Google's own; the short names of Azure,
# CloudFront and others count only beside a signature, as they may mean anything elsewhere.
SIGNATURE_PARAMETERS = frozenset(
    "signature expires key-pair-id policy awsaccesskeyid ossaccesskeyid googleaccessid security-token "
    "se sp sv sr sig st spr skoid sktid skt ske sks skv ses sip".split()
)


SIGNATURE_PREFIXES = ("x-amz-", "x-goog-", "x-oss-")


def fingerprint(request: Request, *, files: Mapping[str, str], conn_id: str, host: str) -> str:
    """Return what tells one request from another, stable over releases.

    :param request: the ``name`` in its body does not count.
    :param files: identity of the bytes behind a file field, by its path; replaces what the body says there.
    :param conn_id: the connection, as another account is another project.
    :param host: the API's base URL.
    """
    named = {path: files.get(path, unsigned(value)) for path, value in request.files.items()}
    body = {key: value for key, value in request.with_files(named).body.items() if key != "name"}
    told = {"conn_id": conn_id, "host": host, "request": body}
    if request.tool is not IMAGE_TO_VIDEO:
        told["tool"] = request.tool.name
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "v1:" + hashlib.sha256(canonical.encode()).hexdigest()


def unsigned(url: Any) -> Any:
    """Return a URL without known signature parameters and login: signing again must not pay again.

    For the fingerprint alone; a change of what is left would pay again for what is in flight.
    """
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
