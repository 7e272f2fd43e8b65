"""Names of projects in the library."""

from __future__ import annotations

import secrets
from typing import Any


def default_name(ti: Any, item: str = "") -> str:
    """Return a name by which an unsure submission can be found in the library: there is no other way.

    :param item: id of a batch's item.
    """
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return " ".join(filter(None, [f"{ti.dag_id}.{ti.task_id}{index}", ti.run_id, item, secrets.token_hex(2)]))
