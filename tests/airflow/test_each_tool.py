"""Each tool as a user's DAG runs it: its files come from S3, and its results go there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("av", reason="the extra [sandbox] is not installed")
pytest.importorskip("numpy", reason="the extra [sandbox] is not installed")

# After the skips above: there is nothing to import without the extra.
from airflow_provider_magichour.api.tool_rows import TOOLS
from airflow_provider_magichour.api.tools import Request, Tool
from airflow_provider_magichour.sandbox import Sandbox
from airflow_provider_magichour.sandbox.sounds import record, tune
from tests.scenes.bodies import body_of
from tests.scenes.dag_runs import DAGS_IN, new_airflow, python
from tests.scenes.media import Bucket, connection_to
from tests.scenes.results import BLUE, RED, filmed, frames_in, heard, video
from tools.page_of_tools import ALWAYS, sample

pytest_plugins = ["tests.scenes.media_fixtures"]

DAG_FILE = """
import json
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourGenerateOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

with DAG("each_tool", schedule=None):
    for name, (tool, body) in json.loads(Path(__file__).with_name("bodies.json").read_text()).items():
        submit = MagicHourGenerateOperator(task_id=f"{name}.submit", tool=tool, conn_id="bucket", **body)
        wait = MagicHourProjectSensor(
            task_id=f"{name}.wait",
            project_id=submit.output,
            kind="{{ ti.xcom_pull('%s.submit', key='kind') }}" % name,
            poke_interval=0.2,
            timeout=60,
        )
        MagicHourDownloadOperator(
            task_id=f"{name}.download",
            project_id=wait.output,
            destination=f"s3://media/results/{name}/",
            conn_id="bucket",
        )
"""
RUN = f"""
import json
import sys
from pathlib import Path
{DAGS_IN}
run = dag_in(sys.argv[1], "each_tool").test()
found = {{ti.task_id: (ti.state, ti.xcom_pull(ti.task_id)) for ti in run.get_task_instances()}}
Path(sys.argv[2]).write_text(json.dumps(found))
"""

CASES = {
    tool.name if number == 0 else f"{tool.name}-{number + 1}": (tool, number)
    for tool in TOOLS.values()
    for number in range(max(map(len, tool.files.values()), default=1))
}
"""Each tool by its name, and again with the other kinds of media where a field takes several."""

FILES = {"image": "cat.jpg", "video": "cat.mp4", "audio": "cat.mp3", "gif": "cat.gif"}
QUICK: Mapping[str, Any] = {
    "end_seconds": 1,
    "duration": 1,
    "resolution": "480p",
    "width": 128,
    "height": 64,
    "image_count": 2,
}
"""What is rendered in no time; the AI models of the table make nothing that short."""
MODELLED: Mapping[str, Any] = {**QUICK, "end_seconds": 5, "model": "ltx-2.5"}


def body_from(tool: Tool, number: int) -> dict[str, Any]:
    """Return the body that the page of all tools shows, with a file of the bucket in every file field.

    :param number: of the kind of media, where a field takes several.
    """
    quick = MODELLED if tool.has_models else QUICK
    wanted = [path for path in (*tool.files, *ALWAYS, *quick) if path in tool.fields and path not in tool.deprecated]
    plain = [path for path in (*tool.required, *wanted) if tool.fields[path] not in ("object", "list")]
    words = {path: quick[path] if path in quick else sample(tool, path) for path in plain}
    request = Request(tool, body_of(tool, words=words, paths=tuple(wanted)))
    uris = {}
    for path in request.files:
        media = tool.files[re.sub(r"\d+", "", path)]
        uris[path] = f"s3://media/{FILES[media[min(number, len(media) - 1)]]}"
    return dict(request.with_files(uris).body)


@dataclass
class Run:
    """What one chain of tasks has come to.

    :param states: of its tasks.
    :param project_id: that the submit has returned.
    :param results: the objects that the download says it has written.
    :param said: what its tasks have logged.
    """

    states: list[str]
    project_id: str
    results: list[bytes]
    said: str


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small file of each kind of media, by its URI."""
    sound = tmp_path_factory.mktemp("inputs") / "cat.mp3"
    record(tune("a cat"), 2, sound, lambda: False)
    files = {
        "image": filmed([(64, 48, RED)], "mjpeg", "yuvj420p"),
        "video": video(RED, BLUE),
        "audio": sound.read_bytes(),
        "gif": filmed([(64, 48, colour) for colour in (RED, BLUE) for _ in range(10)], "gif", "rgb8", "gif"),
    }
    return {f"s3://media/{FILES[media]}": content for media, content in files.items()}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(render_seconds=0) as running:
        yield running


@pytest.fixture(scope="module")
def runs(
    sandbox: Sandbox, running: Bucket, inputs: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    """Run one DAG that has a chain for each case: they do not depend on each other."""
    for uri, content in inputs.items():
        running.put(uri.removeprefix("s3://media/"), content)
    dags = tmp_path_factory.mktemp("dags")
    (dags / "each_tool.py").write_text(DAG_FILE)
    bodies = {name: (tool.name, body_from(tool, number)) for name, (tool, number) in CASES.items()}
    (dags / "bodies.json").write_text(json.dumps(bodies))
    airflow = new_airflow(
        dags / "airflow", dags, magichour_default=sandbox.connection, bucket=connection_to(running.url)
    )
    said = python(airflow, "-c", RUN, str(dags), str(dags / "found.json"))
    found = json.loads((dags / "found.json").read_text())
    return {name: run_of(name, found, said, running) for name in CASES}


def run_of(name: str, found: dict[str, Any], said: str, bucket: Bucket) -> Run:
    steps = [f"{name}.{step}" for step in ("submit", "wait", "download")]
    states, (project_id, _, written) = zip(*(found[step] for step in steps), strict=True)
    results = [bucket.get(uri.removeprefix("s3://media/")) for uri in written or ()]
    logs = [part for part in said.split("starting task_id=") if part.partition(" ")[0] in steps]
    return Run(list(states), project_id, results, "\n".join(logs))


@pytest.mark.parametrize("case", CASES)
def test_a_tool_takes_its_files_from_s3_and_its_results_lie_there(
    case: str, runs: dict[str, Run], sandbox: Sandbox, inputs: dict[str, bytes]
) -> None:
    (tool, number), run = CASES[case], runs[case]
    assert run.states == ["success"] * 3, run.said
    creates = [request for request in sandbox.requests.to("create") if request.path == tool.path]
    assert len(creates) == sum(each is tool for each, _ in CASES.values()), "each task has paid once"
    (create,) = (request for request in creates if request.job == run.project_id)
    named = Request(tool, body_from(tool, number)).files
    received = Request(tool, create.body).files
    assert received.keys() == named.keys()
    for path, uri in named.items():
        assert received[path].startswith("api-assets/")
        assert sandbox.uploads.find(received[path]).read_bytes() == inputs[uri], path
    assert len(run.results) == create.body.get(tool.outputs, 1)
    for result in run.results:
        if tool.kind == "audio":
            codec, seconds, loudest = heard(result)
            assert (codec.startswith("mp3"), seconds > 0.5, loudest > 0) == (True, True, True)
        elif tool.kind == "video":
            assert (result[4:8], frames_in(result) > 1) == (b"ftyp", True)
        else:
            assert (result.startswith((b"\x89PNG", b"GIF8")), frames_in(result) > 0) == (True, True)
