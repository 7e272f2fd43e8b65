"""What the tasks that wait share: the way to the API, deadline, deferral, the end of a wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_magichour import metrics
from airflow_provider_magichour.compat import AirflowException, BaseOperator
from airflow_provider_magichour.informing import informing
from airflow_provider_magichour.waiting.words import goes_on

if TYPE_CHECKING:
    from airflow_provider_magichour.api.schemas import Project
    from airflow_provider_magichour.api.tools import Kind, Tool
    from airflow_provider_magichour.compat import Context
    from airflow_provider_magichour.hooks import MagicHourHook
    from airflow_provider_magichour.waiting.ending import WaitEvent
    from airflow_provider_magichour.waiting.lookout import Lookout
    from airflow_provider_magichour.waiting.watch import Step, Watch


BACKSTOP = 120.0
"""Seconds after the trigger's own deadline at which Airflow ends a deferral whose trigger said nothing."""


def ended_by_airflow(error: BaseException | None) -> bool:
    """Whether Airflow has ended a deferral, as no trigger did."""
    # Of a sensor's Airflow makes a timeout of its own, and of that a skip where soft_fail is set. Airflow 3.0 has this
    # class in airflow.exceptions, 3.3 in airflow.sdk.exceptions, and compat.sdk lacks it.
    while error is not None and type(error).__name__ != "TaskDeferralTimeout":
        error = error.__cause__
    return error is not None


def when_taken(operator: BaseOperator, context: Context, note: Callable[[], None]) -> None:
    """Have something noted once Airflow has taken the task as succeeded, with all its XComs.

    That is when it calls a success callback (3.3.2): a task that fails after ``execute`` has no result.

    :param operator: that is run, of a task or inside of one.
    :param note: called then.
    """
    task = getattr(context["ti"], "task", None) or operator
    given = task.on_success_callback
    # What was set after an operator was made may be a single one.
    callbacks = list(given) if isinstance(given, list | tuple) else [given] if given else []
    task.on_success_callback = [*callbacks, lambda _: note()]


class ApiTask(BaseOperator):
    """Base of the tasks that ask Magic Hour for something."""

    magichour_conn_id: str

    @cached_property
    def hook(self) -> MagicHourHook:
        """The way to the API; one for all that a run of the task does, so the connection is resolved once."""
        from airflow_provider_magichour.hooks import MagicHourHook

        return MagicHourHook(self.magichour_conn_id)

    def deadline(self, context: Context, began: float, timeout: float) -> float:
        """Return when a wait of this try ends, in seconds since the epoch: ``execution_timeout`` counts, too.

        :param began: when it begins, in seconds since the epoch.
        :param timeout: seconds that it may take.
        """
        from airflow_provider_magichour.waiting.watch import deadline

        started, limit = context["ti"].start_date, self.execution_timeout
        return deadline(
            began,
            timeout,
            task_started=started.timestamp() if started else None,
            execution_timeout=limit.total_seconds() if limit else None,
        )

    def defer_until(self, deadline: float, trigger: Any) -> NoReturn:
        """Hand a wait over to the triggerer.

        :param deadline: when the trigger ends at the latest, in seconds since the epoch.
        """
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, deadline - time.time()) + BACKSTOP),
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume a task that was deferred, also where Airflow itself has ended that."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if not ended_by_airflow(error):
                raise
        return self.left_waiting(context)

    def left_waiting(self, context: Context) -> Any:
        """Do what is to be done where no trigger has ended a deferral in time."""
        raise NotImplementedError

    def push(self, context: Context, **values: Any) -> None:
        """Push side keys of XCom, where the task pushes at all."""
        for key, value in values.items() if self.do_xcom_push else ():
            with informing(f"the XCom {key!r}"):
                context["ti"].xcom_push(key=key, value=value)


class WaitingTask(ApiTask):
    """Base of the tasks that wait for a project."""

    def conclude(self, context: Context, project: Project, kind: Kind) -> Any:
        """Return, or raise, what a finished project means to this task."""
        raise NotImplementedError

    def project_kind(self) -> Kind:
        """Return the kind of project that this task waits for."""
        raise NotImplementedError

    def timed_out(self, message: str) -> Exception:
        """Return this task's error for a deadline that passed."""
        raise NotImplementedError

    def left_waiting(self, context: Context) -> Any:
        """Say what becomes of the project."""
        project = getattr(self, "project_id", None) or "(see this task's XCom project_id)"
        raise self.timed_out(
            f"Airflow ended the wait for Magic Hour project {project}; is a triggerer running? {goes_on()}"
        )

    def lookout(self) -> Lookout:
        """Return what looks at the project; to be closed."""
        from airflow_provider_magichour.waiting.lookout import Lookout

        return Lookout(self.hook)

    def watch(
        self,
        context: Context,
        project_id: str,
        *,
        timeout: float,
        interval: float | None,
        credits_charged: int | None = None,
        started_at: float | None = None,
        tool: Tool | None = None,
    ) -> Watch:
        """Return a wait that begins now, or began earlier.

        :param project_id: what is waited for.
        :param timeout: seconds that this try waits.
        :param interval: seconds between looks; None for the default schedule.
        :param credits_charged: what the project costs, if known.
        :param started_at: when the wait began, in seconds since the epoch; None for now.
        :param tool: that makes the project, where that is known.
        """
        from airflow_provider_magichour.waiting.schedule import EXPECTED
        from airflow_provider_magichour.waiting.watch import Watch

        kind = self.project_kind()
        began = time.time() if started_at is None else started_at
        return Watch(
            project_id,
            started_at=began,
            deadline=self.deadline(context, began, timeout),
            interval=interval,
            credits_charged=credits_charged,
            kind=kind,
            expected_render=(tool and tool.expected_render) or EXPECTED[kind],
        )

    def defer_to_trigger(self, watch: Watch) -> NoReturn:
        """Hand the wait over to the triggerer."""
        from airflow_provider_magichour.triggers import MagicHourProjectTrigger

        self.defer_until(watch.deadline, MagicHourProjectTrigger.of(watch, self.magichour_conn_id))

    def end(self, context: Context, step: Step) -> Any:
        """Return, or raise, what the end of a wait on the worker means."""
        from airflow_provider_magichour.waiting.ending import event_of

        return self._ended(context, event_of(step, time.time()), step.project)

    def end_from_event(self, context: Context, event: dict[str, Any] | None) -> Any:
        """Return, or raise, what the trigger's event means."""
        from airflow_provider_magichour.waiting.ending import read_event

        return self._ended(context, read_event(event), None)

    def _ended(self, context: Context, ended: WaitEvent, project: Project | None) -> Any:
        from airflow_provider_magichour.waiting.ending import still_finished, timeout_message, unreachable

        metrics.waited(
            metrics.tags_of(self, context),
            ended.end,
            seconds=ended.seconds,
            looks=ended.looks,
            rate_limited=ended.rate_limited,
            seconds_behind=ended.seconds_behind,
        )
        kind = ended.kind or self.project_kind()
        if ended.end == "timeout":
            raise self.timed_out(timeout_message(ended))
        if ended.end == "unreachable":
            raise unreachable(ended)
        # The triggerer hands over no project: the API is asked for it, so that its URLs are fresh.
        return self.conclude(context, project or still_finished(self.hook.get_project(ended.project_id, kind)), kind)

    def result(self, context: Context, project: Project, kind: Kind) -> dict[str, Any]:
        """Push the download URLs and return what a waiting task returns."""
        result = project.result(kind)
        self.push(context, download_urls=result["download_urls"])
        return result
