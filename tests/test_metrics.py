"""What Airflow's metrics are told, as a StatsD server receives it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour import metrics
from airflow_provider_magichour.compat import Stats, TaskDeferred
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourRejectedError,
    MagicHourTimeoutError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.operators import MagicHourDownloadOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor
from tests.operators.test_image_to_video import (
    RESUMED,
    operator,
    posts,
    resumed,
    slow_job,
    wait_in_triggerer,
)
from tests.scenes.statsd import Metric, StatsD

pytest_plugins = ["tests.scenes.batches"]
pytestmark = pytest.mark.usefixtures("clock")

KLING = {"model": "kling-3.0", "resolution": "720p"}
OF_SUBMIT = {"dag_id": "a_dag", "task_id": "submit", "tool": "image-to-video", "model": "kling-3.0"}


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    """A server that Airflow's Stats tell, as in a task of an Airflow that is set to do so."""
    with StatsD() as server:
        for name, value in server.settings.items():
            monkeypatch.setenv(name, value)
        if hasattr(Stats, "initialize"):
            utils = import_module("airflow.sdk.observability.metrics.stats_utils")
            none = import_module("airflow.sdk._shared.observability.metrics.base_stats_logger").NoStatsLogger
            Stats.initialize(factory=utils.get_stats_factory(), export_legacy_names=False)
            yield server
            Stats.initialize(factory=none, export_legacy_names=False)
        else:  # before 3.3 the class makes its own, once
            logger = import_module("airflow.metrics.statsd_logger")
            monkeypatch.setattr(type(Stats), "factory", logger.get_statsd_logger)
            monkeypatch.setattr(Stats, "instance", None)
            yield server


def counts(statsd: StatsD) -> dict[str, float]:
    """Return the sum of each counter."""
    sums: dict[str, float] = {}
    for metric in statsd.received():
        if metric.type == "c":
            sums[metric.name] = sums.get(metric.name, 0) + metric.value
    return sums


def test_a_submission_is_counted_with_its_credits_and_whose_it_is(
    sandbox: Any, context: Any, store: Any, statsd: StatsD
) -> None:
    operator(**KLING).execute(context(store))

    assert statsd.received() == [Metric("submitted", 1, "c", OF_SUBMIT), Metric("credits", 240, "c", OF_SUBMIT)]


def test_a_retry_that_finds_its_project_is_no_submission(
    sandbox: Any, context: Any, store: Any, statsd: StatsD
) -> None:
    slow_job(sandbox)
    for number in (1, 2):
        operator(**KLING).execute(context(store, try_number=number))

    assert counts(statsd) == {"submitted": 1, "credits": 240, "reattached": 1}


@pytest.mark.parametrize(("deferrable", "looks"), [(False, 3), (True, 2)])
def test_a_wait_tells_how_long_it_took_and_what_it_asked(
    sandbox: Any, context: Any, store: Any, statsd: StatsD, deferrable: bool, looks: int
) -> None:
    for status in (500, 429):
        sandbox.faults.add("get", status=status)
    run = context(store)
    task = operator(**KLING, wait_for_completion=True, deferrable=deferrable, poll_interval=10)
    if deferrable:
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(run)
        event = wait_in_triggerer(deferred.value)
        operator(**RESUMED, **KLING).resume_execution("execute_complete", {"event": event}, resumed(run))
    else:
        task.execute(run)

    told = {metric.name: metric for metric in statsd.received()}
    assert told["wait"].tags == {**OF_SUBMIT, "end": "finished"}
    assert told["wait"].value >= 10_000
    assert told["looks"] == Metric("looks", looks, "c", OF_SUBMIT)
    assert told["rate_limited"] == Metric("rate_limited", 1, "c", OF_SUBMIT)
    assert told["seconds_behind"] == Metric("seconds_behind", 0, "g", OF_SUBMIT)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_wait_in_vain_is_told_as_such(
    sandbox: Any, context: Any, store: Any, statsd: StatsD, deferrable: bool
) -> None:
    slow_job(sandbox)
    run = context(store)
    task = operator(wait_for_completion=True, deferrable=deferrable, timeout=60)
    if deferrable:
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(run)
        event = wait_in_triggerer(deferred.value)
        with pytest.raises(MagicHourTimeoutError):
            operator(**RESUMED).resume_execution("execute_complete", {"event": event}, resumed(run))
    else:
        with pytest.raises(MagicHourTimeoutError):
            task.execute(run)

    (wait,) = [metric for metric in statsd.received() if metric.name == "wait"]
    assert wait.tags["end"] == "timeout"
    assert wait.value >= 60_000


def test_a_sensor_tells_its_wait(sandbox: Any, context: Any, statsd: StatsD) -> None:
    project = sandbox.add_job(script={"render_seconds": 0}).id
    MagicHourProjectSensor(task_id="wait", project_id=project).execute(context(task_id="wait"))

    told = {metric.name: metric for metric in statsd.received()}
    assert set(told) == {"wait", "looks", "seconds_behind"}
    assert told["wait"].tags == {"dag_id": "a_dag", "task_id": "wait", "end": "finished"}


@pytest.mark.parametrize("choice", ["fail", "resubmit"])
def test_what_may_be_paid_twice_is_unsure_whatever_was_chosen(
    sandbox: Any, context: Any, store: Any, statsd: StatsD, choice: Any
) -> None:
    sandbox.faults.add("create", cut=True, after=True)
    error = MagicHourUnsureSubmissionError if choice == "fail" else MagicHourApiError
    with pytest.raises(error):
        operator(**KLING, on_unsure_submission=choice).execute(context(store))
    if choice == "fail":
        assert counts(statsd) == {"unsure": 1}
    else:
        operator(**KLING, on_unsure_submission=choice).execute(context(store, try_number=2))
        assert counts(statsd) == {"unsure": 1, "submitted": 1, "credits": 240}


def test_a_refusal_is_counted(sandbox: Any, context: Any, store: Any, statsd: StatsD) -> None:
    sandbox.faults.add("create", status=422)
    with pytest.raises(MagicHourRejectedError):
        operator(**KLING).execute(context(store))

    assert statsd.received() == [Metric("refused", 1, "c", OF_SUBMIT)]


def test_a_download_is_counted_with_its_bytes_once(sandbox: Any, context: Any, statsd: StatsD, tmp_path: Path) -> None:
    project = sandbox.add_job(script={"render_seconds": 0}).id
    for _ in range(2):
        (path,) = MagicHourDownloadOperator(
            task_id="download", project_id=project, destination=f"{tmp_path}/clips/"
        ).execute(context(task_id="download"))

    assert counts(statsd) == {"downloads": 1, "bytes": Path(path).stat().st_size}


def test_metrics_that_cannot_be_told_fail_nothing(
    sandbox: Any, context: Any, store: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no route to the server")

    for how in ("incr", "gauge", "timing"):
        monkeypatch.setattr(Stats, how, staticmethod(refuse), raising=False)
    task = operator(**KLING, wait_for_completion=True)
    task.execute(context(store))
    task.execute(context(store, try_number=2))

    assert posts(sandbox) == 1
    assert "the metric magichour.submitted to Airflow (OSError)" in caplog.text


def test_where_nobody_listens_nothing_is_sent_and_nothing_said(
    sandbox: Any, context: Any, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    operator(**KLING).execute(context(store))

    assert "metric" not in caplog.text


DOCS = Path(__file__).parent.parent / "docs"
DASHBOARD = json.loads((DOCS / "metrics-dashboard.json").read_text())
# As statsd_exporter names them: what is neither letter nor digit becomes "_", and a timer a summary.
QUERIED = re.compile(r"\bairflow_magichour_(\w+)")
SUFFIXES = {"timing": ("_sum", "_count"), "incr": ("",), "gauge": ("",)}


def told() -> dict[str, str]:
    """Return each metric that is told anywhere, with the method of Airflow's Stats."""
    source = Path(metrics.__file__).read_text()
    counters = dict.fromkeys(re.findall(r'_count\("(\w+)"', source), "incr")
    return counters | {name: how for how, name in re.findall(r'_tell\("(\w+)", "(\w+)"', source)}


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_the_page_and_its_dashboard_name_every_metric_and_no_other() -> None:
    page = (DOCS / "metrics.md").read_text()
    documented = re.findall(r"^\| `magichour\.(\w+)`", page, re.M)
    exported = {f"{name}{suffix}" for name, how in told().items() for suffix in SUFFIXES[how]}

    assert documented
    assert sorted(documented) == sorted(told())
    assert {name for query in queries() for name in QUERIED.findall(query)} == exported
    assert set(QUERIED.findall(page)) <= exported


def test_the_dashboard_asks_of_each_metric_what_its_kind_can_answer() -> None:
    gauges = {name for name, how in told().items() if how == "gauge"}
    labels = {"dag_id", "task_id", "tool", "model", "end"}
    for query in queries():
        for name, window in re.findall(r"airflow_magichour_(\w+)\{[^}]*\}(\[[^]]+\])?", query):
            assert bool(window) is (name not in gauges), query
        for named in re.findall(r"\bby \(([^)]*)\)", query):
            assert set(named.split(", ")) <= labels - ({"end"} if "wait" not in query else set()), query


def test_the_dashboard_has_the_form_that_grafana_imports() -> None:
    """Grafana's classic model (its dashboard_kind.cue, and the pages on the JSON model)."""
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert DASHBOARD["schemaVersion"] >= 36
    assert "id" not in DASHBOARD, "Grafana gives that"
    assert 8 <= len(DASHBOARD["uid"]) <= 40
    assert {each["type"] for each in variables.values()} == {"datasource", "query"}
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in ("stat", "timeseries")
        assert panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    sources = [panel["datasource"] for panel in panels] + [variables["dag"]["datasource"]]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    asked = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert asked - {"__all", "__range", "__rate_interval"} == set(variables)


def test_a_batch_tells_what_each_leg_has_paid_and_written(statsd: StatsD, sandbox: Any, night: Any) -> None:
    sandbox.faults.add("create", status=422, json={"message": "no"}, nth=6)
    assert night(in_flight=3, tolerated_failures=1, **KLING).run() == "success"
    told = counts(statsd)
    assert told["submitted"] == told["downloads"] == posts(sandbox) - 1
    assert told["refused"] == 1
    assert told["credits"] == 240 * (posts(sandbox) - 1)
