"""A sandbox that renders, for all tests of a file that has no other, and a way to it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from airflow_provider_magichour.sandbox import Sandbox

PATIENCE = 30.0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(render_seconds=0, credits=10**6) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    sandbox.settings.render = True
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    with httpx.Client(base_url=sandbox.url, headers=headers, timeout=PATIENCE, trust_env=False, verify=False) as client:
        yield client
