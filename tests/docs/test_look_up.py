"""The pages to look things up in say what the code says."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from airflow_provider_magichour import exceptions
from airflow_provider_magichour.api.schemas import INCURABLE_CODES
from airflow_provider_magichour.batch.manifest import MOST_ITEMS
from airflow_provider_magichour.compat import AirflowFailException
from airflow_provider_magichour.plugins.deliveries import MOST_BYTES
from airflow_provider_magichour.plugins.receiver import MOST_SECONDS
from airflow_provider_magichour.submission.record import PREVIOUS_KEPT
from tools.page_of_benchmarks import PICTURE, picture, with_figures
from tools.page_of_costs import with_prices
from tools.test_install import RELEASES
from tools.test_matrix import NEWEST_PYTHON, NEWEST_TRIED, OLDEST_PYTHON

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def test_each_error_is_listed_once_with_whether_it_is_retried() -> None:
    rows = re.findall(r"^\| `(MagicHour\w+Error)` \|.*\| (yes|no) \|$", page("troubleshooting"), re.M)
    classes = {name for name, value in vars(exceptions).items() if name.startswith("MagicHour")}
    assert sorted(name for name, _ in rows) == sorted(classes - {"MagicHourError"})
    for name, retried in rows:
        assert issubclass(getattr(exceptions, name), AirflowFailException) is (retried == "no"), name


PACKAGE = Path(exceptions.__file__).parent


def texts() -> str:
    """All texts of the package as they stand in its code, one in a line; ``{}`` where something is put in."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(" ".join(text.split()) for text in found)


MESSAGES = [
    message
    for first in re.findall(r"^\| (`.*?) \| ", page("troubleshooting").split("## Messages")[1], re.M)
    for message in re.findall(r"`([^`]+)`", first)
    if "(Airflow's)" not in first
]


@pytest.mark.parametrize("message", [message for message in MESSAGES if " " in message])
def test_each_message_of_the_page_is_one_that_the_code_has(message: str) -> None:
    pattern = ".*".join(re.escape(part.strip()) for part in message.split("...") if part.strip())
    assert re.search(pattern, texts())


def test_each_code_that_no_retry_cures_is_listed() -> None:
    listed = set(re.findall(r"^\| `(\w+)(?:\.\.\.)?` \|", page("troubleshooting").split("## Why")[1], re.M))
    assert listed == INCURABLE_CODES | {"invalid_", "canceled"}


def test_prices_are_those_of_the_tables() -> None:
    assert page("costs") == with_prices(page("costs")), "run `python -m tools.page_of_costs`"


def test_the_figures_of_benchmarks_are_those_of_the_raw_output() -> None:
    raw = page("measurements")
    assert page("benchmarks") == with_figures(page("benchmarks"), raw), "run `python -m tools.page_of_benchmarks`"
    assert PICTURE.read_text() == picture(raw), "run `python -m tools.page_of_benchmarks`"


def test_what_is_required_is_what_is_said_to_be_required() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (>=[\d.]+) \|$", page("compatibility"), re.M)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert sorted(map("".join, rows)) == sorted(wanted)


def test_what_is_tried_is_what_is_said_to_be_tried() -> None:
    rows = re.findall(r"^\| (3\.\d) \| (.*?) \| (.*?) \| (.*?) \|$", page("compatibility"), re.M)
    assert {(airflow, *pythons.split(", ")) for airflow, pythons, _, _ in rows} == {
        (name, *(f"3.{python}" for python in range(OLDEST_PYTHON, NEWEST_PYTHON.get(name, NEWEST_TRIED) + 1)))
        for name in (path.stem.removeprefix("airflow-") for path in (ROOT / "constraints").glob("airflow-*.txt"))
    }
    for name, _, tried, _ in rows:
        assert f"\napache-airflow=={tried}\n" in (ROOT / "constraints" / f"airflow-{name}.txt").read_text()
    assert [release for row in rows for release in row[3].split(", ")] == list(RELEASES)


def test_the_stores_that_are_said_to_be_tried_are_those_of_make_test_stores() -> None:
    pins = [(ROOT / "constraints" / name).read_text() for name in ("stores.txt", "airflow-3.3.txt")]
    used = dict(re.findall(r"^([\w-]+)==(.*)$", "\n".join(pins), re.M))
    used |= dict(re.findall(r"^(azurite)=azurite@(.*)$", (ROOT / "tools" / "stores.sh").read_text(), re.M))
    table = page("download").partition("### What was tried")[2].partition("\n### ")[0]
    said = dict(re.findall(r"([\w-]+) (\d[\d.]+\d)\b", table.lower()))
    assert len(said) == 7
    assert said == {name: used[name] for name in said}


def test_limits_are_those_of_the_code() -> None:
    text = page("limits")
    for shown in (f"{MOST_ITEMS:,} items", f"{MOST_BYTES // 1024} KiB, {MOST_SECONDS} s", f"the last {PREVIOUS_KEPT} "):
        assert shown in text


# Links


PAGES = [*DOCS.glob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and Sphinx make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#{1,4} (.*)", text, re.M)]
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_link_inside_is_dead(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        leads_to = (path.parent / name).resolve() if name else path
        assert leads_to.is_file(), target
        assert not anchor or anchor in anchors(leads_to), target


def test_every_page_is_reached_from_the_first_one() -> None:
    listed = re.findall(r"^([\w-]+)$", page("index"), re.M)
    assert sorted(listed) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_every_picture_is_shown() -> None:
    shown = "".join(path.read_text() for path in PAGES)
    assert {each.name for each in (DOCS / "images").iterdir()} == set(re.findall(r"images/([\w.-]+)\)", shown))


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150
