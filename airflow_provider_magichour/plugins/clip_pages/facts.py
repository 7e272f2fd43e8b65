"""What the page of a clip says of it, in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from airflow_provider_magichour.api import schemas
from airflow_provider_magichour.api.signatures import without_signatures
from airflow_provider_magichour.plugins.clip_pages.views import RETURNED, Clip, Details, given_to

# Rendered fields that are not about the clip, or that the page shows elsewhere.
UNTOLD = set(
    "project_id kind destination overwrite magichour_conn_id conn_id poll_interval timeout max_credits name".split()
)
FIRST = "prompt image end_image tool model resolution end_seconds".split()
WORDS = {"image": "Made from", "end_seconds": "Asked length", "extra_body": "More fields"}


def conn_id_of(details: Details) -> str:
    """Return the connection that the tasks use."""
    named = (given_to(told).get("magichour_conn_id") for told in details.values())
    return next((each for each in named if isinstance(each, str) and each), "magichour_default")


def facts(clip: Clip, details: Details, seen: schemas.Project | None = None) -> list[tuple[str, str]]:
    """Return what is known of a clip, each with a word for it; nothing signed.

    :param details: of its tasks.
    :param seen: the project as the API shows it; None where it was not asked.
    """
    found = {word.capitalize(): str(count) for word, count in batch_counts(details).items()} | dict(_asked(details))
    returned = [told.get(RETURNED) for told in details.values()]
    result = {**next((each for each in returned if isinstance(each, dict) and "download_urls" in each), {})}
    if seen:
        now = {**seen.result("video"), "end_seconds": seen.end_seconds}
        result |= {name: value for name, value in now.items() if value is not None}
    width, height, fps, seconds = (_number(result.get(name)) for name in ("width", "height", "fps", "end_seconds"))
    if width and height:
        found["Size"] = f"{width} x {height}" + (f", {fps} fps" if fps else "")
    if seconds:
        found.pop(WORDS["end_seconds"], None)
        found["Length"] = f"{seconds} s"
    written = [uri for each in returned if isinstance(each, list) for uri in each if isinstance(uri, str)]
    written += [each["results"] for each in returned if isinstance(each, dict) and isinstance(each.get("results"), str)]
    found["Written to"] = "\n".join(without_signatures(written))
    credits = clip.credits if seen is None else seen.credits_charged
    found["Credits"] = "" if credits is None else str(credits)
    found["Project"] = clip.project.id if clip.project else ""
    return [(word, value) for word, value in found.items() if value]


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _asked(details: Details) -> Iterable[tuple[str, str]]:
    for told in details.values():
        given = given_to(told)
        if "project_id" in given:
            continue
        for name, value in sorted(given.items(), key=lambda item: (*FIRST, item[0]).index(item[0])):
            if name not in UNTOLD and value not in (None, "", [], {}):
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
                yield WORDS.get(name, name.replace("_", " ").capitalize()), without_signatures(text)


def batch_counts(details: Details) -> dict[str, int]:
    """Return how many items of a batch became what, from what its task returned; nothing where it is none."""
    summaries = (told.get(RETURNED) for told in details.values())
    counts: Any = next((each["counts"] for each in summaries if isinstance(each, dict) and "counts" in each), None)
    known = counts if isinstance(counts, dict) else {}
    return {str(word): count for word, count in known.items() if isinstance(count, int) and count}
