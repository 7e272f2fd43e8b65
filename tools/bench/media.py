"""Print what moving a large file costs, up and down, from and to a local path and S3: memory and throughput.

Memory is the peak over the process at rest, in a fresh process for each case; throughput is compared with plain httpx
that streams the same bytes the same way in the same process, by turns. Bounds: 40 MiB, and 0.8 of plain httpx.

Magic Hour and S3 are a small server of this tool's own, in a process of its own, which throws away what it gets: moto
reads a whole object for each range that is asked for, and would be all that is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

MIB = 1 << 20
BOUND_MIB = 40.0
BOUND_RATIO = 0.8
CASES = ("up from file", "up from S3", "down to file", "down to S3")


def main() -> int:
    """Print the table; the exit code says whether all bounds are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each kind, of which the median counts (%(default)s)")
    parser.add_argument("--folder", help="where the files lie while it runs; by default a temporary folder")
    parser.add_argument("--case", choices=CASES, help="this one alone")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(Path(options.folder))
    if options.work:
        print(json.dumps(work(options.case, Path(options.folder), options.work, options.runs)))
        return 0
    with tempfile.TemporaryDirectory(prefix="magichour-bench-", dir=options.folder) as folder:
        return compare(Path(folder), options.mib, options.runs, [options.case] if options.case else CASES)


def compare(folder: Path, mib: int, runs: int, cases: Any) -> int:
    """Measure each case in a fresh process and print one line for each."""
    write_file(folder / "big.jpg", mib)
    write_file(folder / "tiny.jpg", 1)
    server = subprocess.Popen(tool("--serve", "--folder", str(folder)), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        print(f"{mib} MiB, median of {runs}{'peak over rest':>26}{'ours':>13}{'plain httpx':>14}{'ratio':>9}")
        kept = [line(case, measured(case, folder, url, runs), mib) for case in cases]
    finally:
        server.kill()
        server.wait()
    print(f"bounds: {BOUND_MIB:g} MiB, {BOUND_RATIO:g} of plain httpx: {'kept' if all(kept) else 'NOT KEPT'}")
    return int(not all(kept))


def tool(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "tools.bench.media", *arguments]


def write_file(path: Path, mib: int) -> None:
    piece = os.urandom(MIB)
    # Results are checked: this is an MP4 by its boxes, of which the last one has a size in 64 bits.
    head = b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\1mdat" + (mib * MIB - 16).to_bytes(8, "big")
    with path.open("wb") as file:
        file.write(head + piece[len(head) :])
        for _ in range(mib - 1):
            file.write(piece)


def measured(case: str, folder: Path, url: str, runs: int) -> dict[str, Any]:
    connections = {
        "MAGICHOUR_DEFAULT": {"conn_type": "magichour", "host": url, "password": "mhk_bench"},
        "BUCKET": {
            "conn_type": "aws",
            "extra": {
                "region_name": "us-east-1",
                "endpoint_url": f"{url}/s3",
                "config_kwargs": {"s3": {"addressing_style": "path"}},
            },
        },
    }
    environment = {
        **os.environ,
        **{f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()},
        "AIRFLOW_HOME": str(folder / "airflow"),
        "NO_PROXY": "127.0.0.1",
        # Anonymous, as plain httpx is: to sign without TLS, S3's client would hash every part.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }
    arguments = ("--work", url, "--folder", str(folder), "--runs", str(runs), "--case", case)
    done = subprocess.run(tool(*arguments), env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def line(case: str, figures: dict[str, Any], mib: int) -> bool:
    ours, plain = (statistics.median(figures[name]) for name in ("ours", "plain"))
    memory, ratio = figures["peak"] / MIB, plain / ours
    kept = memory <= BOUND_MIB and ratio >= BOUND_RATIO
    rates = f"{mib / ours:8.0f} MiB/s{mib / plain:8.0f} MiB/s"
    extra = f"  (fingerprint before it: {figures['identity']:.1f} s)" if figures["identity"] else ""
    print(f"{case:22}{memory:18.1f} MiB {rates}{ratio:9.2f}{'' if kept else '  NOT KEPT'}{extra}", flush=True)
    return kept


# One case, in a process of its own


def work(case: str, folder: Path, url: str, runs: int) -> dict[str, Any]:
    """Return the peak in bytes and the seconds of each run of ours and of plain httpx."""
    ours, plain = transfers(case, folder, url)
    for transfer in (ours, plain):
        transfer("tiny.jpg")
    rest = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    figures: dict[str, Any] = {"ours": [ours("big.jpg")], "plain": []}
    figures["peak"] = status("VmHWM") - rest
    figures["identity"] = fingerprint(folder) if case == "up from file" else 0.0
    for run in range(runs):
        figures["plain"].append(plain("big.jpg"))
        if run:
            figures["ours"].append(ours("big.jpg"))
    return figures


def status(name: str) -> int:
    """Return a figure of this process's memory in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, f"this system has no {name}"
    return int(found[1]) * 1024


def place(case: str, folder: Path, name: str) -> str:
    return f"s3://media/{name}" if case.endswith("S3") else str(folder / name)


def transfers(case: str, folder: Path, url: str) -> tuple[Callable[[str], float], Callable[[str], float]]:
    """Return what moves a file by name and says how many seconds it took: the package, and plain httpx."""
    import httpx

    from airflow_provider_magichour.hooks import MagicHourHook
    from airflow_provider_magichour.media.sources import source_of
    from airflow_provider_magichour.operators import MagicHourDownloadOperator

    is_s3 = case.endswith("S3")
    conn_id = "bucket" if is_s3 else None
    target = folder / "out.mp4"

    def ours_up(name: str) -> None:
        source = source_of("image", place(case, folder, name), conn_id)
        assert source
        MagicHourHook().upload(source.open, size=source.size, extension=source.extension)

    def ours_down(name: str) -> None:
        destination = place(case, folder, target.name)
        task = MagicHourDownloadOperator(
            task_id="download",
            project_id=name.partition(".")[0],
            destination=destination,
            conn_id=conn_id,
            overwrite=True,
        )
        task.execute({})  # type: ignore[typeddict-item]  # it is read for outlets alone

    def put(http: httpx.Client, where: str, content: Any, size: int) -> None:
        http.put(where, content=content, headers={"Content-Length": str(size)}).raise_for_status()

    def plain_up(name: str) -> None:
        size = (folder / name).stat().st_size
        with httpx.Client(timeout=60) as http:
            if is_s3:
                with http.stream("GET", f"{url}/s3/media/{name}") as response:
                    put(http, f"{url}/sink", response.iter_raw(), size)
            else:
                with (folder / name).open("rb") as stream:
                    put(http, f"{url}/sink", stream, size)

    def plain_down(name: str) -> None:
        size = (folder / name).stat().st_size
        with httpx.Client(timeout=60) as http, http.stream("GET", f"{url}/source/{name}") as response:
            if is_s3:
                put(http, f"{url}/s3/media/out.mp4", response.iter_raw(), size)
            else:
                with target.open("wb") as file:
                    for piece in response.iter_raw():
                        file.write(piece)

    def checked(transfer: Callable[[str], None]) -> Callable[[str], float]:
        def run(name: str) -> float:
            httpx.delete(f"{url}/received")
            # Giving back the space of an old file of this size takes as long as many a transfer.
            target.unlink(missing_ok=True)
            began = time.perf_counter()
            transfer(name)
            took = time.perf_counter() - began
            there = target.stat().st_size if case == "down to file" else httpx.get(f"{url}/received").json()
            assert there == (folder / name).stat().st_size, f"{case}: {there} bytes arrived"
            return took

        return run

    ours, plain = (ours_up, plain_up) if case.startswith("up") else (ours_down, plain_down)
    return checked(ours), checked(plain)


def fingerprint(folder: Path) -> float:
    """Return the seconds that telling a local file's bytes from others takes: a reading of its own, before upload."""
    from airflow_provider_magichour.media.sources import source_of

    source = source_of("image", str(folder / "big.jpg"), None)
    assert source
    began = time.perf_counter()
    source.identity()
    return time.perf_counter() - began


# The other side


def serve(folder: Path) -> int:
    """Serve until killed; the first line says where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"folder": folder}))
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
    return 0


class Handler(BaseHTTPRequestHandler):
    """Magic Hour's API and store, and S3 under ``/s3``, as far as a transfer meets them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    received = 0

    @property
    def address(self) -> str:
        return f"http://{self.headers['host']}"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/v1/video-projects/"):
            self.answer(self.project(url.path.rpartition("/")[2]))
        elif url.path == "/received":
            self.answer(json.dumps(Handler.received))
        elif "list-type" in parse_qs(url.query):
            self.answer("<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>")
        else:
            self.send_file(url.path)

    def do_HEAD(self) -> None:
        self.send_file(urlsplit(self.path).path)

    def do_DELETE(self) -> None:
        Handler.received = 0
        self.answer("")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if url.path == "/v1/files/upload-urls":
            item = {"upload_url": f"{self.address}/sink", "expires_at": None, "file_path": "api-assets/a/image.jpg"}
            self.answer(json.dumps({"items": [item]}))
        elif "uploadId" in parse_qs(url.query):
            self.answer("<CompleteMultipartUploadResult><ETag>done</ETag></CompleteMultipartUploadResult>")
        else:
            self.answer("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")

    def do_PUT(self) -> None:
        if self.headers.get("expect"):
            self.close_connection = False
        for piece in self.body():
            Handler.received += len(piece)
        self.answer("", ETag='"e"')

    def body(self) -> Iterator[memoryview]:
        left = int(self.headers["content-length"])
        room = memoryview(bytearray(MIB))
        while left:
            count = self.rfile.readinto(room[: min(left, MIB)])  # type: ignore[attr-defined]
            if not count:
                raise ConnectionError("cut off")
            left -= count
            yield room[:count]

    def project(self, name: str) -> str:
        url = f"{self.address}/source/{name}.jpg"
        return json.dumps(
            {
                "id": name,
                "name": name,
                "status": "complete",
                "type": "IMAGE_TO_VIDEO",
                "created_at": "2026-11-01T00:00:00Z",
                "enabled": True,
                "credits_charged": 1,
                "error": None,
                "downloads": [{"url": url, "expires_at": "2036-11-01T00:00:00Z"}],
            }
        )

    def send_file(self, path: str) -> None:
        file = self.folder / path.rpartition("/")[2]
        if path.rpartition("/")[2] not in ("big.jpg", "tiny.jpg"):
            self.answer("", 404)
            return
        size = file.stat().st_size
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        first, last = (int(part[1]), min(int(part[2] or size), size - 1)) if part else (0, size - 1)
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
        self.send_header("ETag", '"e"')
        if part:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command == "GET":
            with file.open("rb") as stream:
                self.connection.sendfile(stream, first, last + 1 - first)

    def answer(self, body: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json" if body[:1] == "{" else "application/xml")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
