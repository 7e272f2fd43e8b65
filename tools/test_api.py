"""`make test-api`: Schemathesis sends the sandbox all that the API's specification allows, and much that it does not.

Whatever is sent, the answer is one that the specification has, and no error of the sandbox's own; the specification's
own examples are taken. The specification is not this project's to ship: MAGIC_HOUR_OPENAPI names a copy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from airflow_provider_magichour.sandbox import Sandbox

ANSWERS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
RUNS = (
    ("--checks", ANSWERS, "--phases", "examples,coverage,fuzzing", "--max-examples", "20"),
    ("--checks", "positive_data_acceptance", "--phases", "examples"),
)
# The same requests each time, and nothing that is kept from one run to the next.
ALWAYS = ("--generation-deterministic", "--no-color")


def main(arguments: list[str]) -> int:
    """Run Schemathesis.

    :param arguments: further ones of its own.
    """
    specification = os.environ.get("MAGIC_HOUR_OPENAPI")
    if not specification:
        print("test-api: skipped, because MAGIC_HOUR_OPENAPI does not name the vendor's specification")
        return 0
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", str(Path(specification).resolve())]
    with Sandbox(render=False, render_seconds=0, credits=10**12) as sandbox, tempfile.TemporaryDirectory() as folder:
        where = ("--url", sandbox.url, "--header", f"Authorization: Bearer {sandbox.api_key}")
        ends = [
            subprocess.run([*command, *where, *run, *ALWAYS, *arguments], cwd=folder, check=False).returncode
            for run in RUNS
        ]
    return max(ends)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
