"""What the tasks that wait share: hook, deadline, deferral, the end of a wait."""

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
"""Seconds after the trigger's own deadline at which Airflow ends a deferral without an event."""


def ended_by_airflow(error: BaseException | None) -> bool:
    """Whether Airflow has ended a deferral because no trigger did."""
    # For a sensor Airflow turns it into a timeout of its own, and that into a skip if soft_fail is set. Airflow 3.0 has
    # this class in airflow.exceptions, 3.3 in airflow.sdk.exceptions, and compat.sdk lacks it.
    while error is not None and type(error).__name__ != "TaskDeferralTimeout":
        error = error.__cause__
    return error is not None


def when_taken(operator: BaseOperator, context: Context, note: Callable[[], None]) -> None:
    """Call a function once Airflow has recorded the task's success and all its XComs.

    That is when it calls success callbacks (3.3.2): a task that fails after ``execute`` has no result.

    :param operator: that runs, as a task or inside one.
    :param note: the function.
    """
    task = getattr(context["ti"], "task", None) or operator
    given = task.on_success_callback
    # If it was set after the operator was created, it may be a single callback.
    callbacks = list(given) if isinstance(given, list | tuple) else [given] if given else []
    task.on_success_callback = [*callbacks, lambda _: note()]


class ApiTask(BaseOperator):
    """Base of the tasks that call Magic Hour's API."""

    magichour_conn_id: str

    @cached_property
    def hook(self) -> MagicHourHook:
        """One hook for a whole run of the task, so that the connection is resolved once."""
        from airflow_provider_magichour.hooks import MagicHourHook

        return MagicHourHook(self.magichour_conn_id)

    def deadline(self, context: Context, began: float, timeout: float) -> float:
        """Return when a wait of this attempt ends, in seconds since the epoch: ``execution_timeout`` counts, too.

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
        """Defer a wait to the triggerer.

        :param deadline: when the trigger ends at the latest, in seconds since the epoch.
        """
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, deadline - time.time()) + BACKSTOP),
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume a deferred task, also if Airflow itself has ended the deferral."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if not ended_by_airflow(error):
                raise
        return self.left_waiting(context)

    def left_waiting(self, context: Context) -> Any:
        """Handle a deferral that no trigger has ended in time."""
        raise NotImplementedError

    def push(self, context: Context, **values: Any) -> None:
        """Push side XComs, unless ``do_xcom_push`` is off."""
        for key, value in values.items() if self.do_xcom_push else ():
            with informing(f"the XCom {key!r}"):
                context["ti"].xcom_push(key=key, value=value)


class WaitingTask(ApiTask):
    """Base of the tasks that wait for a project."""

    def conclude(self, context: Context, project: Project, kind: Kind) -> Any:
        """Return the task's result for a finished project, or raise."""
        raise NotImplementedError

    def project_kind(self) -> Kind:
        """Return the kind of project that this task waits for."""
        raise NotImplementedError

    def timed_out(self, message: str) -> Exception:
        """Return this task's error for a deadline that has passed."""
        raise NotImplementedError

    def left_waiting(self, context: Context) -> Any:
        """Say what becomes of the project."""
        project = getattr(self, "project_id", None) or "(see this task's XCom project_id)"
        raise self.timed_out(
            f"Airflow ended the wait for Magic Hour project {project}: is a triggerer running? {goes_on()}"
        )

    def lookout(self) -> Lookout:
        """Return what polls the project; it has to be closed."""
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

        :param project_id: to wait for.
        :param timeout: seconds that this attempt waits.
        :param interval: seconds between polls; None for the default schedule.
        :param credits_charged: what the project costs, if known.
        :param started_at: when the wait began, in seconds since the epoch; None for now.
        :param tool: that makes the project, if known.
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
        """Defer the wait to the triggerer."""
        from airflow_provider_magichour.triggers import MagicHourProjectTrigger

        self.defer_until(watch.deadline, MagicHourProjectTrigger.of(watch, self.magichour_conn_id))

    def end(self, context: Context, step: Step) -> Any:
        """Return the task's result at the end of a wait on the worker, or raise."""
        from airflow_provider_magichour.waiting.ending import event_of

        return self._ended(context, event_of(step, time.time()), step.project)

    def end_from_event(self, context: Context, event: dict[str, Any] | None) -> Any:
        """Return the task's result for the trigger's event, or raise."""
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
        # The event holds no project: it is read from the API again, so its URLs are fresh.
        return self.conclude(context, project or still_finished(self.hook.get_project(ended.project_id, kind)), kind)

    def result(self, context: Context, project: Project, kind: Kind) -> dict[str, Any]:
        """Push the download URLs and return what a waiting task returns."""
        result = project.result(kind)
        self.push(context, download_urls=result["download_urls"])
        return result
