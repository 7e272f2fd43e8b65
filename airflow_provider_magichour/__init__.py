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
        "config": _config(),
        "connection-types": [
            {
                "connection-type": "magichour",
                "hook-class-name": f"{package}.hooks.MagicHourHook",
                "hook-name": name,
                "ui-field-behaviour": {
                    # Airflow 3.3's Test button sends port 0 for a stored connection without a port, and the server
                    # takes that for another destination and refuses: so the port is there to be set.
                    "hidden-fields": ["schema", "login"],
                    "relabeling": {"password": "API key", "host": "Base URL"},
                    "placeholders": {
                        "password": "mhk_live_...",
                        "host": "https://api.magichour.ai (leave empty)",
                        "port": "0 (for the Test button in the list of connections)",
                    },
                },
                "conn-fields": {
                    "request_timeout": _number(
                        "Request timeout", "Seconds for each phase of a request: connect, send, receive.", 30, 1, 600
                    ),
                    "requests_per_second": _number(
                        "Requests per second", "Of all tasks that wait deferred in one triggerer, together.", 20, 0.1
                    ),
                    "max_connections": _number(
                        "Connections", "Open at a time, of all tasks that wait deferred in one triggerer.", 8, 1, 100
                    ),
                },
            }
        ],
        "extra-links": [f"{package}.links.MagicHourProjectLink"],
    }


def _number(label: str, description: str, default: float, minimum: float, maximum: float = 1000) -> dict[str, Any]:
    return {
        "label": label,
        "description": f"{description} Empty: {default}.",
        "schema": {"type": ["number", "null"], "default": default, "minimum": minimum, "maximum": maximum},
    }


def _config() -> dict[str, Any]:
    return {
        "magichour": {
            "description": "Magic Hour's webhooks, which the API server receives at ``/magichour/webhooks``.",
            "options": {
                "webhook_secret": {
                    "description": "Secret of the webhook in Magic Hour's Developer Hub. Empty: nothing is received.",
                    "version_added": "0.1.0",
                    "type": "string",
                    "sensitive": True,
                    "example": "whsec_...",
                    "default": "",
                },
                "webhook_tolerance": {
                    "description": "Seconds that a delivery's timestamp may lie before or after the server's clock.",
                    "version_added": "0.1.0",
                    "type": "float",
                    "example": None,
                    "default": "300",
                },
            },
        }
    }
