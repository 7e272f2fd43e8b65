"""The command ``magichour-sandbox``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from airflow_provider_magichour.sandbox.settings import DEFAULT_API_KEY

DEFAULT_PORT = 8765


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox until SIGTERM or SIGINT; return the exit status.

    :param arguments: command line arguments; None for those of the process.
    """
    options = _options(arguments)
    try:
        from airflow_provider_magichour.sandbox import Sandbox
    except ImportError as error:
        return _complain(str(error))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    sandbox = Sandbox(options.key, options.port, options.render_seconds, options.credits)
    try:
        with sandbox:
            sys.stdout.write(_greeting(sandbox.url, sandbox.api_key, sandbox.connection))
            sys.stdout.flush()
            stopped.wait()
    except OSError as error:
        return _complain(f"cannot listen on port {options.port}: {error.strerror}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="magichour-sandbox",
        description="A local Magic Hour on 127.0.0.1 that renders real clips. It costs no credits.",
    )
    add = parser.add_argument
    add("--port", type=int, default=DEFAULT_PORT, help="0 for a free one (default: %(default)s)")
    add("--key", default=DEFAULT_API_KEY, help="the API key it accepts (default: %(default)s)")
    add("--render-seconds", type=float, default=3.0, help="from create to complete (default: %(default)s)")
    add("--credits", type=int, default=1_000_000, help="credits at first (default: %(default)s)")
    return parser.parse_args(arguments)


def _greeting(url: str, key: str, connection: str) -> str:
    return (
        f"Magic Hour sandbox at {url}\n"
        f"API key: {key}\n"
        f"Airflow: export AIRFLOW_CONN_MAGICHOUR_DEFAULT='{connection}'\n"
        "Stop it with Ctrl+C.\n"
    )


def _complain(message: str) -> int:
    sys.stderr.write(f"magichour-sandbox: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
