"""What a page of documentation shows, taken out of it to be run."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.M | re.S)


@dataclass(frozen=True)
class Snippet:
    """One block of code.

    :param place: page and line, for messages.
    :param language: as the page says it.
    """

    place: str
    language: str
    text: str

    def __str__(self) -> str:
        return self.place

    @property
    def is_dag(self) -> bool:
        return "@dag" in self.text or "with DAG(" in self.text

    @property
    def is_test(self) -> bool:
        return "def test_" in self.text

    @property
    def file_name(self) -> str | None:
        """The name that its first line gives it, if it does."""
        named = re.match(r"# ([\w/]+\.py)\n", self.text)
        return named[1] if named else None

    @property
    def commands(self) -> list[str]:
        """Its shell commands, comments removed and continued lines joined."""
        commands, line = [], ""
        for part in self.text.replace("\\\n", " ").splitlines():
            line += part.split(" #")[0].strip()
            if line and line.count("'") % 2 == 0:
                commands.append(line)
                line = ""
        return commands


def snippets(page: Path) -> list[Snippet]:
    """Return the blocks of code of a page in Markdown, in their order."""
    text = page.read_text()
    return [
        Snippet(f"{page.name}:{text.count(chr(10), 0, found.start()) + 1}", found[2], textwrap.dedent(found[3]))
        for found in BLOCK.finditer(text)
    ]


def of(language: str, all_of_them: Iterable[Snippet]) -> list[Snippet]:
    """Return those in one language."""
    return [snippet for snippet in all_of_them if snippet.language == language]


def exported(command: str) -> dict[str, str]:
    """Return the variables that an ``export`` sets."""
    words = shlex.split(command)
    assert words[0] == "export"
    return dict(word.split("=", 1) for word in words[1:])
