"""The example DAG as a whole, in an Airflow of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.scenes.dag_runs import DAGS_IN, new_airflow, python
from tests.scenes.examples import EXAMPLES, PHOTOS
from tools.airflow.settings import airflow_version

RUN = f"""
import sys
{DAGS_IN}
run = dag_in(sys.argv[1], "example_image_to_video").test(run_conf={{"photos": sys.argv[2], "clips": sys.argv[3]}})
print("state:", run.state)
print("cost:", run.get_task_instance("cost").xcom_pull("cost"))
"""


READ = f"""
import json
import sys
{DAGS_IN}
bag = DagBag(sys.argv[1])
docs = {{dag_id: dag.doc_md for dag_id, dag in bag.dags.items()}}
params = [(name, dag.params.get_param(name)) for dag in bag.dags.values() for name in dag.params]
unsaid = [name for name, param in params if not (param.description and param.schema.get("type"))]
print(json.dumps([bag.import_errors, docs, unsaid]))
"""


@pytest.fixture
def airflow(sandbox: Any, tmp_path: Path) -> dict[str, str]:
    """The environment of an Airflow whose connection leads to the sandbox."""
    return new_airflow(tmp_path / "airflow", EXAMPLES, magichour_default=sandbox.connection)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("example_*.py")), ids=lambda path: path.stem)
def test_example_is_read_and_says_what_it_is(airflow: dict[str, str], path: Path) -> None:
    if path.stem == "example_review" and airflow_version().startswith("3.0."):
        pytest.skip("Airflow 3.0 asks nobody: it has no human-in-the-loop operators")
    errors, docs, unsaid = json.loads(python(airflow, "-c", READ, str(path)).splitlines()[-1])
    assert errors == {}
    assert path.stem in docs
    assert all("**Costs**" in doc and "**Needs**" in doc for doc in docs.values())
    assert unsaid == []
    assert ".expand(" not in path.read_text() or "map_index_template" in path.read_text()


BUNDLES = """
from airflow.dag_processing.bundles.manager import DagBundlesManager

print(*(bundle.name for bundle in DagBundlesManager().get_all_dag_bundles()))
"""


@pytest.mark.parametrize("asked", [True, False])
def test_airflow_loads_them_by_itself_with_load_examples_alone(airflow: dict[str, str], asked: bool) -> None:
    said = python(airflow | {"AIRFLOW__CORE__LOAD_EXAMPLES": str(asked)}, "-c", BUNDLES)
    assert ("airflow-provider-magichour-example-dags" in said.split()) is (asked and airflow_version() >= "3.3")


def test_photos_become_clips(sandbox: Any, airflow: dict[str, str], tmp_path: Path) -> None:
    # One wait finds its project unfinished at the first look, so it goes through the trigger.
    unfinished = {"status": "rendering", "downloads": [], "download": None}
    sandbox.faults.add("get", patch=unfinished)
    clips = tmp_path / "clips"
    said = python(airflow, "-c", RUN, str(EXAMPLES), str(PHOTOS), f"{clips}/")
    assert "state: success" in said
    assert "cost: 720" in said
    submitted = sandbox.requests.to("create")
    assert len(submitted) == len(list(PHOTOS.glob("*.jpg"))) == 3
    assert sorted(path.name for path in clips.iterdir()) == sorted(f"{request.job}.mp4" for request in submitted)
    for request in submitted:
        clip = clips / f"{request.job}.mp4"
        assert clip.read_bytes() == sandbox.jobs[request.job].result.file.read_bytes()
        assert b"ftyp" in clip.read_bytes()[:16]
        uploaded = sandbox.uploads.find(request.body["assets"]["image_file_path"]).read_bytes()
        assert uploaded in [photo.read_bytes() for photo in PHOTOS.glob("*.jpg")]
    # In dag.test() Airflow 3.0 itself writes what it is told to mask, the password of each connection too.
    lines = [line for line in said.splitlines() if "MaskSecret(" not in line]
    assert json.loads(sandbox.connection)["password"] not in "\n".join(lines)


def test_a_photo_that_fails_leaves_the_others_their_clips_and_their_sum(
    sandbox: Any, airflow: dict[str, str], tmp_path: Path
) -> None:
    sandbox.faults.add("create", job={"outcome": "error", "code": "no_source_face", "render_seconds": 0})
    said = python(airflow, "-c", RUN, str(EXAMPLES), str(PHOTOS), f"{tmp_path}/clips/")
    assert "state: failed" in said
    assert "cost: 480" in said
    assert len(sandbox.requests.to("create")) == 3
    assert len(list((tmp_path / "clips").iterdir())) == 2


CHAIN = f"""
import sys
{DAGS_IN}
run = dag_in(sys.argv[1], "example_chain").test(run_conf={{"clips": sys.argv[2]}})
print("state:", run.state)
"""


def test_each_task_of_the_chain_works_on_what_the_one_before_has_made(
    sandbox: Any, airflow: dict[str, str], tmp_path: Path
) -> None:
    said = python(airflow, "-c", CHAIN, str(EXAMPLES), f"{tmp_path}/clips/")
    assert "state: success" in said
    image, video, larger = sandbox.requests.to("create")
    library = "https://magichour.ai/my-library"
    assert video.body["assets"] == {"image_file_path": f"{library}?imageId={image.job}"}
    assert larger.body["assets"] == {"video_file_path": f"{library}?videoId={video.job}"}
    assert [path.name for path in (tmp_path / "clips").iterdir()] == [f"{larger.job}.mp4"]
