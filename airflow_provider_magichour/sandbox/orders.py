"""Reads a create request as the API does: refuses malformed (400) and impossible (422) ones, and prices the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_magichour.api import capabilities, prices
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.tools import Media, Request, Tool, value_at, values_at
from airflow_provider_magichour.sandbox.answers import Refused
from airflow_provider_magichour.sandbox.judging import judged

FPS = 24
SHORT_SIDES = {"360p": 360, "480p": 480, "720p": 720, "1080p": 1080, "2k": 1440, "4k": 2160}
DEFAULT_RESOLUTION = "720p"
DEFAULT_MODEL = "default"
UNPRICED_CREDITS = 50
UNPRICED_CREDITS_PER_SECOND = 48
LONGEST = 3600
"""Longest result in seconds; the API names no limit."""
LARGEST = 4096
"""Longest side in pixels: that of the API's largest resolution (SDK 0.90.0, image generator)."""
MOST_OUTPUTS = 16
"""Most images of one request (SDK 0.90.0, image generator)."""
SPOKEN_A_SECOND = 15
"""Characters that a voice reads per second."""
LEAST_SECONDS = 1.0
MOVING = ("gif", "mp4", "webm")
STILL = ("png", "webp")
EXTENSIONS: Mapping[str, frozenset[str]] = {
    # The API has a table for GIFs, but no type: what it calls them is not known.
    "video": capabilities.VIDEO_EXTENSIONS | {"gif", "webp"},
    "audio": capabilities.AUDIO_EXTENSIONS,
    "image": capabilities.IMAGE_EXTENSIONS,
}
EXTENSION_PATTERN = re.compile(r"[a-z0-9]+")


@discreet
class UnreadablePictureError(ValueError):
    """A file that is not what its field takes."""


@discreet
@dataclass(frozen=True)
class Order:
    """An accepted create request.

    :param request: to the tool.
    :param seconds: length of the result in seconds; also of a picture that moves.
    :param resolution: such as ``720p``, defaults resolved; empty if the request has none.
    :param audio: whether a clip has sound.
    :param credits: its price.
    """

    request: Request
    seconds: float
    resolution: str
    audio: bool
    credits: int

    @property
    def tool(self) -> Tool:
        return self.request.tool

    @property
    def start(self) -> float:
        """Where it begins in the files that were sent, in seconds."""
        return float(self.request.body.get("start_seconds", 0))

    @property
    def outputs(self) -> int:
        """How many results it has."""
        return int(self.request.body.get(self.tool.outputs, 1)) if self.tool.outputs else 1

    @property
    def format(self) -> str:
        """The file format of a picture."""
        usual = MOVING[0] if "output_format" in self.tool.fields else STILL[0]
        return str(self.request.body.get("output_format", usual))

    @property
    def files(self) -> list[tuple[str, tuple[Media, ...]]]:
        """The files that were sent, and what each may be: required ones first."""
        paths = sorted(self.tool.files.items(), key=lambda each: each[0] not in self.tool.required)
        return [(value, media) for path, media in paths for _, value in values_at(self.request.body, path)]

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels, if the request sets both."""
        if "width" not in self.tool.fields or "width" in self.tool.deprecated:
            return None
        return self.request.body["width"], self.request.body["height"]

    @property
    def seed(self) -> str:
        """The request without its name: the same seed gives the same picture and sound."""
        return json.dumps({**self.request.body, "name": self.tool.name}, sort_keys=True)


def read_order(tool: Tool, body: Mapping[str, Any]) -> Order:
    """Check the body of a create request.

    :raises Refused: 400 naming the field, or 422 saying what is impossible.
    """
    request = judged(tool, body)
    seconds = _seconds(request)
    _refuse_too_large(request)
    if tool.has_models:
        return _modelled(request, seconds)
    order = Order(request, seconds, request.body.get("resolution", ""), _has_sound(request), 0)
    if tool.kind == "image" and order.format not in MOVING + STILL:
        raise Refused(422, f"output_format: '{order.format}' is not one of {', '.join(MOVING + STILL)}")
    cost = prices.estimate(tool.price, request.body) if tool.price else None
    return Order(request, seconds, order.resolution, order.audio, cost.credits if cost else _unpriced(order))


def _has_sound(request: Request) -> bool:
    audible = (path for path, media in request.tool.files.items() if "audio" in media)
    return any(values_at(request.body, path) for path in audible)


def _unpriced(order: Order) -> int:
    many = order.seconds * UNPRICED_CREDITS_PER_SECOND
    return round(many) if order.tool.kind == "video" else UNPRICED_CREDITS * order.outputs


def _seconds(request: Request) -> float:
    """Return the length of a result: as requested, or as long as a voice reads the prompt."""
    body, fields = request.body, request.tool.fields
    if "end_seconds" in fields:
        seconds = body["end_seconds"] - body.get("start_seconds", 0)
        if request.tool.has_models and not 1 <= seconds <= 60:
            raise Refused(400, "end_seconds: 1 to 60 is needed")
        if seconds <= 0:
            raise Refused(422, "end_seconds: it has to be greater than start_seconds")
    else:
        letters = len(value_at(body, "style.prompt") or "") if request.tool.kind == "audio" else 0
        seconds = body.get("duration", min(LONGEST, max(LEAST_SECONDS, letters / SPOKEN_A_SECOND)))
    if seconds > LONGEST:
        raise Refused(422, f"the sandbox makes nothing longer than {LONGEST} seconds")
    return float(seconds)


def _refuse_too_large(request: Request) -> None:
    for name in ("width", "height"):
        if name in request.tool.deprecated:
            continue
        if not 64 <= request.body.get(name, 64) <= LARGEST:
            raise Refused(422, f"{name}: 64 to {LARGEST} is needed")
    if request.tool.outputs and request.body.get(request.tool.outputs, 1) > MOST_OUTPUTS:
        raise Refused(422, f"{request.tool.outputs}: at most {MOST_OUTPUTS}")


def read_upload_items(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Check the body of ``POST /v1/files/upload-urls``; return kind and extension of each item.

    :raises Refused: 400 naming the field, or 422 with the permitted extensions.
    """
    items = _field(body, "items", list, required=True)
    if not items:
        raise Refused(400, "items: at least one item is needed")
    return [_upload_item(item, f"items[{number}].") for number, item in enumerate(items)]


def _upload_item(item: Any, at: str) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise Refused(400, f"{at[:-1]}: an object is needed")
    kind = _field(item, "type", str, required=True, at=at)
    extension = _field(item, "extension", str, required=True, at=at)
    if kind not in EXTENSIONS:
        raise Refused(400, f"{at}type: one of {', '.join(EXTENSIONS)} is needed")
    if not EXTENSION_PATTERN.fullmatch(extension):
        raise Refused(400, f"{at}extension: lower case letters and digits without the dot are needed")
    if extension not in EXTENSIONS[kind]:
        possible = ", ".join(sorted(EXTENSIONS[kind]))
        message = f"'{extension}' is an invalid {kind} extension. Possible extensions are '{possible}'"
        raise Refused(422, message)
    return kind, extension


def _field(fields: Mapping[str, Any], name: str, kind: type, *, required: bool = False, at: str = "") -> Any:
    """Return a field of the wanted JSON type; None if it is absent. Null is not absent."""
    if name not in fields:
        if required:
            raise Refused(400, f"{at}{name}: required")
        return None
    value = fields[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refused(400, f"{at}{name}: a value of type {kind.__name__} is needed")
    return value


def _modelled(request: Request, seconds: float) -> Order:
    """Return the order of a tool whose AI models are those of the table."""
    body = request.body
    model, audio = body.get("model", DEFAULT_MODEL), body.get("audio")
    if model not in capabilities.CAPABILITIES and model != DEFAULT_MODEL:
        raise Refused(422, f"model: '{model}' is not a known model")
    order = Order(request, seconds, _resolution(body), bool(audio), 0)
    name = _resolved(order) if model == DEFAULT_MODEL else model
    if reason := _refusal(order, name):
        raise Refused(422, reason)
    has_sound = bool(audio) or capabilities.CAPABILITIES[name].audio == "always"
    cost = capabilities.estimate(name, end_seconds=seconds, resolution=order.resolution, audio=has_sound)
    price = cost.credits if cost else round(seconds * UNPRICED_CREDITS_PER_SECOND)
    return Order(request, seconds, order.resolution, has_sound, price)


def _resolution(body: Mapping[str, Any]) -> str:
    """Return the resolution; without one the two deprecated quality fields decide."""
    resolution = body.get("resolution")
    if resolution is not None:
        if resolution not in SHORT_SIDES:
            raise Refused(422, f"resolution: '{resolution}' is not one of {', '.join(SHORT_SIDES)}")
        return str(resolution)
    mode = value_at(body, "style.quality_mode")
    if mode not in (None, "quick", "studio"):
        raise Refused(400, "style.quality_mode: quick or studio is needed")
    return "1080p" if value_at(body, "style.high_quality") or mode == "studio" else DEFAULT_RESOLUTION


def _resolved(order: Order) -> str:
    """Return the model for ``default``: kling-3.0, else the first of the others that can do it.

    The documentation (after 2026-08-22) gives paid plans seedance-1.5 at 480p and an ltx model above 15 s.
    """
    candidates = ("kling-3.0", "seedance-1.5", "ltx-2.5")
    possible = [model for model in candidates if _refusal(order, model) is None]
    return possible[0] if possible else "kling-3.0" if order.seconds <= 15 else "ltx-2.5"


def _refusal(order: Order, model: str) -> str | None:
    return capabilities.refusal(
        model,
        end_seconds=order.seconds,
        resolution=order.resolution,
        audio=order.request.body.get("audio"),
        end_image=value_at(order.request.body, "assets.end_image_file_path") is not None,
    )
