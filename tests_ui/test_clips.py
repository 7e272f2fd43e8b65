"""The tabs "Clip" and "Clips" in Airflow's web UI, and the page outside of them: what a person sees and does there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from airflow_provider_magichour.sandbox import Sandbox
from tests.scenes.examples import EXAMPLES
from tests_ui.conftest import AIRFLOW
from tools.airflow.local import LocalAirflow

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page

pytest_plugins = ["tests.scenes.airflow_fixture"]
expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-ui does it").expect

DAGS = """
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import DAG, Param, task, task_group

from airflow_provider_magichour.operators import (
    MagicHourBatchOperator, MagicHourDownloadOperator, MagicHourImageToVideoOperator,
)
from airflow_provider_magichour.sensors import MagicHourProjectSensor

PHOTOS = [f"photos/{name}.jpg" for name in ("cat", "coffee", "rocket")]
ASK = {"end_seconds": 5, "model": "kling-3.0", "resolution": "720p"}

with DAG("spring_clips", schedule=None, default_args={"magichour_conn_id": "studio"}):

    @task
    def look(clip):
        return len(clip)

    @task_group
    def clip(photo):
        prompt = "the camera moves slowly towards the subject"
        submit = MagicHourImageToVideoOperator(
            task_id="submit", image=photo, prompt=prompt, **ASK,
            map_index_template="{{ task.image.rpartition('/')[2] }}",
        )
        wait = MagicHourProjectSensor(task_id="wait", project_id=submit.output, deferrable=True, poke_interval=1)
        download = MagicHourDownloadOperator(task_id="download", project_id=wait.output, destination="TARGET/")
        look(download.output)

    clip.expand(photo=PHOTOS)

with DAG("many_clips", schedule=None, default_args={"magichour_conn_id": "clip_by_clip"}):
    MagicHourImageToVideoOperator.partial(task_id="submit", **ASK).expand(
        image=[f"https://example.com/{number}.jpg" for number in range(26)]
    )

with DAG("slow_clip", schedule=None, default_args={"magichour_conn_id": "clip_by_clip"}):
    MagicHourImageToVideoOperator(
        task_id="make", image="https://example.com/cat.jpg", prompt="<b>bold</b>", **ASK, wait_for_completion=True,
        deferrable=True, poll_interval=1,
    )

with DAG("night_clips", schedule=None, default_args={"magichour_conn_id": "studio"}):
    MagicHourBatchOperator(
        task_id="night", items=[{"id": each[7:-4], "image": each} for each in PHOTOS], destination="TARGET/", **ASK,
        deferrable=True,
    )

with DAG("asked_clips", schedule=None, params={"shop": "web"}, default_args={"magichour_conn_id": "studio"}):

    @task_group
    def asked(photo):
        submit = MagicHourImageToVideoOperator(task_id="submit", image=photo, **ASK)
        more = {"note": Param("none", type="string")}
        other = {"shop": Param("app", type="string")}
        submit >> [
            ApprovalOperator(task_id="plain", subject="Shall it be shown?"),
            HITLOperator(task_id="form", subject="Why?", options=["Say so"], params=more),
            HITLOperator(task_id="own", subject="Where?", options=["There"], params=other),
            HITLOperator(task_id="several", subject="Which?", options=["This", "That"], multiple=True),
        ]

    asked.expand(photo=PHOTOS[:1])

with DAG("no_clips", schedule=None):

    @task
    def report():
        return 1

    report()
"""  # fmt: skip


@pytest.fixture(scope="module")
def studio() -> Iterator[Sandbox]:
    """A Magic Hour that really makes clips of the photos."""
    with Sandbox(render_seconds=0) as running:
        yield running


@pytest.fixture(scope="module")
def dags(
    local_airflow: LocalAirflow, sandbox: Sandbox, studio: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for conn_id, service in (("studio", studio), ("clip_by_clip", sandbox)):
        local_airflow.rest.add_connection(conn_id, "magichour", host=service.url, password=service.api_key)
    # The workers run in Airflow's own folder.
    shutil.copytree(EXAMPLES / "photos", local_airflow.home / "photos")
    program = DAGS.replace("TARGET", str(tmp_path_factory.mktemp("clips")))
    (local_airflow.dag_folders[0] / "clips.py").write_text(program)
    for dag_id in ("spring_clips", "many_clips", "slow_clip", "night_clips", "asked_clips", "no_clips"):
        local_airflow.wait_for_dag(dag_id)


def ended(airflow: LocalAirflow, dag_id: str) -> str:
    run_id = airflow.rest.trigger(dag_id)
    assert airflow.wait_for_run(dag_id, run_id, 240) == "success"
    return run_id


@pytest.fixture(scope="module")
def spring(dags: None, local_airflow: LocalAirflow) -> str:
    """A run that has made three clips of photos."""
    return ended(local_airflow, "spring_clips")


@pytest.fixture(scope="module")
def many(dags: None, local_airflow: LocalAirflow, sandbox: Sandbox) -> str:
    sandbox.faults.add("create", times=26, job={"render_seconds": 0})
    return ended(local_airflow, "many_clips")


@pytest.fixture
def slow(dags: None, local_airflow: LocalAirflow) -> Iterator[str]:
    """A run whose clip renders for as long as a test wants; gives its id."""
    run_id = local_airflow.rest.trigger("slow_clip")
    local_airflow.wait_for_task("slow_clip", run_id, "make", "deferred", timeout=90)
    yield run_id
    local_airflow.rest.set_run_state("slow_clip", run_id, "failed")


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser complains of: refused by a page's rules, or a script that fails."""
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    return told


def open_run(page: Page, dag_id: str, run_id: str) -> Locator:
    page.goto(f"/dags/{dag_id}/runs/{run_id}/plugin/magichour-clips")
    return page.locator(".magichour-clips")


def open_task(page: Page, dag_id: str, run_id: str, task_id: str, copy: str = "") -> Locator:
    page.goto(f"/dags/{dag_id}/runs/{run_id}/tasks/{task_id}{copy}/plugin/magichour-clip")
    return page.locator(".magichour-clips")


def plays(page: Page, video: Locator) -> None:
    """Fail unless there are pictures to play."""
    handle = video.element_handle()
    page.wait_for_function("video => video.readyState >= 2 && video.videoWidth > 0", arg=handle)


def test_tab_of_a_task_plays_its_clip_beside_what_is_known_of_it(
    page: Page, spring: str, complaints: list[str], photograph: Callable[[str, int], None]
) -> None:
    clip = open_task(page, "spring_clips", spring, "clip.submit", "/mapped/0")
    plays(page, clip.locator("video"))
    expect(clip.get_by_role("heading")).to_have_text("cat.jpg")
    for told in ("kling-3.0", "the camera moves slowly", "x 720, 24 fps", "5 s", "240", "cat.jpg", ".mp4"):
        expect(clip).to_contain_text(told)
    page.wait_for_function("document.querySelector('video').readyState === 4")
    photograph("clip", 520)
    assert clip.locator("video").evaluate("async video => { await video.play(); return video.paused }") is False
    assert "Signature=" not in page.content()
    assert complaints == []


@pytest.mark.parametrize("task_id", ["wait", "download", "look"])
def test_each_task_of_the_copy_shows_the_same_clip(page: Page, spring: str, task_id: str) -> None:
    clip = open_task(page, "spring_clips", spring, f"clip.{task_id}", "/mapped/1")
    expect(clip.get_by_role("heading")).to_have_text("coffee.jpg")
    plays(page, clip.locator("video"))


def test_links_stay_in_the_open_airflow(page: Page, spring: str) -> None:
    clip = open_task(page, "spring_clips", spring, "clip.submit", "/mapped/2")
    page.evaluate("window.opened = 'once'")
    clip.get_by_role("link", name="All clips of this run").click()
    page.wait_for_url("**/plugin/magichour-clips")
    clip.get_by_role("link", name="coffee.jpg").click()
    page.wait_for_url("**/mapped/1/plugin/magichour-clip")
    clip.get_by_role("link", name="download").click()
    page.wait_for_url("**/tasks/clip.download/mapped/1")
    assert page.evaluate("window.opened") == "once"


def test_link_to_magic_hour_opens_the_project_there(page: Page, spring: str, local_airflow: LocalAirflow) -> None:
    clip = open_task(page, "spring_clips", spring, "clip.submit", "/mapped/0")
    with page.expect_popup() as opened:
        clip.get_by_role("link", name="Open in Magic Hour").click()
    project_id = local_airflow.rest.xcom("spring_clips", spring, "clip.submit", map_index=0)
    expect(opened.value).to_have_url(f"https://magichour.ai/my-library?videoId={project_id}")
    opened.value.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_there_is_nothing_serious_that_keeps_people_out(page: Page, spring: str, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.goto("/")
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    address = f"/magichour-clips/dags/spring_clips/runs/{quote(spring, safe='')}"
    try:
        for found in (
            open_run(page, "spring_clips", spring).locator("video").first,
            open_task(page, "spring_clips", spring, "clip.submit", "/mapped/0").locator("video"),
        ):
            plays(page, found)
            assert serious(axe.run(page, context=".magichour-clips")) == []
        for place in (address, f"{address}/tasks/clip.submit?map_index=0"):
            page.goto(place)
            plays(page, page.locator("video").first)
            assert serious(axe.run(page)) == []
    finally:
        page.evaluate("localStorage.removeItem('theme')")


def serious(results: Any) -> list[tuple[str, str]]:
    found = results.response["violations"]
    bad = [each for each in found if each["impact"] in ("serious", "critical")]
    return [(each["id"], node["html"]) for each in bad for node in each["nodes"]]


def test_what_plays_goes_on_while_the_page_is_kept_fresh(
    page: Page, slow: str, local_airflow: LocalAirflow, sandbox: Sandbox
) -> None:
    clip = open_task(page, "slow_clip", slow, "make")
    expect(clip).to_contain_text("Magic Hour says")
    state = clip.locator("[data-block]").first
    state.evaluate("it => { it.kept = true }")
    for _ in range(2):
        with page.expect_response(lambda answer: "part=tab" in answer.url and "tasks/make" in answer.url):
            pass
    # The first of the two is in its place.
    assert state.evaluate("it => it.kept") is True


def test_tab_of_a_run_shows_all_its_clips(page: Page, spring: str, complaints: list[str]) -> None:
    clips = open_run(page, "spring_clips", spring)
    expect(clips.locator(".tile")).to_have_count(3)
    expect(clips.get_by_role("heading", level=2)).to_have_text("3 clips")
    expect(clips).to_contain_text("720 credits")
    for number in range(3):
        plays(page, clips.locator("video").nth(number))
    assert "Signature=" not in page.content()
    assert complaints == []


def test_pages_and_filters_work_by_keyboard_and_only_what_is_in_sight_is_loaded(page: Page, many: str) -> None:
    clips = open_run(page, "many_clips", many)
    expect(clips.locator(".tile")).to_have_count(24)
    plays(page, clips.locator("video").first)
    assert page.evaluate("[...document.querySelectorAll('video')].some(video => !video.src)")
    second = clips.get_by_role("navigation", name="Pages").get_by_role("link", name="2")
    second.focus()
    page.keyboard.press("Enter")
    expect(clips.locator(".tile")).to_have_count(2)
    expect(clips.get_by_role("heading", level=2)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(clips.get_by_role("link", name="Done 26")).to_be_focused()
    page.keyboard.press("Enter")
    expect(clips.locator(".tile")).to_have_count(24)
    expect(clips.locator("[aria-current=true]")).to_have_text("Done 26")


def test_tile_has_controls_as_soon_as_it_is_reached(page: Page, many: str) -> None:
    video = open_run(page, "many_clips", many).locator("video").first
    plays(page, video)
    expect(video).not_to_have_attribute("controls", "")
    video.focus()
    expect(video).to_have_attribute("controls", "")


def test_clip_that_renders_says_so_and_appears_by_itself(
    page: Page, slow: str, local_airflow: LocalAirflow, sandbox: Sandbox
) -> None:
    clip = open_task(page, "slow_clip", slow, "make")
    expect(clip).to_contain_text(re.compile(r"Magic Hour says: (queued|rendering)"))
    expect(clip).to_contain_text(re.compile(r"\d+ s so far"))
    expect(clip).to_contain_text("<b>bold</b>")
    sandbox.jobs.change(local_airflow.rest.xcom("slow_clip", slow, "make", key="project_id"), render_seconds=0)
    plays(page, clip.locator("video"))


def test_clip_that_could_not_be_made_says_why_in_full(
    page: Page, dags: None, local_airflow: LocalAirflow, sandbox: Sandbox
) -> None:
    reason = "Use a face that can be seen. " * 10
    script = {"render_seconds": 0, "outcome": "error", "code": "no_source_face", "message": reason.strip()}
    sandbox.faults.add("create", job=script)
    run_id = local_airflow.rest.trigger("slow_clip")
    local_airflow.wait_for_task("slow_clip", run_id, "make", "failed", timeout=90)
    clip = open_task(page, "slow_clip", run_id, "make")
    expect(clip.get_by_role("alert")).to_contain_text(f"no_source_face: {reason.strip()}")
    clips = open_run(page, "slow_clip", run_id)
    expect(clips.get_by_role("link", name="Failed 1")).to_be_visible()


def test_task_and_run_without_clips_say_so_kindly(page: Page, dags: None, local_airflow: LocalAirflow) -> None:
    run_id = ended(local_airflow, "no_clips")
    expect(open_task(page, "no_clips", run_id, "report")).to_contain_text("No clip here")
    expect(open_run(page, "no_clips", run_id)).to_contain_text("No clips here")


def test_what_an_address_holds_does_not_run_in_the_tab(page: Page, spring: str) -> None:
    planted = quote("<img src=x onerror=window.planted=1>", safe="")
    for task_id, copy in (("clip.submit", f"/mapped/{planted}"), (planted, "")):
        clip = open_task(page, "spring_clips", spring, task_id, copy)
        expect(clip.or_(page.get_by_text("404")).first).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.planted") is None


def test_tab_is_dark_where_airflow_is(page: Page, spring: str) -> None:
    page.goto("/")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    try:
        clips = open_run(page, "spring_clips", spring)
        expect(page.locator("html")).to_have_class(re.compile(r"\bdark\b"))
        heading = clips.get_by_role("heading", level=2)
        color = heading.evaluate("it => getComputedStyle(it).color")
        first, *others = map(float, re.findall(r"[\d.]+", color)[:3])
        # Chromium gives a colour in the form in which it was written: of oklch the first number is the lightness.
        assert (first > 0.7) if color.startswith("oklch") else (min(first, *others) > 180), color
    finally:
        page.evaluate("localStorage.removeItem('theme')")


def test_narrow_panel_puts_facts_below_the_clip(page: Page, spring: str) -> None:
    page.set_viewport_size({"width": 600, "height": 900})
    page.goto(f"/magichour-clips/dags/spring_clips/runs/{quote(spring, safe='')}/tasks/clip.submit?map_index=0")
    plays(page, page.locator("video"))
    clip, facts = (page.locator(each).bounding_box() for each in (".stage", "dl"))
    assert clip
    assert facts
    assert facts["y"] >= clip["y"] + clip["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_link_among_the_extra_links_opens_the_page_outside_of_the_tab(
    page: Page, spring: str, complaints: list[str]
) -> None:
    page.goto(f"/dags/spring_clips/runs/{spring}/tasks/clip.submit/mapped/0/details")
    link = page.locator("a[href^='/magichour-clips/']")
    if link.get_attribute("target") == "_blank":  # Airflow 3.1 opens it in another tab of the browser
        page.goto(link.get_attribute("href") or "")
    else:
        link.click()
    page.wait_for_url("**/magichour-clips/dags/**")
    plays(page, page.locator("video"))
    complaints.clear()
    page.get_by_role("link", name="All clips of this run").click()
    expect(page.locator(".tile")).to_have_count(3)
    plays(page, page.locator("video").first)
    page.get_by_role("link", name="Done 3").click()
    expect(page.locator("[aria-current=true]")).to_have_text("Done 3")
    page.get_by_role("link", name="rocket.jpg").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("rocket.jpg")
    assert complaints == []


def test_who_is_not_logged_in_logs_in_and_is_back(page: Page, spring: str, local_airflow: LocalAirflow) -> None:
    browser = page.context.browser
    assert browser
    context: BrowserContext = browser.new_context(base_url=local_airflow.url)
    stranger = context.new_page()
    stranger.goto(f"/magichour-clips/dags/spring_clips/runs/{quote(spring, safe='')}")
    stranger.locator("input[name=username]").fill(local_airflow.user)
    stranger.locator("input[name=password]").fill(local_airflow.password)
    stranger.locator("button[type=submit]").click()
    expect(stranger.locator(".tile")).to_have_count(3)
    context.close()


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="a batch needs the task state store: Airflow 3.3")
def test_items_of_a_batch_play_as_tiles_in_both_tabs(
    page: Page, dags: None, local_airflow: LocalAirflow, complaints: list[str]
) -> None:
    run_id = ended(local_airflow, "night_clips")
    clips = open_run(page, "night_clips", run_id)
    expect(clips.get_by_role("heading", level=2)).to_have_text("3 clips")
    clips.get_by_role("link", name="night", exact=True).first.click()
    page.wait_for_url("**/tasks/night/plugin/magichour-clip")
    expect(clips.get_by_role("heading", level=2)).to_have_text("night: 3 clips")
    expect(clips.get_by_role("heading", level=3)).to_have_text(["cat", "coffee", "rocket"])
    for number in range(3):
        plays(page, clips.locator("video").nth(number))
    clips.get_by_role("link", name="Done 3").click()
    expect(clips.locator("[aria-current=true]")).to_have_text("Done 3")
    plays(page, clips.locator("video").first)
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    assert serious(axe.run(page, context=".magichour-clips")) == []
    assert complaints == []


# Review


@pytest.fixture(scope="module")
def reviewed(dags: None, local_airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A run of the example that waits for three answers, and the folder of what is published."""
    folder = tmp_path_factory.mktemp("review")
    program = (EXAMPLES / "example_review.py").read_text().replace('Path(__file__).parent / "photos"', 'Path("photos")')
    program = program.replace('{"retries": 2', '{"magichour_conn_id": "studio", "retries": 2')
    (local_airflow.dag_folders[0] / "review.py").write_text(program)
    local_airflow.wait_for_dag("example_review")
    conf = {"clips": f"{folder}/clips/", "published": f"{folder}/published/"}
    run_id = local_airflow.rest.trigger("example_review", conf)
    asking = ("awaiting_input", "deferred")
    for index in range(3):
        local_airflow.wait_for_task("example_review", run_id, "clip.review", asking, map_index=index, timeout=240)
    return run_id, folder / "published"


def test_clips_are_approved_and_rejected_under_their_tiles(
    page: Page, reviewed: tuple[str, Path], local_airflow: LocalAirflow,
    photograph: Callable[[str, int], None], complaints: list[str],
) -> None:  # fmt: skip
    run_id, published = reviewed
    clips = open_run(page, "example_review", run_id)
    expect(clips.get_by_role("button", name="Approve")).to_have_count(3)
    for number in range(3):
        plays(page, clips.locator("video").nth(number))
    photograph("clips", 648)
    for number, option in enumerate(("Approve", "Reject", "Approve")):
        tile = clips.locator(".tile").nth(number)
        button = tile.get_by_role("button", name=option)
        button.focus()
        page.keyboard.press("Enter")
        expect(tile.get_by_role("button", name="Approve")).to_have_count(0)
    assert local_airflow.wait_for_run("example_review", run_id, 120) == "success"
    states = {
        index: local_airflow.rest.task_instance("example_review", run_id, "clip.publish", index).state
        for index in range(3)
    }
    assert states == {0: "success", 1: "skipped", 2: "success"}
    assert len(list(published.iterdir())) == 2
    assert complaints == []


def test_what_needs_more_than_a_click_is_left_to_airflows_own_tab(
    page: Page, dags: None, local_airflow: LocalAirflow
) -> None:
    run_id = local_airflow.rest.trigger("asked_clips")
    for name in ("plain", "form", "own", "several"):
        asking = ("awaiting_input", "deferred")
        local_airflow.wait_for_task("asked_clips", run_id, f"asked.{name}", asking, map_index=0, timeout=120)
    clips = open_run(page, "asked_clips", run_id)
    page.wait_for_load_state("networkidle")
    expect(clips.get_by_role("button")).to_have_text(["Approve", "Reject"])
    clips.get_by_role("button", name="Approve").click()
    local_airflow.wait_for_task("asked_clips", run_id, "asked.plain", "success", map_index=0, timeout=60)
    local_airflow.rest.set_run_state("asked_clips", run_id, "failed")
