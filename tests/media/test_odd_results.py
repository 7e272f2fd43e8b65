"""How results are asked for, and asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.operators import MagicHourDownloadOperator

pytestmark = pytest.mark.usefixtures("clock")


def download(project_id: str, destination: object, context: Any) -> Path:
    task = MagicHourDownloadOperator(task_id="d", project_id=project_id, destination=str(destination))
    return Path(task.execute(context())[0].removeprefix("file://"))


def test_a_url_that_the_store_calls_gone_is_asked_for_anew(sandbox: Any, context: Any, tmp_path: Path) -> None:
    job = sandbox.add_job()
    sandbox.faults.add("download", status=410)
    clip = download(job.id, tmp_path, context)
    assert clip.read_bytes() == job.result.file.read_bytes()
    assert sandbox.requests.counts["get"] == 2


def test_a_result_is_asked_for_as_it_is_not_compressed(sandbox: Any, context: Any, tmp_path: Path) -> None:
    download(sandbox.add_job().id, tmp_path, context)
    assert [each.headers["accept-encoding"] for each in sandbox.requests.to("download")] == ["identity"]


def test_a_deleted_project_has_no_results_though_the_api_still_names_them(
    sandbox: Any, context: Any, tmp_path: Path
) -> None:
    sandbox.faults.add("get", patch={"enabled": False})
    with pytest.raises(MagicHourApiError, match="is deleted: there is nothing to download"):
        download(sandbox.add_job().id, tmp_path, context)
    assert list(tmp_path.iterdir()) == []
