"""The numbers in the extra of a connection: one row each.

The provider's metadata has them too, which Airflow reads while it is being imported itself: nothing of Airflow's, and
nothing that imports it, can be imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Extra:
    """A number in the extra of a connection: for its form, for what is read, and for what is meant without it.

    :param label: in the form.
    :param description: in the form: what it is, and its unit.
    :param default: where the connection does not say.
    :param minimum: least value that is taken.
    :param maximum: greatest value that is taken.
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
        "Requests per second", "Of all tasks that wait deferred in one triggerer, together.", 20, 0.1, 1000
    ),
    "max_connections": Extra(
        "Open connections", "At a time, of all tasks that wait deferred in one triggerer.", 8, 1, 100
    ),
}
"""Each extra by its name in the connection."""
