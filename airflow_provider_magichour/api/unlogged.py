"""Keeps HTTP libraries from logging our requests."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

_ours: ContextVar[bool] = ContextVar("_ours", default=False)


class _WithoutOurRequests(logging.Filter):
    """httpx logs every URL at INFO, httpcore each answer's headers at DEBUG: ours may be signed, or set cookies."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _ours.get()


# All loggers of httpcore 1.0: a child's messages do not pass its parent's filters.
for _logger in ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))):
    logging.getLogger(_logger).addFilter(_WithoutOurRequests())


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Let httpx and httpcore log nothing about requests made inside."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)
