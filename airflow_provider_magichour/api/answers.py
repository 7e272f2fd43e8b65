"""What an answer means, and the error that a failure becomes. Pure."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from airflow_provider_magichour.api.endpoints import Call
from airflow_provider_magichour.api.schemas import ApiProblem
from airflow_provider_magichour.api.settings import KEY_PAGE
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.texts import loads
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourRejectedError,
    MagicHourUnsureSubmissionError,
)

T = TypeVar("T")


YOUNG = 60.0
"""Seconds after a submit, or the start of a wait, during which the API's own 404 proves nothing."""


def is_unknown(error: MagicHourApiError, since: float | None, now: float) -> bool:
    """Return whether the API says for good that it does not know a project.

    :param error: of the poll.
    :param since: when it was submitted, or when the wait for it began; None if that is not known.
    :param now: both in seconds since the epoch; a clock that was set back by more does not make it young for ever.
    """
    is_young = since is not None and abs(now - since) <= YOUNG
    return error.status_code == 404 and error.from_api and not is_young


SECONDS = re.compile(r"-?[0-9]{1,20}(\.[0-9]{0,20})?")


LONGEST_PAUSE_ASKED = 86_400.0
"""Seconds: a longer ``Retry-After`` is cut to this."""


LONGEST_DATE = 100
"""Characters of a header that are read as a date; they have 29."""


def read_answer(call: Call[T], status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> T | Failure:
    """Return what an answer means for its call: the value, or why there is none."""
    if 200 <= status < 300:
        try:
            return call.answer(body)
        except (ValidationError, json.JSONDecodeError) as error:
            return Failure(f"an answer that cannot be read (HTTP {status}; {_unreadable(error)})", status=status)
        except ValueError as error:
            return Failure(f"{error} (HTTP {status})", status=status)
    problem = _problem(body)
    text = problem.message if problem and problem.message else "no message from the API"
    code = problem.code if problem else None
    return Failure(
        f"HTTP {status}{f' {code}' if code else ''}: {text}",
        status=status,
        code=code,
        from_api=problem is not None,
        retry_after=retry_after_seconds(headers.get("retry-after"), date=headers.get("date"), now=now),
    )


def _unreadable(error: ValueError) -> str:
    """Say what is wrong with an answer without quoting it."""
    if isinstance(error, ValidationError):
        return ", ".join(sorted({".".join(map(str, each["loc"])) or "body" for each in error.errors()}))
    return "body"


def why_no_connection(error: BaseException) -> str:
    """Say in plain words what the operating system or TLS said, which HTTP libraries wrap."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():
                return (
                    f"the server's certificate is not trusted: {cause.verify_message}; the environment variable "
                    "SSL_CERT_FILE can name the certificates of a private authority"
                )
            case ssl.SSLError():
                return f"the server does not speak TLS ({cause.reason}): is it http, not https?"
            case socket.gaierror():
                return f"the host name cannot be resolved: {cause.strerror}"
            case ConnectionRefusedError():
                return "refused: nothing is listening there"
            case TimeoutError():
                return "nothing answered in time"
            case FileNotFoundError():
                return "the certificate file that the environment variable SSL_CERT_FILE names does not exist"
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__}: {error}"


def _problem(body: bytes) -> ApiProblem | None:
    try:
        return ApiProblem.model_validate(loads(body))
    except ValueError:
        return None


def error_for(
    call: Call[Any], failure: Failure, *, source: str, host: str = "", believed: bool = False
) -> MagicHourApiError | MagicHourUnsureSubmissionError:
    """Return the error for a call that has failed for good.

    :param source: where the API key came from, for messages, such as ``connection 'magichour_default'``.
    :param host: where its base URL leads, for messages.
    :param believed: whether to trust a gateway's answer that nothing was created.
    """
    reason, advice = failure.reason.rstrip("."), _advice(call, failure, source, f" ({host})" if host else "")
    if call.creates and not (failure.made_nothing or (believed and failure.is_gateways)):
        return MagicHourUnsureSubmissionError(
            f"A project may have been created, and it costs credits: {reason}{advice and f'. {advice}'}"
        )
    kind = MagicHourRejectedError if call.creates and failure.is_rejection else MagicHourApiError
    # Our reason comes before the server's words.
    told = f". {advice} ({reason})" if advice and failure.is_refusal else f": {reason}.{advice and f' {advice}'}"
    return kind(
        f"Could not {call.what}{told}",
        status_code=failure.status,
        code=failure.code,
        retry_after=failure.retry_after,
        from_api=failure.from_api,
    )


def _advice(call: Call[Any], failure: Failure, source: str, at: str) -> str:
    if not call.is_to_api:
        return ""
    if failure.status == 401:
        return f"The API key of {source} is missing, wrong or revoked; get one at {KEY_PAGE}"
    if failure.is_refusal and not failure.is_redirect and not failure.from_api:
        return f"A gateway or proxy answered, not the API: check the base URL (host) of {source}{at}"
    if failure.status == 402 or failure.code == "insufficient_credits":
        return f"Buy credits or change the plan of the account of {source} at https://magichour.ai/pricing"
    if failure.status == 403:
        return f"The key of {source} is valid, but its plan or permissions do not cover this"
    if failure.status == 404 and failure.from_api and ("-projects/" in call.target or "-detection/" in call.target):
        return f"Is it a project of another kind, or of an account other than that of {source}, or was it deleted?"
    if failure.status == 404 or (failure.status is not None and failure.status < 300):
        return f"Something other than the API answered: check the base URL (host) of {source}{at}"
    if failure.is_redirect:
        return f"Redirects are not followed: check the base URL (host) of {source}{at}"
    if failure.status is None and not failure.sent:
        return f"Check the base URL (host) of {source}{at} and the network"
    return ""


@discreet
@dataclass(frozen=True)
class Failure:
    """One attempt that got no usable answer.

    :param reason: what happened, for a person; contains no URL and no key.
    :param sent: whether the request may have reached the API.
    :param status: HTTP status, or None when no answer came.
    :param code: the API's error code.
    :param from_api: whether the answer was the API's own JSON, not a gateway's page.
    :param retry_after: seconds that the API asked to wait.
    """

    reason: str
    sent: bool = True
    status: int | None = None
    code: str | None = None
    from_api: bool = False
    retry_after: float | None = None

    @property
    def made_nothing(self) -> bool:
        """Whether it is certain that a create request made no project."""
        return not self.sent or self.status == 429 or (self.is_refusal and not self.is_redirect)

    @property
    def is_gateways(self) -> bool:
        """Whether a gateway answered a create request that may have been carried out.

        The vendor says that a 502 without an id means that no job was made, and to send the request again after 30 to
        60 s (quick start, 2026-08-22). But a gateway may also say so of a job that was made: so it is trusted once.
        """
        return self.status in (502, 503)

    @property
    def is_redirect(self) -> bool:
        """Whether it is a redirect; none is followed: a 303 says that the request was carried out (RFC 9110)."""
        return self.status is not None and 300 <= self.status < 400

    @property
    def is_refusal(self) -> bool:
        """Whether repeating at once cannot help: a redirect, or a 4xx other than 408 and 429."""
        return self.status is not None and 300 <= self.status < 500 and self.status not in (408, 429)

    @property
    def is_rejection(self) -> bool:
        """Whether the API itself refused for good; a gateway's page of the same status may be gone next time."""
        return self.from_api and self.is_refusal


def retry_after_seconds(value: str | None, *, date: str | None, now: float) -> float | None:
    """Read a ``Retry-After`` header: seconds, or an HTTP date counted from the answer's own ``Date``; at most a day.

    :param value: the header, or None.
    :param date: the answer's ``Date`` header, so that a wrong clock here does no harm.
    :param now: seconds since the epoch, used where ``Date`` is missing.
    """
    if value is None:
        return None
    if SECONDS.fullmatch(value.strip()):
        return min(max(0.0, float(value)), LONGEST_PAUSE_ASKED)
    until, sent_at = _http_date(value), _http_date(date)
    if until is None:
        return None
    return min(max(0.0, until - (now if sent_at is None else sent_at)), LONGEST_PAUSE_ASKED)


def _http_date(value: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime((value or "")[:LONGEST_DATE])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):  # impossible years and time zones
        return None
