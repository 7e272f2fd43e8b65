"""Answers with which the real API and its storage refuse requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

# The vendor's command line specification (after 2026-09-03); 429 is documented without a code.
CODES: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request", "Invalid request"),
    401: ("unauthorized", "Unauthorized"),
    402: ("insufficient_credits", "Payment required"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not Found"),
    422: ("unprocessable_entity", "Unable to create video"),
    429: ("too_many_requests", "Too many requests"),
    500: ("internal_server_error", "Internal Server Error"),
}
GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
GATEWAY_TITLES = {502: "502 Bad Gateway", 503: "503 Service Unavailable", 504: "504 Gateway Time-out"}


class Refused(Exception):
    """The API refuses a request.

    :param status: HTTP status.
    :param message: what the answer says; None for the API's usual text.
    """

    def __init__(self, status: int, message: str | None = None) -> None:
        self.status = status
        self.code, usual = CODES[status]
        self.message = message or usual
        super().__init__(self.message)


class StoreRefused(Exception):
    """The file storage refuses a request, in its own words rather than the API's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(message)


def api_error(status: int, code: str, message: str, *, with_code: bool = True) -> JSONResponse:
    """Build the API's error body; without ``code`` as published until September 2026."""
    body = {"code": code, "message": message} if with_code else {"message": message}
    return JSONResponse(body, status)


def store_error(status: int, code: str, message: str) -> Response:
    """Build a storage's error body, which is XML."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{error}', status, media_type="application/xml")


def expired(status: int) -> Response:
    """Build a storage's answer to an expired URL: 403, or 404 as the documentation has it."""
    if status == 404:
        return store_error(404, "NoSuchKey", "The specified key does not exist.")
    return store_error(403, "AccessDenied", "Request has expired")


def scripted(status: int, json: Any, text: str | None, headers: Mapping[str, str]) -> Response:
    """Build a scripted answer; without a body, the usual one of that status."""
    response: Response
    if text is not None:
        response = HTMLResponse(text, status)
    elif json is not None:
        response = JSONResponse(json, status)
    elif status in GATEWAY_TITLES:
        response = HTMLResponse(GATEWAY_PAGE.format(GATEWAY_TITLES[status]), status)
    elif status in CODES:
        response = api_error(status, *CODES[status])
    else:
        response = Response(None, status)
    response.headers.update(headers)
    return response
