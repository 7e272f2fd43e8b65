"""How errors read where people meet them."""

from __future__ import annotations

import inspect

import pytest

from airflow_provider_magichour import exceptions
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourError

KINDS = [each for _, each in inspect.getmembers(exceptions, inspect.isclass) if issubclass(each, MagicHourError)]
LONG = (
    "Could not create a project (image-to-video). The API key of connection 'magichour_default' is missing, wrong or "
    "revoked; get one at https://magichour.ai/developer?tab=api-keys (HTTP 401 unauthorized: Unauthorized). Nothing "
    "was sent. " + "A sentence that does not end goes on, " * 10 + f"{'x' * 400}."
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_long_message_has_short_lines_and_loses_nothing(kind: type[MagicHourError]) -> None:
    lines = str(kind(LONG)).split("\n")
    assert lines[0] == "Could not create a project (image-to-video)."
    assert max(len(line) for line in lines if "x" * 400 not in line) <= 150
    assert " ".join(lines) == kind(LONG).args[0] == LONG


def test_a_short_message_stays_one_line_and_lines_stay() -> None:
    assert str(MagicHourError("It is so. Do this.")) == "It is so. Do this."
    assert str(MagicHourError(f"First\n\n{LONG}")).startswith("First\n\nCould not")
    assert MagicHourApiError(LONG).message == LONG


def test_a_message_that_is_told_again_stays_as_it_is() -> None:
    once = str(MagicHourError(LONG))
    assert str(MagicHourError(once)) == once


@pytest.mark.parametrize("text", ["e.g. A " * 30, "3. B " * 40, "a.b. C?d=e. " * 20])
def test_what_only_looks_like_the_end_of_a_sentence_loses_nothing(text: str) -> None:
    assert str(MagicHourError(text.strip())).split() == text.split()
