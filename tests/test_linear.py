"""No text, however long or odd, holds up the event loop: each regular expression takes time in proportion to it."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

import airflow_provider_magichour

MEGABYTE = 1 << 20
ENOUGH = 20.0
"""Seconds of CPU: what is linear takes some milliseconds for each text, what is quadratic hours."""


def patterns() -> dict[str, re.Pattern[Any]]:
    found = {}
    for module in pkgutil.walk_packages(airflow_provider_magichour.__path__, "airflow_provider_magichour."):
        if module.name.endswith(("__main__", "pytest_plugin")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{module.name.partition('.')[2]}.{name}"] = value
    return found


def worst(pattern: re.Pattern[Any]) -> Iterator[Any]:
    """Yield texts in which a match begins everywhere and succeeds nowhere: the pieces of a pattern, repeated."""
    is_bytes = isinstance(pattern.pattern, bytes)
    written = pattern.pattern.decode("latin-1") if is_bytes else pattern.pattern
    literal = re.sub(r"\\[a-zA-Z]|\(\?[:<!=>]+|[][(){}^$*+|?.\\]", " ", written).split()
    pieces = {
        *literal,
        *map("".join, itertools.pairwise(literal)),
        *(each.rstrip("=") for each in literal),
        *"aA0 ?&=%/:@.-_\\\"'\n\0é",
        "\\u",
        "\\ud83d",
        "%25",
    }
    pieces |= {"://", "a://", "http://a@", "?a", "?a=", "&a=", " ?", "a ", "a?", "://a?", "25", "2026-"}
    for piece in pieces - {""}:
        text = piece * (MEGABYTE // len(piece)) + '"'
        yield text.encode() if is_bytes else text


@pytest.mark.parametrize("name", sorted(patterns()))
def test_a_megabyte_of_its_worst_is_searched_in_no_time(name: str) -> None:
    pattern = patterns()[name]

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{name} takes too long on {text[:20]!r} repeated")

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        for text in worst(pattern):
            signal.setitimer(signal.ITIMER_VIRTUAL, ENOUGH)
            pattern.sub(text[:0], text)
            pattern.fullmatch(text)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_there_are_patterns_to_test() -> None:
    assert {"api.texts.HALF_OR_NUL", "api.answers.SECONDS"} <= set(patterns())
