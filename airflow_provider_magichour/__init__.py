"""Apache Airflow provider for Magic Hour, an API that turns images into videos."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return the metadata that Airflow reads through the ``apache_airflow_provider`` entry point."""
    package = "airflow_provider_magichour"
    name = "Magic Hour"
    return {
        "package-name": "airflow-provider-magichour",
        "name": name,
        "description": "Turn images into videos with `Magic Hour <https://magichour.ai/>`__.",
        "versions": [__version__],
        "integrations": [
            {"integration-name": name, "external-doc-url": "https://docs.magichour.ai/", "tags": ["service"]}
        ],
        "hooks": [{"integration-name": name, "python-modules": [f"{package}.hooks"]}],
        "operators": [{"integration-name": name, "python-modules": [f"{package}.operators"]}],
        "sensors": [{"integration-name": name, "python-modules": [f"{package}.sensors"]}],
        "triggers": [{"integration-name": name, "python-modules": [f"{package}.triggers"]}],
        "connection-types": [
            {
                "connection-type": "magichour",
                "hook-class-name": f"{package}.hooks.MagicHourHook",
                "hook-name": name,
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "port"],
                    "relabeling": {"password": "API key", "host": "Base URL"},
                    "placeholders": {"host": "https://api.magichour.ai (leave empty)"},
                },
            }
        ],
    }
