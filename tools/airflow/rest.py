"""Airflow's public REST API as a local user needs it: runs, task instances, logs, XCom, the state store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

TERMINAL_RUN_STATES = frozenset({"success", "failed"})
_BUSY_TRIES = 5
# What events of a task log carry beside their own words: the same in every line, or told otherwise.
_LOG_CONTEXT = frozenset(
    "timestamp event level error_detail logger filename lineno "
    "ti ti_id dag_id task_id run_id map_index try_number".split()
)


@dataclass(frozen=True)
class TaskInstance:
    """One task instance of a run; `map_index` is -1 for a task that is not mapped."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    start_date: datetime | None
    end_date: datetime | None
    pid: int | None
    raw: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The task id, with the map index in brackets when it is mapped."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> TaskInstance:
        """Read one entry of Airflow's answer."""
        return cls(
            task_id=raw["task_id"],
            map_index=raw["map_index"],
            state=raw["state"],
            try_number=raw["try_number"],
            max_tries=raw["max_tries"],
            start_date=_moment(raw["start_date"]),
            end_date=_moment(raw["end_date"]),
            pid=raw["pid"],
            raw=raw,
        )


class AirflowRest:
    """A client of one Airflow's REST API that logs in by itself; errors carry Airflow's own message."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._token: str | None = None
        # Nothing on loopback goes through a proxy, whatever the environment says.
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request to `/api/v2` and return the JSON of the answer, None when it is empty.

        A read or a change that meets a busy SQLite database (500) is sent again a few times.
        """
        arguments["headers"] = self._authorization() | arguments.get("headers", {})
        for attempt in range(_BUSY_TRIES):
            answer = self._http.request(method, f"/api/v2{path}", **arguments)
            if answer.status_code < 500 or method not in ("GET", "PATCH"):
                break
            time.sleep(0.2 * (attempt + 1))
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {answer.status_code} {answer.text[:2000]}",
                request=answer.request,
                response=answer,
            )
        return answer.json() if answer.content else None

    def _authorization(self) -> dict[str, str]:
        if self._token is None:
            answer = self._http.post("/auth/token", json=self._login)
            answer.raise_for_status()
            self._token = answer.json()["access_token"]
        return {"Authorization": f"Bearer {self._token}"}

    # health and DAGs

    def heartbeats(self) -> dict[str, datetime]:
        """The last heartbeat of each healthy component (`scheduler`, `triggerer`, `dag_processor`).

        Empty as long as the API server does not answer. Airflow calls a component healthy for 30 s after its last
        heartbeat, so one that was killed goes on being listed, with its old heartbeat.
        """
        try:
            answer = self._http.get("/api/v2/monitor/health", timeout=5)
        except httpx.TransportError:
            return {}
        if answer.is_error:
            return {}
        beats = {}
        for name, entry in answer.json().items():
            beat = _moment((entry or {}).get(f"latest_{name}_heartbeat"))
            if beat and entry["status"] == "healthy":
                beats[name] = beat
        return beats

    def warm_up(self) -> bool:
        """Have the API for tasks built, which Airflow does at the first request to it; False: not up yet."""
        try:
            return not self._http.get("/execution/health", timeout=60).is_server_error
        except httpx.TransportError:
            return False

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG processor has stored this DAG."""
        try:
            self.call("GET", f"/dags/{dag_id}")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 404:
                return False
            raise
        return True

    def import_errors(self) -> dict[str, str]:
        """Stack traces of the DAG files that could not be imported, by file name."""
        entries = self.call("GET", "/importErrors")["import_errors"]
        return {entry["filename"]: entry["stack_trace"] for entry in entries}

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run this DAG."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    # runs

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """Unpause the DAG, start a run of it and return the run id."""
        self.unpause(dag_id)
        body = {"logical_date": None, "conf": dict(conf or {})} | ({"dag_run_id": run_id} if run_id else {})
        answer = self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return str(answer["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a run: queued, running, success or failed."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as success or failed, as a user does in the web UI."""
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": state})

    # task instances

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Every task instance of a run, mapped ones each on their own."""
        found: list[TaskInstance] = []
        while True:
            page = self.call(
                "GET",
                f"{_run(dag_id, run_id)}/taskInstances",
                params={"limit": 100, "offset": len(found), "order_by": "id"},
            )
            found += [TaskInstance.from_json(entry) for entry in page["task_instances"]]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskInstance:
        """One task instance."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}"
        return TaskInstance.from_json(self.call("GET", path if map_index < 0 else f"{path}/{map_index}"))

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Mark a task instance as success, failed or skipped, as a user does in the web UI."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}"
        path = path if map_index < 0 else f"{path}/{map_index}"
        self.call("PATCH", path, json={"new_state": state})

    def clear(self, dag_id: str, run_id: str, *tasks: str | tuple[str, int], downstream: bool = False) -> list[str]:
        """Clear task instances (ids, or pairs of id and map index; none given: all) so that they run again.

        :return: the ids of the tasks that were cleared.
        """
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": False,
            "include_downstream": downstream,
        }
        if tasks:
            body["task_ids"] = [task if isinstance(task, str) else list(task) for task in tasks]
        answer = self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)
        return [entry["task_id"] for entry in answer["task_instances"]]

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """The log of one try as text: one event a line, with its own details; an exception follows on a line.

        Without what is the same in all lines (ids) and without stack traces.
        """
        answer = self.call(
            "GET",
            f"{_run(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}",
            params={"full_content": True, "map_index": map_index},
            headers={"Accept": "application/json"},
        )
        return "\n".join(_log_line(entry) for entry in answer["content"])

    # XCom, task state store, connections

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """The deserialised value of one XCom entry; a 404 when there is none."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", path, params={"map_index": map_index, "deserialize": True})["value"]

    def state_store(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> dict[str, Any]:
        """All entries of a task instance's state store by key (Airflow 3.3)."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/state-store"
        entries = self.call("GET", path, params={"map_index": map_index})["task_state_store"]
        return {entry["key"]: entry["value"] for entry in entries}

    def put_state(self, dag_id: str, run_id: str, task_id: str, key: str, value: Any, *, map_index: int = -1) -> None:
        """Write an entry that never expires into a task instance's state store (Airflow 3.3)."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/state-store/{key}"
        self.call("PUT", path, params={"map_index": map_index}, json={"value": value, "expires_at": None})

    def delete_state(self, dag_id: str, run_id: str, task_id: str, key: str, *, map_index: int = -1) -> None:
        """Remove an entry from a task instance's state store (Airflow 3.3)."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/state-store/{key}"
        self.call("DELETE", path, params={"map_index": map_index})

    def connection(self, conn_id: str) -> dict[str, Any]:
        """A stored connection, its secrets masked by Airflow."""
        answer: dict[str, Any] = self.call("GET", f"/connections/{conn_id}")
        return answer

    def add_connection(self, conn_id: str, conn_type: str, **fields: Any) -> None:
        """Store a connection; fields as in the REST API: host, login, password, port, extra (JSON text)."""
        body = {"connection_id": conn_id, "conn_type": conn_type, **fields}
        self.call("POST", "/connections", json=body)

    def change_connection(self, conn_id: str, **fields: Any) -> None:
        """Change the given fields of a stored connection."""
        body = {"connection_id": conn_id, "conn_type": self.connection(conn_id)["conn_type"], **fields}
        self.call("PATCH", f"/connections/{conn_id}", params={"update_mask": list(fields)}, json=body)

    def delete_connection(self, conn_id: str) -> None:
        """Remove a stored connection."""
        self.call("DELETE", f"/connections/{conn_id}")


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{run_id}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _log_line(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return str(entry)
    details = "".join(
        f" {name}={value}" for name, value in entry.items() if name not in _LOG_CONTEXT and value is not None
    )
    errors = "".join(f"\n{each['exc_type']}: {each['exc_value']}" for each in entry.get("error_detail") or ())
    level = f"[{entry['level']}] " if entry.get("level") else ""
    return f"{entry.get('timestamp') or ''} {level}{entry['event']}{details}{errors}".strip()
