"""Airflow connections to a sandbox, for tests that share a real Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_magichour.sandbox import Sandbox
from tools.airflow.local import LocalAirflow


@contextmanager
def connected(airflow: LocalAirflow, sandbox: Sandbox, conn_id: str = "magichour_default") -> Iterator[LocalAirflow]:
    """Have a connection to a sandbox in an Airflow that others use later."""
    airflow.rest.add_connection(conn_id, "magichour", host=sandbox.url, password=sandbox.api_key)
    yield airflow
    airflow.rest.delete_connection(conn_id)
