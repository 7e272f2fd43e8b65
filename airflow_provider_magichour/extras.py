"""The numbers in a connection's extra: one row each.

The provider's metadata needs them too, and Airflow reads that while it is being imported: so nothing that imports
Airflow can be imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Extra:
    """A number in a connection's extra: how the form shows it, and which values are accepted.

    :param label: in the form.
    :param description: in the form: what it is, and its unit.
    :param default: if the connection does not set it.
    :param minimum: lowest accepted value.
    :param maximum: highest accepted value.
    """

    label: str
    description: str
    default: float
    minimum: float
    maximum: float


CONNECTION_EXTRAS: Mapping[str, Extra] = {
    "request_timeout": Extra(
        "Request timeout", "Seconds for each phase of a request: connect, send, receive.", 30, 0.1, 600
    ),
    "requests_per_second": Extra(
        "Requests per second", "For all deferred tasks in one triggerer together.", 20, 0.1, 1000
    ),
    "max_connections": Extra(
        "Open connections", "At a time, for all deferred tasks in one triggerer together.", 8, 1, 100
    ),
}
"""Each extra by its name in the connection."""
