"""Airflow as it runs in production, on loopback: Celery, PostgreSQL, and two of everything that may be two."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psycopg2

from tools.airflow.local import LocalAirflow
from tools.airflow.postgres import LocalPostgres
from tools.airflow.redis import LocalRedis

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
AT_ONCE = 6
"""Tasks that one Celery worker runs at a time."""

LOST_DATABASE = 90.0
"""Seconds in which the database is back after a restart."""


def _worker(name: str) -> tuple[str, ...]:
    names = ("--celery-hostname", name, "--pid", f"{name}.pid")
    return ("celery", "worker", "--skip-serve-logs", "--concurrency", str(AT_ONCE), *names)


COMPONENTS = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    "scheduler-1": ("scheduler", "--skip-serve-logs"),
    "scheduler-2": ("scheduler", "--skip-serve-logs"),
    "triggerer-1": ("triggerer", "--skip-serve-logs"),
    "triggerer-2": ("triggerer", "--skip-serve-logs"),
    "worker-1": _worker("worker-1"),
    "worker-2": _worker("worker-2"),
}

# What is dead is found, and its work taken over, in seconds in place of minutes.
SETTINGS = {
    "PYTHONPATH": str(ROOT),
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "tests_production.preloaded.CELERY",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__CORE__MAX_MAP_LENGTH": "10000",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


class Production:
    """The whole of it, and what can be done to its parts."""

    def __init__(self, airflow: LocalAirflow, postgres: LocalPostgres, redis: LocalRedis) -> None:
        self.airflow, self.postgres, self.redis = airflow, postgres, redis
        self.revived: Counter[str] = Counter()
        """How often what had ended by itself was started again."""
        self._address = postgres.address.replace("+psycopg2", "")

    def until(self, condition: Callable[[], T | None], what: Callable[[], str], seconds: float) -> T:
        """Return what the condition says once that is true; what ends by itself meanwhile is started again."""
        end = time.monotonic() + seconds
        while not (result := condition()):
            self.revived.update(self.airflow.revive())
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds:g} s: {what()}")
            time.sleep(0.5)
        return result

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database, which may just be restarting."""
        end = time.monotonic() + LOST_DATABASE
        while True:
            try:
                with contextlib.closing(psycopg2.connect(self._address)) as connection, connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    found = list(cursor.fetchall())
                    connection.commit()
                    return found
            except psycopg2.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def kill(self, name: str) -> None:
        """SIGKILL all processes of a component, and start it again."""
        self.airflow.kill(name)
        self.airflow.restart(name)


@contextlib.contextmanager
def production(dag_folder: Path) -> Iterator[Production]:
    """Start everything, and end it."""
    with LocalPostgres() as postgres, LocalRedis() as redis:
        celery = {
            "AIRFLOW__CELERY__BROKER_URL": redis.address,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{postgres.address}",
        }
        with LocalAirflow(
            dag_folder,
            env=SETTINGS | celery,
            parallelism=2 * AT_ONCE,
            components=COMPONENTS,
            sql_alchemy_conn=postgres.address,
            boot_timeout=240,
        ) as airflow:
            yield Production(airflow, postgres, redis)
