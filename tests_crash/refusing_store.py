"""A state store backend for workers that takes the intent and refuses the project id (Airflow 3.3)."""

from __future__ import annotations

import json
from typing import Any


class RefusingStore:
    """Keeps each value inside its own reference."""

    def serialize_task_state_store_to_ref(self, *, value: Any, key: str, scope: Any) -> str:
        if "project_id" in value:
            raise RuntimeError("this store takes no project id")
        return json.dumps(value)

    def deserialize_task_state_store_from_ref(self, ref: str) -> Any:
        return json.loads(ref)

    def delete(self, scope: Any, key: str) -> None:
        """Nothing is kept elsewhere."""

    def clear(self, scope: Any) -> None:
        """Nothing is kept elsewhere."""
