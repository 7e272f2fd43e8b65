from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_magichour import compat

PACKAGE = Path(compat.__file__).parent


def test_names_of_airflow_come_from_one_module() -> None:
    """Each release of Airflow pins another common-compat: what one lacks is known in one place."""
    others = [file for file in PACKAGE.rglob("*.py") if file.name != "compat.py"]
    assert others
    assert [str(file) for file in others if "airflow.providers.common.compat.sdk" in file.read_text()] == []


@pytest.mark.parametrize("name", sorted(compat._WITHOUT_SDK))
def test_each_name_is_found(name: str) -> None:
    assert getattr(compat, name) is not None


def test_name_that_nobody_uses_is_an_error() -> None:
    with pytest.raises(ImportError, match="NoSuchName"):
        from airflow_provider_magichour.compat import NoSuchName  # noqa: F401


def test_secrets_can_be_masked_where_common_compat_does_not_know_how() -> None:
    code = (
        "import sys; sys.modules['airflow.providers.common.compat.sdk'] = None\n"
        "from airflow_provider_magichour.compat import mask_secret\n"
        "from airflow.sdk.execution_time.secrets_masker import redact\n"
        "mask_secret('sig=123456789'); print(redact('of sig=123456789'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines()[-1:] == ["of ***"], ended.stderr
