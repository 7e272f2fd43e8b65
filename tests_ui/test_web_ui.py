"""What a person does with a mouse in Airflow's web UI: connection, link, XCom, log, the way out of doubt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_magichour.sandbox import Sandbox
from tests_ui.conftest import AIRFLOW, IMAGES
from tools.airflow.local import LocalAirflow

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest_plugins = ["tests.scenes.airflow_fixture"]
expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-ui does it").expect

LIBRARY = "https://magichour.ai/my-library?videoId="
DAG_ID = "product_clips"
DAG = f"""
from airflow.sdk import DAG

from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

with DAG("{DAG_ID}", schedule=None, default_args={{"magichour_conn_id": "of_the_dag", "retries": 2}}):
    submit = MagicHourImageToVideoOperator(
        task_id="submit", image="https://example.com/cat.jpg", end_seconds=5, model="kling-3.0"
    )
    MagicHourProjectSensor(task_id="wait", deferrable=True, poke_interval=1, project_id=submit.output)
"""


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=text, exact=True))


def message_of_test(page: Page, conn_id: str) -> str:
    """Press Test in the list of connections; Airflow shows the message for some three seconds."""
    row(page, conn_id).get_by_role("button", name="Test Connection").click()
    return page.get_by_role("status").filter(has_text="Test Connection").inner_text()


# The connection

# What becomes of the fields that Airflow 3.1 does not show, and of those that nobody touches in later ones.
EXTRA_FIELDS = {"request_timeout": 15, "requests_per_second": 20, "max_connections": 8} if AIRFLOW > (3, 1) else {}


def fill_extra_fields(form: Locator) -> None:
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    for label, default, help_text in (
        ("Request timeout", "30", "Seconds for each phase of a request: connect, send, receive. Empty: 30."),
        ("Requests per second", "20", "For all deferred tasks in one triggerer together. Empty: 20."),
        ("Open connections", "8", "At a time, for all deferred tasks in one triggerer together. Empty: 8."),
    ):
        expect(form.get_by_label(label, exact=True)).to_have_value(default)
        expect(form.get_by_text(help_text)).to_be_visible()
    form.get_by_label("Request timeout").fill("15")


def test_connection_made_with_the_form_passes_its_test(
    page: Page, local_airflow: LocalAirflow, sandbox: Sandbox, photograph: Callable[[str, int], None]
) -> None:
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Connection ID").fill("magichour_default")
    form.get_by_label("Connection Type").fill("magic")
    page.get_by_role("option", name="Magic Hour").click()
    expect(form.get_by_label("Login")).to_have_count(0)
    expect(form.get_by_label("Base URL")).to_have_attribute("placeholder", "https://api.magichour.ai (leave empty)")
    form.get_by_label("Base URL").fill(sandbox.url)
    form.get_by_label("API key").fill(sandbox.api_key)
    expect(form.get_by_label("API key")).to_have_attribute("type", "password")
    form.get_by_label("Port").fill("0")
    photograph("connection-form", 842)
    if EXTRA_FIELDS:
        fill_extra_fields(form)
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)

    stored = local_airflow.rest.connection("magichour_default")
    assert (stored["conn_type"], stored["host"], stored["password"]) == ("magichour", sandbox.url, "***")
    assert json.loads(stored["extra"] or "{}") == EXTRA_FIELDS

    page.set_viewport_size({"width": 1200, "height": 500})
    page.reload()
    message = message_of_test(page, "magichour_default")
    photograph("connection-test", 492)
    assert re.fullmatch(r"Test Connection Successful\sConnected to Magic Hour: plan pro, \d+ credits", message)


def test_failed_test_of_a_connection_says_what_is_wrong(
    page: Page, local_airflow: LocalAirflow, sandbox: Sandbox
) -> None:
    local_airflow.rest.add_connection("old_key", "magichour", host=sandbox.url, password="mhk_revoked", port=0)
    page.goto("/connections")
    message = message_of_test(page, "old_key")
    assert "The API key of this connection is missing, wrong or revoked" in message


# A run


@pytest.fixture(scope="module")
def dag(local_airflow: LocalAirflow, sandbox: Sandbox) -> None:
    local_airflow.rest.add_connection("of_the_dag", "magichour", host=sandbox.url, password=sandbox.api_key)
    (local_airflow.dag_folders[0] / "product_clips.py").write_text(DAG)
    local_airflow.wait_for_dag(DAG_ID)


@pytest.fixture
def deferred(logged_in: object, dag: None, local_airflow: LocalAirflow) -> Iterator[tuple[str, str]]:
    """Run the DAG until its sensor is deferred and a triggerer has it; gives the run's id and the project's."""
    run_id = local_airflow.rest.trigger(DAG_ID)
    local_airflow.wait_for_task(DAG_ID, run_id, "wait", "deferred", timeout=90)
    task = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/wait"
    local_airflow.wait_for(lambda: local_airflow.rest.call("GET", task)["triggerer_job"], 60, "a triggerer has it")
    yield run_id, local_airflow.rest.xcom(DAG_ID, run_id, "submit")
    local_airflow.rest.set_run_state(DAG_ID, run_id, "failed")


def open_sensor(page: Page, run_id: str) -> None:
    page.goto(f"/dags/{DAG_ID}/runs/{run_id}/tasks/wait")


def tab(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()


def test_link_of_a_deferred_task_opens_its_project(
    page: Page, deferred: tuple[str, str], photograph: Callable[[str, int], None]
) -> None:
    run_id, project_id = deferred
    open_sensor(page, run_id)
    expect(page.get_by_text("Deferred", exact=True)).to_be_visible()
    tab(page, "Details")
    link = page.get_by_role("link", name="Magic Hour", exact=True)
    expect(link).to_have_attribute("href", f"{LIBRARY}{project_id}")
    photograph("deferred-task", 456)
    with page.expect_popup() as opened:
        link.click()
    expect(opened.value).to_have_url(f"{LIBRARY}{project_id}")
    opened.value.close()


def test_finished_task_shows_its_result_and_its_log(
    page: Page, deferred: tuple[str, str], local_airflow: LocalAirflow, sandbox: Sandbox
) -> None:
    run_id, project_id = deferred
    sandbox.jobs.change(project_id, render_seconds=0)
    local_airflow.wait_for_task(DAG_ID, run_id, "wait", "success", timeout=120)
    open_sensor(page, run_id)
    expect(page.get_by_text(re.compile(rf"Magic Hour project {project_id} is complete after \d+ s"))).to_be_visible()
    seen = page.locator("body").inner_text()
    assert "Signature=" not in seen
    assert sandbox.api_key not in seen
    if AIRFLOW >= (3, 3):
        tab(page, "Storage")
    tab(page, "XCom")
    page.get_by_role("button", name="Expand all extra JSON").click()
    expect(row(page, "return_value")).to_contain_text(project_id)
    expect(row(page, "return_value")).to_contain_text("complete")
    expect(row(page, "download_urls")).to_contain_text(".mp4")


# The way out of an unsure submission


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="the task state store, and its tab Storage: Airflow 3.3")
def test_project_of_an_unsure_submission_is_adopted_with_the_mouse(
    page: Page, dag: None, local_airflow: LocalAirflow, sandbox: Sandbox, photograph: Callable[[str, int], None]
) -> None:
    sandbox.faults.add("create", cut=True, after=True)
    run_id = local_airflow.rest.trigger(DAG_ID)
    local_airflow.wait_for_task(DAG_ID, run_id, "submit", "failed", timeout=90)
    found = sandbox.requests.to("create")[-1].job
    page.goto(f"/dags/{DAG_ID}/runs/{run_id}/tasks/submit")
    expect(page.get_by_text("It is not known whether Magic Hour created a project.")).to_be_visible()
    photograph("unsure-task", 620)
    tab(page, "Storage")
    page.get_by_role("button", name="Edit Task State Store").click()
    form = page.get_by_role("dialog")
    form.locator(".monaco-editor .view-lines").click()
    page.keyboard.press("Control+A")
    # The editor adds what closes quotes and brackets.
    page.keyboard.insert_text(f'{{"project_id": "{found}')
    form.get_by_text("Never", exact=True).click()
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    page.get_by_role("button", name="Press shift+c to clear").click()
    page.get_by_role("dialog").get_by_role("button", name="Confirm").click()
    local_airflow.wait_for_task(DAG_ID, run_id, "submit", "success", timeout=90)
    assert local_airflow.rest.xcom(DAG_ID, run_id, "submit") == found
    record = local_airflow.rest.state_store(DAG_ID, run_id, "submit")["magichour_submission"]
    assert (record["project_id"], record["adopted"]) == (found, True)
    assert sandbox.requests.to("create")[-1].job == found, "nothing more was submitted"
    local_airflow.rest.set_run_state(DAG_ID, run_id, "failed")


# The README


def test_readme_and_pages_show_every_picture_that_is_made_here() -> None:
    texts = [page.read_text() for page in (IMAGES.parent.parent / "README.md", *IMAGES.parent.glob("*.md"))]
    shown = {name for text in texts for name in re.findall(r"!\[[^]]+\]\((?:docs/)?images/([\w-]+)\.png\)", text)}
    assert sorted(shown) == ["clip", "clips", "connection-form", "connection-test", "deferred-task", "unsure-task"]
    assert sorted(shown) == sorted(picture.stem for picture in IMAGES.glob("*.png"))
