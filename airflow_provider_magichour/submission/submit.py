"""Carry out what :mod:`decision` decides: ask, upload, note the intent, submit, note the answer."""

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
"""Seconds that a new try waits at most after a gateway's answer to the create of an earlier one."""

BLAMELESS = (401, 402, 403)
"""What the API refuses with for reasons that lie in the account, not in what was sent."""


@discreet
@dataclass(frozen=True)
class Submitted:
    """The project that this run of the task goes on with.

    :param project_id: its id.
    :param credits_charged: what the API said it costs.
    :param project: what the API said of it, when it was asked.
    :param is_new: whether this run has made it.
    :param was_unsure: whether an earlier one may have made another.
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

    :param hook: way to the API.
    :param journal: where it is remembered.
    :param request: with the files as the user named them.
    :param locate: finds the file behind a field of the request.
    :param max_tries: of this run of the task.
    :param on_unsure: ``fail`` or ``resubmit``.
    :param waits: whether the task waits for the project, so that it can go on while the API does not answer.
    :param budget: what a submission may cost; what was paid for already passes.
    :param validate: whether to ask the table of AI models.
    :param log: takes its lines.
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
        """Submit, unless an earlier run of this task did: what was paid for comes before all that can fail.

        :raises MagicHourUnsureSubmissionError: when a project may exist already.
        :raises MagicHourStorageError: when a file cannot be read that was not uploaded by an earlier run.
        :raises MagicHourApiError: when nothing was submitted and another try may succeed.
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
            raise MagicHourError(f"{error}. Nothing was submitted; a retry asks again") from error.__cause__

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
            raise _failure(decision, seen)
        if decision.action == "unsure" and self.on_unsure == "fail":
            raise MagicHourUnsureSubmissionError(unsure_message(record, decision.why, key=self.journal.key))
        if decision.action == "unsure":
            self.log.warning(
                "It is not known whether an earlier try made a project (%s): submitting anew, as "
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
        self.journal.try_write(record, f"Project {project_id} goes on, though that could not be recorded")
        return Submitted(project_id, record.credits_charged, project)

    def _submit(self, record: Record) -> Submitted:
        aside = record.without_submission(self._fingerprints)
        if record.project_id is not None:
            # Also where this request is refused: whoever goes back to the one before it finds its project.
            self.journal.try_write(aside, f"Project {record.project_id} stays recorded as the last one")
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
            "but its id could not be recorded: a retry of this task would be unsure",
        )
        return Submitted(created.id, created.credits_charged, is_new=True)

    def _create(self, request: Request, record: Record) -> tuple[CreatedProject, Record]:
        """Send the create; whatever ends it, the journal says what is known."""
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
    """Keeps the record true at each attempt: an intent while an answer is due, nothing as soon as nothing was made.

    :param journal: where the record is kept.
    :param record: without a submission.
    :param intent: what the record says besides while an answer is due.
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
                f"The task state store refused the intent to submit ({error}). Nothing was sent; a retry tries again"
            ) from error

    def made_nothing(self, seconds: float) -> None:
        record = self._counted()
        if self.gateway_failures:
            record = record.model_copy(update={"not_before": timestamp(time.time() + seconds)})
        self._forget_intent(record)

    def end_without_project(self, error: MagicHourError) -> None:
        """Note that nothing was made and nothing more is sent by this run.

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
            record, "Nothing was submitted, but the intent could not be removed: the next try will be unsure"
        )


def _failure(decision: Decision, seen: Project | MagicHourApiError | None) -> MagicHourError:
    if isinstance(seen, Project) and seen.is_failed:
        return MagicHourProjectRejectedError(decision.why, code=seen.failure_code)
    return MagicHourInvalidRequestError(decision.why)


def _without_bad_files(record: Record, seen: Project | MagicHourApiError | None) -> Record:
    """Forget uploads that a project could not use: sent again as they are, they would fail again."""
    return record.without_uploads() if isinstance(seen, Project) and _was_spoilt(seen) else record


def _was_spoilt(project: Project) -> bool:
    return project.is_failed and (project.failure_code or "").startswith("invalid_")


def _is_about_what_was_sent(error: MagicHourError) -> bool:
    return isinstance(error, MagicHourRejectedError) and error.status_code not in BLAMELESS


def paid_note(journal: Journal) -> str:
    """Say, for the error of a request that cannot be, what was paid for already: nothing of it is lost."""
    record = _read_or_none(journal, "What this task has paid for is not known")
    if not isinstance(record, Record) or record.project_id is None:
        return ""
    return (
        f" Project {record.project_id} ({cost_text(record.credits_charged)}), which this task has paid for, stays "
        "recorded: mend the argument and clear the task."
    )


def note_project(journal: Journal, project_id: str) -> None:
    """Note the project of this run, where the store has refused that before: the record has an intent alone."""
    record = _read_or_none(journal, f"Whether project {project_id} is recorded is not known")
    if isinstance(record, Record) and record.is_unsure:
        journal.try_write(
            record.model_copy(update={"project_id": project_id, "submitted_at": record.intent_at}),
            f"The id of project {project_id} could still not be recorded: a retry of this task would be unsure",
        )


def note_failed(journal: Journal, project: Project) -> bool:
    """Note that a project failed: the uploads that it could not use are not used again, whatever is submitted next.

    :return: whether a person has chosen that project.
    """
    record = _read_or_none(journal, f"Whether a person has chosen project {project.id} is not known")
    if not isinstance(record, Record) or record.project_id != project.id:
        return False
    if _was_spoilt(project):
        journal.try_write(record.without_uploads(), f"The files of project {project.id} will not be uploaded anew")
    return bool(record.adopted or record.is_adoption)


def note_returned(journal: Journal, project_id: str, *, try_number: int, max_tries: int) -> None:
    """Note that Airflow has taken the task as succeeded, so that a clear of that can be told from a retry."""
    otherwise = f"Project {project_id} is returned; a clear of this task would return it again"
    record = _read_or_none(journal, otherwise)
    if isinstance(record, Record) and record.project_id == project_id:
        returned = Returned(project_id=project_id, try_number=try_number, max_tries=max_tries)
        journal.try_write(record.model_copy(update={"returned": returned}), otherwise)


def _read_or_none(journal: Journal, otherwise: str) -> Record | Unreadable | None:
    """Read the record where a failure must not stop what has been paid for; then ``otherwise`` is logged."""
    try:
        return journal.read()
    except MagicHourError as error:
        log.warning("%s. %s", otherwise, error)
        return None
