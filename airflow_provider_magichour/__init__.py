"""Apache Airflow provider for Magic Hour, an API that turns images into videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_magichour.extras import Extra

__version__ = "0.2.0"


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
        "asset-uris": [
            {
                "schemes": ["magichour"],
                "handler": f"{package}.media.datasets.sanitize_uri",
                "to_openlineage_converter": f"{package}.media.datasets.convert_asset_to_openlineage",
            }
        ],
        "config": _config(),
        "connection-types": [_connection_type(f"{package}.hooks.MagicHourHook", name)],
        "extra-links": [f"{package}.links.MagicHourProjectLink"],
    }


def _connection_type(hook: str, name: str) -> dict[str, Any]:
    from airflow_provider_magichour.extras import CONNECTION_EXTRAS

    return {
        "connection-type": "magichour",
        "hook-class-name": hook,
        "hook-name": name,
        "ui-field-behaviour": {
            # Airflow 3.3's Test button sends port 0 for a stored connection without a port, and the server
            # takes that for another destination and refuses. So the form offers the port.
            "hidden-fields": ["schema", "login"],
            "relabeling": {"password": "API key", "host": "Base URL"},
            "placeholders": {
                "password": "mhk_live_...",
                "host": "https://api.magichour.ai (leave empty)",
                "port": "0 (for the Test button in the list of connections)",
            },
        },
        "conn-fields": {name: _field(extra) for name, extra in CONNECTION_EXTRAS.items()},
    }


def _field(extra: Extra) -> dict[str, Any]:
    return {
        "label": extra.label,
        "description": f"{extra.description} Empty: {extra.default}.",
        "schema": {
            "type": ["number", "null"],
            "default": extra.default,
            "minimum": extra.minimum,
            "maximum": extra.maximum,
        },
    }


def _config() -> dict[str, Any]:
    return {
        "magichour": {
            "description": "What the API server serves: webhooks at ``/magichour/webhooks``, and pages of clips.",
            "options": {
                "clips_tab": {
                    "description": "Show clips in the web UI: tabs, pages, the link Clip. Airflow 3.1 and newer.",
                    "version_added": "0.2.0",
                    "type": "boolean",
                    "example": None,
                    "default": "True",
                },
                "webhook_secret": {
                    "description": "The webhook's secret, from Magic Hour's Developer Hub. Empty: no webhooks.",
                    "version_added": "0.1.0",
                    "type": "string",
                    "sensitive": True,
                    "example": "whsec_...",
                    "default": "",
                },
                "webhook_tolerance": {
                    "description": "Seconds (up to 172800) by which a delivery's time may differ from the clock here.",
                    "version_added": "0.1.0",
                    "type": "float",
                    "example": None,
                    "default": "300",
                },
            },
        }
    }
