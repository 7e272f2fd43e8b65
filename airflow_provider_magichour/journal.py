"""The record of a submission in Airflow's task state store (Airflow 3.3)."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_magichour.submission import KEY, Record, Unreadable, read_record

log = logging.getLogger(__name__)


class Journal:
    """Read and write the record of one task instance; it survives retries, crashes and clears.

    :param store: Airflow's accessor, or None where there is none: then nothing is remembered.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def read(self) -> Record | Unreadable | None:
        return None if self._store is None else read_record(self._store.get(KEY))

    def write(self, record: Record) -> None:
        """Write the record; raises what the store raises.

        Airflow refuses the write of a task process that another one has replaced, so such a process cannot go on.
        """
        if self._store is None:
            return
        # Compared by identity in 3.3, so it has to be this very object.
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._store.set(KEY, record.to_json(), retention=NEVER_EXPIRE)

    def try_write(self, record: Record, otherwise: str) -> None:
        """Write the record where a failure must not stop what has been paid for.

        :param record: what to write.
        :param otherwise: the line to log at WARNING when it cannot be written.
        """
        try:
            self.write(record)
        except Exception as error:
            log.warning("%s (the task state store refused the write: %s)", otherwise, error)
