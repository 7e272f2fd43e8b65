"""Write docs/tools.md, the page of all tools, from their rows: `python -m tools.page_of_tools`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airflow_provider_magichour import operators
from airflow_provider_magichour.api.capabilities import PRICES_OF
from airflow_provider_magichour.api.tool_rows import ROWS
from airflow_provider_magichour.api.tools import Need, Price, Tool, value_at

PAGE = Path(__file__).parent.parent / "docs" / "tools.md"

INTRO = """\
<!-- Written by `python -m tools.page_of_tools` from the rows in api/tool_rows.py. -->

# All tools

*New in 0.2.0.*

`MagicHourGenerateOperator` submits a project of any of these tools, and pays for it once, as
[image-to-video](submit.md) does. Some tools also have an operator of their own, which their section names.

- **Arguments** are the API's own fields, templated at any depth. A path on this page such as `style.prompt` means
  `style={{"prompt": ...}}`.
- **Files** are given [as for image-to-video](submit.md#the-image). The result of a task that waits is a file too:
  `assets={{"video_file_path": wait.output}}`. Magic Hour takes it from the library of the same account, so nothing is
  downloaded or uploaded.
- **Checks**: required fields and types are checked before anything is sent. The words that a field may have, such as
  voices, styles and resolutions, are left to the API, because they change every few weeks.
- **Faces**: to swap single faces, find them first with `MagicHourDetectFacesOperator`, as in
  [`example_face_swap.py`](examples.md).
- **Prices** are of {prices}. [`max_credits`](costs.md#limit-a-task) refuses a tool without a published price. Usual
  times are Magic Hour's medians; the newest tools have none yet.

| tool | makes | price | usual time |
| --- | --- | --- | --- |
"""

OWN = {vars(getattr(operators, name)).get("tool"): name for name in operators.__all__}
"""Which tool has which operator of its own."""

LINE = 120
"""Characters of a line of code."""

WHAT = {
    "text": "a text",
    "word": "a word",
    "file": "a file",
    "number": "a number",
    "positive": "a number above 0",
    "integer": "a whole number",
    "count": "a whole number above 0",
    "boolean": "true or false",
    "object": "a dict",
    "list": "a list",
}
FILES = {"image": "s3://media/cat.jpg", "video": "s3://media/cat.mp4", "audio": "s3://media/cat.mp3"}
SAMPLES: dict[str, Any] = {"number": 0, "positive": 5, "integer": 512, "count": 1, "boolean": True, "list": []}

# What examples say where any word would not do, by the end of a field's path.
WORDS: dict[str, Any] = {
    "art_style": "Van Gogh",
    "assets.face_swap_mode": "all-faces",
    "camera_effect": "Simple Zoom In",
    "content": "https://example.com",
    "duration": 30,
    "end_seconds": 5,
    "fps": 12,
    "prompt": "a cat on a window sill",
    "prompt_type": "custom",
    "resolution": "720p",
    "scale_factor": 2,
    "script": "This is the pillow that my cat has chosen.",
    "style.template": "Cinematic",
    "target_language": "es",
    "topic": "cats and Mondays",
    "transition_speed": 5,
    "voice_name": "Elon Musk",
}
ALWAYS = ("assets.face_swap_mode",)
"""Not required, and yet in examples: what the API takes for granted has conditions of its own."""


def page(tools: Iterable[Tool]) -> str:
    """Return the page of some tools."""
    tools = list(tools)
    lines = [f"| [{tool.name}](#{tool.name}) | {tool.kind} | {price_of(tool)} | {time_of(tool)} |\n" for tool in tools]
    return INTRO.format(prices=PRICES_OF) + "".join(lines) + "".join(map(section, tools))


def section(tool: Tool) -> str:
    """Return what the page says of one tool."""
    fields = "".join(
        f"| `{path}` | {what_is(tool, path)} |\n"
        for path, type_ in sorted(tool.fields.items())
        if type_ not in ("object", "list") or path in tool.required
    )
    needs = "".join(f"\n{condition(need)}\n" for need in tool.needs)
    outputs = f"\n`{tool.outputs}` says how many results it makes.\n" if tool.outputs else ""
    own = f" Its own operator is `{OWN[tool.name]}`." if tool.name in OWN else ""
    return (
        f"\n## {tool.name}\n\n{tool.title} ({tool.kind}). Price: {price_of(tool)}. Usual time: {time_of(tool)}.{own}\n"
        f"\n| field | what it is |\n| --- | --- |\n{fields}{needs}{prices_of(tool)}{outputs}\n"
        f"```py\n{call(tool)}```\n"
    )


def what_is(tool: Tool, path: str) -> str:
    """Return what a field takes, in words."""
    said = WHAT[tool.fields[path]]
    if media := tool.files.get(path):
        said = f"a file: {' or '.join(media)}"
    if path in tool.required:
        said += ", required" + (" in each item" if "[]" in path else "")
    return f"{said}; deprecated: {tool.deprecated[path]}" if path in tool.deprecated else said


def condition(need: Need) -> str:
    """Return a condition in words."""
    wanted = " or ".join(f"`{path}`" for path in need.of)
    return f"`{need.where}` = `{need.value}` needs {wanted}." if need.where else f"{wanted} is needed."


def time_of(tool: Tool) -> str:
    """Return how long a render usually takes."""
    return "not known" if tool.expected_render is None else f"{tool.expected_render:g} s"


def price_of(tool: Tool) -> str:
    """Return the price in words."""
    if tool.has_models:
        return "by model and resolution"
    if tool.price is None:
        return "not published"
    each = sorted(tool.price.credits)
    if each == [0]:
        return "free"
    some = f"{each[0]:g}" if len(each) == 1 else f"{each[0]:g} to {each[-1]:g}"
    return f"{some} credit{'' if some == '1' else 's'}{a_unit(tool.price)}"


def a_unit(price: Price) -> str:
    """Return of what it is the price."""
    return "" if price.per == "project" else f" {'an' if price.per == 'image' else 'a'} {price.per}"


def prices_of(tool: Tool) -> str:
    """Return the prices in words, where fields decide; other values have no published one."""
    if tool.price is None or not tool.price.by:
        return ""
    by = " and ".join(f"`{path}`" for path in tool.price.by)
    lines = (f"- {credits:g}: {_values(values)}\n" for credits, values in tool.price.credits.items())
    return f"\nCredits{a_unit(tool.price)} by {by}; what is not listed has no published price:\n\n{''.join(lines)}"


def _values(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" if value else "by default" for value in values)


def call(tool: Tool) -> str:
    """Return a call of the operator, as a DAG has it."""
    arguments = {"task_id": tool.name.replace("-", "_"), "tool": tool.name, **example(tool)}
    lines = [f"    {name}={literal(value, 4, len(name) + 5)},\n" for name, value in arguments.items()]
    return f"MagicHourGenerateOperator(\n{''.join(lines)})\n"


def literal(value: Any, indent: int, column: int) -> str:
    """Return a value as the formatter writes it: in one line where that fits.

    :param indent: of the line that it stands in.
    :param column: where it begins.
    """
    flat = json.dumps(value)
    if column + len(flat) < LINE or not isinstance(value, dict):
        return "True" if value is True else flat
    inner = indent + 4
    lines = [f'{" " * inner}"{name}": {literal(each, inner, inner + len(name) + 4)},\n' for name, each in value.items()]
    return f"{{\n{''.join(lines)}{' ' * indent}}}"


def example(tool: Tool) -> dict[str, Any]:
    """Return fields that make a request: the required ones, and what they need."""
    wanted = [*tool.required, *(path for path in ALWAYS if path in tool.fields)]
    wanted = [path for path in wanted if "[]" not in path]
    body: dict[str, Any] = {}
    for path in wanted:
        _put(body, tool, path)
    for need in tool.needs:
        if not need.where or value_at(body, need.where) == need.value:
            _put(body, tool, need.of[0])
    return body


def _put(body: dict[str, Any], tool: Tool, path: str) -> None:
    """Put a sample at its place, in a list that holds one item with what is required of it."""
    *steps, last = path.split(".")
    for step in steps:
        body = body.setdefault(step, {})
    if tool.fields[path] == "object":
        body.setdefault(last, {})
    elif f"{path}[]" in tool.fields:
        inner = [each for each in tool.required if each.startswith(f"{path}[].")]
        item = {each.rpartition(".")[2]: sample(tool, each) for each in inner}
        body[last] = [item if item else sample(tool, f"{path}[]")]
    else:
        body.setdefault(last, sample(tool, path))


def sample(tool: Tool, path: str) -> Any:
    """Return a value that a field may have."""
    if media := tool.files.get(path):
        return FILES.get(media[0], FILES["video"])
    choices = [need.value for need in tool.needs if need.where == path]
    said = next((WORDS[end] for end in WORDS if f".{path}".endswith(f".{end}")), None)
    return said or next(iter(choices), None) or SAMPLES.get(tool.fields[path], "...")


if __name__ == "__main__":
    PAGE.write_text(page(ROWS))
    print(PAGE)
