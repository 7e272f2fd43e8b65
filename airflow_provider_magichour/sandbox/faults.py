"""Faults on request: scripts that select requests and say what happens to them."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.sandbox.settings import check_fields

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.recording import RecordedRequest

ROUTES = ("upload-urls", "upload", "create", "get", "delete", "account", "saved-items", "download")


@discreet
@dataclass(kw_only=True)
class JobScript:
    """How one job goes.

    :param outcome: ``complete``, ``error``, ``canceled``, or ``never`` (it never finishes).
    :param code: error code with ``error``.
    :param message: error message with ``error``.
    :param render_seconds: seconds from create to the outcome; None for the sandbox's setting.
    :param word: status word instead of ``queued`` and ``rendering``, such as ``draft`` or an unknown one.
    :param downloads_delay: seconds for which a complete job has no downloads yet.
    """

    outcome: Literal["complete", "error", "canceled", "never"] = "complete"
    code: str = "unknown_error"
    message: str = "Something went wrong. Please try again."
    render_seconds: float | None = None
    word: str | None = None
    downloads_delay: float = 0.0

    def __post_init__(self) -> None:
        check_fields(JobScript, asdict(self))


@discreet
@dataclass(kw_only=True)
class Fault:
    """One scripted fault: which requests, then what happens to them.

    Everything given in the first part, ``route`` to ``reused``, must match.

    :param route: ``upload-urls``, ``upload``, ``create``, ``get``, ``delete``, ``account``,
        ``saved-items``, ``download`` or ``*``.
    :param method: HTTP method.
    :param path: pattern of the path as in a shell, such as ``/v1/video-projects/*``.
    :param body: JSON that the request's body must contain; objects are compared field by field.
    :param reused: True for requests on a connection that has answered before, False for the first on one.
    :param nth: only the n-th request that matches, counted from 1.
    :param times: how many requests it happens to; None for all.

    :param delay: seconds before anything happens.
    :param status: answer with this status; with ``after`` once the real work was done.
    :param json: body of that answer; without ``json`` and ``text`` it is the API's usual one, or for 502 to
        504 a gateway's.
    :param text: body of that answer as HTML.
    :param headers: further headers of that answer, such as ``Retry-After``.
    :param expired: answer 403 or 404, as the storage does for an expired URL.
    :param cut: close the connection without an answer.
    :param hang: never answer, until the client gives up.
    :param after: do the real work (make the job, charge it) before ``status``, ``cut`` or ``hang``.
    :param drop: fields left out of the real JSON answer; ``["id"]`` on create is a 200 without an id.
    :param patch: fields replaced in the real JSON answer.
    :param half_body: announce the whole body, send half of it, cut.
    :param cut_at: cut after this many bytes of the answer's body, on ``upload`` of the request's.
    :param bytes_per_second: pace of the answer's body, on ``upload`` of the request's.
    :param reset: cut by a TCP reset instead of a close.
    :param job: how the created job goes.
    """

    route: str = "*"
    method: str | None = None
    path: str | None = None
    body: Mapping[str, Any] | None = None
    reused: bool | None = None
    nth: int | None = None
    times: int | None = 1

    delay: float = 0.0
    status: int | None = None
    json: Any = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    expired: Literal[403, 404] | None = None
    cut: bool = False
    hang: bool = False
    after: bool = False
    drop: tuple[str, ...] | list[str] = ()
    patch: Mapping[str, Any] | None = None
    half_body: bool = False
    cut_at: int | None = None
    bytes_per_second: float | None = None
    reset: bool = False
    job: JobScript | None = None

    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.job, Mapping):
            self.job = JobScript(**self.job)
        check_fields(Fault, {each.name: getattr(self, each.name) for each in fields(self) if each.init})
        if self.route not in (*ROUTES, "*"):
            raise TypeError(f"route: {self.route!r} is not one of {', '.join(ROUTES)}, *")

    @property
    def replaces_answer(self) -> bool:
        return self.cut or self.hang or self.status is not None or self.expired is not None

    @property
    def edits_answer(self) -> bool:
        return bool(self.drop) or self.patch is not None

    @property
    def spoils_body(self) -> bool:
        return self.half_body or self.cut_at is not None or self.bytes_per_second is not None

    def matches(self, request: RecordedRequest) -> bool:
        """Whether the fault applies to this request, however often it has happened."""
        return (
            self.route in ("*", request.route)
            and self.method in (None, request.method)
            and (self.path is None or fnmatch.fnmatchcase(request.path, self.path))
            and (self.body is None or _contains(request.body, self.body))
            and self.reused in (None, request.reused)
        )

    def is_due(self) -> bool:
        """Whether it happens to the last counted match."""
        return self.nth in (None, self.seen) and (self.times is None or self.hits < self.times)


class Faults:
    """The scripted faults of one sandbox: the first due one happens, all matching ones count the request."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, route: str = "*", **script: Any) -> Fault:
        """Script a fault and return it; its ``hits`` says how often it has happened.

        :param route: name of the route, or ``*``.
        :param script: the other fields of :class:`Fault`.
        """
        fault = Fault(route=route, **script)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults; jobs already made keep their script."""
        with self._lock:
            self._faults.clear()

    def take(self, request: RecordedRequest) -> Fault | None:
        """Return what happens to this request, and count it."""
        taken = None
        with self._lock:
            for fault in self._faults:
                if not fault.matches(request):
                    continue
                fault.seen += 1
                if taken is None and fault.is_due():
                    fault.hits += 1
                    taken = fault
        return taken

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._faults))

    def __len__(self) -> int:
        return len(self._faults)


def _contains(body: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return bool(body == wanted)
    return isinstance(body, Mapping) and all(
        name in body and _contains(body[name], value) for name, value in wanted.items()
    )
