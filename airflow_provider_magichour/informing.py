"""Reporting (lineage, links, side XComs, metrics) never fails a task that has paid or written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def informing(what: str) -> Iterator[None]:
    """Turn any failure inside into one WARNING.

    :param what: is reported, for the message, such as ``the link``; nothing signed.
    """
    try:
        yield
    except Exception as error:
        # The error's text may quote what was reported, such as the signed URLs of a side XCom.
        log.warning("Could not report %s to Airflow (%s); the task continues", what, type(error).__name__)
