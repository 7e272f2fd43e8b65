"""Requests for face detection and saved items: these are not projects, so not tools. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from airflow_provider_magichour.api.arguments import checked_text, given
from airflow_provider_magichour.api.numbers import number_of
from airflow_provider_magichour.api.signatures import shown
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

MOST_SAVED_ITEMS = 100
"""On one page (the vendor's command line, its specification of September 2026)."""


def detection_body(target: Any, confidence_score: Any = None) -> dict[str, Any]:
    """Return the body of a face detection; None means "not sent".

    :param target: path or URL of an image or a video, as the API takes it.
    :param confidence_score: from 0 to 1, also as text: how certain it must be that something is a face.
    :raises MagicHourInvalidRequestError: naming the argument, its value and what is allowed.
    """
    body: dict[str, Any] = {"assets": {"target_file_path": checked_text("target", target, "an image or a video")}}
    if given(confidence_score) is not None:
        score = number_of(confidence_score)
        if score is None or not 0 <= score <= 1:
            raise MagicHourInvalidRequestError(
                f"confidence_score={shown(confidence_score)}: a number from 0 to 1 is needed, such as 0.5"
            )
        body["confidence_score"] = score
    return body


def saved_items_query(type: Any = None, limit: Any = None, cursor: Any = None) -> str:
    """Return the query of a page of saved items, with its question mark; empty if nothing is asked for.

    :raises MagicHourInvalidRequestError: naming the argument, its value and what is allowed.
    """
    query: dict[str, Any] = {}
    if type is not None:
        query["type"] = checked_text("type", type, "a type of saved item, such as character,")
    if limit is not None:
        query["limit"] = number_of(limit)
        if not isinstance(query["limit"], int) or not 1 <= query["limit"] <= MOST_SAVED_ITEMS:
            raise MagicHourInvalidRequestError(
                f"limit={shown(limit)}: a whole number from 1 to {MOST_SAVED_ITEMS} is needed"
            )
    if cursor is not None:
        query["cursor"] = checked_text("cursor", cursor, "the next_cursor of the previous page")
    return f"?{urlencode(query)}" if query else ""
