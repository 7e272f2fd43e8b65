"""The jobs of one sandbox, and the account that pays for them."""

from __future__ import annotations

import dataclasses
import secrets
import string
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.sandbox.answers import Refused
from airflow_provider_magichour.sandbox.faults import JobScript
from airflow_provider_magichour.sandbox.orders import FPS
from airflow_provider_magichour.sandbox.settings import Settings
from airflow_provider_magichour.sandbox.studio import Output, Outputs

TYPES = {"video": "IMAGE_TO_VIDEO", "image": "AI_IMAGE", "audio": "VOICE_GENERATOR", "faces": ""}
QUEUED_SHARE = 0.2
ID_LETTERS = string.ascii_lowercase + string.digits


@discreet
@dataclass
class Job:
    """One job.

    :param price: what was charged at create, in credits; :attr:`credits_charged` is what it costs now.
    :param render_seconds: seconds from create to the outcome, unless the script says otherwise.
    :param kind: the API's, or ``faces`` for a detection, which is not a project.
    :param type: the API's word for what made it; empty for the usual one of its kind.
    :param start_seconds: where it begins in the files that were sent.
    :param end_seconds: where it ends; without a start, the length of the clip.
    :param outputs: how many downloads it has.
    :param results: the rendered files, once there are any; if there are fewer than outputs, they are shown in turn.
    :param failure: why there will be none.
    :param rendered: when it was rendered or failed, on the monotonic clock.
    """

    name: str
    price: int
    kind: Kind | Literal["faces"] = "video"
    script: JobScript = field(default_factory=JobScript)
    render_seconds: float = 0.0
    type: str = ""
    start_seconds: float = 0.0
    end_seconds: float = 0.0
    outputs: int = 1
    enabled: bool = True
    id: str = field(default_factory=lambda: new_id())
    created: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    results: Outputs = ()
    failure: BaseException | None = None
    rendered: float = 0.0

    @property
    def result(self) -> Output | None:
        """The first of the rendered files, once there is one."""
        return self.results[0] if self.results else None

    @property
    def status(self) -> str:
        """The API's status word at this moment."""
        elapsed = time.monotonic() - self.started
        if self.failure is not None:
            return "error"
        if elapsed >= self._until_outcome:
            if self.script.outcome in ("error", "canceled"):
                return self.script.outcome
            if self.script.outcome == "complete" and self.result is not None:
                return "complete"
        waiting = elapsed < self._until_outcome * QUEUED_SHARE
        return self.script.word or ("queued" if waiting else "rendering")

    @property
    def error(self) -> dict[str, str] | None:
        """Error code and message; None if it has not failed."""
        if self.failure is not None:
            code = "invalid_file_format" if isinstance(self.failure, ValueError) else "unknown_error"
            return {"code": code, "message": str(self.failure)}
        if self.status == "error":
            return {"code": self.script.code, "message": self.script.message}
        return None

    @property
    def is_refunded(self) -> bool:
        """Whether it failed or was canceled, which costs nothing."""
        return self.status in ("error", "canceled")

    @property
    def credits_charged(self) -> int:
        """What it costs at this moment, in credits."""
        return 0 if self.is_refunded else self.price

    @property
    def is_downloadable(self) -> bool:
        """Whether GET shows downloads."""
        complete_since = max(self.started + self._until_outcome, self.rendered)
        return (
            self.enabled
            and self.status == "complete"
            and time.monotonic() >= complete_since + self.script.downloads_delay
        )

    @property
    def _until_outcome(self) -> float:
        return self.render_seconds if self.script.render_seconds is None else self.script.render_seconds

    def output(self, number: int) -> Output:
        """Return the file of one of its downloads."""
        return self.results[number % len(self.results)]

    def finish(self, done: Future[Outputs]) -> None:
        """Take over the outcome of rendering."""
        if done.cancelled():
            return
        self.rendered = time.monotonic()
        self.failure = done.exception()
        if self.failure is None:
            self.results = done.result()

    def body(self, downloads: list[dict[str, str]], *, deprecated: bool) -> dict[str, Any]:
        """Return the body of GET.

        :param downloads: URL and expiry of each output.
        :param deprecated: whether to include fields that the vendor's SDK requires and its specification omits.
        """
        body: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "type": self.type or TYPES[self.kind],
            "created_at": timestamp(self.created),
            "enabled": self.enabled,
            "credits_charged": self.credits_charged,
            "error": self.error,
            "downloads": downloads,
        }
        if self.kind == "image":
            body["image_count"] = self.outputs
        if self.kind == "video":
            body |= self._video_fields()
        if deprecated and self.kind != "audio":
            body["total_frame_cost"] = self.credits_charged
        if deprecated and self.kind == "video":
            body["download"] = downloads[0] if downloads else None
        return body

    def _video_fields(self) -> dict[str, Any]:
        return {
            "width": self.result.width if self.result else -1,
            "height": self.result.height if self.result else -1,
            "start_seconds": self.start_seconds,
            "end_seconds": self.end_seconds,
            "fps": FPS,
        }


class Jobs:
    """All jobs of one sandbox, oldest first, and its account's balance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._spent = 0
        # Only these are searched for refunds: searching thousands of jobs would slow every create request.
        self._may_fail: dict[str, Job] = {}
        self._paid_back: set[str] = set()
        self._lock = threading.RLock()

    @property
    def balance(self) -> int:
        """What the account has left, in credits; failed and canceled jobs are refunded."""
        with self._lock:
            for job in [job for job in self._may_fail.values() if job.is_refunded]:
                del self._may_fail[job.id]
                self._paid_back.add(job.id)
                self._spent -= job.price
            return max(0, self._settings.credits - self._spent)

    def open(self, job: Job) -> None:
        """Charge a job and keep it.

        :raises Refused: 402 if the account has less than it costs.
        """
        with self._lock:
            if job.price > (balance := self.balance):
                raise Refused(402, f"Insufficient credits: {job.price} needed, {balance} left")
            self._spent += job.price
            self._jobs[job.id] = job
            if job.script.outcome in ("error", "canceled"):
                self._watch(job)

    def render(self, job: Job, output: Future[Outputs]) -> None:
        """Let a job wait for these files; if there will be none, the job fails and is refunded."""

        def finished(done: Future[Outputs]) -> None:
            job.finish(done)
            if job.failure is not None:
                self._watch(job)

        output.add_done_callback(finished)

    def change(self, job_id: str, **script: Any) -> Job:
        """Change how a job goes from now on, such as ``outcome="canceled", render_seconds=0`` to cancel it.

        :param job_id: its id.
        :param script: fields of :class:`JobScript`.
        :raises KeyError: there is no such job.
        """
        with self._lock:
            job = self._jobs[job_id]
            job.script = dataclasses.replace(job.script, **script)
            self._watch(job)
            return job

    def find(self, job_id: str, kind: str) -> Job:
        """Return a job of this kind.

        :raises Refused: 404 if there is none.
        """
        job = self._jobs.get(job_id)
        if job is None or job.kind != kind:
            raise Refused(404)
        return job

    def result_of(self, job_id: str) -> Path | None:
        """Return a job's first result; None if there is none."""
        job = self._jobs.get(job_id)
        return job.result.file if job is not None and job.enabled and job.result is not None else None

    def _watch(self, job: Job) -> None:
        with self._lock:
            if job.id not in self._paid_back:
                self._may_fail[job.id] = job

    def __iter__(self) -> Iterator[Job]:
        with self._lock:
            return iter(tuple(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, job_id: str) -> Job:
        return self._jobs[job_id]


def new_id() -> str:
    """Return an id that looks like the API's."""
    return "c" + "".join(secrets.choice(ID_LETTERS) for _ in range(24))


def timestamp(seconds: float) -> str:
    """Return a Unix time in the API's form, such as ``2026-09-10T12:00:00.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
