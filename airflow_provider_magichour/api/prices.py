"""What a request should cost, by the published price of its tool. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from airflow_provider_magichour.api.capabilities import PRICES_OF, Estimate
from airflow_provider_magichour.api.tools import Price, value_at

FRAMES_A_SECOND = 30
"""Frames per second where nothing limits them: the vendor's own estimates use this (models page)."""

MANY = {"second": "seconds", "frame": "frames", "character": "characters", "image": "images"}


def estimate(price: Price, body: Mapping[str, Any]) -> Estimate | None:
    """Estimate what a request costs; None if no price is published for it.

    :param price: of the tool.
    :param body: of the request, with the types of the tool's row.
    """
    key = " ".join(str(value) for path in price.by if (value := value_at(body, path)) is not None)
    credits = next((each for each, keys in price.credits.items() if key in keys), None)
    count = _count(price, body)
    if credits is None or count is None or count < 0:
        return None
    total = math.ceil(round(credits * count, 6))
    of = f" with {key}" if key else ""
    if price.per == "project":
        return Estimate(total, f"{credits:g} credits each{of}; prices of {PRICES_OF}")
    return Estimate(
        total, f"{count:g} {MANY[price.per]} at {credits:g} credits a {price.per}{of}; prices of {PRICES_OF}"
    )


def _count(price: Price, body: Mapping[str, Any]) -> float | None:
    value = value_at(body, price.of)
    if price.per == "project":
        return 1
    if price.per == "image":
        return 1 if value is None else float(value)
    if price.per == "character":
        return len(value or "")
    if price.per == "second" and price.of != "end_seconds":
        return None if value is None else float(value)
    end, start = value_at(body, "end_seconds"), value_at(body, "start_seconds") or 0
    seconds = float(end - start) if end is not None and end > start else None
    if price.per == "second" or seconds is None:
        return seconds
    return math.ceil(seconds * (FRAMES_A_SECOND if value is None else value))
