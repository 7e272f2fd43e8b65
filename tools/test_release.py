"""`make test-release`: what would be published is built, checked as a package index checks it, installed and used.

Wheel and source archive each go into an empty environment under the newest Airflow's constraints, where an example that
came with them is run; and somebody new follows the README's quick start with the wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email import message_from_string
from html.parser import HTMLParser
from pathlib import Path

from tools.airflow.guard import Guard
from tools.test_install import NEWEST, ROOT, try_out, uv

DIST = ROOT / "dist"


class Page(HTMLParser):
    """A package page's links, pictures and anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {"href": [], "src": [], "id": []}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            self.found.get(name, []).append(value or "")

    @property
    def broken(self) -> list[str]:
        """What leads nowhere: there are no files beside the page."""
        anchors = {f"#{each}" for each in self.found["id"]}
        targets = self.found["href"] + self.found["src"]
        return [each for each in targets if not each.startswith("https://") and each not in anchors]


def check_page(wheel: Path) -> str:
    """Render the README of the metadata as the package index does; nothing on the page may lead to a file beside it."""
    from readme_renderer import markdown

    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = message_from_string(archive.read(name).decode())
    rendered = markdown.render(metadata.get_payload())
    if rendered is None:
        raise SystemExit("The README of the metadata cannot be rendered")
    page = Page(rendered)
    if page.broken:
        raise SystemExit(f"On the package page these lead nowhere: {', '.join(page.broken)}")
    links, pictures = len(page.found["href"]), len(page.found["src"])
    return f"the package page has {links} links and {pictures} pictures, none of them broken"


def check_contents(wheel: Path, archive: Path) -> str:
    """Compare what is in both with what git has; nothing may lack, and nothing may be there that git does not know."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = set(subprocess.check_output(listed, cwd=ROOT, text=True).splitlines())
    with tarfile.open(archive) as tar:
        packed = {each.name.partition("/")[2] for each in tar.getmembers() if each.isfile()}
    package = {name for name in tracked if name.startswith("airflow_provider_magichour/")}
    with zipfile.ZipFile(wheel) as found:
        shipped = {name for name in found.namelist() if ".dist-info/" not in name}
    if wrong := (tracked ^ packed) - {"PKG-INFO"} | (package ^ shipped):
        raise SystemExit(f"Only in git, or only in what was built: {', '.join(sorted(wrong))}")
    return f"the wheel has {len(shipped)} files of the package, the source archive all {len(tracked)} of git"


def follow_quick_start(wheel: Path) -> int:
    """Be somebody new; return the exit code. Nothing of it is left when this run is killed."""
    folder = Path(tempfile.mkdtemp(prefix="newcomer-"))
    (folder / "home").mkdir()
    guard = Guard(folder, remove=True)
    command = [sys.executable, "-m", "tools.newcomer", str(wheel), "--home", str(folder / "home")]
    try:
        code = guard.run(command, {**os.environ, "PYTHONPATH": str(ROOT)}, folder / "output")
        print((folder / "output").read_text(), end="")
    finally:
        guard.close()
    return code


def main() -> int:
    """Do all of it; the first thing that fails ends it."""
    uv("build", "--quiet", "--clear", "--out-dir", DIST, ROOT)
    (wheel,), (archive,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, archive], check=True)
    print(f"{check_contents(wheel, archive)}\n{check_page(wheel)}", flush=True)
    for built in (wheel, archive):
        print(f"{built.name} under the constraints of Airflow {NEWEST}", flush=True)
        try_out(NEWEST, built)
    print("The quick start of the README, in an empty home", flush=True)
    return follow_quick_start(wheel)


if __name__ == "__main__":
    sys.exit(main())
