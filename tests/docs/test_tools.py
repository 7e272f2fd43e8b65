"""The page of all tools says what the rows say, and its examples make requests."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_magichour.api.fields import Reading
from airflow_provider_magichour.api.requests import tool_request
from airflow_provider_magichour.api.tool_rows import ROWS, TOOLS
from airflow_provider_magichour.api.tools import Tool, row
from tests.scenes.snippets import Snippet, of, snippets
from tools.page_of_tools import PAGE, example, page

EXAMPLES = of("py", snippets(PAGE))


def arguments(snippet: Snippet) -> dict[str, Any]:
    called: dict[str, Any] = eval(snippet.text, {"MagicHourGenerateOperator": dict})
    return called


def test_the_page_is_what_the_rows_make_of_it() -> None:
    assert PAGE.read_text() == page(ROWS), "the rows have changed: run `python -m tools.page_of_tools`"


def test_each_tool_has_an_example() -> None:
    assert [arguments(snippet)["tool"] for snippet in EXAMPLES] == list(TOOLS)


@pytest.mark.parametrize("snippet", EXAMPLES, ids=str)
def test_each_example_makes_a_request_with_no_warning_to_give(snippet: Snippet) -> None:
    fields = arguments(snippet)
    tool, task = fields.pop("tool"), fields.pop("task_id")

    request = tool_request(tool, fields)

    assert request.tool is TOOLS[tool]
    assert dict(request.body) == fields
    assert task.isidentifier()


MADE_UP = row(
    "ai-made-up audio MADE_UP Made Up",
    """
    assets.from!:word assets.image_file_path:image assets.clips[].video_file_path!:video|gif assets.clips!:list
    loud!:boolean style!:object style.mood:word times!:count
    """,
    needs=("assets.from=file assets.image_file_path", "style.mood|loud"),
    outputs="times",
    expected=7,
    price=3,
)


def test_a_32nd_tool_needs_its_row_alone() -> None:
    text = page([*ROWS, MADE_UP])

    assert "| [ai-made-up](#ai-made-up) | audio | 3 credits | 7 s |" in text
    assert "| `assets.clips[].video_file_path` | a file: video or gif, required in each item |" in text
    assert "`assets.from` = `file` needs `assets.image_file_path`." in text
    assert _body(MADE_UP)["assets"] == {
        "from": "file",
        "clips": [{"video_file_path": "s3://media/cat.mp4"}],
        "image_file_path": "s3://media/cat.jpg",
    }


def _body(tool: Tool) -> dict[str, Any]:
    """Return an example of a tool, held against its row."""
    read = Reading(tool, example(tool))
    assert (read.problems, read.unknown) == ([], [])
    return read.body
