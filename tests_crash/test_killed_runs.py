"""Nothing of a real Airflow outlives the run that has started it, whoever of that run is killed, and when."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.scenes.left_behind import eventually, processes_in

ROOT = Path(__file__).parent.parent
RUNS = {
    "test": ["make", "test", "ARGS=-k plain_and_deferred tests/airflow/test_local_airflow.py"],
    "demo": ["make", "demo", "KEEP=1"],
}
LATEST = 15.0
PATIENCE = 40.0


class Run:
    """A run of make, the leader of a group as under a shell; all it makes is in one folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / "temporary"
        self.folder.mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTEST_"))}
        with (folder / "output").open("wb") as output:
            self.make = subprocess.Popen(
                RUNS[name],
                cwd=ROOT,
                env=inherited | {"TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def guard(self) -> psutil.Process | None:
        """Return the process that ends what the others leave."""
        mine = processes_in(self.folder)
        return next((process for process in mine if "tools.airflow.guard" in process.cmdline()), None)

    def kill(self, whom: str, signum: int) -> None:
        """Send a signal to make, to its child, to the parent of the Airflow, or to the group as a terminal does."""
        if whom == "group":
            os.killpg(self.make.pid, signum)
        elif whom == "make":
            self.make.send_signal(signum)
        elif whom == "child":
            psutil.Process(self.make.pid).children()[0].send_signal(signum)
        elif (guard := self.guard()) and (owner := guard.parent()):
            owner.send_signal(signum)


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    made = Run(request.param, tmp_path)
    yield made
    for process in processes_in(made.folder):
        process.kill()
    made.make.wait()


@pytest.mark.parametrize(
    ("run", "whom", "signum"),
    [
        ("test", "make", signal.SIGKILL),
        ("test", "group", signal.SIGKILL),
        *(
            pytest.param(*row, marks=pytest.mark.long_only)
            for row in [
                ("test", "child", signal.SIGKILL),
                ("test", "owner", signal.SIGKILL),
                ("test", "make", signal.SIGTERM),
                ("test", "child", signal.SIGTERM),
                ("test", "group", signal.SIGINT),
                ("test", "group", signal.SIGHUP),
                ("demo", "make", signal.SIGKILL),
                ("demo", "child", signal.SIGKILL),
                ("demo", "group", signal.SIGINT),
                ("demo", "group", signal.SIGTERM),
            ]
        ),
    ],
    indirect=["run"],
)
def test_nothing_outlives_a_run_that_is_killed_at_a_random_moment(run: Run, whom: str, signum: int) -> None:
    moment = random.uniform(0, LATEST)
    guard = eventually(run.guard)
    assert guard
    (home,) = run.folder.glob("airflow-local-*")
    with pytest.raises(subprocess.TimeoutExpired):
        run.make.wait(moment)
    was_there = len(processes_in(home))
    run.kill(whom, signum)
    # After the death of one worker pytest goes on with another, and a new Airflow.
    place = home if whom == "owner" else run.folder
    assert eventually(lambda: not processes_in(place), PATIENCE), f"after {moment:.2f} s: {processes_in(place)}"
    assert not home.exists()
    print(f"{whom} got {signal.Signals(signum).name} after {moment:.2f} s: {was_there} processes, now none")
