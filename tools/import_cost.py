"""Print what importing each module that a DAG file imports costs beyond ``airflow.sdk``, in CPU milliseconds.

Each figure is the median of fresh processes; the bound is 15 ms.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

MODULES = (
    "airflow_provider_magichour.operators",
    "airflow_provider_magichour.sensors",
    "airflow_provider_magichour.exceptions",
    "airflow_provider_magichour.hooks",
    "airflow_provider_magichour.triggers",
)
IN_DAG_FILES = MODULES[:3]
BOUND_MS = 15.0

PROBE = """
import time
import airflow.sdk
from airflow.sdk import BaseOperator, BaseSensorOperator, DAG, task
began = time.process_time()
import {module}
print((time.process_time() - began) * 1000)
"""


def cost(module: str, runs: int, python: str = sys.executable) -> float:
    """Return the median CPU milliseconds that importing a module costs in a fresh process of ``python``."""
    command = [python, "-W", "ignore", "-c", PROBE.format(module=module)]
    figures = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        for _ in range(runs)
    ]
    return statistics.median(figures)


def main() -> int:
    """Print the table; the exit code says whether the modules of DAG files keep the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    too_slow = False
    print(f"{'module':45} CPU ms beyond airflow.sdk (median of {runs})")
    for module in MODULES:
        figure = cost(module, runs)
        bound = module in IN_DAG_FILES
        too_slow |= bound and figure > BOUND_MS
        print(f"{module:45} {figure:6.1f}{f'  (bound {BOUND_MS:g})' if bound else ''}")
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
