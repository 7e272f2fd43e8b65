"""One client process of the bench: runs many waiting jobs in one loop and tells what they cost.

The plan comes as JSON in the first argument; lines of JSON go to stdout: ``start`` when the jobs start, ``begin`` and
``end`` of the measured time, the last with the figures.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from tools.bench.variants import VARIANTS, Job

TICK = 0.05
MOST_KB = 4 << 20
"""A client that takes more memory than this is ended: others live on the machine too."""

WARM_UP = 2.5
"""Seconds in which one job runs alone, so that imports, trust store and lookups are done before anything counts."""

Say = Callable[..., Any]


def main() -> None:
    plan = json.loads(sys.argv[1])
    if plan["core"] is not None:
        os.sched_setaffinity(0, {plan["core"]})
    # Whatever anybody prints or logs must not get between the lines of the report.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def say(event: str, **figures: Any) -> None:
        out.write(json.dumps({"event": event, **figures}) + "\n")

    # A triggerer writes INFO out. That counts for ours; the others are spared it.
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)
    if plan["variant"] not in ("ours", "over_aiohttp"):
        logging.disable(logging.CRITICAL)
    asyncio.run(measured(plan, say))


async def measured(plan: dict[str, Any], say: Say) -> None:
    """Start the jobs one after the other within ``ramp`` seconds, then measure for ``seconds``, then end at once."""
    build = VARIANTS[plan["variant"]][1]
    await warmed_up(build(plan["port"], 1.0))
    gc.collect()
    rest = resident_kb()
    say("start")
    await asyncio.sleep(0.2)
    job = build(plan["port"], plan["interval"])
    if plan["settle"] < 0:
        starts = [plan["ramp"] * number / plan["jobs"] for number in range(plan["jobs"])]
        tasks = [asyncio.ensure_future(later(job, number, start)) for number, start in enumerate(starts)]
        await asyncio.sleep(plan["ramp"] + plan["settle"])
    else:
        tasks = await started(job, plan["jobs"], plan["ramp"])
        await asyncio.sleep(plan["settle"])
    say("begin")
    cpu, lags = cpu_seconds(), await lags_for(plan["seconds"])
    say(
        "end",
        cpu=cpu_seconds() - cpu,
        kb_per_job=(resident_kb() - rest) / plan["jobs"],
        lag_p99=sorted(lags)[int(len(lags) * 0.99)] * 1000,
        lag_max=max(lags) * 1000,
        ended=sum(task.done() for task in tasks),
        why=next((repr(task.exception()) for task in tasks if task.done() and task.exception()), None),
    )
    os._exit(0)


async def warmed_up(job: Job) -> None:
    first = asyncio.ensure_future(job(0))
    await asyncio.sleep(WARM_UP)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def later(job: Job, number: int, delay: float) -> None:
    await asyncio.sleep(delay)
    await job(number)


async def started(job: Job, count: int, ramp: float) -> list[asyncio.Future[None]]:
    """Start so many jobs, evenly within ``ramp`` seconds."""
    began, tasks = time.monotonic(), []
    for number in range(count):
        due = began + ramp * number / count
        if due > time.monotonic():
            await asyncio.sleep(due - time.monotonic())
        tasks.append(asyncio.ensure_future(job(number)))
    await asyncio.sleep(max(0.0, began + ramp - time.monotonic()))
    return tasks


async def lags_for(seconds: float) -> list[float]:
    """Return by how many seconds a short sleep was late, 20 times a second."""
    end, lags = time.monotonic() + seconds, []
    while (now := time.monotonic()) < end:
        await asyncio.sleep(TICK)
        lags.append(time.monotonic() - now - TICK)
        if resident_kb() > MOST_KB:
            sys.exit("too much memory")
    return lags


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_kb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1024


if __name__ == "__main__":
    main()
