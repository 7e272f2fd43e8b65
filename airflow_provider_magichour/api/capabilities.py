"""What each AI model can do and costs: one dated table and the checks that read it.

The table is data that changes with the vendor every few weeks. It refuses only what a *known* model
cannot do; an unknown name and ``default`` (which the API resolves by subscription tier) always pass.

Sources: the vendor's Python SDK 0.90.0 (after 2026-09-02) for the current models; the endpoint page of
2026-02-18 for the legacy rows; https://docs.magichour.ai (models page, after 2026-08-22) for credits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from airflow_provider_magichour.api.signatures import discreet

Audio = Literal["free", "extra", "no", "always"]

IMAGE_EXTENSIONS = frozenset(
    ["png", "jpg", "jpeg", "jfif", "heic", "heif", "webp", "avif", "jp2", "tiff", "tif", "bmp"]
)
VIDEO_EXTENSIONS = frozenset("mp4 m4v mov webm".split())
AUDIO_EXTENSIONS = frozenset(["mp3", "wav", "aac", "flac", "webm", "weba", "m4a", "opus", "ogg", "oga", "aiff", "amr"])
EXTENSIONS: Mapping[str, frozenset[str]] = {
    "image": IMAGE_EXTENSIONS,
    "video": VIDEO_EXTENSIONS,
    "audio": AUDIO_EXTENSIONS,
    "gif": frozenset(["gif", "webp", "webm"]),
}
"""By what a file is: what the API takes (SDK 0.90.0, upload URLs)."""

PRICES_OF = "August 2026"

VEO_SECONDS = (4, 6, 8, 16, 24, 32, 40, 48, 56)
LTX_2_SECONDS = (*range(3, 11), 15, 20, 25, 30)
SORA_2_SECONDS = (4, 8, 12, 24, 36, 48, 60)


@dataclass(frozen=True)
class Capability:
    """One AI model's row.

    :param seconds: allowed values of ``end_seconds``, in seconds.
    :param resolutions: allowed values of ``resolution``.
    :param audio: ``free`` or ``extra`` (a toggle without or with extra credits), ``no`` (not supported),
        ``always`` (cannot be turned off).
    :param end_image: resolutions at which an end image is allowed.
    :param end_image_seconds: longest clip in seconds that may have an end image; None for no limit.
    :param credits: credits per second of output by resolution; a resolution without a published price is absent.
    :param audio_credits: further credits per second with audio, by resolution.
    :param legacy: the API still takes the name but no longer documents it.
    """

    seconds: tuple[int, ...]
    resolutions: tuple[str, ...]
    audio: Audio
    end_image: tuple[str, ...] = ()
    end_image_seconds: int | None = None
    credits: Mapping[str, int] = field(default_factory=dict)
    audio_credits: Mapping[str, int] = field(default_factory=dict)
    legacy: bool = False


def _row(
    seconds: tuple[int, ...] | range,
    resolutions: str,
    audio: Audio,
    end_image: str = "",
    *,
    end_image_seconds: int | None = None,
    credits: tuple[int, ...] = (),
    audio_credits: tuple[int, ...] = (),
    legacy: bool = False,
) -> Capability:
    """Build a row; the two price tuples follow the order of ``resolutions`` and may be shorter."""
    names = tuple(resolutions.split())
    return Capability(
        tuple(seconds),
        names,
        audio,
        tuple(end_image.split()),
        end_image_seconds,
        dict(zip(names, credits, strict=False)),
        dict(zip(names, audio_credits, strict=False)),
        legacy,
    )


HD = "480p 720p 1080p"

CAPABILITIES: Mapping[str, Capability] = MappingProxyType(
    {
        # Current models: SDK 0.90.0. Credits: models page, after 2026-08-22; none published for gemini-omni-1.1,
        # ltx-2.5, wan-3.0 and seedance-2.0-fast, nor for the newer modes of seedance-2.x.
        "gemini-omni-1.1": _row(range(3, 11), "360p 720p 1080p 4k", "no", "360p 720p 1080p 4k"),
        "kling-2.6": _row((5, 10), "720p 1080p", "no", "1080p", credits=(36, 72)),
        "kling-3.0": _row(
            range(3, 16),
            "720p 1080p 4k",
            "extra",
            "720p 1080p 4k",
            credits=(48, 72, 240),
            audio_credits=(24, 24, 48),
        ),
        "ltx-2.5": _row(range(1, 61), HD, "free", HD),
        "minimax-h3": _row(range(1, 31), HD, "free", HD, credits=(24, 48, 72)),
        "seedance-1.5": _row(range(4, 13), HD, "extra", HD, credits=(30, 60, 90), audio_credits=(30, 60, 90)),
        "seedance-2.0": _row(range(4, 16), f"{HD} 4k", "free", f"{HD} 4k", credits=(144, 288)),
        "seedance-2.0-fast": _row(range(4, 16), "480p 720p", "free", "480p 720p"),
        "seedance-2.0-mini": _row(range(4, 16), "480p 720p", "free", "480p 720p", credits=(96, 192)),
        "seedance-2.5": _row(range(4, 31), HD, "free", HD, credits=(288, 576)),
        "veo3.1": _row(
            VEO_SECONDS,
            "720p 1080p",
            "extra",
            "720p 1080p",
            end_image_seconds=8,
            credits=(96, 120),
            audio_credits=(24, 24),
        ),
        "veo3.1-lite": _row(
            VEO_SECONDS,
            "720p 1080p",
            "extra",
            "720p 1080p",
            end_image_seconds=8,
            credits=(48, 72),
            audio_credits=(24, 24),
        ),
        "wan-2.2": _row((*range(3, 11), 15), HD, "no", credits=(24, 48, 72)),
        "wan-3.0": _row((*range(2, 11), 15, 20, 25, 30), HD, "free", HD),
        # Legacy names. ltx-2, seedance, kling-2.5, sora-2 and kling-1.6: endpoint page of 2026-02-18, which had no
        # end image; ltx-2.3, and the audio of sora-2: the published specification of 2026-08-18.
        "ltx-2": _row(LTX_2_SECONDS, HD, "always", legacy=True),
        "ltx-2.3": _row((*range(1, 11), 15, 20, 25, 30), HD, "free", HD, credits=(24, 48, 72), legacy=True),
        "seedance": _row(range(2, 13), HD, "no", legacy=True),
        "kling-2.5": _row((5, 10), "720p 1080p", "always", legacy=True),
        "sora-2": _row(SORA_2_SECONDS, "720p", "free", credits=(120,), legacy=True),
        "kling-1.6": _row(range(5, 61, 5), "720p 1080p", "no", legacy=True),
        # The SDK: a name ending in -audio is the model without it and ``audio`` true.
        "kling-2.5-audio": _row((5, 10), "720p 1080p", "always", legacy=True),
        "veo3.1-audio": _row(
            VEO_SECONDS,
            "720p 1080p",
            "always",
            "720p 1080p",
            end_image_seconds=8,
            credits=(120, 144),
            legacy=True,
        ),
    }
)
"""Each AI model by the name that the API takes; sources and dates are in its comments."""


# The SDK prices a model "from" an amount: what its lowest resolution costs. The others have no published price.
IMAGE_MODELS: Mapping[float, tuple[str, ...]] = {
    5: ("flux-2-klein 640px", "flux-schnell 640px", "z-image-turbo 640px"),
    10: ("krea-2 640px", "qwen-edit 640px", "qwen-image-2.1 640px"),
    40: ("seedream-v4 640px",),
    50: (
        *("gpt-image-2 640px", "nano-banana 640px", "nano-banana-2-lite 640px", "nano-banana-2.1 640px"),
        "seedream-v4.5 640px",
    ),
    75: ("seedream-v5-pro 640px",),
    100: ("gpt-image-2.5-flare 640px", "nano-banana-2 640px"),
    150: ("nano-banana-pro 1k",),
}
"""AI models of images and a resolution of each, by what an image costs in credits."""


def refusal(
    model: str | None, *, end_seconds: float, resolution: str | None, audio: bool | None, end_image: bool
) -> str | None:
    """Say why a known AI model cannot do this, naming field, value and what is allowed; None if it can.

    Also None for ``default`` and for a name that is not in the table: the API decides about those.

    :param model: name of the AI model, or None for the API's default.
    :param end_seconds: length of the clip in seconds.
    :param resolution: wanted resolution, or None for the API's default.
    :param audio: wanted audio, or None for the API's default.
    :param end_image: whether an end image is given.
    """
    known = CAPABILITIES.get(model or "")
    if known is None:
        return None
    if end_seconds not in known.seconds:
        return f"end_seconds={end_seconds}: {model} makes clips of {_spans(known.seconds)} seconds"
    if resolution is not None and resolution not in known.resolutions:
        return f"resolution={resolution!r}: {model} renders {_words(known.resolutions)}"
    if audio and known.audio == "no":
        return f"audio=True: {model} makes no audio; leave audio out, or use {_words(_with_audio())}"
    if audio is False and known.audio == "always":
        return f"audio=False: {model} always makes audio; leave audio out or set it to True"
    return _end_image_refusal(model, known, end_seconds, resolution) if end_image else None


def _end_image_refusal(model: str | None, known: Capability, end_seconds: float, resolution: str | None) -> str | None:
    if not known.end_image:
        return f"end_image: {model} takes no end image"
    # Without a resolution the API renders 720p, on free plans 480p (SDK 0.90.0).
    if (resolution or "720p") not in known.end_image:
        return f"end_image with resolution={resolution!r}: {model} takes one at {_words(known.end_image)}"
    if known.end_image_seconds is not None and end_seconds > known.end_image_seconds:
        return f"end_image with end_seconds={end_seconds}: {model} takes one up to {known.end_image_seconds} seconds"
    return None


@discreet
@dataclass(frozen=True)
class Estimate:
    """What one clip should cost.

    :param credits: in all.
    :param how: the sum in words.
    """

    credits: int
    how: str


def estimate(model: str | None, *, end_seconds: float, resolution: str | None, audio: bool | None) -> Estimate | None:
    """Estimate the credits of one clip; None if no price is published for that model and resolution.

    Without a resolution the price is that of 720p, the API's default on paid plans (SDK 0.90.0).

    :param model: name of the AI model; ``default`` and None have no fixed price.
    :param end_seconds: length of the clip in seconds.
    :param resolution: resolution of the clip.
    :param audio: whether the clip has audio.
    """
    known = CAPABILITIES.get(model or "")
    size = resolution or "720p"
    if known is None or size not in known.credits:
        return None
    extra = known.audio_credits.get(size, 0) if audio else 0
    how = f"{end_seconds:g} s of {model} at {size}, {known.credits[size]} credits a second"
    return Estimate(
        round((known.credits[size] + extra) * end_seconds),
        f"{how} and {extra} for audio; prices of {PRICES_OF}" if extra else f"{how}; prices of {PRICES_OF}",
    )


def priced_models(resolution: str = "720p") -> list[str]:
    """Return the AI models that have a published price at a resolution."""
    return [name for name, row in CAPABILITIES.items() if resolution in row.credits and not row.legacy]


def _with_audio() -> list[str]:
    return [name for name, row in CAPABILITIES.items() if row.audio in ("free", "extra") and not row.legacy]


def _words(values: tuple[str, ...] | list[str]) -> str:
    return ", ".join(values)


def _spans(seconds: tuple[int, ...]) -> str:
    """Write 3, 4, 5, 8 as ``3-5, 8``."""
    spans: list[list[int]] = []
    for second in seconds:
        if spans and second == spans[-1][1] + 1:
            spans[-1][1] = second
        else:
            spans.append([second, second])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
