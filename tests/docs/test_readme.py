"""What README.md shows works as shown: copied, line by line, into an empty folder."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_magichour.hooks import MagicHourHook
from tests.scenes.snippets import exported, of, snippets

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BINARIES = Path(sys.executable).parent

ALL = snippets(ROOT / "README.md")
(DAG_FILE,) = of("python", ALL)
BLOCKS = of("bash", ALL)
COMMANDS = [command for snippet in BLOCKS for command in snippet.commands]


def block(word: str) -> str:
    (found,) = [snippet.text for snippet in BLOCKS if word in snippet.text]
    return found


@contextmanager
def running_sandbox(command: str) -> Iterator[str]:
    """Start the sandbox as shown, on a free port and rendering nothing; yield what it says."""
    name, option, port, *others = shlex.split(command)
    assert (option, port.isdigit()) == ("--port", True)
    arguments = [str(BINARIES / name), option, "0", *others, "--render-seconds", "0"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield "".join(process.stdout.readline() for _ in range(3))
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_sandbox_starts_prints_the_connection_that_is_shown_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    command = block("magichour-sandbox").strip()
    shown = exported(next(command for command in COMMANDS if "AIRFLOW_CONN" in command))
    with running_sandbox(command) as greeting:
        printed = re.search(r"AIRFLOW_CONN_MAGICHOUR_DEFAULT='(.*)'", greeting)
        assert printed, greeting
        connection = json.loads(printed[1])
        url = connection["host"]
        port = shlex.split(command)[2]
        assert json.loads(shown["AIRFLOW_CONN_MAGICHOUR_DEFAULT"]) == connection | {"host": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", printed[1])
        assert MagicHourHook().test_connection()[0]
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_the_quick_start_is_the_first_page_too() -> None:
    page = (ROOT / "docs" / "quick-start.md").read_text()
    marks: list[Any] = re.findall(r"^:(?:start-after|end-before): (.*)$", page, re.M)
    assert len(marks) == 2
    between = README.split(marks[0])[1].split(marks[1])[0]
    assert DAG_FILE.text in between


def test_install_commands_name_this_distribution_and_its_extras() -> None:
    installs = [shlex.split(command) for command in COMMANDS if command.startswith("pip ")]
    assert installs
    metadata = (ROOT / "pyproject.toml").read_text()
    for _, _, *packages in installs:
        for package in packages:
            name, extra = re.fullmatch(r"([\w-]+)(?:\[(\w+)\])?", package).groups()  # type: ignore[union-attr]
            assert f'name = "{name}"' in metadata
            assert extra is None or f"\n{extra} = [" in metadata
