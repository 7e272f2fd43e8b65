"""What only informs others never fails a task that has paid or written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def informing(what: str) -> Iterator[None]:
    """Let what is done inside fail with one WARNING: lineage, links, side keys of XCom.

    :param what: is told, for the message, such as ``the link``; nothing signed.
    """
    try:
        yield
    except Exception as error:
        # Its text may quote what was told, such as the signed URLs of a side key.
        log.warning("Could not tell Airflow %s (%s); the task goes on", what, type(error).__name__)
