"""What an endpoint requires of any request: the API key, and a JSON object."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_magichour.sandbox.answers import Refused

Endpoint = Callable[[Request], Awaitable[Response]]


def authorize(request: Request, api_key: str) -> None:
    """Check the API key.

    :raises Refused: 401 without it.
    """
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {api_key}".encode()):
        raise Refused(401)


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body.

    :raises Refused: 400 if it is not a JSON object.
    """
    raw = await request.body()
    if not raw:
        raise Refused(400, "Missing request body")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refused(400, "The request body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused(400, "The request body is not a JSON object")
    return body
