"""What README.md shows works as shown."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.sdk import DAG

from airflow_provider_magichour.hooks import MagicHourHook
from tests.scenes.snippets import of, snippets

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


ALL = snippets(ROOT / "README.md")
PYTHON = of("python", ALL)
COMMANDS = [command for snippet in of("bash", ALL) for command in snippet.commands]

EXPECTED = {
    "product_clips": {
        "photos": "_PythonDecoratedOperator",
        "clip.submit": "MagicHourImageToVideoOperator",
        "clip.wait": "MagicHourProjectSensor",
        "clip.download": "MagicHourDownloadOperator",
    },
    "one_clip": {"clip": "MagicHourImageToVideoOperator"},
}


def test_every_kind_of_block_is_there_and_known() -> None:
    assert any(snippet.is_dag for snippet in PYTHON)
    assert any(snippet.is_test for snippet in PYTHON)
    assert any(not snippet.is_dag and not snippet.is_test for snippet in PYTHON)
    assert {snippet.language for snippet in ALL} <= {"bash", "python"}
    assert README.count("```") == 2 * len(ALL)


def test_links_to_files_and_their_headings_lead_somewhere() -> None:
    for name, heading in re.findall(r"\]\((\w[\w./-]*\.md)(?:#([\w-]+))?\)", README):
        text = (ROOT / name).read_text()
        titles = re.findall(r"^#+ (.*)", text, re.M)
        headings = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
        assert not heading or heading in headings, (name, heading)


def test_dag_files_have_the_tasks_that_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[DAG] = []
    enter = DAG.__enter__

    def noting(dag: DAG) -> DAG:
        made.append(dag)
        return enter(dag)

    monkeypatch.setattr(DAG, "__enter__", noting)
    for snippet in PYTHON:
        if snippet.is_dag:
            exec(compile(snippet.text, snippet.place, "exec"), {"__name__": "readme"})
    found = {dag.dag_id: {task.task_id: task.task_type for task in dag.tasks} for dag in made}
    assert found == EXPECTED


def test_one_task_of_the_readme_runs(sandbox: Any, clock: Any, context: Any, store: Any) -> None:
    (block,) = [snippet.text for snippet in PYTHON if "with DAG(" in snippet.text]
    names: dict[str, Any] = {}
    exec(block.replace("with DAG(", "dag = DAG(").replace("schedule=None):", "schedule=None)\nwith dag:"), names)
    task = names["dag"].get_task("clip")
    task.render_template_fields({**context(), "ds": "2026-01-01", "params": {"seconds": 5}})
    assert task.execute(context(store))["status"] == "complete"
    body = sandbox.requests.to("create")[0].body
    assert body["assets"] == {"image_file_path": "https://example.com/photos/2026-01-01.jpg"}
    assert body["end_seconds"] == 5


def test_other_snippets_run_against_the_sandbox(sandbox: Any) -> None:
    for snippet in PYTHON:
        if snippet.is_dag or snippet.is_test:
            continue
        names: dict[str, Any] = {}
        exec(compile(snippet.text, snippet.place, "exec"), names)
        functions = [value for value in names.values() if getattr(value, "__code__", None)]
        assert [function() for function in functions] == [sandbox.jobs.balance]


def test_pytest_snippet_passes(sandbox: Any, tmp_path: Path) -> None:
    (tmp_path / "test_readme_snippet.py").write_text("\n\n".join(snippet.text for snippet in PYTHON if snippet.is_test))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_targets_exist(command: str) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    done = subprocess.run(
        [make, "-n", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_connection_of_the_readme_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = [command for command in COMMANDS if command.startswith("export ")]
    name, _, value = shlex.split(command)[1].partition("=")
    monkeypatch.setenv(name, value)
    settings = MagicHourHook().settings()
    assert settings.api_key == json.loads(value)["password"]
    assert settings.base_url == "https://api.magichour.ai"


def test_defaults_in_the_table_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", '{"conn_type": "magichour", "password": "mhk_k"}')
    settings = MagicHourHook().settings()
    table = dict(re.findall(r"^\| extra `(\w+)` \|.*\| (\d+) \|$", README, re.M))
    assert {name: float(value) for name, value in table.items()} == {
        name: float(getattr(settings, name)) for name in ("request_timeout", "requests_per_second", "max_connections")
    }


def test_install_commands_name_this_distribution_and_its_extras() -> None:
    installs = [shlex.split(command) for command in COMMANDS if command.startswith("pip ")]
    assert installs
    metadata = (ROOT / "pyproject.toml").read_text()
    for _, _, *packages in installs:
        for package in packages:
            name, extra = re.fullmatch(r"([\w-]+)(?:\[(\w+)\])?", package).groups()
            assert f'name = "{name}"' in metadata
            assert extra is None or f"\n{extra} = [" in metadata


def test_sandbox_command_starts_prints_its_connection_and_stops(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = [command for command in COMMANDS if command.startswith("magichour-sandbox")]
    name, option, port = shlex.split(command)
    assert (option, port.isdigit()) == ("--port", True)
    program = Path(sys.executable).with_name(name)
    # The port of the README may be taken here.
    process = subprocess.Popen(
        [str(program), option, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {}
    )
    try:
        assert process.stdout is not None
        greeting = "".join(process.stdout.readline() for _ in range(3))
        connection = re.search(r"AIRFLOW_CONN_MAGICHOUR_DEFAULT='(.*)'", greeting)
        assert connection, greeting
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", connection[1])
        assert MagicHourHook().test_connection()[0]
        url = json.loads(connection[1])["host"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
    finally:
        process.kill()
        process.communicate()


def test_commands_are_all_of_a_kind_that_is_tested_here() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"make", "pip", "export", "magichour-sandbox"}
