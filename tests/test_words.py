"""The words of the package and its pages are Airflow's own, and plain English."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_magichour

PACKAGE = Path(airflow_provider_magichour.__file__).parent
ROOT = PACKAGE.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
INSTEAD = {
    r"(a|each|every|next|last|earlier|more|between) looks?": "poll",
    r"look(s|ed|ing)? at (a|an|the|its|each|every|all) (project|job)s?": "poll",
    r"look(s|ed|ing)? (again|on|anew)": "poll again, keep polling",
    r"(a|each|every|one|this|that|the|first|next|last|earlier|later|another|killed|new|all|its) tr(y|ies)(?! number)": (
        "attempt; Airflow says try number"
    ),
    r"fail(s|ed)? the try": "the attempt fails",
    r"a clear of": "clearing the task",
    r"(the|each|another|next|first|one|of a) legs?|legs? of (a|the) batch": "round",
    r"heal(s|ed)?|incurable|curable": "a retry cannot help",
    r"the way to (it|the api)": "the network",
    r"(tell|say)s? nothing of": "does not say",
    r"not over others": "only these",
    r"says the link": "the link shows",
    r"projects? (that )?goes? on": "keeps running",
    r"in vain": "say what did not happen",
    r"anew": "again",
    r"mend(s|ed)?": "fix, correct",
    r"is none of": "is not",
    r"what was not made for": "unexpected",
}


def texts(path: Path) -> Iterator[str]:
    """A page; of a module its strings, docstrings and comments."""
    if path.suffix == ".md":
        yield path.read_text()
        return
    with path.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if tokenize.tok_name[token.type] in ("COMMENT", "STRING", "FSTRING_MIDDLE"):
                yield token.string


@pytest.mark.parametrize("path", [*sorted(PACKAGE.rglob("*.py")), *PAGES], ids=lambda path: path.stem)
def test_texts_use_the_words_of_airflow(path: Path) -> None:
    found = [
        f"{match.group()!r}: {instead}"
        for text in texts(path)
        for words, instead in INSTEAD.items()
        for match in re.finditer(rf"\b(?:{words})\b", " ".join(text.split()), re.IGNORECASE)
    ]
    assert found == []
