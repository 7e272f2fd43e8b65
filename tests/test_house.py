"""Who may import whom in the package: downwards only, wherever in a file the import stands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_magichour"
ROOT = Path(__file__).parent.parent / PACKAGE

# From the roof down. A room imports from lower floors alone, so rooms of one floor do not know each other.
FLOORS = (
    {"operators", "sensors"},
    {"tasks"},
    {"batch"},
    {"fields"},
    {"submission", "triggers"},
    {"media", "waiting"},
    {"hooks", "links", "retries", "metrics"},
    {"api"},
    {"exceptions"},
    {"compat"},
    {"informing"},
    {"__init__"},
    {"extras"},
)
# On floors of their own, and yet neither knows the other.
STRANGERS = {"submission", "waiting"}
# Beside the house: what they may import, while no room imports them.
ANNEXES = {
    "plugins": {"hooks", "api", "compat"},
    "sandbox": {"api", "__init__"},  # __init__: the version
    "example_dags": {"operators", "sensors", "retries", "compat"},
}
# Their modules name neither Airflow nor compat, which has Airflow's names, nor what tells its metrics.
WITHOUT_AIRFLOW = {"api", "waiting", "submission", "batch"}
WITH_AIRFLOW = {"submission.record"}


def allowed(room: str) -> set[str]:
    """Return the rooms that this one may import; an unknown room none, and a KeyError says so."""
    if room in ANNEXES:
        return ANNEXES[room]
    floors = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    if not floors:
        raise KeyError(f"{room} is on no floor: say in {Path(__file__).name} what it may import")
    below = set().union(*FLOORS[floors[0] + 1 :])
    return below - STRANGERS if room in STRANGERS else below


def imports(module: str, source: str) -> Iterator[str]:
    """Yield the full name of whatever a module of the package imports, at any place in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = f"{PACKAGE}.{module}".split(".")[: -node.level] if node.level else []
            parent = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{parent}.{alias.name}" for alias in node.names)


def owner(name: str, modules: dict[str, str]) -> str:
    """Return the module of the package that a full name belongs to: itself, or the longest beginning of it."""
    parts = name.split(".")[1:]
    beginnings = (parts[:length] for length in range(len(parts), 0, -1))
    known = (each for beginning in beginnings for each in (".".join(beginning), ".".join([*beginning, "__init__"])))
    return next((each for each in known if each in modules), "__init__")


def wrong_imports(modules: dict[str, str]) -> list[str]:
    """Return each import that the rules forbid, among modules by name ("api.client") with their source."""
    wrong = []
    for module, source in modules.items():
        room = module.partition(".")[0]
        for name in imports(module, source):
            top = name.partition(".")[0]
            other = owner(name, modules).partition(".")[0] if top == PACKAGE else top
            upwards = top == PACKAGE and other not in {room, *allowed(room)}
            of_airflow = (
                other in {"airflow", "compat", "metrics"} and room in WITHOUT_AIRFLOW and module not in WITH_AIRFLOW
            )
            if upwards or of_airflow:
                wrong.append(f"{module} imports {name}")
    return wrong


def the_package() -> dict[str, str]:
    files = sorted(ROOT.rglob("*.py"))
    return {".".join(file.relative_to(ROOT).with_suffix("").parts): file.read_text() for file in files}


def test_each_room_imports_downwards_only_and_airflow_stays_out_of_what_does_without() -> None:
    assert wrong_imports(the_package()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = the_package()
    graph = {
        module: {owner(name, modules) for name in imports(module, source) if name.startswith(f"{PACKAGE}.")} - {module}
        for module, source in modules.items()
    }

    list(TopologicalSorter(graph).static_order())  # says which, if there is one


def test_rooms_of_the_rule_exist() -> None:
    known = set().union(ANNEXES, *FLOORS)

    assert known == {module.partition(".")[0] for module in the_package()}


def test_the_layout_of_the_contributors_page_names_every_module() -> None:
    page = (ROOT.parent / "CONTRIBUTING.md").read_text().split("## Layout")[1]
    layout = set(re.findall(r"\w+", page.split("\ntests/")[0]))
    # The page has one line for each of these rooms as a whole.
    whole = ("operators", "sandbox", "example_dags")
    told = {module.rpartition(".")[2] for module in the_package() if not module.startswith(whole)}
    assert told <= layout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("waiting.watch", "from airflow_provider_magichour.submission.decision import decide"),
        ("submission.decision", "from airflow_provider_magichour.waiting.watch import Watch"),
        ("submission.submit", "import airflow_provider_magichour.triggers"),
        ("waiting.lookout", "from airflow_provider_magichour import triggers"),
        ("media.download", "from airflow_provider_magichour.waiting import watch"),
        ("hooks", "from airflow_provider_magichour import media"),
        ("api.client", "from airflow_provider_magichour.hooks import MagicHourHook"),
        ("api.client", "from ..hooks import MagicHourHook"),
        ("api.client", "from .. import hooks"),
        ("exceptions", "from airflow_provider_magichour.api.schemas import Project"),
        ("plugins.receiver", "from airflow_provider_magichour.waiting.watch import Watch"),
        ("plugins.webhooks", "from airflow_provider_magichour.exceptions import MagicHourError"),
        ("sandbox.app", "from airflow_provider_magichour.hooks import MagicHourHook"),
        ("example_dags.example_chain", "from airflow_provider_magichour.media import stores"),
        ("operators.download", "from airflow_provider_magichour.example_dags import example_chain"),
        ("operators.download", "from airflow_provider_magichour.sandbox import Sandbox"),
        ("operators.download", "from airflow_provider_magichour.sensors import MagicHourProjectSensor"),
        ("triggers", "from airflow_provider_magichour.plugins.deliveries import event_of"),
        ("api.client", "import airflow"),
        ("waiting.lookout", "from airflow.providers.common.compat.sdk import conf"),
        ("submission.budget", "from airflow.sdk import Context"),
        ("waiting.shared", "from airflow_provider_magichour.compat import conf"),
        ("waiting.lookout", "from airflow_provider_magichour import metrics"),
        ("sandbox.server", "from airflow_provider_magichour import compat"),
    ],
)
@pytest.mark.parametrize("place", ["{}", "def work():\n    {}", "if TYPE_CHECKING:\n    {}"])
def test_what_the_rule_forbids_is_found_at_any_place(module: str, line: str, place: str) -> None:
    assert len(wrong_imports({**the_package(), module: place.format(line)})) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("operators.download", "from airflow_provider_magichour.waiting.watch import Watch"),
        ("api.client", "from airflow_provider_magichour import __version__"),
        ("api.client", "from . import transport"),
        ("submission.record", "from airflow.sdk import Context"),
        ("plugins.receiver", "from airflow_provider_magichour.hooks import MagicHourHook"),
    ],
)
def test_what_the_rule_allows_passes(module: str, line: str) -> None:
    assert wrong_imports({**the_package(), module: line}) == []
