"""From an operator's arguments to a request: types, the table of AI models, ``extra_body``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from airflow_provider_magichour.api import capabilities, prices
from airflow_provider_magichour.api.arguments import given, plain
from airflow_provider_magichour.api.fields import NO_NAMES, Reading
from airflow_provider_magichour.api.signatures import shown
from airflow_provider_magichour.api.tool_rows import IMAGE_TO_VIDEO, tool_named
from airflow_provider_magichour.api.tools import Request, Tool, value_at, values_at
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

LEAST_KEY = 8
"""Characters: a shorter key, as in a test, may also be part of an ordinary word."""

# Where an argument of ours goes in the API's body, if the name differs.
ARGUMENTS = {
    "assets": "image",
    "assets.image_file_path": "image",
    "assets.end_image_file_path": "end_image",
    "style.prompt": "prompt",
}


def image_to_video_request(
    *,
    image: Any,
    end_seconds: Any,
    end_image: Any = None,
    model: Any = None,
    resolution: Any = None,
    audio: Any = None,
    prompt: Any = None,
    name: Any = None,
    extra_body: Any = None,
    validate: bool = True,
) -> Request:
    """Build the request of an image-to-video project; None means "not sent".

    :param image: path or URL of the first frame, as the API takes it.
    :param end_seconds: length of the clip in seconds.
    :param end_image: path or URL of the last frame.
    :param model: name of the AI model.
    :param resolution: ``480p``, ``720p``, ``1080p`` and so on.
    :param audio: whether to make audio.
    :param prompt: what should happen.
    :param name: label of the project in the library.
    :param extra_body: further fields of the API, merged deeply; may not contradict the arguments above.
    :param validate: whether to check against the table of AI models.
    :raises MagicHourInvalidRequestError: naming the field, its value and what is allowed.
    """
    named = {
        "end_seconds": end_seconds,
        "assets": {"image_file_path": image, "end_image_file_path": end_image},
        "model": model,
        "resolution": resolution,
        "audio": audio,
        "style": {"prompt": prompt},
        "name": name,
    }
    return _checked(IMAGE_TO_VIDEO, named, extra_body, validate, ARGUMENTS)


def tool_request(
    tool: Any,
    fields: Mapping[str, Any],
    *,
    name: Any = None,
    extra_body: Any = None,
    validate: bool = True,
    names: Mapping[str, str] = NO_NAMES,
) -> Request:
    """Build the request of any tool from the API's own fields; None, at any depth, means "not sent".

    Numbers and booleans may be text, as templates render them. Fields that are not in the tool's row are sent as they
    are.

    :param tool: name of the tool, such as ``text-to-video``.
    :param fields: by the API's names, or as dotted paths.
    :param name: label of the project in the library; not sent to a tool that has none.
    :param extra_body: further fields, merged deeply; may not contradict the others.
    :param validate: whether to check against the table of AI models.
    :param names: of an operator's arguments, by path, for messages.
    :raises MagicHourInvalidRequestError: naming the field, its value and what is allowed.
    """
    row = tool_named(tool)
    named: dict[str, Any] = {}
    named_here = {"name": name} if row.has_name and name is not None else {}
    for path, value in {**fields, **named_here}.items():
        place = named
        *parents, last = path.split(".")
        for each in parents:
            place = place.setdefault(each, {})
        place[last] = value
    return _checked(row, named, extra_body, validate, names)


def _checked(tool: Tool, named: Mapping[str, Any], extra: Any, validate: bool, names: Mapping[str, str]) -> Request:
    body = merge_extra(argued(named, names), extra, names)
    for path in tool.required:
        # A required object may be empty.
        if isinstance(named.get(path), Mapping):
            body.setdefault(path, {})
    read = Reading(tool, body, names)
    if read.problems:
        raise MagicHourInvalidRequestError.unsent("; ".join(read.problems))
    request = Request(tool, read.body, names)
    if validate:
        refuse_impossible(request)
    return request


def refuse_impossible(request: Request) -> None:
    """Refuse what the table of AI models knows to be impossible.

    :raises MagicHourInvalidRequestError: naming the field, its value and what is allowed.
    """
    if refused := table_refusal(request):
        raise MagicHourInvalidRequestError.unsent(
            refused, "If Magic Hour supports it by now, set validate_request=False."
        )


def refuse_key(body: Any, key: str, names: Mapping[str, str] = NO_NAMES) -> None:
    """Refuse a request that contains the API key: a template has put it there, and it would be sent, stored and shown.

    Airflow 3.3.2 renders what ``expand_kwargs`` gets from an upstream task, so its texts may be templates.

    :param body: of the request.
    :param key: the connection's, which no message names.
    :param names: of the user's arguments, by their place.
    :raises MagicHourInvalidRequestError: naming the field.
    """
    for path, text in _texts(body, ""):
        if any(_holds(each, key) for each in _readings(text)):
            # The field's name may contain the key as well.
            is_in_name = any(_holds(each, key) for each in _readings(path))
            field = "The name of a field" if is_in_name else _as_written(path, names)
            raise MagicHourInvalidRequestError.unsent(
                f"{field} contains the connection's API key, which must stay secret",
                "Did a template such as {{ conn... }} come from an upstream task?",
            )


def _as_written(path: str, names: Mapping[str, str]) -> str:
    """Return a path in a body as the user wrote it: by the argument that holds it, if one does."""
    holder = path
    while holder and holder not in names:
        holder = holder[: max(holder.rfind("."), holder.rfind("["), 0)]
    return f"{names[holder]}{path[len(holder) :]}" if holder else path


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield each text in a request, names of fields included, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            inner = f"{path}.{name}".lstrip(".")
            yield inner, name
            yield from _texts(each, inner)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _texts(each, f"{path}[{index}]")


def _readings(text: str) -> Iterator[str]:
    """Yield a text, and the same with one and two rounds of URL encoding undone."""
    for _ in range(3):
        yield text
        text = unquote(text)


def _holds(text: str, key: str) -> bool:
    return text == key or (len(key) >= LEAST_KEY and key in text)


def table_refusal(request: Request) -> str | None:
    """Say why the table of AI models refuses a request, or None."""
    if not request.tool.has_models:
        return None
    body = request.body
    return capabilities.refusal(
        body.get("model"),
        end_seconds=body["end_seconds"],
        resolution=body.get("resolution"),
        audio=body.get("audio"),
        end_image=value_at(body, "assets.end_image_file_path") is not None,
    )


def estimated_cost(request: Request) -> capabilities.Estimate | None:
    """Estimate what a request costs; None if no price is known."""
    body = request.body
    if not request.tool.has_models:
        return prices.estimate(request.tool.price, body) if request.tool.price else None
    # What the deprecated fields mean (endpoint page, February 2026); `resolution` wins if both are given.
    is_high = value_at(body, "style.high_quality") or value_at(body, "style.quality_mode") == "studio"
    return capabilities.estimate(
        body.get("model"),
        end_seconds=body["end_seconds"],
        resolution=body.get("resolution") or ("1080p" if is_high else None),
        audio=body.get("audio"),
    )


def field_warnings(request: Request) -> list[str]:
    """Name each deprecated field of a request with its replacement, and each field that is not in its tool's row."""
    tool = request.tool
    present = [(path, advice) for path, advice in tool.deprecated.items() if values_at(request.body, path)]
    warnings = [f"Field {path} is deprecated: {advice}" for path, advice in present]
    if unknown := Reading(tool, request.body).unknown:
        warnings.append(
            f"{tool.name} has no field {', '.join(map(shown, unknown))} that this version knows: it is sent as it is, "
            "and the API decides"
        )
    return warnings


def argued(named: Mapping[str, Any], names: Mapping[str, str] = ARGUMENTS) -> dict[str, Any]:
    """Return the part of a request that comes from an operator's arguments.

    :param named: the arguments by their path in the API's body; None, also as a template renders it, is not sent.
    :param names: of the arguments, by their path.
    :raises MagicHourInvalidRequestError: naming the first that JSON cannot hold.
    """
    return without_none(plain(named, names=names))


def without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    """Drop None, also as a template renders it, and the objects that are empty without it."""
    cleaned = {k: without_none(v) if isinstance(v, Mapping) else given(v) for k, v in value.items()}
    return {k: v for k, v in cleaned.items() if v is not None and v != {}}


def merge_extra(named: dict[str, Any], extra: Any, names: Mapping[str, str] = ARGUMENTS) -> dict[str, Any]:
    """Merge ``extra_body`` deeply into the named arguments.

    :raises MagicHourInvalidRequestError: it is not a mapping or contradicts a named argument.
    """
    if extra is None:
        return named
    if not isinstance(extra, Mapping):
        raise MagicHourInvalidRequestError(
            f"extra_body={shown(extra)}: a dict of further fields of the API is needed, such as {{'width': 512}}"
        )
    return _merged(named, without_none(plain(extra, "extra_body")), "", names)


def _merged(
    named: Mapping[str, Any], extra: Mapping[str, Any], prefix: str, names: Mapping[str, str]
) -> dict[str, Any]:
    merged = dict(named)
    for key, value in extra.items():
        path = f"{prefix}{key}"
        ours = merged.get(key)
        if isinstance(ours, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(ours, value, f"{path}.", names)
        elif ours is not None and ours != value:
            raise MagicHourInvalidRequestError(
                f"extra_body field {path}={shown(value)} contradicts "
                f"{names.get(path, path)}={shown(ours)}; set it in one place only"
            )
        else:
            merged[key] = value
    return merged
