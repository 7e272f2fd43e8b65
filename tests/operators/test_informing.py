"""What only informs others: a task that has paid or written goes on without it, and says so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias

from airflow_provider_magichour.operators import MagicHourDownloadOperator
from tests.operators.test_image_to_video import operator, posts

SECRET = "hush-hush-hush"
SIGNED = f"https://u:{SECRET}@h.example/cat.jpg?X-Amz-Signature={SECRET}&X-Amz-Credential=c"


class Refusing:
    """Stands in for what Airflow has: whatever it is asked, it raises, and quotes a secret."""

    def __getitem__(self, _: Any) -> Any:
        raise ValueError(f"no event, {SECRET}")

    def add_input_asset(self, **_: Any) -> None:
        raise ValueError(f"URI is too long, {SECRET}")

    add_output_asset = add_input_asset


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's lineage refuses each URI, as its validators do."""
    monkeypatch.setattr("airflow_provider_magichour.media.lineage.get_hook_lineage_collector", Refusing)


def refuse_pushes(run: Any) -> None:
    def refuse(key: str, value: Any) -> None:
        raise RuntimeError(f"no room for {value} {SECRET}")

    run["ti"].xcom_push = refuse


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "image",
    [SIGNED, f"https://h.example/{'x' * 2000}.jpg", "https://h.example/größe 猫.jpg", "https://[::1/cat.jpg"],
    ids=["signed", "long", "not-ascii", "broken-brackets"],
)
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.usefixtures("deaf", "clock")
def test_a_project_is_paid_once_whatever_lineage_and_xcom_refuse(
    sandbox: Any, context: Any, store: Any, caplog: pytest.LogCaptureFixture, image: str, waits: bool
) -> None:
    for number in (1, 2):
        run = context(store, try_number=number)
        refuse_pushes(run)
        operator(image=image, wait_for_completion=waits).execute(run)
    assert posts(sandbox) == 1
    told = "\n".join(warnings(caplog))
    assert SECRET not in told
    for what in ("the link", "'project_id'", "'credits_charged'", "lineage"):
        assert what in told
    assert ("'download_urls'" in told) is waits


@pytest.mark.usefixtures("deaf", "clock")
def test_a_clip_that_is_written_stays_written_whatever_refuses_to_be_told(
    sandbox: Any, context: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    project = sandbox.add_job(script={"render_seconds": 0}).id
    run = {**context(), "outlet_events": Refusing()}
    clip = MagicHourDownloadOperator(
        task_id="download",
        project_id=project,
        destination=f"{tmp_path}/größe/",
        outlets=[AssetAlias("clips"), Asset("library", uri="file:///library")],
    )
    (path,) = clip.execute(run)
    assert Path(path).stat().st_size
    told = "\n".join(warnings(caplog))
    assert SECRET not in told
    for what in ("lineage", "'clips'", "'library'"):
        assert what in told
