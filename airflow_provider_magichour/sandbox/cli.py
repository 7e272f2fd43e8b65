"""The command ``magichour-sandbox``."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_magichour import __version__
from airflow_provider_magichour.sandbox.settings import DEFAULT_API_KEY, check_port, check_values

DEFAULT_PORT = 8765


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox until SIGTERM or SIGINT; return the exit status.

    :param arguments: command line arguments; None for those of the process.
    """
    # First: importing the server takes a while, and Ctrl+C may come before it is done.
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    options = _options(arguments)
    try:
        from airflow_provider_magichour.sandbox import Sandbox

        sandbox = Sandbox(options.key, options.port, options.render_seconds, options.credits, render=options.render)
    except (ImportError, OSError) as error:
        return _complain(str(error))
    with contextlib.closing(sandbox):
        if stopped.is_set():
            return 0
        try:
            sandbox.start()
        except OSError as error:
            return _complain(f"cannot listen on port {options.port}: {error.strerror}")
        sys.stdout.write(_greeting(sandbox.url, sandbox.api_key, sandbox.connection))
        sys.stdout.flush()
        stopped.wait()
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="magichour-sandbox",
        description="A local Magic Hour on 127.0.0.1 that renders real clips. It costs no credits.",
    )
    add = parser.add_argument
    add("--port", type=_checked(int, check_port), default=DEFAULT_PORT, help="0 for a free one (default: %(default)s)")
    add("--key", type=_setting("api_key", str), default=DEFAULT_API_KEY, help="accepted API key (default: %(default)s)")
    seconds = _setting("render_seconds", float)
    add("--render-seconds", type=seconds, default=3.0, help="from create to complete (default: %(default)s)")
    credits = _setting("credits", int)
    add("--credits", type=credits, default=1_000_000, help="credits at first (default: %(default)s)")
    add("--no-render", dest="render", action="store_false", help="the same tiny clip for every job; needs no PyAV")
    add("--version", action="version", version=f"%(prog)s {__version__}")
    return parser.parse_args(arguments)


def _setting(name: str, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    return _checked(kind, lambda value: check_values({name: value}))


def _checked(kind: Callable[[str], Any], check: Callable[[Any], None]) -> Callable[[str], Any]:
    """Return a function that reads an option as this type and checks it."""

    def read(text: str) -> Any:
        value = kind(text)
        try:
            check(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    # Argparse uses it in its message for an invalid text: "invalid int value".
    read.__name__ = kind.__name__
    return read


def _greeting(url: str, key: str, connection: str) -> str:
    return (
        f"Magic Hour sandbox at {url}\n"
        f"API key: {key}\n"
        f"Airflow: export AIRFLOW_CONN_MAGICHOUR_DEFAULT={shlex.quote(connection)}\n"
        "Stop it with Ctrl+C.\n"
    )


def _complain(message: str) -> int:
    sys.stderr.write(f"magichour-sandbox: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
