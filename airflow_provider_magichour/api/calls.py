"""One function for each endpoint, the meaning of an answer, and the error that a failure becomes. Pure."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider_magichour.api.pacing import Failure, retry_after_seconds
from airflow_provider_magichour.api.schemas import (
    KINDS,
    QUERY,
    Account,
    ApiProblem,
    CreatedProject,
    ImageToVideoRequest,
    Kind,
    Project,
    UploadUrls,
)
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourInvalidRequestError,
    MagicHourRejectedError,
    MagicHourUnsureSubmissionError,
)

T = TypeVar("T")

KEY_PAGE = "https://magichour.ai/developer?tab=api-keys"

LONGEST_SHOWN = 500
"""Characters of a value in a message."""


def shown(value: object) -> str:
    """Return a value for a message, without the signature of a URL in it; the start of a long one."""
    text = QUERY.sub("?...", repr(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


# The API's ids are opaque; these characters cannot leave their place in a path.
PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request to be sent.

    :param what: what it does, for messages.
    :param target: path below the base URL; or a full URL, which never gets the API key.
    :param answer: reads the body of a 2xx answer; raises ValueError when it cannot.
    :param json: body as JSON.
    :param content: opens the body as a binary stream, anew for each attempt.
    :param size: bytes in ``content``.
    :param creates: whether it makes a project, which costs credits and must not be repeated blindly.
    """

    method: str
    what: str
    target: str
    answer: Callable[[bytes], T]
    json: Mapping[str, Any] | None = None
    content: Callable[[], IO[bytes]] | None = None
    size: int = 0
    creates: bool = False

    @property
    def is_to_api(self) -> bool:
        return self.target.startswith("/")


M = TypeVar("M", bound=BaseModel)


def _reads(schema: type[M]) -> Callable[[bytes], M]:
    return lambda body: schema.model_validate_json(body)


def _nothing(_: bytes) -> None:
    return None


def create_image_to_video(request: ImageToVideoRequest) -> Call[CreatedProject]:
    """Make a project; costs credits each time it is sent."""
    return Call(
        "POST",
        "create an image-to-video project",
        "/v1/image-to-video",
        _reads(CreatedProject),
        json=request.body(),
        creates=True,
    )


def get_project(project_id: str, kind: Kind = "video") -> Call[Project]:
    """Look at a project; costs nothing.

    :raises MagicHourInvalidRequestError: for an id or a kind that is none.
    """
    return Call("GET", f"look at project {project_id}", _project_path(project_id, kind), _reads(Project))


def delete_project(project_id: str, kind: Kind = "video") -> Call[None]:
    """Delete a project's result for good.

    :raises MagicHourInvalidRequestError: for an id or a kind that is none.
    """
    return Call("DELETE", f"delete project {project_id}", _project_path(project_id, kind), _nothing)


def get_account() -> Call[Account]:
    """Ask for plan and credits; costs nothing."""
    return Call("GET", "look at the account", "/v1/account", _reads(Account))


def upload_urls(extension: str, type: Kind = "image") -> Call[UploadUrls]:
    """Ask where one file can be uploaded to.

    :param extension: lower case, without the dot.
    """
    items = [{"type": type, "extension": extension}]
    return Call("POST", "ask for an upload URL", "/v1/files/upload-urls", _reads(UploadUrls), json={"items": items})


def put_file(upload_url: str, content: Callable[[], IO[bytes]], size: int) -> Call[None]:
    """Upload a file, without the API key: the URL is signed.

    :param content: opens the file, anew for each attempt.
    :param size: bytes.
    """
    return Call("PUT", "upload a file", upload_url, _nothing, content=content, size=size)


def _project_path(project_id: str, kind: str) -> str:
    return f"/v1/{checked_kind(kind)}-projects/{checked_project_id(project_id)}"


def checked_project_id(project_id: object) -> str:
    """Return a project id that cannot change the path called.

    :raises MagicHourInvalidRequestError: for anything else, naming the value, but no signature in it.
    """
    if not isinstance(project_id, str):
        raise MagicHourInvalidRequestError(
            f"project_id={shown(project_id)}: one project id (a text) is needed, as the submitting task returns it. "
            "None means that the upstream task pushed nothing (was it skipped, or do_xcom_push=False?); "
            "for a list, map over it with .expand(project_id=...)."
        )
    if not PROJECT_ID.fullmatch(project_id):
        raise MagicHourInvalidRequestError(
            f"project_id={shown(project_id)}: a project id is made of letters, digits and . _ ~ - "
            "and starts with a letter or digit; use the one that the submitting task returned."
        )
    return project_id


def checked_kind(kind: object) -> Kind:
    """Return a kind of project that the API has.

    :raises MagicHourInvalidRequestError: for anything else, naming the value.
    """
    for known in KINDS:
        if kind == known:
            return known
    raise MagicHourInvalidRequestError(f"kind={kind!r}: one of {', '.join(KINDS)} is needed")


def read_answer(call: Call[T], status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> T | Failure:
    """Return what an answer means for its call: the value, or why it is none."""
    if 200 <= status < 300:
        try:
            return call.answer(body)
        except ValidationError as error:
            where = ", ".join(sorted({".".join(map(str, e["loc"])) or "body" for e in error.errors()}))
            return Failure(f"an answer that cannot be read (HTTP {status}; {where})", status=status)
    problem = _problem(body)
    text = problem.message if problem and problem.message else "no message of the API's"
    code = problem.code if problem else None
    return Failure(
        f"HTTP {status}{f' {code}' if code else ''}: {text}",
        status=status,
        code=code,
        from_api=problem is not None,
        retry_after=retry_after_seconds(headers.get("retry-after"), date=headers.get("date"), now=now),
    )


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
                return f"what answers there speaks no TLS ({cause.reason}): is it http, not https?"
            case socket.gaierror():
                return f"the host name cannot be resolved: {cause.strerror}"
            case ConnectionRefusedError():
                return "refused: nothing listens there"
            case TimeoutError():
                return "nothing answered in time"
            case FileNotFoundError():
                return "the file of certificates that the environment variable SSL_CERT_FILE names is not there"
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__}: {error}"


def _problem(body: bytes) -> ApiProblem | None:
    try:
        return ApiProblem.model_validate_json(body)
    except ValidationError:
        return None


def error_for(call: Call[Any], failure: Failure, *, source: str) -> MagicHourApiError | MagicHourUnsureSubmissionError:
    """Return the error that a final failure of a call becomes.

    :param source: where the API key came from, for messages, such as ``connection 'magichour_default'``.
    """
    if call.creates and not failure.made_nothing:
        return MagicHourUnsureSubmissionError(
            f"A project may have been made, and it costs credits: {failure.reason.rstrip('.')}"
        )
    kind = MagicHourRejectedError if call.creates and failure.is_refusal else MagicHourApiError
    return kind(
        f"Could not {call.what}: {failure.reason.rstrip('.')}.{_advice(call, failure, source)}",
        status_code=failure.status,
        code=failure.code,
        retry_after=failure.retry_after,
        from_api=failure.from_api,
    )


def _advice(call: Call[Any], failure: Failure, source: str) -> str:
    if not call.is_to_api:
        return ""
    if failure.status == 401:
        return f" The API key of {source} is missing, wrong or revoked; get one at {KEY_PAGE}"
    if failure.status == 402 or failure.code == "insufficient_credits":
        return f" Buy credits or change the plan of the account of {source} at https://magichour.ai/pricing"
    if failure.status == 403:
        return f" The key of {source} is valid, but its plan or permissions do not cover this"
    if failure.status == 404 and failure.from_api and "-projects/" in call.target:
        return f" Is it a project of another kind, or of another account than that of {source}, or was it deleted?"
    if failure.status == 404 or (failure.status is not None and failure.status < 300):
        return f" This is not the API's answer: check the base URL (host) of {source}"
    if failure.status is not None and 300 <= failure.status < 400:
        return f" Redirects are not followed: check the base URL (host) of {source}"
    if failure.status is None and not failure.sent:
        return f" Check the base URL (host) of {source} and the network"
    return ""
