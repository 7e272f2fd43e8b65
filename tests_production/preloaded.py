"""Celery's settings, with what each task imports: a worker that has it already forks tasks that need not import it."""

from __future__ import annotations

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

CELERY = {
    **DEFAULT_CELERY_CONFIG,
    # What every version has: one row starts with version 0.1.0.
    "imports": [
        "airflow.dag_processing.dagbag",
        "airflow_provider_magichour.operators",
        "airflow_provider_magichour.sensors",
    ],
}
