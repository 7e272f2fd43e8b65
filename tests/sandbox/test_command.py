"""``magichour-sandbox``, as a shell runs it; none of this needs what renders clips."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from airflow_provider_magichour import __version__

PATIENCE = 30.0
MODULE = "airflow_provider_magichour.sandbox.cli"
WITHOUT = "import sys; sys.modules |= dict.fromkeys({0!r})\nfrom {1} import main; sys.exit(main({2!r}))"
EARLY = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "uvicorn":
            os.kill(os.getpid(), signal.{0})
sys.meta_path.insert(0, Finder())
from airflow_provider_magichour.sandbox.cli import main
sys.exit(main(["--port", "0", "--no-render"]))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def run_without(modules: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("-c", WITHOUT.format(modules, MODULE, list(arguments)))


@contextmanager
def running(*arguments: str, number: signal.Signals = signal.SIGTERM) -> Iterator[list[str]]:
    """Run it on a free port; give the lines that it prints, then send a signal: it has to end well."""
    command = [sys.executable, *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield [process.stdout.readline() for _ in range(4)]
        finally:
            process.send_signal(number)
            assert (process.wait(PATIENCE), process.stderr.read()) == (0, "")


def connection_of(greeting: list[str]) -> dict[str, Any]:
    """Let a shell read the printed line, as a person does who pastes it."""
    line = greeting[2].partition("Airflow: ")[2]
    script = f"{line}exec {sys.executable} -c 'import os; print(os.environ[\"AIRFLOW_CONN_MAGICHOUR_DEFAULT\"])'"
    return dict(json.loads(subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_prints_the_connection_and_ends_on_a_signal(number: signal.Signals) -> None:
    arguments = ["-m", MODULE, "--no-render", "--key", "mhk_mine", "--render-seconds", "0", "--credits", "7"]
    with running(*arguments, number=number) as greeting:
        url = greeting[0].split()[-1]
        assert connection_of(greeting) == {"conn_type": "magichour", "host": url, "password": "mhk_mine"}
        answer = httpx.get(f"{url}/v1/account", headers={"Authorization": "Bearer mhk_mine"}, trust_env=False)
        assert (answer.status_code, answer.json()["credits"]) == (200, 7)


@pytest.mark.parametrize("key", ["it's", '"', "$HOME", "`id`", "a\\b", "';exit;'", "!#%&"])
def test_printed_line_can_be_pasted_into_a_shell_whatever_the_key(key: str) -> None:
    with running("-m", MODULE, "--no-render", f"--key={key}") as greeting:
        assert connection_of(greeting)["password"] == key


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_while_it_starts_ends_it_without_a_traceback(name: str) -> None:
    ended = run("-c", EARLY.format(name))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "-1"),
        ("--port", "70000"),
        ("--port", "http"),
        ("--render-seconds", "nan"),
        ("--render-seconds", "inf"),
        ("--render-seconds", "-1"),
        ("--render-seconds", "soon"),
        ("--credits", "-5"),
        ("--credits", "1.5"),
        ("--key", ""),
        ("--key", "two words"),
        ("--key", "schlüssel"),
        ("--key", "line\n"),
    ],
)
def test_option_that_cannot_be_is_refused_in_one_line(option: str, value: str) -> None:
    ended = run("-m", MODULE, f"{option}={value}")
    *usage, error = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert usage[0].startswith("usage: ")
    assert error.startswith(f"magichour-sandbox: error: argument {option}: ")


def test_command_says_its_version() -> None:
    assert run("-m", MODULE, "--version").stdout == f"magichour-sandbox {__version__}\n"


def test_command_says_which_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run("-m", MODULE, "--no-render", "--port", str(port))
    assert ended.returncode == 1
    assert ended.stderr == f"magichour-sandbox: cannot listen on port {port}: Address already in use\n"


@pytest.mark.parametrize("module", ["av", "numpy"])
def test_command_says_what_is_missing_to_render_and_how_to_do_without(module: str) -> None:
    ended = run_without([module], "--port", "0")
    assert ended.returncode == 1
    assert f"needs {module}: " in ended.stderr
    assert "airflow-provider-magichour[sandbox]" in ended.stderr
    assert "--no-render" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_command_says_what_is_missing_to_serve(module: str) -> None:
    ended = run_without([module], "--port", "0", "--no-render")
    assert ended.returncode == 1
    assert ended.stderr == (
        f'magichour-sandbox: the sandbox needs {module}: pip install "airflow-provider-magichour[sandbox]"\n'
    )


WITHOUT_RENDERING = """
import sys
sys.modules |= {"av": None, "numpy": None}
import httpx
from airflow_provider_magichour.sandbox import Sandbox
with Sandbox(render=False, render_seconds=0) as sandbox:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as api:
        body = {"assets": {"image_file_path": "no/such.png"}, "end_seconds": 5}
        ids = [("video", api.post("/v1/image-to-video", json=body).json()["id"])]
        ids += [(kind, sandbox.add_job(kind, script={"render_seconds": 0}).id) for kind in ("image", "audio")]
        for kind, id in ids:
            project = api.get(f"/v1/{kind}-projects/{id}").json()
            print(project["status"], httpx.get(project["downloads"][0]["url"], trust_env=False).content[:12])
"""


def test_without_what_renders_a_sandbox_that_does_not_render_works() -> None:
    ended = run("-c", WITHOUT_RENDERING)
    # Airflow 3.0 logs to standard output, too.
    seen = [line.split(" ", 1) for line in ended.stdout.splitlines() if not line.startswith("[")]
    assert [status for status, _ in seen] == ["complete"] * 3, ended.stderr
    assert all(mark in start for mark, (_, start) in zip(("ftyp", "PNG", "WAVE"), seen, strict=True))
