"""A run through real components: API server, scheduler with LocalExecutor, DAG processor, triggerer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tools.airflow.guard import processes_of
from tools.airflow.local import LocalAirflow, LocalAirflowError
from tools.airflow.processes import port_is_open

pytest_plugins = ["tests.scenes.airflow_fixture"]

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE = 90.0

DAG = textwrap.dedent(
    """
    from datetime import timedelta

    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import DAG, BaseOperator, task


    class Deferred(BaseOperator):
        def execute(self, context):
            self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=8)), method_name="resume")

        def resume(self, context, event=None):
            return "waited"


    with DAG("toy", schedule=None):

        @task
        def plain(params=None):
            print("hello from a task")
            return {"a": 1}

        plain() >> Deferred(task_id="deferred")
    """
)


def test_plain_and_deferred_tasks_run_and_nothing_stays_behind(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(DAG)
    with LocalAirflow(tmp_path) as airflow:
        run_id, state = airflow.run("toy")
        processes = [psutil.Process(found.pid) for found in airflow.processes()]
        home = airflow.home
        assert state == "success"
        assert airflow.rest.xcom("toy", run_id, "plain") == {"a": 1}
        assert airflow.rest.xcom("toy", run_id, "deferred") == "waited"
        assert "hello from a task" in airflow.rest.log("toy", run_id, "plain")
        assert len(processes) >= len(airflow.pids) == 4
    assert not [process for process in processes if is_alive(process)]
    assert not port_is_open(airflow.port)
    assert not home.exists()


# With signals as a terminal's shell leaves them, whatever this test run was started with.
RUN = """
import signal, sys
from pathlib import Path
from tools.airflow.local import LocalAirflow
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with LocalAirflow(Path(sys.argv[1])):
    sys.stdin.read()
"""


@pytest.mark.parametrize("ending", [signal.SIGHUP, signal.SIGKILL])
def test_nothing_outlives_a_run_that_is_ended_from_outside(tmp_path: Path, ending: signal.Signals) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as run:
        (home,) = eventually(lambda: list(tmp_path.glob("airflow-local-*")))
        assert eventually(lambda: processes_of(home))
        run.send_signal(ending)
        run.wait(PATIENCE)
    assert eventually(lambda: not processes_of(home) and not home.exists())


def eventually(condition: Callable[[], T]) -> T:
    """Return what the condition is once it is true, or in the end."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return result


def test_dag_file_that_cannot_be_imported_is_named_and_hinders_no_other(local_airflow: LocalAirflow) -> None:
    folder = local_airflow.dag_folders[0]
    broken, sound = folder / "broken.py", folder / "sound.py"
    broken.write_text("from airflow.sdk import DAG\nraise RuntimeError('not today')\nDAG('misfit')\n")
    try:
        with pytest.raises(LocalAirflowError, match="not today"):
            local_airflow.wait_for_dag("misfit")
        sound.write_text("from airflow.sdk import DAG\ndag = DAG('sound', schedule=None)\n")
        local_airflow.wait_for_dag("sound")
        assert any("not today" in trace for trace in local_airflow.rest.import_errors().values())
    finally:
        broken.unlink()
        sound.unlink(missing_ok=True)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
