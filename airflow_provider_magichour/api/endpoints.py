"""One function for each endpoint: what is sent, and how its answer is read. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from airflow_provider_magichour.api.arguments import is_writable
from airflow_provider_magichour.api.faces import detection_body, saved_items_query
from airflow_provider_magichour.api.schemas import (
    Account,
    CreatedProject,
    FaceDetection,
    Project,
    SavedItems,
    UploadUrls,
)
from airflow_provider_magichour.api.signatures import discreet, shown
from airflow_provider_magichour.api.texts import loads
from airflow_provider_magichour.api.tools import KINDS, Kind, Request
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

T = TypeVar("T")


LONGEST_ID = 500
"""Characters: a longer text is not an id."""


# Comments match possessively: otherwise a body of thousands of them would make the pattern backtrack endlessly.
PAGE = re.compile(
    rb"\A(\xef\xbb\xbf)?\s*+(?><!--.*?-->\s*+)*+<(!doctype\s+html|html|head|body|title|script)\b", re.I | re.S
)


@discreet
@dataclass(frozen=True)
class Call(Generic[T]):
    """One request to be sent.

    :param what: what it does, for messages.
    :param target: path below the base URL; or a full URL, which never gets the API key.
    :param answer: reads the body of a 2xx answer; raises ValueError when it cannot.
    :param json: body as JSON.
    :param content: opens the body as a binary stream, again for each attempt.
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
    return lambda body: schema.model_validate(loads(body))


P = TypeVar("P", bound=Project)


def _reads_project(project_id: str, schema: type[P]) -> Callable[[bytes], P]:
    def read(body: bytes) -> P:
        project = schema.model_validate(loads(body))
        if project.id != project_id:
            raise ValueError(f"an answer about another project, {shown(project.id)}")
        return project

    return read


def _nothing(_: bytes) -> None:
    return None


def _stored(body: bytes) -> None:
    """Stores answer a PUT with nothing or a little data: an HTML page comes from a proxy or a login."""
    if PAGE.match(body):
        raise ValueError("an HTML page instead of a store's answer")


def create(request: Request) -> Call[CreatedProject]:
    """Make a project; costs credits each time it is sent."""
    what = f"create a project ({request.tool.name})"
    return Call("POST", what, request.tool.path, _reads(CreatedProject), json=request.body, creates=True)


def get_project(project_id: str, kind: Kind = "video") -> Call[Project]:
    """Get a project; costs nothing. An answer about another project counts as none.

    :raises MagicHourInvalidRequestError: for an invalid id or kind.
    """
    path = _project_path(project_id, kind)
    return Call("GET", f"get project {project_id}", path, _reads_project(project_id, Project))


def delete_project(project_id: str, kind: Kind = "video") -> Call[None]:
    """Delete a project's result for good.

    :raises MagicHourInvalidRequestError: for an invalid id or kind.
    """
    return Call("DELETE", f"delete project {project_id}", _project_path(project_id, kind), _nothing)


def get_account() -> Call[Account]:
    """Ask for plan and credits; costs nothing."""
    return Call("GET", "get the account", "/v1/account", _reads(Account))


def create_face_detection(target: Any, confidence_score: Any = None) -> Call[CreatedProject]:
    """Start to detect the faces in an image or a video: free "for the near future" (SDK 0.90.0), so it may be repeated.

    :raises MagicHourInvalidRequestError: for an argument that cannot be sent; see :func:`detection_body`.
    """
    body = detection_body(target, confidence_score)
    return Call("POST", "start a face detection", "/v1/face-detection", _reads(CreatedProject), json=body)


def get_face_detection(detection_id: str) -> Call[FaceDetection]:
    """Get a face detection; costs nothing. An answer about another one counts as none.

    :raises MagicHourInvalidRequestError: for an invalid id.
    """
    path = f"/v1/face-detection/{escaped_id(checked_project_id(detection_id))}"
    return Call("GET", f"get face detection {detection_id}", path, _reads_project(detection_id, FaceDetection))


def get_saved_items(type: Any = None, limit: Any = None, cursor: Any = None) -> Call[SavedItems]:
    """Ask for a page of what was saved in the web app; costs nothing.

    :raises MagicHourInvalidRequestError: for an argument that cannot be sent.
    """
    target = f"/v1/saved-items{saved_items_query(type, limit, cursor)}"
    return Call("GET", "list the saved items", target, _reads(SavedItems))


def upload_urls(extension: str, type: Kind = "image") -> Call[UploadUrls]:
    """Ask for a URL to upload one file to.

    :param extension: lower case, without the dot.
    """
    items = [{"type": type, "extension": extension}]
    return Call("POST", "ask for an upload URL", "/v1/files/upload-urls", _reads(UploadUrls), json={"items": items})


def put_file(upload_url: str, content: Callable[[], IO[bytes]], size: int) -> Call[None]:
    """Upload a file, without the API key: the URL is signed.

    :param content: opens the file, again for each attempt.
    :param size: bytes.
    """
    return Call("PUT", "upload a file", upload_url, _stored, content=content, size=size)


def _project_path(project_id: str, kind: str) -> str:
    return f"/v1/{checked_kind(kind)}-projects/{escaped_id(checked_project_id(project_id))}"


def escaped_id(project_id: str) -> str:
    """Return an id escaped as one segment of a path: ids are opaque, and none can lead elsewhere."""
    escaped = quote(project_id, safe="", errors="replace")
    return escaped if escaped.strip(".") else escaped.replace(".", "%2E")


def checked_project_id(project_id: object) -> str:
    """Return a value that can be a project id: a text that is not blank.

    :raises MagicHourInvalidRequestError: for anything else, naming the value without signatures.
    """
    if not isinstance(project_id, str):
        raise MagicHourInvalidRequestError(
            f"project_id={shown(project_id)}: one project id (a text) is needed, as the submitting task returns it. "
            "None means that the upstream task pushed nothing (was it skipped, or do_xcom_push=False?); "
            "for a list, map over it with .expand(project_id=...)."
        )
    if not project_id.strip() or len(project_id) > LONGEST_ID or "://" in project_id or not is_writable(project_id):
        raise MagicHourInvalidRequestError(
            f"project_id={shown(project_id)}: one project id is needed; use the one that the submitting task returned."
        )
    return project_id.strip()


def checked_kind(kind: object) -> Kind:
    """Return one of the API's kinds of projects.

    :raises MagicHourInvalidRequestError: for anything else, naming the value.
    """
    for known in KINDS:
        if isinstance(kind, str) and kind == known:
            return known
    raise MagicHourInvalidRequestError(f"kind={shown(kind)}: one of {', '.join(KINDS)} is needed")
