"""The plugin of clips: when it is there, what it costs the processes that load it, and its link."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_magichour import operators
from airflow_provider_magichour.compat import AirflowPlugin
from airflow_provider_magichour.plugins.clips import MagicHourClipLink

HAS_TABS = hasattr(AirflowPlugin, "react_apps")

PLUGIN = """
import json
import sys
import airflow.plugins_manager
from airflow_provider_magichour.compat import BaseOperatorLink, conf
old = set(sys.modules)
from airflow_provider_magichour.plugins.clips import MagicHourClipsPlugin as plugin
brought = sorted(set(sys.modules) - old)
apps = [app["url_prefix"] for app in plugin.fastapi_apps]
print(json.dumps({"apps": apps, "tabs": getattr(plugin, "react_apps", []), "links": len(plugin.operator_extra_links),
                  "brought": brought}))
"""


def plugin(**settings: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLUGIN],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_there_are_two_tabs_and_nothing_heavy_comes_along() -> None:
    found = plugin(AIRFLOW__API__BASE_URL="https://airflow.example/team/")
    if HAS_TABS:
        assert found["apps"] == ["/magichour-clips"]
        assert [(tab["name"], tab["destination"]) for tab in found["tabs"]] == [
            ("Clip", "task_instance"),
            ("Clips", "dag_run"),
        ]
        assert {tab["bundle_url"] for tab in found["tabs"]} == {"/team/magichour-clips/static/clips.js"}
    else:
        assert (found["apps"], found["tabs"], found["links"]) == ([], [], 0)
    ours = [name for name in found["brought"] if name.startswith("airflow_provider_magichour.")]
    assert {name.split(".")[1] for name in ours} <= {"plugins", "compat"}
    heavy = {"fastapi", "starlette", "pydantic", "sqlalchemy", "httpx", "jinja2"}
    assert {name.split(".")[0] for name in found["brought"]} & heavy == set()


def test_the_setting_turns_all_of_it_off() -> None:
    found = plugin(AIRFLOW__MAGICHOUR__CLIPS_TAB="False")
    assert (found["apps"], found["tabs"], found["links"]) == ([], [], 0)


@pytest.mark.parametrize("name", [*operators.__all__, "MagicHourProjectSensor"])
def test_airflow_finds_the_link_for_each_operator_of_ours(name: str) -> None:
    kind = getattr(
        import_module("airflow_provider_magichour.sensors" if "Sensor" in name else operators.__name__), name
    )
    (taken,) = MagicHourClipLink.operators
    # As Airflow asks, for a task and for a mapped one.
    assert taken.__name__ == kind.__name__
    assert taken.__module__ == kind.__module__
    assert kind.__name__ in taken.__name__


@pytest.mark.parametrize(("name", "module"), [("PythonOperator", "airflow.providers.standard"), ("Magic", "ours")])
def test_airflow_finds_it_for_no_other(name: str, module: str) -> None:
    (taken,) = MagicHourClipLink.operators
    assert not (taken.__name__ == name and taken.__module__ == module)
    assert name not in taken.__name__


def test_the_link_leads_to_the_page_whatever_the_ids_hold() -> None:
    class Key:
        dag_id, task_id, run_id, map_index = "d", "group.submit", "scheduled__2026-11-26T00:00:00+00:00", 3

    link = MagicHourClipLink().get_link(None, ti_key=Key)  # type: ignore[arg-type]
    run = "scheduled__2026-11-26T00%3A00%3A00%2B00%3A00"
    assert link == f"/magichour-clips/dags/d/runs/{run}/tasks/group.submit?map_index=3"
