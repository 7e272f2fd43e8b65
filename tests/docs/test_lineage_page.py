"""The page of lineage says what lineage says."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset

from airflow_provider_magichour.api.library import library_url
from airflow_provider_magichour.media.datasets import convert_asset_to_openlineage
from airflow_provider_magichour.media.lineage import as_dataset
from airflow_provider_magichour.media.sources import uris_of

PAGE = (Path(__file__).parents[2] / "docs" / "lineage.md").read_text()
ROWS = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \| (.*?) ?\|$", PAGE.split("## What a file is called")[1], re.M)[2:]


def told(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize(("given", "has"), [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_lineage_has_what_the_page_says(given: str, has: str) -> None:
    values = [library_url("cm1234", "image")] if given.startswith("what an earlier task") else told(given)
    assert [as_dataset(uri) for uri in uris_of(values)] == told(has)


def test_openlineage_names_them_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.amazon.aws.assets import s3
    from airflow.providers.common.io.assets import file

    # None where OpenLineage is not installed.
    monkeypatch.setattr("airflow.providers.common.compat.openlineage.facet.Dataset", SimpleNamespace)
    converters = {
        "file": file.convert_asset_to_openlineage,
        "s3": s3.convert_asset_to_openlineage,
        "magichour": convert_asset_to_openlineage,
    }
    named = {told(row[1])[0]: told(row[2]) for row in ROWS if told(row[1]) and told(row[2])}
    tried = {uri: convert for uri in named if (convert := converters.get(uri.split("://")[0]))}
    assert len(tried) == 3
    for uri, convert in tried.items():
        dataset = convert(Asset(uri), None)
        assert [dataset.namespace, dataset.name] == named[uri]
