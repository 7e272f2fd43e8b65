"""Installs the built wheel as users of each Airflow do, under the constraints of that release's day, and uses it.

The constraints that Airflow publishes cannot be fetched from a package index. They pin, for each release, what was the
newest on that day; this resolves the same, without this package, which then has to fit in.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".venv" / "bin" / "uv"
FOLDER = ROOT / ".cache" / "installs"
SMOKE = Path(__file__).with_name("smoke.py")
# With the day after it came out. 3.1.0 is left out: its dag.test() finds no DAG that a scheduler has not read before.
RELEASES = {
    "3.0.0": "2025-04-23",
    "3.0.6": "2025-08-30",
    "3.1.8": "2026-03-14",
    "3.2.0": "2026-04-08",
    "3.2.2": "2026-05-30",
    "3.3.0": "2026-07-07",
    "3.3.2": "2026-09-18",
}
NEWEST = list(RELEASES)[-1]
# What Airflow's constraints have beside Airflow's own dependencies, and this package needs.
PINNED_TOO = "apache-airflow-providers-common-compat apache-airflow-providers-common-io httptools"


def environment() -> dict[str, str]:
    """Return the caller's environment without what would steer Airflow or find this clone's package."""
    ours = ("AIRFLOW", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


def uv(*arguments: str | Path, given: str = "") -> None:
    """Run uv; it says what is wrong."""
    subprocess.run([UV, *arguments], input=given, text=True, check=True, env=environment(), stdout=subprocess.DEVNULL)


def try_out(airflow: str, built: Path) -> None:
    """Install a release of Airflow with the wheel, or the source archive, into an empty environment, and use it there.

    :raises subprocess.CalledProcessError: when one of these fails.
    """
    constraints, venv = FOLDER / f"constraints-{airflow}.txt", FOLDER / f"airflow-{airflow}"
    wanted = "\n".join([f"apache-airflow=={airflow}", *PINNED_TOO.split()])
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    resolve = ["pip", "compile", "--quiet", "--upgrade", "--python-version", python, "--no-header", "--no-annotate"]
    uv(*resolve, "--exclude-newer", RELEASES[airflow], "--output-file", constraints, "-", given=wanted)
    uv("venv", "--quiet", "--clear", "--python", sys.executable, venv)
    install = ["pip", "install", "--quiet", "--python", venv / "bin" / "python", "--constraints", constraints]
    uv(*install, f"apache-airflow=={airflow}", built)
    # Elsewhere than in the clone, whose package would be found first.
    home = FOLDER / f"home-{airflow}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    smoke = shutil.copy(SMOKE, home)
    command = [venv / "bin" / "python", "-W", "ignore", smoke]
    subprocess.run(command, cwd=home, env=environment() | {"AIRFLOW_HOME": str(home)}, check=True)


def main() -> int:
    """Try the releases; the exit code is 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("airflow", nargs="*", help=f"of {', '.join(RELEASES)}; by default all of them")
    wanted = parser.parse_args().airflow or list(RELEASES)
    if unknown := set(wanted) - set(RELEASES):
        parser.error(f"{', '.join(sorted(unknown))}: there is {', '.join(RELEASES)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    uv("build", "--quiet", "--wheel", "--clear", "--out-dir", FOLDER / "dist", ROOT)
    (wheel,) = (FOLDER / "dist").glob("*.whl")
    failed = []
    for airflow in wanted:
        started = time.monotonic()
        try:
            try_out(airflow, wheel)
        except subprocess.CalledProcessError as error:
            failed.append(airflow)
            print(f"Airflow {airflow}: failed: {error}", file=sys.stderr)
        else:
            print(f"Airflow {airflow}: installed and used in {time.monotonic() - started:.0f} s", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
