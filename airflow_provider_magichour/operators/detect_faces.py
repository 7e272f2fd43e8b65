"""Detect faces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.fields import Argument, SignedUrlField, seconds
from airflow_provider_magichour.tasks import ApiTask

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_magichour.api.schemas import FaceDetection
    from airflow_provider_magichour.compat import Context
    from airflow_provider_magichour.waiting.watch import Step


class MagicHourDetectFacesOperator(ApiTask):
    """Find the faces in an image or a video, for the ``face_mappings`` of a face swap; free for now (SDK 0.90.0).

    A local file or one in object storage is uploaded first. Waits on the worker: it takes seconds. Returns a list of
    ``{"path": ...}``, one for each face, in each frame from left to right; empty if there is none. A path goes into
    ``original_face``, such as ``"{{ ti.xcom_pull('detect')[0]['path'] }}"``. The URLs of the faces' pictures are
    signed and are not returned: :meth:`~airflow_provider_magichour.hooks.MagicHourHook.get_face_detection` has them.
    A retry starts a new detection. Leaves behind: the XCom ``detection_id``, and uploads, which Magic Hour keeps for 7
    days (inputs and outputs page, 2026-08-22).

    :param target: image or video: URL, Magic Hour path (``api-assets/...``), local path or object storage URI.
        (templated)
    :param confidence_score: from 0 to 1: how certain it must be that something is a face; the API's default is 0.5.
        (templated)
    :param magichour_conn_id: id of the Magic Hour connection. (templated)
    :param conn_id: id of the connection of the storage that the file is read from. (templated)
    :param poll_interval: seconds between polls, at least 1. (templated)
    :param timeout: seconds (or ``timedelta``) that an attempt waits. (templated)
    :raises MagicHourInvalidRequestError: an argument or the connection cannot be used; not retried.
    :raises MagicHourStorageError: the file cannot be read.
    :raises MagicHourApiError: the API or the network failed.
    :raises MagicHourProjectFailedError: the detection failed.
    :raises MagicHourProjectRejectedError: the detection failed, and a retry cannot help; not retried.
    :raises MagicHourTimeoutError: the detection was not finished after ``timeout``.
    """

    template_fields: Sequence[str] = (
        "target",
        "confidence_score",
        "magichour_conn_id",
        "conn_id",
        "poll_interval",
        "timeout",
    )
    ui_color = "#e8e1fa"

    target = SignedUrlField()
    confidence_score = Argument()
    conn_id = Argument()

    def __init__(
        self,
        *,
        target: str,
        confidence_score: float | str | None = None,
        magichour_conn_id: str = "magichour_default",
        conn_id: str | None = None,
        poll_interval: float | str = 1,
        timeout: float | timedelta = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.confidence_score = confidence_score
        self.magichour_conn_id = magichour_conn_id
        self.conn_id = conn_id
        self.poll_interval = poll_interval
        self.timeout = timeout

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Upload the file, start the detection, wait for it, and return the paths of the faces."""
        from airflow_provider_magichour.api.faces import detection_body
        from airflow_provider_magichour.api.requests import refuse_key
        from airflow_provider_magichour.media.lineage import note_inputs
        from airflow_provider_magichour.media.sources import source_of, uploaded, uris_of

        timeout, interval = seconds("timeout", self.timeout), seconds("poll_interval", self.poll_interval)
        body = detection_body(self.target, self.confidence_score)
        refuse_key(body, self.hook.settings().api_key, {"assets.target_file_path": "target"})
        target, score = body["assets"]["target_file_path"], body.get("confidence_score")
        source = source_of("target", target, self.conn_id, ("image", "video"))
        path = uploaded(self.hook, source).file_path if source else target
        created = self.hook.create_face_detection(path, confidence_score=score)
        self.log.info("Magic Hour face detection %s was started", created.id)
        if created.credits_charged:
            self.log.warning("Face detection %s cost %d credits", created.id, created.credits_charged)
        self.push(context, detection_id=created.id)
        note_inputs(self.hook, uris_of([target]))
        faces = self._finished(created.id, timeout, interval).faces
        self.log.info("Magic Hour face detection %s found %d faces", created.id, len(faces))
        return [{"path": face.path} for face in faces]

    def _finished(self, detection_id: str, timeout: float, interval: float) -> FaceDetection:
        from airflow_provider_magichour.api.endpoints import get_face_detection
        from airflow_provider_magichour.waiting.lookout import Lookout
        from airflow_provider_magichour.waiting.watch import Watch

        now = time.time()
        watch = Watch(detection_id, started_at=now, deadline=now + timeout, interval=interval, kind="image")
        with closing(Lookout(self.hook, lambda watch: get_face_detection(watch.project_id))) as lookout:
            return _faces_in(lookout.wait(watch), timeout)


def _faces_in(step: Step, timeout: float) -> FaceDetection:
    """Return a detection that is complete.

    :raises MagicHourError: for any other end of the wait.
    """
    from airflow_provider_magichour.api.schemas import FaceDetection
    from airflow_provider_magichour.exceptions import (
        MagicHourApiError,
        MagicHourProjectFailedError,
        MagicHourProjectRejectedError,
        MagicHourTimeoutError,
    )

    named, seen = f"Magic Hour face detection {step.watch.project_id}", step.project
    if step.end == "timeout":
        raise MagicHourTimeoutError(
            f"{named} was not finished after {timeout:.0f} s (last status: {step.watch.status or 'unknown'}). "
            "A retry starts a new one."
        )
    if step.error or not isinstance(seen, FaceDetection):
        raise step.error or MagicHourApiError(f"{named} could not be read. A retry starts a new one.")
    if not seen.is_complete:
        said = [part for part in (seen.failure_code, seen.error and seen.error.message) if part]
        detail = f" ({': '.join(said)})" if said else ""
        failed = f"{named} {seen.ending}{detail}."
        if seen.is_incurable:
            raise MagicHourProjectRejectedError(f"{failed} A retry would fail in the same way.", code=seen.failure_code)
        raise MagicHourProjectFailedError(f"{failed} A retry of this task starts a new one.", code=seen.failure_code)
    return seen
