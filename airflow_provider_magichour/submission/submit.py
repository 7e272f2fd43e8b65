"""Carries out what :mod:`decision` decides: read, upload, record the intent, submit, record the answer."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_magichour.api.repeats import CREATE_PATIENCE, GATEWAY_PAUSE, Attempts
from airflow_provider_magichour.api.requests import refuse_impossible, refuse_key
from airflow_provider_magichour.api.schemas import CreatedProject, Project, cost_text
from airflow_provider_magichour.api.signatures import discreet, without_signatures
from airflow_provider_magichour.api.tools import Request
from airflow_provider_magichour.exceptions import (
    MagicHourApiError,
    MagicHourError,
    MagicHourInvalidRequestError,
    MagicHourProjectRejectedError,
    MagicHourRejectedError,
    MagicHourUnsureSubmissionError,
)
from airflow_provider_magichour.hooks import READ_PATIENCE, MagicHourHook
from airflow_provider_magichour.submission.budget import Allowance
from airflow_provider_magichour.submission.decision import Decision, decide, project_to_look_at, unsure_message
from airflow_provider_magichour.submission.fingerprint import fingerprints
from airflow_provider_magichour.submission.record import Journal, Record, Returned, Unreadable, epoch, timestamp
from airflow_provider_magichour.submission.uploads import Files, Locate

log = logging.getLogger(__name__)

OnUnsure = Literal["fail", "resubmit"]

LONGEST_FIRST_PAUSE = CREATE_PATIENCE
"""Most seconds that an attempt waits because a gateway answered the create request of an earlier one."""

BLAMELESS = (401, 402, 403)
"""Statuses with which the API refuses because of the account, not because of what was sent."""


@discreet
@dataclass(frozen=True)
class Submitted:
    """The project that this run of the task continues with.

    :param project_id: its id.
    :param credits_charged: what it costs, as the API said.
    :param project: as the API shows it, if it was read.
    :param is_new: whether this run has created it.
    :param was_unsure: whether an earlier run may have created another.
    """

    project_id: str
    credits_charged: int | None
    project: Project | None = None
    is_new: bool = False
    was_unsure: bool = False


@discreet
@dataclass
class Submission:
    """One task instance's submission.

    :param hook: calls the API.
    :param journal: where it is recorded.
    :param request: with the files as the user named them.
    :param locate: finds the file behind a field of the request.
    :param max_tries: of this run of the task.
    :param on_unsure: ``fail`` or ``resubmit``.
    :param waits: whether the task waits for the project, so that it can continue while the API does not answer.
    :param budget: what a submission may cost; a project that was paid for already passes.
    :param validate: whether to check against the table of AI models.
    :param log: where to log.
    """

    hook: MagicHourHook
    journal: Journal
    request: Request
    locate: Locate
    max_tries: int
    on_unsure: OnUnsure
    waits: bool
    budget: Allowance
    validate: bool = True
    log: logging.Logger | logging.LoggerAdapter[Any] = log

    def run(self) -> Submitted:
        """Submit, unless an earlier run of this task did: that is checked before anything that can fail.

        :raises MagicHourUnsureSubmissionError: a project may exist already.
        :raises MagicHourStorageError: a file cannot be read, and no earlier run has uploaded it.
        :raises MagicHourApiError: nothing was submitted; a retry may succeed.
        """
        record = self._recorded()
        self.files = Files.of(self.request, self.locate, record)
        self._fingerprints = fingerprints(
            self.request,
            files=self.files.identities,
            old_files=self.files.old_identities,
            conn_id=self.hook.magichour_conn_id,
            host=self.hook.settings().base_url,
        )
        if isinstance(record, Record):
            record = record.recalled(self._fingerprints)
        seen = self._look(project_to_look_at(record, self._fingerprints))
        decision = decide(
            record,
            fingerprints=self._fingerprints,
            seen=seen,
            max_tries=self.max_tries,
            now=time.time(),
            key=self.journal.key,
        )
        return self._carry_out(decision, record, seen)

    def _recorded(self) -> Record | Unreadable | None:
        try:
            return self.journal.read()
        except MagicHourError as error:
            raise MagicHourError(f"{error}. Nothing was submitted; a retry reads it again") from error.__cause__

    def _look(self, project_id: str | None) -> Project | MagicHourApiError | None:
        if project_id is None:
            return None
        try:
            # A task that waits polls again anyway.
            patience = 0 if self.waits else READ_PATIENCE
            return self.hook.get_project(project_id, self.request.tool.kind, patience=patience)
        except MagicHourApiError as error:
            return error

    def _carry_out(
        self, decision: Decision, record: Record | Unreadable | None, seen: Project | MagicHourApiError | None
    ) -> Submitted:
        known = record if isinstance(record, Record) else Record()
        if decision.action == "fail":
            raise _failure(decision, seen)
        if decision.action == "unsure" and self.on_unsure == "fail":
            raise MagicHourUnsureSubmissionError(unsure_message(record, decision.why, key=self.journal.key))
        if decision.action == "unsure":
            self.log.warning(
                "It is not known whether an earlier attempt created a project (%s): submitting again, as "
                "on_unsure_submission='resubmit' says; it may be paid twice",
                decision.why,
            )
            return replace(self._submit(known), was_unsure=True)
        if decision.why:
            self.log.log(logging.WARNING if decision.warn else logging.INFO, "%s", decision.why)
        if decision.action == "submit":
            return self._submit(_without_bad_files(known, seen))
        if decision.action == "blocked" and not self.waits and isinstance(seen, MagicHourApiError):
            raise seen
        assert known.project_id is not None
        return self._reattach(known, known.project_id, seen if isinstance(seen, Project) else None)

    def _reattach(self, record: Record, project_id: str, project: Project | None) -> Submitted:
        credits = project.credits_charged if project else None
        record = record.model_copy(
            update={
                "fingerprint": self._fingerprints[0],
                "adopted": record.adopted or record.is_adoption or None,
                "max_tries": self.max_tries,
                "credits_charged": record.credits_charged if credits is None else credits,
                "name": record.name or (project.name if project else None),
            }
        )
        self.journal.try_write(record, f"Continuing with project {project_id}, but that could not be recorded")
        return Submitted(project_id, record.credits_charged, project)

    def _submit(self, record: Record) -> Submitted:
        aside = record.without_submission(self._fingerprints)
        if record.project_id is not None:
            # Even if this request is refused: a user who goes back to the earlier request finds its project.
            self.journal.try_write(aside, f"Project {record.project_id} is still recorded as the current one")
        refuse_key(self.request.body, self.hook.settings().api_key, self.request.names)
        if self.validate:
            refuse_impossible(self.request)
        self.budget.check(self.hook, self.request)
        record = self.files.upload(self.hook, self.journal, aside)
        request = self.request.with_files(self.files.paths(record))
        created, record = self._create(request, record)
        record = record.model_copy(
            update={
                "project_id": created.id,
                "submitted_at": timestamp(time.time()),
                "credits_charged": created.credits_charged,
                "gateway_failures": None,
                "not_before": None,
            }
        )
        self.log.info("Submitted Magic Hour project %s (%s)", created.id, cost_text(created.credits_charged))
        self.journal.try_write(
            record,
            f"Magic Hour project {created.id} was submitted and costs {cost_text(created.credits_charged)}, "
            "but its id could not be recorded: a retry of this task would not know whether it exists",
        )
        return Submitted(created.id, created.credits_charged, is_new=True)

    def _create(self, request: Request, record: Record) -> tuple[CreatedProject, Record]:
        """Send the create request; however it ends, the journal says what is known."""
        intent = {
            "name": request.name,
            "request": {name: without_signatures(value) for name, value in request.body.items()},
            "fingerprint": self._fingerprints[0],
            "max_tries": self.max_tries,
        }
        attempts = RecordedAttempts(self.journal, record, intent)
        try:
            return self.hook.create(request, attempts=attempts), attempts.intended
        except MagicHourUnsureSubmissionError as error:
            why = f"its answer was lost: {error}"
            if self.on_unsure == "resubmit":
                raise MagicHourApiError(unsure_message(attempts.intended, why, resubmits=True)) from None
            raise MagicHourUnsureSubmissionError(unsure_message(attempts.intended, why, key=self.journal.key)) from None
        except MagicHourError as error:
            attempts.end_without_project(error)
            self.journal.settle()
            raise


class RecordedAttempts(Attempts):
    """Keeps the record correct at each attempt: an intent while an answer is due, none once nothing was created.

    :param journal: where the record is kept.
    :param record: without a submission.
    :param intent: what to add to the record while an answer is due.
    """

    def __init__(self, journal: Journal, record: Record, intent: dict[str, Any]) -> None:
        wait = epoch(record.not_before) - time.time() if record.not_before else 0.0
        super().__init__(record.gateway_failures or 0, first_delay=min(max(wait, 0.0), LONGEST_FIRST_PAUSE))
        self.intended = record
        self._journal = journal
        self._record = record
        self._intent = intent

    def begin(self) -> None:
        self.intended = self._counted().model_copy(
            update={**self._intent, "intent_at": timestamp(time.time()), "not_before": None}
        )
        try:
            self._journal.write(self.intended)
        except Exception as error:
            raise MagicHourError(
                f"The task state store refused the intent to submit ({error}). Nothing was sent; a retry submits"
            ) from error

    def made_nothing(self, seconds: float) -> None:
        record = self._counted()
        if self.gateway_failures:
            record = record.model_copy(update={"not_before": timestamp(time.time() + seconds)})
        self._forget_intent(record)

    def end_without_project(self, error: MagicHourError) -> None:
        """Record that nothing was created, and that this run sends nothing more.

        :param error: why.
        """
        record = self._counted()
        if self.gateway_failures > (self._record.gateway_failures or 0):
            asked = (isinstance(error, MagicHourApiError) and error.retry_after) or 0.0
            record = record.model_copy(update={"not_before": timestamp(time.time() + max(asked, GATEWAY_PAUSE))})
        self._forget_intent(record.without_uploads() if _is_about_what_was_sent(error) else record)

    def _counted(self) -> Record:
        return self._record.model_copy(update={"gateway_failures": self.gateway_failures or None})

    def _forget_intent(self, record: Record) -> None:
        self._journal.try_write(
            record, "Nothing was submitted, but the intent could not be removed: the next attempt will not know that"
        )


def _failure(decision: Decision, seen: Project | MagicHourApiError | None) -> MagicHourError:
    if isinstance(seen, Project) and seen.is_failed:
        return MagicHourProjectRejectedError(decision.why, code=seen.failure_code)
    return MagicHourInvalidRequestError(decision.why)


def _without_bad_files(record: Record, seen: Project | MagicHourApiError | None) -> Record:
    """Forget uploads that a project could not use: they would fail again."""
    return record.without_uploads() if isinstance(seen, Project) and _was_spoilt(seen) else record


def _was_spoilt(project: Project) -> bool:
    return project.is_failed and (project.failure_code or "").startswith("invalid_")


def _is_about_what_was_sent(error: MagicHourError) -> bool:
    return isinstance(error, MagicHourRejectedError) and error.status_code not in BLAMELESS


def paid_note(journal: Journal) -> str:
    """Say, for the error of an impossible request, what was paid for already and is not lost."""
    record = _read_or_none(journal, "It is not known what this task has paid for")
    if not isinstance(record, Record) or record.project_id is None:
        return ""
    return (
        f" Project {record.project_id} ({cost_text(record.credits_charged)}), which this task has paid for, stays "
        "recorded: correct the argument and clear the task."
    )


def note_project(journal: Journal, project_id: str) -> None:
    """Record the project of this run if the store has refused that before: the record then has only an intent."""
    record = _read_or_none(journal, f"It is not known whether project {project_id} is recorded")
    if isinstance(record, Record) and record.is_unsure:
        journal.try_write(
            record.model_copy(update={"project_id": project_id, "submitted_at": record.intent_at}),
            f"The id of project {project_id} could still not be recorded: a retry of this task would not know of it",
        )


def note_failed(journal: Journal, project: Project) -> bool:
    """Record that a project failed: the uploads that it could not use are not used again, whatever is submitted next.

    :return: whether a person has adopted that project.
    """
    record = _read_or_none(journal, f"It is not known whether a person has adopted project {project.id}")
    if not isinstance(record, Record) or record.project_id != project.id:
        return False
    if _was_spoilt(project):
        journal.try_write(record.without_uploads(), f"The files of project {project.id} will not be uploaded again")
    return bool(record.adopted or record.is_adoption)


def note_returned(journal: Journal, project_id: str, *, try_number: int, max_tries: int) -> None:
    """Record the task's success, to tell a cleared success from a retry."""
    otherwise = f"Project {project_id} is returned, but clearing this task would return it again"
    record = _read_or_none(journal, otherwise)
    if isinstance(record, Record) and record.project_id == project_id:
        returned = Returned(project_id=project_id, try_number=try_number, max_tries=max_tries)
        journal.try_write(record.model_copy(update={"returned": returned}), otherwise)


def _read_or_none(journal: Journal, otherwise: str) -> Record | Unreadable | None:
    """Read the record, but let no failure stop a task that has paid; then ``otherwise`` is logged."""
    try:
        return journal.read()
    except MagicHourError as error:
        log.warning("%s. %s", otherwise, error)
        return None
