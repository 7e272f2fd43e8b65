"""The tests on every Airflow and Python that is supported: an environment for each in .cache, a table at the end."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = 11
# Minor versions of Python 3. Airflow 3.0 does not know 3.13; with 3.14 this package was never tried.
NEWEST_PYTHON = {"3.0": 12}
NEWEST_TRIED = 13


@dataclass
class Cell:
    """One Airflow on one Python, and what came of it.

    :param airflow: minor version, such as ``3.0``.
    :param python: minor version of Python 3.
    :param group: of what is installed for it (pyproject.toml).
    """

    airflow: str
    python: int
    group: str
    counts: dict[str, int] = field(default_factory=dict)
    skips: Counter[str] = field(default_factory=Counter)
    seconds: float = 0
    exit_code: int = -1

    @property
    def name(self) -> str:
        return f"Airflow {self.airflow}, Python 3.{self.python}"

    @property
    def version(self) -> str:
        """The full version of Airflow."""
        lines = self.constraints.read_text().splitlines()
        return next(line.partition("==")[2] for line in lines if line.startswith("apache-airflow=="))

    @property
    def constraints(self) -> Path:
        return ROOT / "constraints" / f"airflow-{self.airflow}.txt"

    @property
    def venv(self) -> Path:
        return ROOT / ".cache" / f"airflow-{self.airflow}-py3.{self.python}-{self.group}"

    def set_up(self) -> None:
        """Make the environment, unless it is newer than all that it is made from."""
        stamp = self.venv / "complete"
        sources = [self.constraints, ROOT / "pyproject.toml", ROOT / "tools" / "setup.sh"]
        if stamp.exists() and all(each.stat().st_mtime < stamp.stat().st_mtime for each in sources):
            return
        command = ["sh", "tools/setup.sh", str(self.constraints), str(self.venv), self.group]
        interpreter = python_command(self.python)
        subprocess.run(command, cwd=ROOT, env=environment() | {"PYTHON": str(interpreter)}, check=True)
        stamp.touch()

    def run(self, arguments: list[str]) -> None:
        """Set up and run the tests; their output goes to the terminal."""
        self.set_up()
        report = self.venv / "report.xml"
        report.unlink(missing_ok=True)
        python = str(self.venv / "bin" / "python")
        command = [python, "-m", "pytest", f"--junitxml={report}", "-o", "cache_dir=.cache/pytest", *arguments]
        started = time.monotonic()
        self.exit_code = subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
        self.seconds = time.monotonic() - started
        if report.exists():
            self.read(ElementTree.parse(report).getroot())

    def read(self, report: ElementTree.Element) -> None:
        """Take the figures out of pytest's report."""
        suite = next(report.iter("testsuite")).attrib
        skipped, failed = int(suite["skipped"]), int(suite["failures"]) + int(suite["errors"])
        self.counts = {"passed": int(suite["tests"]) - skipped - failed, "failed": failed, "skipped": skipped}
        self.skips = Counter(reason_of(each) for each in report.iter("skipped"))


def reason_of(skipped: ElementTree.Element) -> str:
    """Return why a test, or a whole file, was skipped."""
    message = skipped.get("message", "")
    if message == "collection skipped":
        message = (skipped.text or "").partition("Skipped: ")[2].rstrip("')\"") + " (a whole file)"
    return message


def environment() -> dict[str, str]:
    """Return the caller's environment without what would steer Airflow, another make or another environment."""
    ours = ("AIRFLOW", "MAKE", "MFLAGS", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def python_command(minor: int) -> Path | None:
    """Return an installed Python 3 of this minor version, or None."""
    name = f"python3.{minor}"
    found = [shutil.which(name)]
    if shutil.which("pyenv"):
        # Its commands in PATH work only for the versions that were chosen; the others are found through it.
        listed = subprocess.run(["pyenv", "whence", "--path", name], capture_output=True, text=True, check=False)
        found += reversed(listed.stdout.split())
    for command in filter(None, found):
        if subprocess.run([command, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
            return Path(command)
    return None


def cells(airflow: str | None, python: str | None, group: str | None) -> tuple[list[Cell], list[str]]:
    """Return what is to be run, and what is not, with the reason.

    :param airflow: the only Airflow wanted; None for each that has constraints.
    :param python: the only Python wanted; None for the oldest supported and the newest installed.
    :param group: of what is installed; None for the tests', and for the newest Airflow also the tools of development.
    """
    versions = sorted(path.stem.removeprefix("airflow-") for path in (ROOT / "constraints").glob("airflow-*.txt"))
    if airflow and airflow not in versions:
        raise SystemExit(f"AIRFLOW={airflow}: there is {', '.join(versions)}")
    installed = {minor for minor in range(OLDEST_PYTHON, NEWEST_TRIED + 2) if python_command(minor)}
    chosen, left_out = [], []
    for version in versions:
        if airflow and version != airflow:
            left_out.append(f"Airflow {version}: AIRFLOW={airflow} was asked for")
            continue
        limit = NEWEST_PYTHON.get(version, NEWEST_TRIED)
        possible = range(OLDEST_PYTHON, limit + 1)
        wanted = {OLDEST_PYTHON, max(installed.intersection(possible), default=OLDEST_PYTHON)}
        if python:
            wanted = {minor for minor in possible if python == f"3.{minor}"}
        for minor in range(OLDEST_PYTHON, NEWEST_TRIED + 1):
            cell = Cell(version, minor, group or ("dev" if version == versions[-1] else "test"))
            if minor > limit:
                left_out.append(f"{cell.name}: this Airflow supports up to 3.{limit}")
            elif minor not in installed:
                left_out.append(f"{cell.name}: this Python is not installed")
            elif minor not in wanted:
                left_out.append(f"{cell.name}: " + (f"PY={python} was asked for" if python else "in between"))
            else:
                chosen.append(cell)
    if NEWEST_TRIED + 1 in installed:
        left_out.append(f"Python 3.{NEWEST_TRIED + 1}: never tried with this package")
    return chosen, left_out


def table(done: list[Cell], left_out: list[str]) -> str:
    """Return the result as text."""
    lines = [f"{'Airflow':9}{'Python':8}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}"]
    for cell in done:
        figures = [cell.counts.get(name, "-") for name in ("passed", "failed", "skipped")]
        lines.append(
            f"{cell.version:9}{f'3.{cell.python}':8}{figures[0]:>8}{figures[1]:>8}{figures[2]:>9}{cell.seconds:>9.0f}"
            + (f"  exit code {cell.exit_code}" if cell.exit_code else "")
        )
    lines += ["", "Not run:", *(f"  {each}" for each in left_out)]
    skips: dict[str, list[str]] = {}
    for cell in done:
        for reason, count in cell.skips.items():
            skips.setdefault(reason, []).append(f"{count} on {cell.version} (3.{cell.python})")
    lines += [f"  {reason}: {', '.join(where)}" for reason, where in sorted(skips.items())]
    lines.append("  tests_crash: needs PostgreSQL and the task state store of 3.3; make test-crash runs it")
    return "\n".join(lines)


def main() -> int:
    """Run the matrix; the exit code is 1 when a cell failed, and 2 when there was none to run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--airflow", help="such as 3.0: this one only")
    parser.add_argument("--python", help="such as 3.12: this one only")
    parser.add_argument("--group", help="of what is installed, such as browser")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest")
    arguments = parser.parse_args()
    chosen, left_out = cells(arguments.airflow, arguments.python, arguments.group)
    for number, cell in enumerate(chosen, 1):
        print(f"\n== {cell.name} ({number} of {len(chosen)})", flush=True)
        try:
            cell.run(arguments.pytest)
        except subprocess.CalledProcessError:
            print(f"{cell.name} could not be set up", file=sys.stderr, flush=True)
    print(f"\n{table(chosen, left_out)}")
    if not chosen:
        return 2
    return int(any(cell.exit_code for cell in chosen))


if __name__ == "__main__":
    sys.exit(main())
