"""The demo: photos become clips in a real Airflow, against a local Magic Hour or, with an API key, the real one.

`python -m tools.demo [--keep] [--yes]`, from the project's folder. Exit status 0 when every clip is there. It leaves
nothing behind but the clips in `demo/output/` and the cache in `.cache/`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import httpx
from rich.console import Console
from rich.markup import escape

from airflow_provider_magichour.sandbox import Sandbox
from tools.airflow.local import LocalAirflow, LocalAirflowError
from tools.airflow.rest import TERMINAL_RUN_STATES, TaskInstance
from tools.demo.view import DemoView

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "airflow_provider_magichour" / "example_dags"
PHOTOS = DAGS / "photos"
OUTPUT = PROJECT / "demo" / "output"
DAG_ID = "example_image_to_video"
CREDITS_A_CLIP = 240
RENDER_SECONDS = 4
SANDBOX_TIMEOUT = 150
REAL_TIMEOUT = 3600
_LOG_LINES = 25


@dataclass(frozen=True)
class MagicHour:
    """Where the clips are made: the connection as JSON, and how long a run may take in seconds."""

    name: str
    connection: str
    timeout: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status: 0, 1 for a failure, 2 for "not without a yes", 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make demo", description="Photos become clips in a real Airflow.")
    parser.add_argument("--keep", action="store_true", help="keep Airflow's web UI up until Ctrl-C")
    parser.add_argument("--yes", action="store_true", help="agree to what the real API costs")
    options = parser.parse_args(arguments)
    console = Console()
    key = os.environ.pop("MAGIC_HOUR_API_KEY", "")
    try:
        if key and not _agreed(console, options.yes):
            return 2
        with _magic_hour(key) as service:
            return _run(service, DemoView(console), keep=options.keep)
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 130
    except (LocalAirflowError, TimeoutError, httpx.HTTPError) as error:
        console.print("[red]The demo failed:[/]", escape(str(error)), highlight=False, soft_wrap=True)
        return 1


def _agreed(console: Console, yes: bool) -> bool:
    photos = len(_photos())
    console.print(
        f"MAGIC_HOUR_API_KEY is set, so this uses the real API, and it costs: {photos} clips of 5 s at 720p with "
        f"kling-3.0 are about {photos * CREDITS_A_CLIP} credits ({CREDITS_A_CLIP} each; prices of August 2026).",
        highlight=False,
    )
    if yes:
        return True
    if not sys.stdin.isatty():
        console.print("Nothing was sent: say `make demo YES=1` to agree, or unset the key to use the local sandbox.")
        return False
    return console.input("Go on? [y/N] ", markup=False).strip().lower() in ("y", "yes")


@contextlib.contextmanager
def _magic_hour(key: str) -> Iterator[MagicHour]:
    if key:
        connection = json.dumps({"conn_type": "magichour", "password": key})
        yield MagicHour("the real API, https://api.magichour.ai", connection, REAL_TIMEOUT)
        return
    with Sandbox(render_seconds=RENDER_SECONDS) as sandbox:
        yield MagicHour(f"a local sandbox, {sandbox.url}", sandbox.connection, SANDBOX_TIMEOUT)


def _run(service: MagicHour, view: DemoView, *, keep: bool) -> int:
    begin = time.monotonic()
    photos = _photos()
    view.name_photos(photos)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    view.say(f"Magic Hour is {service.name}")
    view.say("Airflow starts: API server, scheduler, DAG processor, triggerer")
    airflow = LocalAirflow(DAGS, env={"AIRFLOW_CONN_MAGICHOUR_DEFAULT": service.connection})
    with airflow:
        airflow.wait_for_dag(DAG_ID)
        run_id = airflow.rest.trigger(DAG_ID, {"photos": str(PHOTOS), "clips": f"{OUTPUT}/"})
        view.say(f"Airflow is up at {airflow.url}; DAG {DAG_ID} runs, {len(photos)} photos")
        state = _watch(airflow, run_id, view, service.timeout)
        if state == "success":
            _show_clips(airflow, run_id, view, time.monotonic() - begin)
        else:
            view.console.print(f"[red]The run is {state}.[/]")
            _show_failures(airflow, run_id, view)
        if keep:
            _keep(airflow, run_id, view)
    return 0 if state == "success" else 1


def _photos() -> list[str]:
    return sorted(photo.name for photo in PHOTOS.glob("*.jpg"))


def _watch(airflow: LocalAirflow, run_id: str, view: DemoView, timeout: float) -> str:
    def look() -> str | None:
        # The state first: with it final, the task instances are too.
        state = airflow.rest.run_state(DAG_ID, run_id)
        view.update(airflow.rest.task_instances(DAG_ID, run_id))
        return state if state in TERMINAL_RUN_STATES else None

    with view:
        try:
            return airflow.wait_for(look, timeout)
        except TimeoutError:
            return f"not at its end after {timeout:g} s"


def _show_clips(airflow: LocalAirflow, run_id: str, view: DemoView, seconds: float) -> None:
    photos = _photos()
    credits = 0
    view.console.print()
    for index, photo in enumerate(photos):
        written = airflow.rest.xcom(DAG_ID, run_id, "clip.download", map_index=index)
        project = airflow.rest.xcom(DAG_ID, run_id, "clip.wait", map_index=index)
        credits += project["credits_charged"] or 0
        text = f"{photo:<12} {_clip(Path(unquote(urlparse(written[0]).path)), project)}"
        view.console.print(text, highlight=False, soft_wrap=True)
    text = f"\n{len(photos)} clips, {seconds:.0f} s, {credits} credits; every clip submitted once."
    view.console.print(text, highlight=False)


def _clip(path: Path, project: Mapping[str, Any]) -> str:
    megabytes = path.stat().st_size / 1e6
    picture = f"{project['width']} x {project['height']}, {project['fps']:g} fps"
    return f"{os.path.relpath(path)}  ({picture}, {megabytes:.1f} MB, {project['credits_charged']} credits)"


def _show_failures(airflow: LocalAirflow, run_id: str, view: DemoView) -> None:
    instances = airflow.rest.task_instances(DAG_ID, run_id)
    failed = [ti for ti in instances if ti.state == "failed"]
    for ti in failed or [ti for ti in instances if ti.state not in ("success", None)]:
        if ti.try_number:
            view.console.print(escape(f"{ti.label} is {ti.state} in try {ti.try_number}; the end of its log:"))
            view.console.print(_log_tail(airflow, run_id, ti), markup=False, highlight=False, soft_wrap=True)


def _log_tail(airflow: LocalAirflow, run_id: str, ti: TaskInstance) -> str:
    lines = [
        f"  {line}"
        for line in _log(airflow, run_id, ti).splitlines()
        # groups fold in the web UI only, and the log's own path is gone with this Airflow
        if "group::" not in line and not line.startswith(str(airflow.home))
    ]
    return "\n".join(lines[-_LOG_LINES:])


def _log(airflow: LocalAirflow, run_id: str, ti: TaskInstance) -> str:
    try:
        return airflow.rest.log(DAG_ID, run_id, ti.task_id, try_number=ti.try_number, map_index=ti.map_index)
    except httpx.HTTPError as error:
        return f"no log: {error}"


def _keep(airflow: LocalAirflow, run_id: str, view: DemoView) -> None:
    view.console.print(
        f"\nLog in as {airflow.user} with the password {airflow.password}; Ctrl-C ends it.", highlight=False
    )
    page = f"{airflow.url}/dags/{DAG_ID}/runs/{run_id}/plugin/magichour-clips"
    view.console.print(f"The clips, in Airflow's web UI: {page}", soft_wrap=True)
    with contextlib.suppress(KeyboardInterrupt):
        airflow.wait_for(lambda: False, float("inf"))


if __name__ == "__main__":
    sys.exit(main())
