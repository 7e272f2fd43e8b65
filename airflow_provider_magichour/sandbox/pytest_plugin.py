"""The pytest fixture ``magichour_sandbox``; nothing else is imported until a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox import Sandbox

RENDER_SECONDS = 0.5


@pytest.fixture
def magichour_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A local Magic Hour for this test, to which the connection ``magichour_default`` leads.

    Jobs take half a second; ``magichour_sandbox.settings.render_seconds`` changes that.
    """
    from airflow_provider_magichour.sandbox import Sandbox

    with Sandbox(render_seconds=RENDER_SECONDS) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_MAGICHOUR_DEFAULT", sandbox.connection)
        yield sandbox
