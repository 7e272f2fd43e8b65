"""What the waits in a triggerer log, which must not hold them up."""

from __future__ import annotations

import logging
import time

SLOW = 0.05
"""Seconds after which a line has waited for whoever reads it."""

SILENCE = 60.0
"""Seconds in which nothing is logged then."""


class Lines:
    """Logs for all waits on one connection, and is silent for a while when a line had to wait for its reader.

    Airflow's triggerer reads at most 4,096 bytes of what its triggers log between two rounds of its own work (3.3.2,
    ``make_buffered_socket_reader``), and with thousands of triggers a round takes seconds. Once the pipe is full, each
    line stops the event loop, and with it all triggers: with 1,000 waits, for minutes (measured). So what only informs
    is left out then; how a wait has ended stands in its event.
    """

    def __init__(self) -> None:
        self._silent_until = 0.0

    def tell(self, log: logging.Logger, level: int, text: str, *values: object) -> None:
        """Log a line, or leave it out."""
        began = time.monotonic()
        if began < self._silent_until:
            return
        log.log(level, text, *values)
        if (ended := time.monotonic()) - began > SLOW:
            self._silent_until = ended + SILENCE
