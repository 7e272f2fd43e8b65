"""A pytest fixture for tests that need a real Airflow: one for the whole session, started when first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenes.statsd import StatsD
from tests.scenes.webhooks import SETTINGS
from tools.airflow.local import LocalAirflow


@pytest.fixture(scope="session")
def airflows_statsd() -> Iterator[StatsD]:
    """What `local_airflow` tells its metrics."""
    with StatsD() as server:
        yield server


@pytest.fixture(scope="session")
def local_airflow(tmp_path_factory: pytest.TempPathFactory, airflows_statsd: StatsD) -> Iterator[LocalAirflow]:
    """A healthy Airflow whose only DAG folder is empty: write DAG files into `local_airflow.dag_folders[0]`.

    It receives webhooks, and tells metrics.
    """
    folder: Path = tmp_path_factory.mktemp("dags")
    with LocalAirflow(folder, env=SETTINGS | airflows_statsd.settings) as airflow:
        yield airflow
