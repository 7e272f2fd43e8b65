"""What Airflow, package managers and readers of the documentation are told about this provider."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
from airflow.configuration import conf

import airflow_provider_magichour
from airflow_provider_magichour import exceptions, get_provider_info
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.operators import (
    MagicHourDetectFacesOperator,
    MagicHourDownloadOperator,
    MagicHourGenerateOperator,
    MagicHourImageToVideoOperator,
)
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from airflow_provider_magichour.triggers import MagicHourProjectTrigger

DISTRIBUTION = "airflow-provider-magichour"
ROOT = Path(__file__).parent.parent

OPERATORS = [
    pytest.param(
        MagicHourImageToVideoOperator(task_id="submit", image="a.png", end_seconds=5),
        id="MagicHourImageToVideoOperator",
    ),
    pytest.param(
        MagicHourDownloadOperator(task_id="fetch", project_id="p1", destination="clips/"),
        id="MagicHourDownloadOperator",
    ),
    pytest.param(
        MagicHourDetectFacesOperator(task_id="detect", target="a.png"),
        id="MagicHourDetectFacesOperator",
    ),
    pytest.param(MagicHourProjectSensor(task_id="wait", project_id="p1"), id="MagicHourProjectSensor"),
]
PUBLIC_CLASSES = [
    MagicHourHook,
    MagicHourGenerateOperator,
    MagicHourImageToVideoOperator,
    MagicHourDownloadOperator,
    MagicHourDetectFacesOperator,
    MagicHourProjectSensor,
    MagicHourProjectTrigger,
    exceptions.MagicHourApiError,
    exceptions.MagicHourProjectFailedError,
]


def named_in(info):
    """Return every dotted name of our package in the provider info."""
    if isinstance(info, dict):
        info = list(info.values())
    if isinstance(info, list):
        return sorted({name for part in info for name in named_in(part)})
    return [info] if isinstance(info, str) and info.startswith("airflow_provider_magichour.") else []


def test_the_provider_info_is_what_airflow_expects():
    schema = importlib.resources.files("airflow").joinpath("provider_info.schema.json")
    jsonschema.validate(get_provider_info(), json.loads(schema.read_text(encoding="utf-8")))


def rule_of_connection_types():
    """Return what Airflow demands of the connection types of its own providers: more than of others'."""
    schema = importlib.resources.files("airflow").joinpath("provider.yaml.schema.json")
    return json.loads(schema.read_text(encoding="utf-8"))["properties"]["connection-types"]


def knows_forms(rule):
    return "conn-fields" in rule["items"]["properties"]


def test_the_connection_form_is_what_airflow_expects_of_its_own_providers():
    rule = rule_of_connection_types()
    if not knows_forms(rule):
        pytest.skip("this Airflow has no forms from metadata")
    jsonschema.validate(get_provider_info()["connection-types"], rule)


def test_the_fields_of_the_form_have_help_and_the_defaults_of_the_hook():
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    defaults = ClientSettings(api_key="")
    assert {name: field["schema"]["default"] for name, field in fields.items()} == {
        name: getattr(defaults, name) for name in ("request_timeout", "requests_per_second", "max_connections")
    }
    for field in fields.values():
        assert field["label"]
        assert f"Empty: {field['schema']['default']}." in field["description"]
        assert 0 < field["schema"]["minimum"] < field["schema"]["default"] < field["schema"]["maximum"]


def test_the_list_of_providers_leads_to_documentation():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Documentation"].startswith("https://")


def test_no_field_of_the_form_is_called_as_what_it_is_part_of():
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    assert not {field["label"] for field in fields.values()} & {"Connection", "Connections"}


def test_the_form_shows_the_port_that_the_test_button_needs():
    assert "port" not in get_provider_info()["connection-types"][0]["ui-field-behaviour"]["hidden-fields"]


def test_the_operators_have_the_link_that_is_declared():
    (link,) = get_provider_info()["extra-links"]
    for owner in (MagicHourImageToVideoOperator, MagicHourProjectSensor, MagicHourDownloadOperator):
        assert [f"{type(each).__module__}.{type(each).__name__}" for each in owner.operator_extra_links] == [link]


COMMANDS = {
    "list": [DISTRIBUTION],
    f"get {DISTRIBUTION} --full": [*named_in(get_provider_info()), "API key", "Base URL", "request_timeout"],
    "hooks": ["airflow_provider_magichour.hooks.MagicHourHook", "magichour_conn_id", "Magic Hour"],
    "widgets": [f"extra__magichour__{name}" for name in ("request_timeout", "requests_per_second", "max_connections")],
    "behaviours": ["magichour"],
    "links": ["airflow_provider_magichour.links.MagicHourProjectLink"],
    "triggers": ["airflow_provider_magichour.triggers"],
}
AIRFLOW = """
import sys
from airflow.cli.cli_parser import get_parser

for command in sys.argv[1:]:
    print("COMMAND", command, flush=True)
    arguments = get_parser().parse_args(["providers", *command.split(), "--output", "json"])
    arguments.func(arguments)
"""


@pytest.fixture(scope="module")
def airflow_providers(tmp_path_factory):
    """What each ``airflow providers ...`` shows of this provider, asked in one process: each start takes seconds."""
    done = subprocess.run(
        [sys.executable, "-c", AIRFLOW, *COMMANDS],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "magichour" not in done.stderr.lower()
    parts = [part.split("\n", 1) for part in done.stdout.split("COMMAND ")[1:]]
    tables = {
        command: next((line for line in text.splitlines() if line.startswith("[{")), "[]") for command, text in parts
    }
    return {
        command: json.dumps([row for row in json.loads(table) if "magichour" in json.dumps(row)])
        for command, table in tables.items()
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_airflow_providers_shows_all_of_it(airflow_providers, command):
    if command in ("widgets", "behaviours") and not knows_forms(rule_of_connection_types()):
        pytest.skip("this Airflow has no forms from metadata, and its command does not ask the hook without wtforms")
    assert [name for name in COMMANDS[command] if f'"{name}"' not in airflow_providers[command]] == []


def test_older_airflows_get_the_same_labels_from_the_hook():
    behaviour = MagicHourHook.get_ui_field_behaviour()
    assert behaviour["relabeling"] == {"password": "API key", "host": "Base URL"}
    assert behaviour["hidden_fields"] == ["schema", "login"]


def test_the_provider_info_is_json():
    assert json.loads(json.dumps(get_provider_info())) == get_provider_info()


def test_the_package_name_is_that_of_the_distribution():
    assert importlib.metadata.metadata(get_provider_info()["package-name"])["Name"] == DISTRIBUTION


def test_the_versions_agree():
    newest = re.search(r"^## v?(\d\S*)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None, "CHANGELOG.md has no line like '## 0.1.0'"
    version = airflow_provider_magichour.__version__
    assert [newest[1], get_provider_info()["versions"][0]] == [version, version]


def test_the_provider_info_names_modules_and_classes():
    assert {"airflow_provider_magichour.operators", "airflow_provider_magichour.hooks.MagicHourHook"} <= set(
        named_in(get_provider_info())
    )


@pytest.mark.parametrize("name", named_in(get_provider_info()))
def test_every_name_in_the_provider_info_can_be_imported(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_the_connection_type_is_that_of_the_hook():
    (connection,) = get_provider_info()["connection-types"]
    assert connection["connection-type"] == MagicHourHook.conn_type == "magichour"
    assert connection["hook-name"] == MagicHourHook.hook_name
    assert MagicHourHook().magichour_conn_id == MagicHourHook.default_conn_name == "magichour_default"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("apache_airflow_provider", "provider_info"),
        ("airflow.plugins", "magichour_webhooks"),
        ("pytest11", "magichour"),
        ("console_scripts", "magichour-sandbox"),
    ],
)
def test_an_entry_point_can_be_loaded(group, name):
    found = importlib.metadata.distribution(DISTRIBUTION).entry_points.select(group=group, name=name)
    assert [entry_point.load() is not None for entry_point in found] == [True]


def test_airflow_finds_the_provider_info():
    (found,) = importlib.metadata.distribution(DISTRIBUTION).entry_points.select(group="apache_airflow_provider")
    assert found.load() is get_provider_info


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("hooks", "MagicHourHook"),
        ("operators", "MagicHourImageToVideoOperator"),
        ("operators", "MagicHourDownloadOperator"),
        ("sensors", "MagicHourProjectSensor"),
        ("triggers", "MagicHourProjectTrigger"),
        ("links", "MagicHourProjectLink"),
        ("retries", "magichour_retry_policy"),
        ("sandbox", "Sandbox"),
        ("exceptions", "MagicHourError"),
        ("exceptions", "MagicHourApiError"),
        ("exceptions", "MagicHourRejectedError"),
        ("exceptions", "MagicHourStorageError"),
        ("exceptions", "MagicHourInvalidRequestError"),
        ("exceptions", "MagicHourUnsureSubmissionError"),
        ("exceptions", "MagicHourProjectFailedError"),
        ("exceptions", "MagicHourProjectRejectedError"),
        ("exceptions", "MagicHourTimeoutError"),
    ],
)
def test_a_public_name_is_where_it_is_documented(module, name):
    assert hasattr(importlib.import_module(f"airflow_provider_magichour.{module}"), name)


@pytest.mark.parametrize(
    ("error", "parent", "retried"),
    [
        ("MagicHourApiError", "MagicHourError", True),
        ("MagicHourRejectedError", "MagicHourApiError", False),
        ("MagicHourStorageError", "MagicHourError", True),
        ("MagicHourInvalidRequestError", "MagicHourError", False),
        ("MagicHourUnsureSubmissionError", "MagicHourError", False),
        ("MagicHourProjectFailedError", "MagicHourError", True),
        ("MagicHourProjectRejectedError", "MagicHourProjectFailedError", False),
        ("MagicHourTimeoutError", "MagicHourError", True),
    ],
)
def test_airflow_retries_only_what_another_try_can_heal(error, parent, retried):
    kind = getattr(exceptions, error)
    assert issubclass(kind, getattr(exceptions, parent))
    assert issubclass(kind, exceptions.MagicHourError)
    assert issubclass(kind, exceptions.AirflowException)
    assert issubclass(kind, exceptions.AirflowFailException) is not retried


DEFAULTS = [
    *(
        (MagicHourImageToVideoOperator, *row)
        for row in [
            ("image", inspect.Parameter.empty),
            ("end_seconds", inspect.Parameter.empty),
            ("end_image", None),
            ("model", None),
            ("resolution", None),
            ("audio", None),
            ("prompt", None),
            ("name", None),
            ("magichour_conn_id", "magichour_default"),
            ("conn_id", None),
            ("extra_body", None),
            ("wait_for_completion", None),
            ("poll_interval", None),
            ("timeout", 3600),
            ("durable", True),
            ("on_unsure_submission", "fail"),
            ("max_credits", None),
            ("check_balance", False),
            ("validate_request", True),
        ]
    ),
    *(
        (MagicHourDownloadOperator, *row)
        for row in [
            ("project_id", inspect.Parameter.empty),
            ("destination", inspect.Parameter.empty),
            ("kind", "video"),
            ("conn_id", None),
            ("magichour_conn_id", "magichour_default"),
            ("overwrite", False),
        ]
    ),
    *(
        (MagicHourProjectSensor, *row)
        for row in [
            ("project_id", inspect.Parameter.empty),
            ("kind", "video"),
            ("magichour_conn_id", "magichour_default"),
        ]
    ),
]


@pytest.mark.parametrize(
    ("owner", "argument", "default"), [pytest.param(*row, id=f"{row[0].__name__}-{row[1]}") for row in DEFAULTS]
)
def test_an_argument_has_its_documented_default(owner, argument, default):
    assert inspect.signature(owner.__init__).parameters[argument].default == default


@pytest.mark.parametrize("owner", [MagicHourImageToVideoOperator, MagicHourProjectSensor])
def test_deferring_follows_airflows_default(owner):
    default = conf.getboolean("operators", "default_deferrable", fallback=False)
    assert inspect.signature(owner.__init__).parameters["deferrable"].default is default


def documented(owner):
    """Return the ``:param:`` texts of a class by name."""
    parts = re.split(r"^:", inspect.cleandoc(owner.__doc__), flags=re.MULTILINE)
    found = (re.match(r"param (\w+):\s*(.*)", part, re.DOTALL) for part in parts)
    return {match[1]: match[2].strip() for match in found if match}


@pytest.mark.parametrize("owner", PUBLIC_CLASSES)
def test_every_argument_is_documented(owner):
    arguments = {
        name
        for name, parameter in inspect.signature(owner.__init__).parameters.items()
        if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    assert arguments - {name for name, text in documented(owner).items() if text} == set()


@pytest.mark.parametrize("owner", PUBLIC_CLASSES)
def test_nothing_is_documented_that_is_no_argument(owner):
    assert set(documented(owner)) - set(inspect.signature(owner.__init__).parameters) == set()


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_template_field_is_an_attribute(operator):
    assert [name for name in operator.template_fields if not hasattr(operator, name)] == []


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_template_field_is_an_argument(operator):
    assert set(operator.template_fields) <= set(inspect.signature(type(operator).__init__).parameters)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_documentation_says_what_is_templated(operator):
    said = {name for name, text in documented(type(operator)).items() if "(templated)" in text}
    assert said == set(operator.template_fields)


@pytest.mark.parametrize("operator", OPERATORS)
def test_how_a_template_field_is_shown_is_said_for_template_fields_alone(operator):
    assert set(operator.template_fields_renderers) <= set(operator.template_fields)


def test_the_package_page_has_no_link_to_a_file_beside_it():
    description = importlib.metadata.metadata(DISTRIBUTION)["Description"]
    assert "# airflow-provider-magichour" in description
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_the_source_archive_has_all_that_the_tests_read():
    with (ROOT / "pyproject.toml").open("rb") as file:
        included = set(tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    tracked = {path.name for path in ROOT.iterdir() if path.name.isidentifier() and any(path.glob("*.*"))}
    assert tracked - {"build", "dist", "demo"} <= included
    assert {"Makefile", "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"} <= included
