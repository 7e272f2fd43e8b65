"""Read a create request as the API does: refuse the malformed (400) and impossible (422), price the rest."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_magichour.api import capabilities
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.sandbox.answers import Refused

FPS = 24
SHORT_SIDES = {"360p": 360, "480p": 480, "720p": 720, "1080p": 1080, "4k": 2160}
DEFAULT_RESOLUTION = "720p"
DEFAULT_MODEL = "default"
UNPRICED_CREDITS_PER_SECOND = 48
EXTENSIONS: Mapping[str, frozenset[str]] = {
    "video": capabilities.VIDEO_EXTENSIONS,
    "audio": capabilities.AUDIO_EXTENSIONS,
    "image": capabilities.IMAGE_EXTENSIONS,
}
EXTENSION_PATTERN = re.compile(r"[a-z0-9]+")


@discreet
class UnreadablePictureError(ValueError):
    """A file that is no picture."""


@discreet
@dataclass(frozen=True)
class Order:
    """An accepted create request.

    :param name: label, or None for the API's own.
    :param image: ``image_file_path`` as sent.
    :param end_image: ``end_image_file_path`` as sent, or None.
    :param seconds: length in seconds.
    :param resolution: such as ``720p``, defaults resolved.
    :param audio: whether the clip has sound.
    :param credits: its price.
    """

    name: str | None
    image: str
    end_image: str | None
    seconds: float
    resolution: str
    audio: bool
    credits: int


def read_order(body: Mapping[str, Any]) -> Order:
    """Judge the body of ``POST /v1/image-to-video``.

    :raises Refused: 400 naming the field, or 422 saying what is impossible.
    """
    assets = _field(body, "assets", dict, required=True)
    style = _field(body, "style", dict) or {}
    _field(style, "prompt", str, at="style.")
    for name in ("height", "width"):
        if body.get(name) is not None:
            _field(body, name, int)
    order = Order(
        name=_field(body, "name", str),
        image=_filled(assets, "image_file_path", required=True),
        end_image=_filled(assets, "end_image_file_path") or None,
        seconds=_seconds(body),
        resolution=_resolution(body, style),
        audio=bool(_field(body, "audio", bool)),
        credits=0,
    )
    return _priced(order, _field(body, "model", str) or DEFAULT_MODEL, _field(body, "audio", bool))


def read_upload_items(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Judge the body of ``POST /v1/files/upload-urls``; return kind and extension of each item.

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
    """Return a field of the wanted JSON type, None when it is absent; null is not absent."""
    if name not in fields:
        if required:
            raise Refused(400, f"{at}{name}: required")
        return None
    value = fields[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refused(400, f"{at}{name}: a value of type {kind.__name__} is needed")
    return value


def _filled(assets: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    path = _field(assets, name, str, required=required, at="assets.")
    if path == "":
        raise Refused(400, f"assets.{name}: may not be empty")
    return path or ""


def _seconds(body: Mapping[str, Any]) -> float:
    seconds = body.get("end_seconds")
    if "end_seconds" not in body:
        raise Refused(400, "end_seconds: required")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise Refused(400, "end_seconds: a number is needed")
    if not 1 <= seconds <= 60:
        raise Refused(400, "end_seconds: 1 to 60 is needed")
    return float(seconds)


def _resolution(body: Mapping[str, Any], style: Mapping[str, Any]) -> str:
    """Return the resolution; the two deprecated quality fields count where it is not given."""
    resolution = _field(body, "resolution", str)
    if resolution is not None:
        if resolution not in SHORT_SIDES:
            raise Refused(422, f"resolution: '{resolution}' is not one of {', '.join(SHORT_SIDES)}")
        return str(resolution)
    high = _field(style, "high_quality", bool, at="style.")
    mode = _field(style, "quality_mode", str, at="style.")
    if mode not in (None, "quick", "studio"):
        raise Refused(400, "style.quality_mode: quick or studio is needed")
    return "1080p" if high or mode == "studio" else DEFAULT_RESOLUTION


def _priced(order: Order, model: str, audio: bool | None) -> Order:
    if model not in capabilities.CAPABILITIES and model != DEFAULT_MODEL:
        raise Refused(422, f"model: '{model}' is not a known model")
    judged = _resolved(order, audio) if model == DEFAULT_MODEL else model
    if reason := _refusal(order, judged, audio):
        raise Refused(422, reason)
    always = capabilities.CAPABILITIES[judged].audio == "always"
    cost = capabilities.estimate(judged, end_seconds=order.seconds, resolution=order.resolution, audio=audio or always)
    price = cost.credits if cost else round(order.seconds * UNPRICED_CREDITS_PER_SECOND)
    return replace(order, audio=bool(audio or always), credits=price)


def _resolved(order: Order, audio: bool | None) -> str:
    """Return the model that ``default`` stands for: kling-3.0, else the first of the others that can do it.

    The documentation (after 2026-08-22) gives paid plans seedance-1.5 at 480p and an ltx model above 15 s.
    """
    candidates = ("kling-3.0", "seedance-1.5", "ltx-2.5")
    possible = [model for model in candidates if _refusal(order, model, audio) is None]
    return possible[0] if possible else "kling-3.0" if order.seconds <= 15 else "ltx-2.5"


def _refusal(order: Order, model: str, audio: bool | None) -> str | None:
    return capabilities.refusal(
        model,
        end_seconds=order.seconds,
        resolution=order.resolution,
        audio=audio,
        end_image=order.end_image is not None,
    )
