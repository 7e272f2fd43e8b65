"""Debian's Chromium in front of a real Airflow whose Magic Hour is the sandbox."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_magichour.sandbox import Sandbox
from tools.airflow.local import LocalAirflow
from tools.airflow.settings import airflow_version

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

IMAGES = Path(__file__).parent.parent / "docs" / "images"
# Playwright adds --headless, and a profile folder that is new and goes with the browser.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
ELSEWHERE = re.compile(r"^https?://(?!127\.0\.0\.1[:/])")
PATIENCE = 60_000
AIRFLOW = tuple(map(int, airflow_version().split(".")[:2]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="write the README's pictures anew")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium on this machine (on Debian: apt install chromium)")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A Magic Hour where a job is done only when a test says so."""
    with Sandbox(render_seconds=3600, render=False) as running:
        yield running


@pytest.fixture(scope="session")
def logged_in(browser: Browser, local_airflow: LocalAirflow) -> Iterator[BrowserContext]:
    """A browser that is logged in to Airflow; whatever it asks of another host is answered here, with "elsewhere"."""
    context = browser.new_context(base_url=local_airflow.url, viewport={"width": 1200, "height": 900})
    context.set_default_timeout(PATIENCE)
    context.route(ELSEWHERE, lambda route: route.fulfill(body="elsewhere"))
    page = context.new_page()
    page.goto("/auth/login")
    page.locator("input[name=username]").fill(local_airflow.user)
    page.locator("input[name=password]").fill(local_airflow.password)
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Admin").wait_for()
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(logged_in: BrowserContext) -> Iterator[Page]:
    page = logged_in.new_page()
    yield page
    page.close()


@pytest.fixture
def photograph(page: Page, request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Write the upper part of what is seen into a picture of the README, if pictures are asked for."""

    def take(name: str, height: int) -> None:
        if request.config.getoption("--screenshots"):
            clip = {"x": 0, "y": 0, "width": 1200, "height": height}
            page.screenshot(path=IMAGES / f"{name}.png", clip=clip, animations="disabled")

    return take
