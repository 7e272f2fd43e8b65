"""Requests that are sent and replies that are read.

Requests are strict, replies are liberal: the API is beta and changes every few weeks, so a reply may lack
deprecated fields, carry new ones and use words nobody has seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from airflow_provider_magichour.api import signatures
from airflow_provider_magichour.api.arguments import text_of, truth_of
from airflow_provider_magichour.api.numbers import number_of
from airflow_provider_magichour.api.tools import Kind

log = logging.getLogger(__name__)

COMPLETE = "complete"


FAILED_STATUSES = frozenset({"error", "canceled"})


# What the vendor documents as the job's own fault (event types page, 2026-08-22): a new project, or a longer
# wait, cannot heal these. Everything else, known or not, may be tried again.
INCURABLE_CODES = frozenset({"no_source_face", "content_policy_violation", "file_too_large", "insufficient_credits"})


DEPRECATED_FIELDS: Mapping[str, str] = {
    "height": "has no effect; the image's orientation and `resolution` decide",
    "width": "has no effect; the image's orientation and `resolution` decide",
    "style.high_quality": "use `resolution`: 1080p for true, 720p for false",
    "style.quality_mode": "use `resolution`: 1080p for studio, 720p for quick",
}


def _strict_number(value: Any, _: Any) -> float | int:
    """Take a number, or a rendered template that is one; whole numbers become int, as the documentation sends."""
    number = number_of(value)
    if number is None:
        raise PydanticCustomError("number", "a number is needed, such as 5 or '5'")
    return number


def _strict_bool(value: Any, _: Any) -> bool:
    """Take true or false, also as a rendered template."""
    truth = truth_of(value)
    if truth is None:
        raise PydanticCustomError("boolean", "true or false is needed")
    return truth


def _text(value: Any, _: Any) -> str:
    """Take a text, or a number for the text that it was before a template was rendered natively."""
    text = text_of(value)
    if text is None:
        raise PydanticCustomError("text", "a text is needed")
    return text


def _filled_text(value: Any, handler: Any) -> str:
    text = _text(value, handler)
    if not text.strip():
        raise PydanticCustomError("text", "a text that is not empty is needed")
    return text


Number = Annotated[float | int, WrapValidator(_strict_number)]


Bool = Annotated[bool, WrapValidator(_strict_bool)]


Text = Annotated[str, WrapValidator(_text)]


FilledText = Annotated[str, WrapValidator(_filled_text)]


PositiveNumber = Annotated[Number, Field(gt=0)]


class Discreet(BaseModel):
    """Shows what it holds, in every way that pydantic has, without queries and logins of URLs."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((name, signatures.without_signatures(value)) for name, value in super().__repr_args__())


class _Sent(Discreet):
    """A part of a request: unknown fields pass, so that a new field of the API needs no release of ours."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Assets(_Sent):
    """Images of a request: URLs, or paths at Magic Hour."""

    image_file_path: FilledText
    end_image_file_path: FilledText | None = None


class Style(_Sent):
    """What should happen; the other two are deprecated."""

    prompt: Text | None = None
    high_quality: Bool | None = None
    quality_mode: Text | None = None


class ImageToVideoRequest(_Sent):
    """Body of ``POST /v1/image-to-video``: every field of the endpoint's pages of spring 2025 and February 2026."""

    end_seconds: PositiveNumber
    assets: Assets
    model: FilledText | None = None
    resolution: FilledText | None = None
    audio: Bool | None = None
    style: Style | None = None
    name: Text | None = None
    height: Number | None = None
    width: Number | None = None

    def body(self) -> dict[str, Any]:
        """Return the JSON to send; what was not set is not in it."""
        return self.model_dump(exclude_none=True)


T = TypeVar("T")


def _none_if_unreadable(value: Any, handler: Any) -> Any:
    try:
        return handler(value)
    except ValueError:
        return None


Lenient = Annotated[T | None, WrapValidator(_none_if_unreadable)]
"""A field that no decision hangs on: None when it is missing or of an unexpected type."""


def _lenient_list(value: Any, handler: Any, info: ValidationInfo) -> Any:
    """Read a list, without the items that cannot be read; each of those is a line in the log, without its text."""
    kept: tuple[Any, ...] = ()
    for number, item in enumerate(value if isinstance(value, list | tuple) else (), start=1):
        try:
            kept += handler([item])
        except ValueError:
            log.warning("Entry %d of %s in the API's answer cannot be read and is left out", number, info.field_name)
    return kept


class _Read(Discreet):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def _with_cost_from(deprecated: str) -> Callable[[Any], Any]:
    def fill(data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("credits_charged") is None:
            return {**data, "credits_charged": data.get(deprecated)}
        return data

    return fill


class CreatedProject(_Read):
    """Answer of a create.

    :param id: of the project.
    :param credits_charged: what it costs; falls back to the deprecated cost in frames, which is the same number.
    """

    id: str = Field(min_length=1)
    credits_charged: Lenient[int] = None

    _legacy_cost = model_validator(mode="before")(_with_cost_from("estimated_frame_cost"))


class Download(_Read):
    """A result. The URL is signed: a credential."""

    url: str = Field(min_length=1)
    expires_at: Lenient[str] = None


def _said(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("text", "a text is needed")
    return signatures.said(value)


Said = Annotated[str, WrapValidator(_said)]
"""A text of the API's that ends up in messages: without signatures of URLs, and not longer than a message may be."""


class ProjectError(_Read):
    """Why a project failed."""

    code: Lenient[Said] = None
    message: Lenient[Said] = None


class Project(_Read):
    """A project as the API shows it, with the status words' meaning: nothing else knows those words.

    :param id: as the submit returned it.
    :param status: the API's word: ``draft``, ``queued``, ``rendering``, ``complete``, ``error``, ``canceled``, or a
        new one.
    :param credits_charged: what it costs; final once it is finished.
    :param error: why it failed, with ``code`` and ``message``.
    :param downloads: its results, with ``url`` and ``expires_at``; :attr:`outputs` is what to read.

    All others are None where the API does not tell: ``name``, ``type``, ``created_at``, ``width`` and ``height`` in
    pixels, ``fps``, ``end_seconds``, ``enabled``.
    """

    id: str = Field(min_length=1)
    status: str
    name: Lenient[str] = None
    type: Lenient[str] = None
    created_at: Lenient[str] = None
    width: Lenient[int] = None
    height: Lenient[int] = None
    fps: Lenient[float] = None
    end_seconds: Lenient[float] = None
    enabled: Lenient[bool] = None
    credits_charged: Lenient[int] = None
    error: Lenient[ProjectError] = None
    downloads: Annotated[tuple[Download, ...], WrapValidator(_lenient_list)] = ()
    download: Lenient[Download] = None

    _legacy_cost = model_validator(mode="before")(_with_cost_from("total_frame_cost"))

    @property
    def outputs(self) -> tuple[Download, ...]:
        """The results to fetch, in the API's order; the deprecated single ``download`` serves where it is alone."""
        return self.downloads or ((self.download,) if self.download else ())

    @property
    def is_deleted(self) -> bool:
        """Whether its result was deleted."""
        return self.enabled is False

    @property
    def is_complete(self) -> bool:
        """Whether the result can be fetched; complete without downloads is not there yet."""
        return self.status == COMPLETE and bool(self.outputs)

    @property
    def is_failed(self) -> bool:
        """Whether it ended as ``error`` or ``canceled``."""
        return self.status in FAILED_STATUSES

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen. An unknown status word means: not finished."""
        return self.is_complete or self.is_failed

    @property
    def failure_code(self) -> str | None:
        if self.status == "canceled":
            return "canceled"
        return self.error.code if self.error else None

    @property
    def is_incurable(self) -> bool:
        code = self.failure_code or ""
        return code in INCURABLE_CODES or code.startswith("invalid_")

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
    expires_at: Lenient[str] = None


class UploadUrls(_Read):
    """Answer to the question where files can be uploaded to, in the order of the question."""

    items: tuple[UploadUrl, ...]


class Account(_Read):
    """The account of the API key. The API sends the owner's e-mail too; it is not read.

    :param tier: name of the plan.
    :param credits: that are left.
    """

    tier: Lenient[str] = None
    credits: Lenient[int] = None


class ApiProblem(_Read):
    """The API's own error body: ``message`` since ever, ``code`` since September 2026."""

    message: Said
    code: Lenient[Said] = None
