"""What the numbers in a connection's extra become."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from airflow_provider_magichour.api.settings import settings_from


@dataclass
class Named:
    host: str | None = None
    schema: str | None = None
    port: int | None = None
    password: str | None = "mhk_x"


@pytest.mark.parametrize(("given", "connections"), [(1, 1), ("1.5", 2), (2.0, 2), (99.1, 100)])
def test_a_fraction_of_a_connection_is_one_more(given, connections):
    settings = settings_from(Named(), {"max_connections": given}, "c")
    assert (settings.max_connections, type(settings.max_connections)) == (connections, int)
