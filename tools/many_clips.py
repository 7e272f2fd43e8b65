"""A Magic Hour in a process of its own, where each project takes its own time and has a clip of its own.

Usage: python -m tools.many_clips MEDIAN SEED HELD_AFTER FOLDER; prints its URL. :class:`ManyClips` is the handle to it.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
import re
import struct
import sys
import tempfile
import time
import zlib
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import httpx

from airflow_provider_magichour.sandbox import Sandbox
from airflow_provider_magichour.sandbox.jobs import Job, Jobs
from airflow_provider_magichour.sandbox.settings import DEFAULT_API_KEY
from airflow_provider_magichour.sandbox.studio import Output, Outputs
from tools.airflow.guard import Guard

TAIL = 3.3
"""The 95th percentile of render times, as a multiple of their median."""

PATIENCE = 60.0
"""Seconds in which it must have started."""

FOREVER = 1e9
"""Seconds that a project is rendered that waits for a word of the test."""

GO_ON = "go-on"
"""The file that is there when no more projects are held."""

AWAY = "away"
"""The file that is there while nobody listens."""

PNG = b"\x89PNG"
END_OF_PNG = 12
"""Bytes of a PNG's last part."""


class OwnClips(Jobs):
    """Jobs whose render times are log-normal; each has the sandbox's small result, with the job's name in it."""

    def __init__(self, sandbox: Sandbox, folder: Path, median: float, seed: int, held_after: float) -> None:
        super().__init__(sandbox.settings)
        self._held_after = held_after
        self._folder = folder
        self._median = median
        self._chance = random.Random(seed)

    def open(self, job: Job) -> None:
        job.render_seconds = render_time(self._median, self._chance)
        if len(self) >= self._held_after and not (self._folder / GO_ON).exists():
            job.script = dataclasses.replace(job.script, render_seconds=FOREVER)
        super().open(job)

    def render(self, job: Job, output: Future[Outputs]) -> None:
        (sample,) = output.result()
        file = self._folder / f"{job.id}{sample.file.suffix}"
        file.write_bytes(named(sample.file.read_bytes(), job.name))
        own: Future[Outputs] = Future()
        own.set_result((Output(file, sample.width, sample.height),))
        super().render(job, own)


def render_time(median: float, chance: random.Random) -> float:
    """Return the next of render times that are log-normal, in seconds."""
    return median * chance.lognormvariate(0.0, math.log(TAIL) / 1.645)


def named(file: bytes, name: str) -> bytes:
    """Return an MP4 or PNG file with a name in a part of it that is not shown."""
    content = f"[[{name}]]".encode()
    if not file.startswith(PNG):
        return file + struct.pack(">I", 8 + len(content)) + b"free" + content
    chunk = b"tEXtTitle\0" + content
    part = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return file[:-END_OF_PNG] + part + file[-END_OF_PNG:]


def name_in(clip: Path) -> str:
    """Return the name of the project that a file is of; empty where it has none."""
    found = re.search(rb"\[\[(.+?)\]\]", clip.read_bytes())
    return found[1].decode() if found else ""


class ManyClips:
    """The handle to such a process, which ends with the run.

    :param median: of the render times, in seconds.
    :param seed: of the render times.
    :param create_seconds: how long a create takes.
    :param held_after: after so many projects, each is rendered until :meth:`finish` or :meth:`go_on` ends it.
    """

    def __init__(self, median: float, seed: int = 0, create_seconds: float = 0.0, held_after: float = math.inf) -> None:
        self.api_key = DEFAULT_API_KEY
        self._command = [sys.executable, "-m", "tools.many_clips", str(median), str(seed), str(held_after)]
        self._median, self._seed = median, seed
        self._held_after = held_after
        self._create_seconds = create_seconds

    def __enter__(self) -> Self:
        self._folder = folder = Path(tempfile.mkdtemp(prefix="many-clips-"))
        self._guard = Guard(folder, remove=True)
        output = folder / "output"
        self.pid = self._guard.start([*self._command, str(folder)], {**os.environ, "TMPDIR": str(folder)}, output)
        end = time.monotonic() + PATIENCE
        while not (said := output.read_text() if output.exists() else "").endswith("\n"):
            if time.monotonic() > end or self._guard.exit_code(self.pid) is not None:
                self._guard.close()
                raise RuntimeError(f"the sandbox does not start: {said}")
            time.sleep(0.1)
        self.url = said.strip()
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        if self._create_seconds:
            self.fault(route="create", delay=self._create_seconds, times=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._guard.close()

    def jobs(self) -> list[dict[str, Any]]:
        """Return all projects that were made: ``id`` and ``name`` among what is told of each."""
        return list(self._http.get("/_sandbox/jobs").raise_for_status().json()["jobs"])

    def render_times(self) -> list[float]:
        """Return how long each of the projects is rendered, in the order in which they were made, in seconds."""
        chance = random.Random(self._seed)
        return [render_time(self._median, chance) for _ in self.jobs()]

    def file_of(self, job_id: str, suffix: str) -> Path:
        """Return the file that is a project's result."""
        return self._folder / f"{job_id}{suffix}"

    def add_job(self, render_seconds: float) -> str:
        """Make a project that is rendered for so long, and return its id."""
        body = {"script": {"render_seconds": render_seconds}}
        return str(self._http.post("/_sandbox/jobs", json=body).raise_for_status().json()["id"])

    def counted(self, route: str) -> int:
        """Return how many requests one route has had."""
        found = self._http.get("/_sandbox/requests", params={"route": "account"}).raise_for_status().json()
        return int(found["counts"].get(route, 0))

    def requests(self) -> list[dict[str, Any]]:
        """Return the last 50,000 requests: ``route``, ``at`` and ``connection`` among what is told of each."""
        return list(self._http.get("/_sandbox/requests").raise_for_status().json()["requests"])

    def fault(self, **script: Any) -> None:
        """Script a fault, as :class:`~airflow_provider_magichour.sandbox.faults.Fault` has it."""
        self._http.post("/_sandbox/faults", json=script).raise_for_status()

    def faults(self) -> list[dict[str, Any]]:
        """Return the scripted faults; ``hits`` says how often each has happened."""
        return list(self._http.get("/_sandbox/faults").raise_for_status().json()["faults"])

    def change_key(self, key: str) -> None:
        """Accept this API key alone from now on."""
        self._http.put("/_sandbox/settings", json={"api_key": key}).raise_for_status()
        self.api_key = key

    def be_away(self, away: bool) -> None:
        """Listen no more, and cut all connections; or listen again."""
        if away:
            (self._folder / AWAY).touch()
        else:
            (self._folder / AWAY).unlink()

    def finish(self, share: float = 1.0) -> None:
        """End the renders of this share of those that are held now, at least of one."""
        held = [
            job["id"]
            for number, job in enumerate(self.jobs())
            if number >= self._held_after and job["status"] in ("queued", "rendering")
        ]
        for job_id in held[: math.ceil(len(held) * share)]:
            self._http.patch(f"/_sandbox/jobs/{job_id}", json={"render_seconds": 0.0}).raise_for_status()

    def go_on(self) -> None:
        """Hold no more projects, and end those that are held."""
        (self._folder / GO_ON).touch()
        self.finish()


def main() -> None:
    median, seed, held_after = sys.argv[1:4]
    folder = Path(sys.argv[4])
    with Sandbox(render=False) as sandbox:
        sandbox.jobs = OwnClips(sandbox, folder, float(median), int(seed), float(held_after))
        print(sandbox.url, flush=True)
        while True:
            time.sleep(0.05)
            if (folder / AWAY).exists():
                sandbox.stop()
            else:
                sandbox.start()


if __name__ == "__main__":
    main()
