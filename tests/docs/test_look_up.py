"""The pages to look things up in say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_magichour import exceptions
from airflow_provider_magichour.compat import AirflowFailException

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def test_each_error_is_listed_once_with_whether_it_is_retried() -> None:
    rows = re.findall(r"^\| `(MagicHour\w+Error)` \|.*\| (yes|no) \|$", page("troubleshooting"), re.M)
    classes = {name for name, value in vars(exceptions).items() if name.startswith("MagicHour")}
    assert sorted(name for name, _ in rows) == sorted(classes - {"MagicHourError"})
    for name, retried in rows:
        assert issubclass(getattr(exceptions, name), AirflowFailException) is (retried == "no"), name
