"""What the pages in docs/ show works as shown; `make docs` checks their links."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_magichour import exceptions, get_provider_info, operators
from airflow_provider_magichour.api.schemas import Project
from airflow_provider_magichour.api.settings import settings_from
from airflow_provider_magichour.compat import AirflowFailException, conf
from airflow_provider_magichour.extras import CONNECTION_EXTRAS
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.sandbox import Sandbox
from airflow_provider_magichour.submission.record import Record, read_record
from tests.docs.test_readme import running_sandbox
from tests.scenes.batches import IMAGE
from tests.scenes.connections import connected
from tests.scenes.examples import PHOTOS
from tests.scenes.snippets import exported, of, snippets
from tools.airflow.local import LocalAirflow
from tools.airflow.settings import migrated_database

pytest_plugins = ["tests.scenes.airflow_fixture", "tests.scenes.batches"]

if not hasattr(pytest.importorskip("airflow.sdk.execution_time.context"), "NEVER_EXPIRE"):
    pytest.skip("the pages are tried on Airflow 3.3 alone", allow_module_level=True)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BINARIES = Path(sys.executable).parent

# Has tests of its own: the DAGs start on asset events, and the call needs a running receiver.
ELSEWHERE = "webhooks.md"

ALL = [snippet for page in sorted(DOCS.glob("*.md")) for snippet in snippets(page)]
PYTHON = of("python", ALL)
JSON = of("json", ALL)
COMMANDS = [(str(snippet), command) for snippet in of("bash", ALL) for command in snippet.commands]
DAGS = [snippet for snippet in PYTHON if snippet.is_dag and not snippet.place.startswith(ELSEWHERE)]

RUN = """
import json, sys

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag

folder, conf, only = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
bag = DagBag(folder)
assert not bag.import_errors, bag.import_errors
dags = [dag for dag in bag.dags.values() if not only or dag.dag_id in only]
states = {dag.dag_id: str(dag.test(run_conf=conf).state) for dag in dags}
print("states:", json.dumps(states))
"""


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def commands(word: str) -> list[str]:
    """Return the commands that begin with a word."""
    return [command for _, command in COMMANDS if shlex.split(command)[0] == word]


def run(arguments: list[str], environment: dict[str, str], folder: Path | None = None) -> str:
    done = subprocess.run(
        arguments, env=environment, cwd=folder, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return done.stdout


def airflow_home(folder: Path) -> dict[str, str]:
    """Return the environment of an Airflow with an empty database in a folder."""
    folder.mkdir(parents=True)
    shutil.copy(migrated_database(), folder / "airflow.db")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@dataclass
class Ran:
    """What the DAGs of all pages have left.

    :param states: of the runs, by DAG id.
    :param data: the folder that stands for ``/data``.
    :param creates: the projects submitted.
    :param bucket: names of objects in the bucket ``clips``.
    """

    states: dict[str, str]
    data: Path
    creates: int
    bucket: list[str]


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[Any, str]]:
    """A real S3 server with the buckets of the pages: its owner's client, and the Airflow connection to it."""
    servers = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    boto3 = pytest.importorskip("boto3")
    server = servers.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
        )
        for bucket in ("photos", "clips"):
            client.create_bucket(Bucket=bucket)
        for photo in ("cat.jpg", "coffee.jpg"):
            client.put_object(Bucket="photos", Key=photo, Body=(PHOTOS / photo).read_bytes())
        extra = {"region_name": "us-east-1", "endpoint_url": url}
        yield client, json.dumps({"conn_type": "aws", "login": "a", "password": "b", "extra": extra})
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ran(running_sandbox: Sandbox, store: tuple[Any, str], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the DAGs of all pages, each as a file of its own, in one Airflow."""
    tmp_path = tmp_path_factory.mktemp("docs")
    data, folder = tmp_path / "data", tmp_path / "dags"
    shutil.copytree(PHOTOS, data / "photos")
    (data / "items.jsonl").write_text('{"id": "fox", "prompt": "a fox"}\n{"id": "owl", "prompt": "an owl"}\n')
    folder.mkdir()
    for number, snippet in enumerate(DAGS):
        (folder / f"page_{number}.py").write_text(snippet.text.replace("/data/", f"{data}/"))
    client, connection = store
    environment = airflow_home(tmp_path / "airflow") | {
        "AIRFLOW_CONN_MAGICHOUR_DEFAULT": running_sandbox.connection,
        "AIRFLOW_CONN_AWS_DEFAULT": connection,
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
    }
    for command in commands("airflow"):
        if "pools" in command:
            run(shlex.split(command), environment)
    before = len(running_sandbox.requests.to("create"))
    conf = json.dumps({"project_id": running_sandbox.add_job().id})
    said = run([sys.executable, "-c", RUN, str(folder), conf], environment, data)
    creates = len(running_sandbox.requests.to("create")) - before
    bucket = [each["Key"] for each in client.list_objects_v2(Bucket="clips").get("Contents", [])]
    return Ran(json.loads(said.rpartition("states: ")[2]), data, creates, bucket)


def test_every_dag_of_the_pages_runs(ran: Ran) -> None:
    shown = "".join(snippet.text for snippet in DAGS)
    ids = {*re.findall(r'DAG\(\s*"(\w+)"', shown), *re.findall(r"@dag\(.*\)\ndef (\w+)", shown)}
    assert ran.states == dict.fromkeys(ids, "success")
    assert len(ids) >= 10


def test_the_dags_of_the_pages_leave_clips_where_they_say(ran: Ran) -> None:
    assert len(ran.bucket) == 2
    assert all(re.fullmatch(r"[\w-]+\.mp4", name) for name in ran.bucket)
    clips = [path for path in (ran.data / "clips").iterdir() if path.suffix == ".mp4"]
    assert {"cat", "coffee"} <= {path.name.partition("-")[0] for path in clips}
    (images,) = (ran.data / "images").iterdir()
    assert {path.name.partition("-")[0] for path in images.glob("*.png")} == {"fox", "owl"}
    assert all(b"ftyp" in clip.read_bytes()[:16] for clip in clips)


def test_dags_of_pages_with_tests_of_their_own_are_importable(tmp_path: Path) -> None:
    for number, snippet in enumerate(PYTHON):
        if snippet.place.startswith(ELSEWHERE):
            compile(snippet.text, snippet.place, "exec")
            if snippet.is_dag:
                (tmp_path / f"page_{number}.py").write_text(snippet.text)
    said = run([sys.executable, "-c", RUN, str(tmp_path), "{}", "none"], airflow_home(tmp_path / "airflow"))
    assert "states: {}" in said


def test_other_python_runs_against_the_sandbox(sandbox: Sandbox, tmp_path: Path) -> None:
    shutil.copytree(PHOTOS, tmp_path / "photos")
    answers, credits = {}, sandbox.jobs.balance
    for snippet in PYTHON:
        if snippet.is_dag or snippet.is_test or snippet.place.startswith(ELSEWHERE):
            continue
        names: dict[str, Any] = {"__name__": "snippet"}
        exec(compile(snippet.text.replace("/data/", f"{tmp_path}/"), snippet.place, "exec"), names)
        functions = [value for value in names.values() if getattr(value, "__module__", None) == "snippet"]
        answers |= {function.__name__: function() for function in functions}
    assert answers["credits_left"] == credits
    assert answers["submit"] == sandbox.requests.to("create")[-1].job


def test_the_pytest_example_passes_with_the_commands_beside_it(tmp_path: Path) -> None:
    written = [snippet for snippet in PYTHON if snippet.file_name]
    for snippet in written:
        file = tmp_path / str(snippet.file_name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(snippet.text)
    photos = tmp_path / "tests" / "photos"
    photos.mkdir()
    for photo in ("cat.jpg", "coffee.jpg"):
        shutil.copy(PHOTOS / photo, photos)
    (block,) = [snippet for snippet in of("bash", ALL) if "pytest" in snippet.text]
    environment = airflow_home(tmp_path / "unused")
    del environment["AIRFLOW_HOME"]
    said = run(["bash", "-e", "-c", block.text], environment, tmp_path)
    assert f"{sum(snippet.text.count('def test_') for snippet in written)} passed" in said
    (ten_lines,) = [snippet for snippet in written if snippet.file_name == "tests/test_product_clips.py"]
    assert len([line for line in ten_lines.text.splitlines() if line.strip()]) <= 10


def test_faults_of_the_table_can_be_written_as_shown(sandbox: Sandbox) -> None:
    calls = re.findall(r"`((?:faults\.add|settings\.update)\(.*?\))`", page("testing"))
    assert len(calls) >= 8
    for call in calls:
        eval(call, {"faults": sandbox.faults, "settings": sandbox.settings})


def json_with(key: str) -> Any:
    (found,) = [value for value in map(json.loads, (snippet.text for snippet in JSON)) if key in value]
    return found


def test_every_json_is_checked_here() -> None:
    keys = ("Rules", "fingerprint", "not_before", "download_urls", "requests_per_second", "coffee")
    assert len(JSON) == len([json_with(key) for key in keys])


def test_the_lifecycle_rule_is_one_that_s3_takes(store: tuple[Any, str]) -> None:
    rule = json_with("Rules")
    client, _ = store
    (command,) = commands("aws")
    words = shlex.split(command)
    # The command line tool's names are those of the SDK.
    operation = getattr(client, words[2].replace("-", "_"))
    assert [words[3], words[5]] == ["--bucket", "--lifecycle-configuration"]
    operation(Bucket=words[4], LifecycleConfiguration=rule)
    assert client.get_bucket_lifecycle_configuration(Bucket="clips")["Rules"] == rule["Rules"]


def test_unsure_items_are_adopted_as_shown(night: Any, sandbox: Sandbox) -> None:
    shown = json_with("coffee")
    task = night(items=[{"id": item_id, "image": IMAGE} for item_id in shown], submit_at_once=1)
    sandbox.faults.add("create", nth=1, cut=True, after=True)
    sandbox.faults.add("create", nth=2, cut=True)
    assert task.run() == "failed"
    assert task.statuses == dict.fromkeys(shown, "unsure")
    (found,) = task.jobs
    task.adopt(**{item_id: project and found.id for item_id, project in shown.items()})
    assert task.clear() == "success", task.error
    assert task.made == dict.fromkeys(shown, 1)


def test_the_secret_of_webhooks_is_exported_as_the_option_of_the_provider() -> None:
    (shown,) = [exported(command) for command in commands("export") if "WEBHOOK" in command]
    (name,) = shown
    _, section, option = name.split("__")
    assert option.lower() in get_provider_info()["config"][section.lower()]["options"]


@pytest.mark.parametrize("key", ["fingerprint", "not_before"])
def test_the_record_is_one_that_the_operator_reads_and_writes(key: str) -> None:
    shown = json_with(key)
    record = read_record(shown)
    assert isinstance(record, Record)
    assert record.to_json() == shown
    section = page("paying-once").split("## The record")[1].split("\n## ")[0]
    table = {name for row in re.findall(r"^\| (`.*) \|", section, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert set(Record.model_fields) - {"version"} <= table


def test_the_result_has_the_keys_that_are_shown(sandbox: Sandbox) -> None:
    job = sandbox.add_job()
    project: Project = MagicHourHook().get_project(job.id)
    result, shown = project.result("video"), json_with("download_urls")
    assert list(result) == list(shown)
    assert {key: type(value) for key, value in result.items()} == {key: type(value) for key, value in shown.items()}


def test_fields_of_the_connection_have_the_defaults_that_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", '{"conn_type": "magichour", "password": "mhk_k"}')
    defaults = MagicHourHook().settings()
    table = dict(re.findall(r"^\|.*\| extra `(\w+)` \|.*\| (\d+) \|$", page("connection"), re.M))
    assert {name: float(value) for name, value in table.items()} == {
        name: float(getattr(defaults, name)) for name in json_with("requests_per_second")
    }
    connection = MagicHourHook.get_connection("magichour_default")
    assert settings_from(connection, json_with("requests_per_second"), "c").requests_per_second == 10


def test_fields_of_the_connection_have_the_bounds_that_are_shown() -> None:
    shown = re.findall(r"^\|.*\| extra `(\w+)` \|.*; ([\d.]+) to (\d+) \|", page("connection"), re.M)
    assert {name: (float(least), float(most)) for name, least, most in shown} == {
        name: (extra.minimum, extra.maximum) for name, extra in CONNECTION_EXTRAS.items()
    }


def connections_shown() -> list[str]:
    """Return the values of the connections that are exported."""
    shown = [exported(command) for command in commands("export") if "AIRFLOW_CONN_" in command]
    return [variables["AIRFLOW_CONN_MAGICHOUR_DEFAULT"] for variables in shown]


def test_connections_in_the_environment_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(connections_shown()) == 3
    for value in connections_shown():
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", value)
        settings = MagicHourHook().settings()
        if "8765" in settings.base_url:
            continue
        assert settings.api_key == "mhk_live_..."
        assert settings.base_url == "https://api.magichour.ai"
        assert settings.requests_per_second == 10


def test_connection_commands_do_what_they_say(sandbox: Sandbox, tmp_path: Path) -> None:
    environment = airflow_home(tmp_path / "airflow")
    (add,) = [command for command in commands("airflow") if "connections add" in command]
    assert "Successfully added" in run(shlex.split(add), environment)
    (test,) = [snippet for snippet in of("bash", ALL) if "connections test" in snippet.text]
    # As stored it would lead to the real API.
    environment["AIRFLOW_CONN_MAGICHOUR_DEFAULT"] = sandbox.connection
    assert "Connection success!" in run(["bash", "-e", "-c", test.text], environment)


def test_the_reference_has_every_public_class_of_operators() -> None:
    for name in operators.__all__:
        assert f".. autoclass:: airflow_provider_magichour.operators.{name}\n" in page("reference")


def test_the_sandbox_command_starts_as_shown() -> None:
    (command,) = commands("magichour-sandbox")
    shown = next(json.loads(value) for value in connections_shown() if "8765" in value)
    with running_sandbox(command) as greeting:
        printed = re.search(r"AIRFLOW_CONN_MAGICHOUR_DEFAULT='(.*)'", greeting)
        assert printed, greeting
        assert json.loads(printed[1]) | {"host": shown["host"]} == shown


def test_the_sandbox_can_be_scripted_by_http(sandbox: Sandbox) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    said = []
    shown = [command for command in commands("curl") if "_sandbox" in command]
    assert len(shown) == 4
    for command in shown:
        words = shlex.split(command.replace("http://127.0.0.1:8765", sandbox.url))
        said.append(run([words[0], "-s", *words[1:]], dict(os.environ)))
    assert json.loads(said[0])["times"] == 3
    assert sandbox.settings.render_seconds == 0.5
    assert json.loads(said[2])["requests"] == []
    assert len(sandbox.faults) == 0


def packages(command: str) -> list[str]:
    """Return what a command installs, without Airflow itself."""
    words = shlex.split(command.partition("--constraint")[0].partition("pip install")[2])
    return [word for word in words if not word.startswith(("-", "apache-airflow=="))]


def test_extras_that_are_installed_exist() -> None:
    metadata = (ROOT / "pyproject.toml").read_text()
    (image,) = of("dockerfile", ALL)
    for command in [*commands("pip"), *re.findall(r"^RUN (.*)$", image.text, re.M)]:
        for package in packages(command):
            name, extra = re.fullmatch(r"([\w-]+)(?:\[(\w+)\])?", package).groups()
            assert f'name = "{name}"' in metadata
            assert extra is None or f"\n{extra} = [" in metadata


def test_lines_of_requirements_are_names_that_pages_use() -> None:
    (lines,) = [each.text.splitlines() for each in of("text", ALL) if each.place.startswith("install")]
    constraint, ours, store = lines
    assert re.fullmatch(r'--constraint "https://\S+/constraints-3\.\d+\.\d+/constraints-3\.1\d\.txt"', constraint)
    assert packages(f"pip install {ours}") == ["airflow-provider-magichour"]
    assert f"| `s3://` | `{store}` |" in page("install")


def test_the_airflow_that_is_installed_is_the_newest_that_is_tested() -> None:
    (image,) = of("dockerfile", ALL)
    (named,) = [shown for shown in map(exported, commands("export")) if "AIRFLOW_VERSION" in shown]
    tested = f"\napache-airflow=={named['AIRFLOW_VERSION']}\n"
    assert tested in (ROOT / "constraints" / "airflow-3.3.txt").read_text()
    assert image.text.startswith(f"FROM apache/airflow:{named['AIRFLOW_VERSION']}\n")


def test_the_examples_are_copied_as_shown_and_are_those_of_the_table(tmp_path: Path) -> None:
    (copy,) = commands("cp")
    (tmp_path / "dags").mkdir()
    path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
    run(["bash", "-e", "-c", copy], {**os.environ, "PATH": path}, tmp_path)
    copied = {file.name for file in (tmp_path / "dags").glob("*.py")}
    assert copied == set(re.findall(r"^\| `(example_\w+\.py)` \|", page("examples"), re.M))
    assert {file.name for file in PHOTOS.iterdir()} == {file.name for file in (tmp_path / "dags/photos").iterdir()}


def test_airflow_finds_the_provider_as_shown(tmp_path: Path) -> None:
    (shown,) = [command for command in commands("airflow") if "providers" in command]
    assert "airflow-provider-magichour" in run(shlex.split(shown), airflow_home(tmp_path / "airflow"))


def test_settings_of_metrics_are_airflows() -> None:
    for snippet in of("ini", ALL):
        shown = ConfigParser()
        shown.read_string(snippet.text)
        for section in shown.sections():
            for option in shown[section]:
                assert conf.get_default_value(section, option) is not None, option


def test_errors_are_retried_as_the_pages_say() -> None:
    shown = "".join(path.read_text() for path in DOCS.glob("*.md"))
    rows = re.findall(r"^\|.*`(MagicHour\w+Error)` \|.*?(?:\| )?(yes|no)\b[^|]*\|$", shown, re.M)
    assert len(rows) >= 8
    for name, retried in rows:
        assert issubclass(getattr(exceptions, name), AirflowFailException) is (retried == "no"), name


def test_templated_arguments_are_those_that_are_listed() -> None:
    section = page("submit").split("## Templates")[1].split("are templated")[0]
    assert set(re.findall(r"`(\w+)`", section)) == set(MagicHourImageToVideoOperator.template_fields)


def test_settings_of_airflow_have_the_defaults_that_are_shown() -> None:
    rows = re.findall(r"^\| `\[(\w+)\] (\w+)`[^|]*\| (\w+)", page("scaling"), re.M)
    assert len(rows) >= 5
    for section, option, default in rows:
        assert str(conf.get_default_value(section, option)).lower() == default.lower()


# The two ways out of an unsure submission, by the commands of the page, at a real Airflow

TWO_PHOTOS = """
from airflow.sdk import DAG

from airflow_provider_magichour.operators import MagicHourImageToVideoOperator

with DAG("product_clips", schedule=None):
    MagicHourImageToVideoOperator.partial(task_id="submit", end_seconds=5, model="kling-3.0").expand(
        image=["https://example.com/cat.jpg", "https://example.com/coffee.jpg"]
    )
"""


def test_the_ways_out_of_an_unsure_submission_work_by_rest(local_airflow: LocalAirflow, sandbox: Sandbox) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    adopt, anew = [snippet for snippet in of("bash", snippets(DOCS / "paying-once.md")) if "curl" in snippet.text]
    rest = local_airflow.rest
    shown = exported(adopt.commands[0])
    run_id = shown["RUN"]
    with connected(local_airflow, sandbox):
        (local_airflow.dag_folders[0] / "product_clips.py").write_text(TWO_PHOTOS)
        local_airflow.wait_for_dag(shown["DAG"])
        jobs = len(sandbox.jobs)
        sandbox.faults.add("create", cut=True, after=True, times=2)
        rest.trigger(shown["DAG"], run_id=run_id)
        assert local_airflow.wait_for_run(shown["DAG"], run_id, 120) == "failed"
        assert "It is not known whether" in rest.log(shown["DAG"], run_id, "submit", map_index=0)
        assert len(sandbox.jobs) == jobs + 2
        found = sandbox.requests.to("create")[0].job
        login = {"username": local_airflow.user, "password": local_airflow.password}
        token = httpx.post(f"{local_airflow.url}/auth/token", json=login, trust_env=False).json()["access_token"]
        for snippet in (adopt, anew):
            text = snippet.text.replace(shown["AIRFLOW"], local_airflow.url).replace("TOKEN=...", f"TOKEN={token}")
            run(["bash", "-e", "-c", text.replace("cm1234567890", str(found))], dict(os.environ))
        assert local_airflow.wait_for_run(shown["DAG"], run_id, 120) == "success"
        assert rest.xcom(shown["DAG"], run_id, "submit", map_index=0) == found
        assert rest.state_store(shown["DAG"], run_id, "submit", map_index=0)["magichour_submission"]["adopted"] is True
        assert len(sandbox.jobs) == jobs + 3
