"""The recorded requests of a sandbox and its answers."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_magichour.api.signatures import discreet

KEPT = 50_000
RIGHT_KEY = "<right key>"
WRONG_KEY = "<wrong key>"


@discreet
@dataclass
class RecordedRequest:
    """One request as it arrived.

    :param route: name of the route, or None for a path that the API does not have.
    :param query: query string as sent.
    :param headers: by lower-case name; ``authorization`` says only whether it was the right key; no cookies.
    :param body: the JSON sent, or None.
    :param body_bytes: size of the body in bytes; of an upload, what has arrived.
    :param connection: number of the TCP connection, counted from 1.
    :param reused: whether that connection had answered a request before.
    :param at: Unix time of arrival in seconds.
    :param status: HTTP status of the answer, or None if none was begun.
    :param job: id of the job that the request created, or None.
    """

    method: str
    path: str
    query: str
    route: str | None
    headers: Mapping[str, str]
    body: Any
    body_bytes: int
    connection: int
    reused: bool
    at: float
    status: int | None = None
    job: str | None = None


class Requests:
    """The requests of one sandbox in order of arrival: the last 50,000 in full, all of them in ``counts``."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._records: deque[RecordedRequest] = deque(maxlen=KEPT)
        self._connections = itertools.count(1)
        self._lock = threading.Lock()

    def number_connection(self) -> int:
        return next(self._connections)

    def add(self, record: RecordedRequest) -> None:
        with self._lock:
            self._records.append(record)
            self.counts[record.route or "unknown"] += 1

    def to(self, route: str) -> list[RecordedRequest]:
        """Return the requests to one route.

        :param route: such as ``create`` or ``get``.
        """
        return [record for record in self if record.route == route]

    def clear(self) -> None:
        """Forget what was recorded; connections keep their numbers."""
        with self._lock:
            self._records.clear()
            self.counts.clear()

    def __iter__(self) -> Iterator[RecordedRequest]:
        with self._lock:
            return iter(tuple(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> RecordedRequest:
        return self._records[index]


def record_of(
    scope: Mapping[str, Any], *, route: str | None, raw: bytes, api_key: str, connection: int, reused: bool
) -> RecordedRequest:
    """Describe a request.

    :param scope: its ASGI scope.
    :param route: name of its route.
    :param raw: its body in bytes; empty for an upload.
    :param api_key: the key that is valid at this moment.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name != b"cookie"}
    if "authorization" in headers:
        headers["authorization"] = RIGHT_KEY if headers["authorization"] == f"Bearer {api_key}" else WRONG_KEY
    return RecordedRequest(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        route=route,
        headers=headers,
        body=_json_or_none(raw),
        body_bytes=len(raw),
        connection=connection,
        reused=reused,
        at=time.time(),
    )


def _json_or_none(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None
