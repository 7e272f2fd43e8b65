"""What HTTP libraries log of our requests: nothing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

_ours: ContextVar[bool] = ContextVar("_ours", default=False)


class _WithoutOurRequests(logging.Filter):
    """httpx logs every URL at INFO, httpcore each answer's head at DEBUG: ours may be signed, or set cookies."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _ours.get()


# All loggers of httpcore 1.0: what is logged by a child passes no filter of its parent's.
for _logger in ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))):
    logging.getLogger(_logger).addFilter(_WithoutOurRequests())


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Let httpx and httpcore log nothing of what is requested inside."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)
