"""Carry out what :mod:`submission` decides: ask, upload, note the intent, submit, note the answer."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_magichour.api.requests import refuse_key
from airflow_provider_magichour.api.schemas import CreatedProject, Project, cost_text
from airflow_provider_magichour.api.signatures import discreet, without_login, without_signatures
from airflow_provider_magichour.api.tools import Request
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourStorageError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.hooks import READ_PATIENCE, MagicHourHook
from airflow_provider_magichour.media.sources import Source
from airflow_provider_magichour.submission.budget import Budget
from airflow_provider_magichour.submission.decision import Decision, decide, project_to_look_at, unsure_message
from airflow_provider_magichour.submission.fingerprint import fingerprint
from airflow_provider_magichour.submission.record import Journal, Record, Returned, Unreadable, Upload, timestamp

log = logging.getLogger(__name__)


OnUnsure = Literal["fail", "resubmit"]


def default_name(ti: Any) -> str:
    """Return a name by which an unsure submission can be found in the library: the API has no other handle."""
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{ti.dag_id}.{ti.task_id}{index} {ti.run_id} {secrets.token_hex(2)}"


@discreet
@dataclass(frozen=True)
class Submitted:
    """The project that this run of the task goes on with.

    :param project_id: its id.
    :param credits_charged: what the API said it costs.
    :param project: what the API said of it, when it was asked.
    """

    project_id: str
    credits_charged: int | None
    project: Project | None = None


@discreet
@dataclass
class Submission:
    """One task instance's submission.

    :param hook: way to the API.
    :param journal: where it is remembered.
    :param request: with the images as the user named them.
    :param sources: files to upload, by the path of their field.
    :param max_tries: of this run of the task.
    :param on_unsure: ``fail`` or ``resubmit``.
    :param waits: whether the task waits for the project, so that it can go on while the API does not answer.
    :param budget: what a submission may cost; what was paid for already passes.
    """

    hook: MagicHourHook
    journal: Journal
    request: Request
    sources: Mapping[str, Source]
    max_tries: int
    on_unsure: OnUnsure
    waits: bool
    budget: Budget

    def run(self) -> Submitted:
        """Submit, unless an earlier run of this task did.

        :raises MagicHourUnsureSubmissionError: when a project may exist already.
        :raises MagicHourStorageError: when an image cannot be read that was not uploaded by an earlier run.
        :raises MagicHourApiError: when nothing was submitted and another try may succeed.
        """
        record = self.journal.read()
        self._identities = {path: _identity(path, source, record) for path, source in self.sources.items()}
        self._fingerprint = fingerprint(
            self.request,
            files=self._identities,
            conn_id=self.hook.magichour_conn_id,
            host=self.hook.settings().base_url,
        )
        seen = self._look(project_to_look_at(record, self._fingerprint))
        decision = decide(record, fingerprint=self._fingerprint, seen=seen, max_tries=self.max_tries, now=time.time())
        return self._carry_out(decision, record, seen)

    def _look(self, project_id: str | None) -> Project | MagicHourApiError | None:
        if project_id is None:
            return None
        try:
            # A task that waits looks again anyway.
            patience = 0 if self.waits else READ_PATIENCE
            return self.hook.get_project(project_id, self.request.tool.kind, patience=patience)
        except MagicHourApiError as error:
            return error

    def _carry_out(
        self, decision: Decision, record: Record | Unreadable | None, seen: Project | MagicHourApiError | None
    ) -> Submitted:
        known = record if isinstance(record, Record) else Record()
        if decision.action == "fail":
            raise MagicHourInvalidRequestError(decision.why)
        if decision.action == "unsure" and self.on_unsure == "fail":
            raise MagicHourUnsureSubmissionError(unsure_message(record, decision.why))
        if decision.action == "unsure":
            log.warning(
                "It is not known whether an earlier try made a project (%s): submitting anew, as "
                "on_unsure_submission='resubmit' says; it may be paid twice",
                decision.why,
            )
            return self._submit(known)
        if decision.why:
            (log.warning if decision.warn else log.info)("%s", decision.why)
        if decision.action == "submit":
            return self._submit(known)
        if decision.action == "blocked" and not self.waits and isinstance(seen, MagicHourApiError):
            raise seen
        assert known.project_id is not None
        return self._reattach(known, known.project_id, seen if isinstance(seen, Project) else None)

    def _reattach(self, record: Record, project_id: str, project: Project | None) -> Submitted:
        credits = project.credits_charged if project else None
        record = record.model_copy(
            update={
                "fingerprint": self._fingerprint,
                "adopted": record.adopted or record.is_adoption or None,
                "max_tries": self.max_tries,
                "credits_charged": record.credits_charged if credits is None else credits,
                "name": record.name or (project.name if project else None),
            }
        )
        self.journal.try_write(record, f"Project {project_id} goes on, though that could not be recorded")
        return Submitted(project_id, record.credits_charged, project)

    def _submit(self, record: Record) -> Submitted:
        refuse_key(self.request.body, self.hook.settings().api_key)
        self.budget.check(self.hook, self.request)
        record = self._uploaded(record.without_submission())
        request = self.request.with_files({path: record.uploads[key_of(path)].file_path for path in self.sources})
        record = record.model_copy(
            update={
                "name": request.name,
                "request": _readable(request),
                "fingerprint": self._fingerprint,
                "max_tries": self.max_tries,
            }
        )
        created, record = self._create(request, record)
        record = record.model_copy(
            update={
                "project_id": created.id,
                "submitted_at": timestamp(time.time()),
                "credits_charged": created.credits_charged,
            }
        )
        log.info("Submitted Magic Hour project %s (%s)", created.id, cost_text(created.credits_charged))
        self.journal.try_write(
            record,
            f"Magic Hour project {created.id} was submitted and costs {cost_text(created.credits_charged)}, "
            "but its id could not be recorded: a retry of this task would be unsure",
        )
        return Submitted(created.id, created.credits_charged)

    def _create(self, request: Request, record: Record) -> tuple[CreatedProject, Record]:
        """Send the create; whatever ends it, the journal says what is known."""
        intended = record

        def note_intent() -> None:
            nonlocal intended
            intended = record.model_copy(update={"intent_at": timestamp(time.time())})
            try:
                self.journal.write(intended)
            except Exception as error:
                raise MagicHourError(
                    f"The task state store refused the intent to submit ({error}); nothing was sent"
                ) from error

        try:
            return self.hook.create(request, before_attempt=note_intent), intended
        except MagicHourUnsureSubmissionError as error:
            why = f"its answer was lost: {error}"
            if self.on_unsure == "resubmit":
                raise MagicHourApiError(unsure_message(intended, why, resubmits=True)) from None
            raise MagicHourUnsureSubmissionError(unsure_message(intended, why)) from None
        except MagicHourError:
            self.journal.try_write(
                record.without_submission(),
                "Nothing was submitted, but the intent could not be removed: the next try will be unsure",
            )
            raise

    def _uploaded(self, record: Record) -> Record:
        """Upload what the API does not have yet, remembering each file for a retry."""
        for path, source in self.sources.items():
            identity, key = self._identities[path], key_of(path)
            remembered = record.uploads.get(key)
            if remembered and remembered.is_usable(identity, time.time()):
                log.info("%s is uploaded already, as %s", source.path, remembered.file_path)
                continue
            try:
                target = self.hook.upload(source.open, size=source.size, extension=source.extension)
            except MagicHourError:
                raise
            except Exception as error:
                raise MagicHourStorageError(
                    f"Could not read {source.path} in full ({error}); was it changed meanwhile? Nothing was submitted."
                ) from error
            upload = Upload(
                source=without_login(str(source.path)),
                file=identity,
                file_path=target.file_path,
                uploaded_at=timestamp(time.time()),
            )
            record = record.model_copy(update={"uploads": {**record.uploads, key: upload}})
            self.journal.try_write(record, f"{source.path} was uploaded, but a retry will upload it again")
        return record


def key_of(path: str) -> str:
    """Return the name under which the upload of a file field is remembered: that of 0.1.0 where the field is old."""
    return path.removeprefix("assets.")


def _identity(path: str, source: Source, record: Record | Unreadable | None) -> str:
    """Tell the bytes of a file from others; one that is gone, or out of reach here, is what an earlier run uploaded.

    A retry may run on another machine, and a project that was paid for must be found there too.
    """
    try:
        return source.identity()
    except MagicHourStorageError as error:
        uploaded = record.uploads.get(key_of(path)) if isinstance(record, Record) else None
        if uploaded is None or uploaded.source != without_login(str(source.path)):
            raise
        log.warning("%s. It was uploaded at %s, and is taken for unchanged", error, uploaded.uploaded_at)
        return uploaded.file


def note_returned(journal: Journal, project_id: str, *, try_number: int, max_tries: int) -> None:
    """Note that the task returns this project, so that a clear of the success can be told from a retry."""
    try:
        record = journal.read()
    except Exception as error:
        log.warning("Project %s is returned; a clear of this task would return it again (%s)", project_id, error)
        return
    if isinstance(record, Record) and record.project_id == project_id:
        returned = Returned(project_id=project_id, try_number=try_number, max_tries=max_tries)
        journal.try_write(
            record.model_copy(update={"returned": returned}),
            f"Project {project_id} is returned; a clear of this task would return it again",
        )


def _readable(request: Request) -> dict[str, object]:
    return {name: without_signatures(value) for name, value in request.body.items()}
