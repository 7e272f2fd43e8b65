"""Measure what waiting for many projects costs, beside what people use today; docs/measurements.md says how to read it.

The exit code says whether all bounds are kept.
"""

from __future__ import annotations

import argparse
import functools
import platform
import time

from tools.bench import parts
from tools.bench.place import set_up
from tools.bench.runs import Api


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, without the 5000 jobs: for trying")
    names = ("waiting", "doubled", "limited", "refused", "schedules", "imports")
    parser.add_argument("--only", choices=names, nargs="+", default=names, help="these parts alone")
    options = parser.parse_args()
    set_up()
    effort, began = parts.QUICK if options.quick else parts.Effort(), time.monotonic()
    print(time.strftime("%Y-%m-%d"), platform.platform(), "Python", platform.python_version())
    with Api() as api:
        todo = {
            "waiting": functools.partial(parts.waiting, api),
            "doubled": functools.partial(parts.doubled, api),
            "limited": functools.partial(parts.limited, api),
            "refused": functools.partial(parts.refused, api),
            "schedules": parts.schedules,
            "imports": parts.imports,
        }
        bounds = [bound for name in names if name in options.only for bound in todo[name](effort)]
    print(f"\n{'bound':70}{'measured':>10}{'at most':>9}   ({(time.monotonic() - began) / 60:.0f} minutes)")
    for bound in bounds:
        print(f"{bound.what:70}{bound.value:>10.3g}{bound.most:>9.3g}   {'kept' if bound.kept else 'NOT KEPT'}")
    return int(not all(bound.kept for bound in bounds))


if __name__ == "__main__":
    raise SystemExit(main())
