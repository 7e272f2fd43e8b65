"""The API's answers.

They are read liberally: the API is beta and changes every few weeks, so an answer may lack deprecated fields, have new
ones and use unknown words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from airflow_provider_magichour.api import signatures
from airflow_provider_magichour.api.texts import Id, Lenient, Said, lenient_list
from airflow_provider_magichour.api.tools import Kind

# The API's own status words (SDK 0.90.0), and likely ones of other versions: a project's results or its error decide,
# whatever the word. Compared without case, blanks and punctuation.
UNFINISHED_WORDS = frozenset("draft queued rendering".split())
COMPLETE_WORDS = frozenset("complete completed success successful succeeded done finished ready".split())
CANCELED_WORDS = frozenset("canceled cancelled".split())
FAILED_WORDS = frozenset("error errored failed failure expired rejected aborted timeout timedout".split())


# Codes that the vendor documents as the job's own fault (event types page, 2026-08-22): neither a new project nor a
# longer wait can help. Any other code, known or not, may be retried.
INCURABLE_CODES = frozenset(
    {"no_source_face", "content_policy_violation", "file_too_large", "insufficient_credits", "text_too_long"}
)


def is_incurable_code(code: str | None) -> bool:
    """Whether neither a new project nor a longer wait can help after a failure with this code."""
    return code is not None and (code in INCURABLE_CODES or code.startswith("invalid_"))


class Discreet(BaseModel):
    """Is shown, in every way that pydantic has, without queries and logins of URLs."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((name, signatures.without_signatures(value)) for name, value in super().__repr_args__())


class _Read(Discreet):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def _with_cost_from(*deprecated: str) -> Callable[[Any], Any]:
    def fill(data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("credits_charged") is None:
            costs = (data[name] for name in deprecated if data.get(name) is not None)
            return {**data, "credits_charged": next(costs, None)}
        return data

    return fill


class CreatedProject(_Read):
    """Answer to a create request.

    :param id: of the project.
    :param credits_charged: what it costs; else the deprecated cost in frames, which is the same number.
    """

    id: Id
    credits_charged: Lenient[int] = None

    _legacy_cost = model_validator(mode="before")(_with_cost_from("estimated_frame_cost", "frame_cost"))


class Download(_Read):
    """A result. The URL is signed: a credential."""

    url: str = Field(min_length=1)
    expires_at: Lenient[Said] = None


class ProjectError(_Read):
    """Why a project failed."""

    code: Lenient[Said] = None
    message: Lenient[Said] = None


def _error(value: Any) -> Any:
    """Take a text as the message; an empty object, or one of nulls, is no error."""
    if isinstance(value, str):
        value = {"message": value.strip()}
    return value if isinstance(value, Mapping) and any(value.values()) else None


def _with_word(data: Any) -> Any:
    """Fill in a missing status if results or an error say how the project ended."""
    if not isinstance(data, Mapping) or isinstance(data.get("status"), str):
        return data
    if data.get("downloads") or data.get("download"):
        return {**data, "status": "complete"}
    return {**data, "status": "error"} if _error(data.get("error")) else data


class Project(_Read):
    """A project as the API shows it; only this class interprets status words.

    Results mean that it is complete, an error without results that it failed, whatever the word.

    :param id: as the submit returned it.
    :param status: the API's word: ``draft``, ``queued``, ``rendering``, ``complete``, ``error``, ``canceled``, or a
        new one.
    :param credits_charged: what it costs; final once it is finished.
    :param error: why it failed, with ``code`` and ``message``.
    :param downloads: its results, with ``url`` and ``expires_at``; :attr:`outputs` is what to read.

    All others are None if the API does not send them: ``name``, ``type``, ``created_at``, ``width`` and ``height`` in
    pixels, ``fps``, ``end_seconds``, ``enabled``.
    """

    noun: ClassVar[str] = "project"

    id: Id
    status: Said
    name: Lenient[Said] = None
    type: Lenient[Said] = None
    created_at: Lenient[Said] = None
    width: Lenient[int] = None
    height: Lenient[int] = None
    fps: Lenient[float] = None
    end_seconds: Lenient[float] = None
    enabled: Lenient[bool] = None
    credits_charged: Lenient[int] = None
    error: Annotated[Lenient[ProjectError], BeforeValidator(_error)] = None
    downloads: Annotated[tuple[Download, ...], WrapValidator(lenient_list)] = ()
    download: Lenient[Download] = None

    _legacy_cost = model_validator(mode="before")(_with_cost_from("total_frame_cost"))
    _missing_word = model_validator(mode="before")(_with_word)

    @property
    def outputs(self) -> tuple[Download, ...]:
        """The results to fetch, in the API's order; the deprecated single ``download`` if there are no others."""
        return self.downloads or ((self.download,) if self.download else ())

    @property
    def is_deleted(self) -> bool:
        """Whether its result was deleted."""
        return self.enabled is False

    @property
    def is_complete(self) -> bool:
        """Whether the result can be fetched; ``complete`` without downloads is too early."""
        # The deprecated single download does not outweigh the status: it may be left over.
        return bool(self.downloads) or (self.download is not None and self._word not in FAILED_WORDS | CANCELED_WORDS)

    @property
    def is_canceled(self) -> bool:
        """Whether a person canceled it in the web app: the API cannot cancel."""
        return not self.is_complete and self._word in CANCELED_WORDS

    @property
    def is_failed(self) -> bool:
        """Whether it ended without a result."""
        return not self.is_complete and (self.error is not None or self._word in FAILED_WORDS | CANCELED_WORDS)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen. An unknown status word means not finished."""
        return self.is_complete or self.is_failed

    @property
    def is_unknown(self) -> bool:
        """Whether neither its status word nor anything else says how it stands."""
        return not self.is_finished and self._word not in UNFINISHED_WORDS | COMPLETE_WORDS

    @property
    def _word(self) -> str:
        return "".join(filter(str.isalnum, self.status.casefold()))

    @property
    def ending(self) -> str:
        """How it failed, for messages: ``ended as expired``."""
        if self._word in FAILED_WORDS | CANCELED_WORDS:
            return f"ended as {self.status}"
        return f"failed, though its status is {self.status!r}"

    @property
    def failure_code(self) -> str | None:
        """The API's error code if it failed; ``canceled`` if it was canceled."""
        if self.is_canceled:
            return "canceled"
        return self.error.code if self.error and self.is_failed else None

    @property
    def is_incurable(self) -> bool:
        return is_incurable_code(self.failure_code)

    def result(self, kind: Kind) -> dict[str, Any]:
        """Return what a waiting task returns: JSON only, the same in every mode."""
        return {
            "project_id": self.id,
            "kind": kind,
            "status": self.status,
            "download_urls": [output.url for output in self.outputs],
            "expires_at": self.outputs[0].expires_at if self.outputs else None,
            "credits_charged": self.credits_charged,
            "width": _size(self.width),
            "height": _size(self.height),
            "fps": self.fps,
            "created_at": self.created_at,
        }


def _unsigned(path: str) -> str:
    if signatures.without_signatures(path) != path:
        raise PydanticCustomError("path", "a path without a signature is needed")
    return path


class Face(_Read):
    """A face that was detected.

    :param path: for ``original_face`` in ``face_mappings``.
    :param url: of its picture, which is signed: a credential.
    """

    path: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_unsigned)]
    url: Lenient[str] = None


class FaceDetection(Project):
    """A face detection: it has faces instead of downloads, no name and no type, and cannot be deleted.

    :param faces: found so far, from left to right in each frame; all of them once it is complete.
    """

    noun: ClassVar[str] = "face detection"

    faces: Annotated[tuple[Face, ...], WrapValidator(lenient_list)] = ()

    @property
    def is_complete(self) -> bool:
        """Whether all faces are there. They arrive while it runs, and there may be none."""
        return self.error is None and self._word in COMPLETE_WORDS


class SavedAsset(_Read):
    """A file of a saved item.

    :param file_path: for a request, without an upload; it does not expire.
    :param media_kind: ``IMAGE``, ``VIDEO`` or ``AUDIO``.
    :param is_primary: whether it stands for the item.
    :param url: to look at it, signed, for 24 hours: a credential.
    """

    file_path: str = Field(min_length=1)
    media_kind: Lenient[Said] = None
    is_primary: Lenient[bool] = None
    url: Lenient[str] = None
    url_expires_at: Lenient[Said] = None


class SavedItem(_Read):
    """Something that a person has saved in the web app.

    :param type: ``character``, ``reference``, ``voice``, ``moodboard``, ``brand_kit``, or a new word.
    """

    id: Id
    type: Lenient[Said] = None
    name: Lenient[Said] = None
    assets: Annotated[tuple[SavedAsset, ...], WrapValidator(lenient_list)] = ()


class SavedItems(_Read):
    """A page of saved items, newest first.

    :param next_cursor: for the next page; None on the last one.
    """

    items: Annotated[tuple[SavedItem, ...], WrapValidator(lenient_list)]
    next_cursor: Lenient[str] = None


def cost_text(credits: int | None) -> str:
    """Say what a project costs, for messages."""
    return "an unknown number of credits" if credits is None else f"{credits} credits"


def _size(pixels: int | None) -> int | None:
    """The API says -1 for a size that can be ignored (SDK 0.90.0)."""
    return None if pixels is None or pixels < 0 else pixels


class UploadUrl(_Read):
    """Where one file goes: the signed URL to put it to, and the path that a request names."""

    upload_url: str = Field(min_length=1)
    file_path: str = Field(min_length=1)
    expires_at: Lenient[Said] = None


class UploadUrls(_Read):
    """Answer to the request for upload URLs, in the order of the request."""

    items: Annotated[tuple[UploadUrl, ...], Field(min_length=1)]


class Account(_Read):
    """The account of the API key. The API also sends the owner's e-mail address, which is not read.

    :param tier: name of the plan.
    :param credits: that are left.
    """

    tier: Lenient[Said] = None
    credits: Lenient[int] = None


class ApiProblem(_Read):
    """The API's own error body: always ``message``, since September 2026 also ``code``; one of them is enough."""

    message: Lenient[Said] = None
    code: Lenient[Said] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.message and not self.code:
            raise PydanticCustomError("problem", "neither message nor code")
        return self
