"""A run through real components: API server, scheduler with LocalExecutor, DAG processor, triggerer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.scenes.left_behind import eventually, processes_in
from tools.airflow.local import LocalAirflow, LocalAirflowError
from tools.airflow.processes import port_is_open

pytest_plugins = ["tests.scenes.airflow_fixture"]

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


    with DAG("short", schedule=None):

        @task
        def nothing():
            return None

        nothing()

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


# With signals as a terminal's shell leaves them, whatever this test run was started with. The child of its own, which
# lives on, holds all that the run has open.
RUN = """
import os, signal, sys, time
from pathlib import Path
from tools.airflow.local import LocalAirflow
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with LocalAirflow(Path(sys.argv[1])) as airflow:
    airflow.run("short")
    if not os.fork():
        time.sleep(20)
        os._exit(0)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("ending", "is_up"), [(signal.SIGHUP, False), (signal.SIGKILL, True)])
def test_nothing_outlives_a_run_that_is_ended_from_outside(tmp_path: Path, ending: signal.Signals, is_up: bool) -> None:
    (tmp_path / "toy.py").write_text(DAG)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as run:
        (home,) = eventually(lambda: list(temporary.glob("airflow-local-*")))
        assert eventually(lambda: processes_in(home))
        if is_up:  # with the title that Airflow gives what has started, and workers that have nothing to do
            assert run.stdout
            assert run.stdout.readline() == b"ready\n"
        run.send_signal(ending)
        run.wait(PATIENCE)
    assert eventually(lambda: not processes_in(home) and not home.exists()), processes_in(home)


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
