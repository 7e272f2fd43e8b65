"""Does what the README's quick start shows, as somebody new does it: an empty home, pip, and nothing of this clone.

`python -m tools.newcomer WHEEL [--home FOLDER]`: the commands and the DAG are read out of the README and run as they
stand, in a folder that has three photos. Only the sandbox's port is a free one, and pip finds the package in the
folder of the wheel, as it is not published. Exit status 0 when each photo has its clip. Needs the standard library
alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.scenes.snippets import of, snippets

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "airflow_provider_magichour" / "example_dags" / "photos"
KEPT = ("PIP_", "SSL_", "REQUESTS_CA", "HTTP", "http", "LANG", "LC_", "NO_PROXY", "no_proxy", "TMPDIR")
"""Begins what a machine may need to reach its package index; of whoever runs this the newcomer has nothing else."""
PORT = "8765"


def environment(home: Path, wheel: Path) -> dict[str, str]:
    """Return what somebody has in a terminal after the first login."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    found = f"{kept.get('PIP_FIND_LINKS', '')} {wheel.parent}".strip()
    return kept | {"HOME": str(home), "PATH": f"{sys.base_prefix}/bin:/usr/bin:/bin", "PIP_FIND_LINKS": found}


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def follow(home: Path, wheel: Path) -> int:
    """Do all of it in a home; return how many clips there are.

    :raises subprocess.CalledProcessError: when a command fails.
    """
    shown = snippets(ROOT / "README.md")
    install, sandbox, connect, run = [each.text for each in of("bash", shown)[:4]]
    (dag,) = of("python", shown)
    activate = next(line for line in install.splitlines() if line.startswith(". "))
    port, begun = free_port(), time.monotonic()
    shutil.copytree(PHOTOS, home / "photos")

    def bash(text: str) -> list[str]:
        return ["bash", "-e", "-c", text.replace(PORT, port)]

    def step(what: str, text: str) -> str:
        done = subprocess.run(bash(text), env=env, cwd=home, stdout=subprocess.PIPE, text=True, check=False)
        print(f"  {time.monotonic() - begun:4.0f} s  {what}", flush=True)
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            done.check_returncode()
        return done.stdout

    env = environment(home, wheel)
    step("installed", install)
    # In a terminal of its own: exec, so that what is ended is the sandbox itself.
    with subprocess.Popen(
        bash(f"{activate}\nexec {sandbox}"), env=env, cwd=home, stdout=subprocess.PIPE, text=True
    ) as its:
        try:
            assert its.stdout is not None
            its.stdout.readline()
            # One terminal is one shell: what step 3 exports is there in step 5.
            step("connected", f"{activate}\n{connect}")
            (home / str(dag.file_name)).write_text(dag.text)
            exports = connect.replace("airflow db migrate", "")
            said = step("run", f"{activate}\n{exports}\n{run}")
        finally:
            its.terminate()
    print(f"  it says: {' '.join(said.split()[-len(list(PHOTOS.glob('*.jpg'))) :])}")
    return sum(clip.read_bytes()[4:8] == b"ftyp" for clip in (home / "clips").glob("*.mp4"))


def main() -> int:
    """Follow the quick start in a new home, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--home", type=Path, help="an empty folder, which is kept")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        clips = follow((options.home or Path(folder)).resolve(), options.wheel.resolve())
    print(f"The quick start: {clips} clips of 3 photos, {time.monotonic() - begun:.0f} s after the first command")
    return int(clips != len(list(PHOTOS.glob("*.jpg"))))


if __name__ == "__main__":
    sys.exit(main())
