"""The examples that the package ships, and the photos that they begin with."""

from __future__ import annotations

from pathlib import Path

import airflow_provider_magichour

EXAMPLES = Path(airflow_provider_magichour.__file__).parent / "example_dags"
PHOTOS = EXAMPLES / "photos"
