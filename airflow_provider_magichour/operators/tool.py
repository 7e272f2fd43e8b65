"""Base of all operators that submit one project, and pay for it once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_magichour import metrics
from airflow_provider_magichour.compat import conf
from airflow_provider_magichour.fields import (
    ON_UNSURE,
    Argument,
    SignedUrlField,
    choice,
    credits,
    seconds,
    truth,
    truth_or_as_it_is,
)
from airflow_provider_magichour.informing import informing
from airflow_provider_magichour.links import MagicHourProjectLink, push_link
from airflow_provider_magichour.operators.arguments import described, signature, take_signed_urls
from airflow_provider_magichour.tasks import WaitingTask, when_taken
from airflow_provider_magichour.waiting.words import goes_on

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_magichour.api.schemas import Project
    from airflow_provider_magichour.api.tools import Kind, Request, Tool
    from airflow_provider_magichour.compat import Context
    from airflow_provider_magichour.media.sources import Source
    from airflow_provider_magichour.submission.record import Journal
    from airflow_provider_magichour.submission.submit import Submission, Submitted
    from airflow_provider_magichour.waiting.ending import WaitEvent


RENDERERS = {"prompt": "md", "assets": "json", "style": "json", "references": "json"}
"""How Airflow's UI shows some arguments."""


class ToolOperator(WaitingTask):
    """Submit a project of one tool to Magic Hour. It costs credits and is paid for once.

    A subclass names its tool, and the path of each argument of its own in the API's body: they become attributes and
    template fields, and its signature and docstring end with those of this class.

    :param name: the project's name in Magic Hour's library; by default dag, task, run and four random characters.
        (templated)
    :param magichour_conn_id: id of the Magic Hour connection. (templated)
    :param conn_id: id of the connection of the storage that files are read from. (templated)
    :param extra_body: further fields of the API, merged deeply; may not contradict the others. (templated)
    :param wait_for_completion: wait until the project is finished; None: wait if ``deferrable=True`` is given.
    :param deferrable: wait in the triggerer, without a worker. Airflow's ``[operators] default_deferrable`` alone makes
        no task wait.
    :param poll_interval: seconds between polls, at least 1. By default the first poll comes after 0.3 of the tool's
        usual render time, then one every 5 seconds (images and audio: 2); deferred, every 1 to 30 seconds once the
        triggerer has seen 20 similar renders. (templated)
    :param timeout: seconds (or ``timedelta``) that an attempt waits. (templated)
    :param durable: remember the submission; False submits, and pays, at each attempt.
    :param on_unsure_submission: if it is not known whether a project was created: ``fail``, or ``resubmit``, which
        may pay twice.
    :param max_credits: refuse to submit what is estimated to cost more, or has no known price. (templated)
    :param check_balance: check the account's credits before submitting; too few fail the attempt, and a retry checks
        again.
    :param validate_request: refuse what the AI model is known not to support.
    :raises MagicHourInvalidRequestError: an argument or the connection cannot be used; nothing was sent; not retried.
    :raises MagicHourStorageError: a file cannot be read.
    :raises MagicHourRejectedError: the API refused the request; not retried.
    :raises MagicHourApiError: the API or the network failed, or the API key was refused.
    :raises MagicHourUnsureSubmissionError: a project may exist; the message says what to do; not retried.
    :raises MagicHourProjectFailedError: the project failed; a retry submits a new one.
    :raises MagicHourProjectRejectedError: the project failed and a retry cannot help, or a person canceled or adopted
        it; not retried.
    :raises MagicHourTimeoutError: it was not finished after ``timeout``; a retry waits for the same project.
    """

    tool: str
    arguments: Mapping[str, str] = {}
    """Dotted path in the API's body of each argument of a subclass."""

    template_fields: Sequence[str] = (
        "name",
        "magichour_conn_id",
        "conn_id",
        "extra_body",
        "poll_interval",
        "timeout",
        "max_credits",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"extra_body": "json"}
    operator_extra_links = (MagicHourProjectLink(),)
    ui_color = "#e8e1fa"

    extra_body = SignedUrlField()
    name = SignedUrlField()
    conn_id = Argument()
    poll_interval = Argument()
    wait_for_completion = Argument(truth_or_as_it_is)
    deferrable = Argument(truth_or_as_it_is)
    durable = Argument(truth_or_as_it_is)
    check_balance = Argument(truth_or_as_it_is)
    validate_request = Argument(truth_or_as_it_is)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "arguments" not in vars(cls):
            return
        take_signed_urls(cls, cls.arguments)
        cls.template_fields = (*vars(cls).get("template_fields", ()), *cls.arguments, *ToolOperator.template_fields)
        shown = {name: how for name, how in RENDERERS.items() if name in cls.arguments}
        cls.template_fields_renderers = {**ToolOperator.template_fields_renderers, **shown}
        cls.__doc__ = described(cls, ToolOperator)
        cls.__init__.__signature__ = signature(cls, ToolOperator)  # type: ignore[attr-defined]

    def __init__(
        self,
        *,
        name: str | None = None,
        magichour_conn_id: str = "magichour_default",
        conn_id: str | None = None,
        extra_body: dict[str, Any] | None = None,
        wait_for_completion: bool | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | None = None,
        timeout: float | timedelta = 3600,
        durable: bool = True,
        on_unsure_submission: Literal["fail", "resubmit"] = "fail",
        max_credits: float | str | None = None,
        check_balance: bool = False,
        validate_request: bool = True,
        **kwargs: Any,
    ) -> None:
        given = {argument: kwargs.pop(argument) for argument in self.arguments if argument in kwargs}
        super().__init__(**kwargs)
        for argument, value in given.items():
            setattr(self, argument, value)
        self.name, self.extra_body = name, extra_body
        self.magichour_conn_id, self.conn_id = magichour_conn_id, conn_id
        self.wait_for_completion, self.deferrable = wait_for_completion, deferrable
        self.poll_interval, self.timeout = poll_interval, timeout
        self.durable, self.on_unsure_submission = durable, on_unsure_submission
        self.max_credits, self.check_balance = max_credits, check_balance
        self.validate_request = validate_request
        self._project_id: str | None = None

    def execute(self, context: Context) -> Any:
        """Submit, or find what an earlier run of this task has submitted; then wait, if asked to."""
        from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
        from airflow_provider_magichour.submission.submit import paid_note

        if self.durable and "task_state_store" not in context:
            self.log.warning(
                "This Airflow has no task state store (3.3 has one): a retry of this task submits, and pays, again"
            )
        journal = self._journal(context)
        try:
            submission = self._submission(context, journal)
        except MagicHourInvalidRequestError as error:
            raise MagicHourInvalidRequestError(f"{error}{paid_note(journal)}") from None
        submitted = self._submitted(context, submission)
        self._project_id = submitted.project_id
        self._tell(context, submission, submitted)
        journal.settle()
        if not self._waits():
            self._returns(context, journal, submitted.project_id)
            return submitted.project_id
        if submitted.project and submitted.project.is_finished:
            return self.conclude(context, submitted.project, submission.request.tool.kind)
        return self._wait(context, journal, submitted)

    def _submitted(self, context: Context, submission: Submission) -> Submitted:
        from airflow_provider_magichour.exceptions import MagicHourRejectedError, MagicHourUnsureSubmissionError

        tags = metrics.tags_of(self, context)
        try:
            submitted = submission.run()
        except MagicHourUnsureSubmissionError:
            metrics.unsure(tags)
            raise
        except MagicHourRejectedError as error:
            metrics.refused(tags)
            if error.status_code == 401:
                # Nothing was made, and the key can be replaced: a retry reads the connection again.
                raise error.as_curable("A retry reads the connection again.") from None
            raise
        if submitted.was_unsure:
            metrics.unsure(tags)
        if submitted.is_new:
            metrics.submitted(tags, submitted.credits_charged)
        else:
            metrics.reattached(tags)
        return submitted

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Return the project that the trigger has waited for."""
        from airflow_provider_magichour.media.lineage import note_submission
        from airflow_provider_magichour.waiting.ending import read_event

        # Airflow collects lineage per process: that of the process that deferred is lost.
        with informing("the lineage of the submission"):
            note_submission(self.hook, self._request(context), read_event(event).project_id)
        return self.end_from_event(context, event)

    def on_kill(self) -> None:
        """Say that the project keeps running: the API cannot cancel, and deleting a project is something else."""
        if self._project_id:
            self.log.warning("Killed while Magic Hour project %s was under way. %s", self._project_id, goes_on())

    def conclude(self, context: Context, project: Project, kind: Kind) -> dict[str, Any]:
        """Return the finished project; one that failed raises, and a retry submits a new one if that can help."""
        from airflow_provider_magichour.submission.decision import adopted_advice
        from airflow_provider_magichour.submission.submit import note_failed
        from airflow_provider_magichour.waiting.ending import project_failure

        journal = self._journal(context)
        if project.credits_charged is not None:
            self.push(context, project_id=project.id, credits_charged=project.credits_charged)
        if project.is_failed:
            raise project_failure(
                project, instead=adopted_advice(journal.key) if note_failed(journal, project) else None
            )
        self._returns(context, journal, project.id)
        return self.result(context, project, kind)

    def project_kind(self) -> Kind:
        """Return the kind of project that the tool makes."""
        return self._row().kind

    def _row(self) -> Tool:
        from airflow_provider_magichour.api.tool_rows import tool_named

        return tool_named(self.tool)

    def timed_out(self, message: str) -> Exception:
        """Return a retryable error: the retry waits for the same project."""
        from airflow_provider_magichour.exceptions import MagicHourTimeoutError

        return MagicHourTimeoutError(message)

    def _waits(self) -> bool:
        """Whether to wait: ``deferrable=True`` asks for it, but Airflow's default for deferrable does not."""
        if self.wait_for_completion is not None:
            return truth("wait_for_completion", self.wait_for_completion)
        # Only here Airflow keeps what the operator or default_args were given (3.0 to 3.3).
        is_given = "deferrable" in getattr(self, "_BaseOperator__init_kwargs", {})
        return is_given and truth("deferrable", self.deferrable)

    def _request(self, context: Context) -> Request:
        """Check the arguments; the table of AI models is checked only before something is submitted."""
        from airflow_provider_magichour.api.requests import field_warnings, tool_request
        from airflow_provider_magichour.submission.names import default_name

        request = tool_request(
            self.tool,
            {path: getattr(self, argument) for argument, path in self.arguments.items()},
            name=default_name(context["ti"]) if self.name is None else self.name,
            extra_body=self.extra_body,
            validate=False,
            names=self._names(),
        )
        for message in field_warnings(request):
            self.log.warning("%s", message)
        return request

    def _names(self) -> dict[str, str]:
        return {path: argument for argument, path in self.arguments.items()}

    def _submission(self, context: Context, journal: Journal) -> Submission:
        """Check all that can be known before anything is sent."""
        from airflow_provider_magichour.submission.budget import Budget
        from airflow_provider_magichour.submission.submit import Submission

        choice("on_unsure_submission", self.on_unsure_submission, ON_UNSURE)
        for name in ("durable", "deferrable"):
            truth(name, getattr(self, name))
        self._timeout = seconds("timeout", self.timeout)
        self._interval = None if self.poll_interval is None else seconds("poll_interval", self.poll_interval)
        limit = None if self.max_credits is None else credits("max_credits", self.max_credits)
        return Submission(
            hook=self.hook,
            journal=journal,
            request=self._request(context),
            locate=self._locate,
            max_tries=context["ti"].max_tries,
            on_unsure=self.on_unsure_submission,
            waits=self._waits(),
            budget=Budget(limit, truth("check_balance", self.check_balance)),
            validate=truth("validate_request", self.validate_request),
        )

    def _locate(self, path: str, value: str) -> Source | None:
        from airflow_provider_magichour.media.sources import source_of

        media = self._row().files[re.sub(r"\[\d+\]", "[]", path)]
        return source_of(self._names().get(path, path), value, self.conn_id, media)

    def _tell(self, context: Context, submission: Submission, submitted: Submitted) -> None:
        """Report the project to Airflow: link, side XComs and lineage."""
        from airflow_provider_magichour.media.lineage import note_submission

        push_link(context, submitted.project_id, submission.request.tool.kind)
        self.push(
            context,
            project_id=submitted.project_id,
            credits_charged=submitted.credits_charged,
            kind=submission.request.tool.kind,
        )
        note_submission(self.hook, submission.request, submitted.project_id)

    def _journal(self, context: Context) -> Journal:
        from airflow_provider_magichour.submission.record import Journal, key_for

        store = context.get("task_state_store") if self.durable else None
        return Journal(store, key_for(context["ti"], self))

    def _wait(self, context: Context, journal: Journal, submitted: Submitted) -> Any:
        watch = self.watch(
            context,
            submitted.project_id,
            timeout=self._timeout,
            interval=self._interval,
            credits_charged=submitted.credits_charged,
            tool=self._row(),
        )
        with closing(self.lookout()) as lookout:
            step = lookout.look(watch)
            if step.end is None and self.deferrable:
                journal.settle()
                self.defer_to_trigger(step.watch)
            if step.end is None:
                step = lookout.wait(step.watch)
        return self.end(context, step)

    def _ended(self, context: Context, ended: WaitEvent, project: Project | None) -> Any:
        from airflow_provider_magichour.submission.submit import note_project

        note_project(self._journal(context), ended.project_id)
        return super()._ended(context, ended, project)

    def _returns(self, context: Context, journal: Journal, project_id: str) -> None:
        """Have the task's success recorded, to tell a cleared success from a retry."""
        from airflow_provider_magichour.submission.submit import note_returned

        ti = context["ti"]
        when_taken(
            self,
            context,
            lambda: note_returned(journal, project_id, try_number=ti.try_number, max_tries=ti.max_tries),
        )
