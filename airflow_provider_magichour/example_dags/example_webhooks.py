"""Whatever is made in the account, by a DAG, a person or another program, is fetched as soon as it is done.

Magic Hour calls Airflow's API server, which makes an asset event of each call. The first DAG starts on videos that are
done, and downloads them; the second one starts on those that failed, and says why.

**Costs** nothing: it submits no project.

**Needs** a connection `magichour_default`, and a webhook in Magic Hour's Developer Hub for `video.completed` and
`video.errored`, whose secret the API server has as `[magichour] webhook_secret`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, Param, dag, task

from airflow_provider_magichour.operators import MagicHourDownloadOperator

COMPLETED = Asset("magichour://videos/completed")
ERRORED = Asset("magichour://videos/errored")


@dag(
    schedule=COMPLETED,
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "clips": Param("clips/", type="string", pattern="/$", description="a folder, relative to the worker's folder")
    },
    tags=["magichour"],
)
def example_webhooks():
    @task
    def completed(triggering_asset_events=None) -> list[str]:
        # Videos that are done within seconds start one run.
        return sorted({event.extra["project_id"] for event in triggering_asset_events[COMPLETED]})

    MagicHourDownloadOperator.partial(
        task_id="download",
        destination="{{ params.clips }}",
        map_index_template="{{ ti.xcom_pull('completed')[ti.map_index] }}",
    ).expand(project_id=completed())


@dag(schedule=ERRORED, doc_md=__doc__, tags=["magichour"])
def example_failed_videos():
    @task
    def report(triggering_asset_events=None) -> list[str]:
        failed = [event.extra for event in triggering_asset_events[ERRORED]]
        return sorted("{project_id} ({name}): {error_code}, {error_message}".format_map(each) for each in failed)

    report()


example_webhooks()
example_failed_videos()
