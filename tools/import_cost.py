"""Print what importing each module that a DAG file imports costs beyond ``airflow.sdk``, in CPU milliseconds.

The bound, 15 ms, holds for what every parse but the first pays: with the package's bytecode written. The other column
is a first parse, or a file system that takes no bytecode. Each figure is the median of fresh processes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

IN_DAG_FILES = tuple(
    f"airflow_provider_magichour.{name}"
    # "operators" imports nothing by itself: these have what a DAG file names
    for name in ("hooks", "links", "retries", "exceptions", "operators.image_to_video", "operators.videos", "sensors")
)
FOR_INFORMATION = ("airflow_provider_magichour.triggers",)
BOUND_MS = 15.0

PROBE = """
import sys
import time
from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator
if {without_bytecode}:
    sys.dont_write_bytecode, sys.pycache_prefix = True, "/nonexistent"
began = time.process_time()
import {module}
print((time.process_time() - began) * 1000)
"""


def cost(module: str, runs: int, python: str = sys.executable, *, without_bytecode: bool = False) -> float:
    """Return the median CPU milliseconds that importing a module costs in a fresh process of ``python``."""
    probe = PROBE.format(module=module, without_bytecode=without_bytecode)
    figures = [_run(probe, python) for _ in range(runs + 1)]
    return statistics.median(figures[1:])  # the first one may write the bytecode


def _run(probe: str, python: str) -> float:
    done = subprocess.run([python, "-W", "ignore", "-c", probe], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> int:
    """Print the table; the exit code says whether the modules of DAG files keep the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    too_slow = False
    print(f"{f'CPU ms beyond airflow.sdk (median of {runs})':45} {'bytecode':>8} {'without':>8}")
    for module in IN_DAG_FILES + FOR_INFORMATION:
        figure, first = cost(module, runs), cost(module, runs, without_bytecode=True)
        bound = module in IN_DAG_FILES
        too_slow |= bound and figure > BOUND_MS
        print(f"{module:45} {figure:8.1f} {first:8.1f}{f'  (bound {BOUND_MS:g})' if bound else ''}")
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
