"""What tells the bytes of an image from others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_magichour.media.sources import object_identity


@pytest.mark.parametrize(
    ("info", "identity"),
    [
        pytest.param({"ETag": '"5d41"', "LastModified": "x"}, "etag:5d41", id="s3"),
        pytest.param({"md5Hash": "XUFA", "etag": "CL/1EAE=", "updated": "x"}, "md5:XUFA", id="gcs"),
        pytest.param({"etag": "CL/1EAE=", "updated": "x"}, "etag:CL/1EAE=", id="gcs-composed"),
        pytest.param(
            {"etag": '"0x8D"', "content_settings": {"content_md5": bytearray(b"]A@")}}, "md5:XUFA", id="azure"
        ),
        pytest.param(
            {"etag": '"0x8D"', "content_settings": SimpleNamespace(content_md5=b"]A@")}, "md5:XUFA", id="azure-object"
        ),
        pytest.param({"etag": '"0x8D"', "content_settings": {"content_md5": None}}, "etag:0x8D", id="azure-blocks"),
        pytest.param({"mtime": 12.5}, "modified:12.5", id="sftp"),
    ],
)
def test_checksum_of_the_content_goes_before_the_etag(info: dict[str, Any], identity: str) -> None:
    assert object_identity(info) == identity
