"""Wait for a project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_magichour.compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)
from airflow_provider_magichour.exceptions import MagicHourError, in_lines
from airflow_provider_magichour.fields import Argument, ProjectIdField, told_kind, truth, truth_or_as_it_is
from airflow_provider_magichour.links import MagicHourProjectLink, push_link
from airflow_provider_magichour.tasks import WaitingTask

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_magichour.api.schemas import Project
    from airflow_provider_magichour.api.tools import Kind
    from airflow_provider_magichour.compat import Context
    from airflow_provider_magichour.waiting.watch import Watch

POKE_INTERVAL = 5.0
RESCHEDULE_INTERVAL = 60.0


class MagicHourProjectSensor(WaitingTask, BaseSensorOperator):
    """Wait until a project is finished; costs nothing.

    Returns the project as a dict, the same in every mode; pushes ``download_urls``. The URLs are signed and expire
    after 24 hours (inputs and outputs page, 2026-08-22): give the id to :class:`MagicHourDownloadOperator`, which asks
    for fresh ones.

    :param project_id: the id, or what a waiting task returned. (templated)
    :param kind: ``video``, ``image`` or ``audio``; not needed with what a waiting task returned. (templated)
    :param magichour_conn_id: id of the connection. (templated)
    :param deferrable: wait in the triggerer, without a worker.
    :param poke_interval: seconds (or ``timedelta``) between polls. By default 5, or 60 with ``mode="reschedule"``. A
        deferred sensor first polls after 0.3 of the usual render time, then every 5 seconds, or 1 to 30 once the
        triggerer has seen 20 similar renders.
    :param mode: ``poke`` or ``reschedule``, as in every sensor.
    :raises MagicHourInvalidRequestError: an argument or the connection cannot be used; not retried.
    :raises MagicHourProjectRejectedError: the project failed or was canceled; not retried.
    :raises AirflowSensorTimeout: it was not finished after ``timeout``; the project keeps running.
    :raises MagicHourApiError: the API does not know the project, or refuses the key for good.
    :raises AirflowSkipException: instead of any of these, with ``soft_fail`` or ``never_fail``.
    """

    template_fields: Sequence[str] = ("project_id", "kind", "magichour_conn_id")
    operator_extra_links = (MagicHourProjectLink(),)
    ui_color = "#e8e1fa"

    project_id = ProjectIdField()
    deferrable = Argument(truth_or_as_it_is)

    def __init__(
        self,
        *,
        project_id: Any,
        kind: str = "video",
        magichour_conn_id: str = "magichour_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float | None = None,
        mode: str = "poke",
        **kwargs: Any,
    ) -> None:
        default = RESCHEDULE_INTERVAL if mode == "reschedule" else POKE_INTERVAL
        super().__init__(mode=mode, poke_interval=default if poke_interval is None else poke_interval, **kwargs)
        self.project_id = project_id
        self.kind = kind
        self.magichour_conn_id = magichour_conn_id
        self.deferrable = deferrable
        self.has_own_interval = poke_interval is not None
        self._watch: Watch | None = None

    def execute(self, context: Context) -> Any:
        """Wait in the chosen mode; every error of ours honours ``soft_fail`` and ``never_fail``."""
        with self._failing_softly():
            return self._execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; see :meth:`execute`."""
        with self._failing_softly():
            return super().resume_execution(next_method, next_kwargs, context)

    @contextmanager
    def _failing_softly(self) -> Iterator[None]:
        """Skip if that was asked for, and say why.

        Airflow 3.3.2 does not skip at a first poll before the deferral, and its own message names only the flag.
        """
        try:
            yield
            return
        except AirflowSkipException as skipped:
            cause = skipped.__cause__
            if cause is None:
                raise
        except (MagicHourError, AirflowSensorTimeout) as error:
            cause = error
            if not (self.soft_fail or self.never_fail):
                raise
        raise AirflowSkipException(f"Skipping instead of failing: {cause}") from cause

    def _execute(self, context: Context) -> Any:
        from airflow_provider_magichour.api.endpoints import checked_project_id

        truth("deferrable", self.deferrable)
        interval = self.poke_interval if self.has_own_interval else None
        if not self.has_own_interval and not self.reschedule:
            from airflow_provider_magichour.waiting.schedule import INTERVALS

            self.poke_interval = INTERVALS[self.project_kind()]
        project_id = checked_project_id(self.project_id)
        push_link(context, project_id, self.project_kind())
        self._watch = self.watch(
            context,
            project_id,
            timeout=self.timeout,
            interval=interval,
            started_at=self._first_poke(context) if self.reschedule and not self.deferrable else None,
        )
        self.hook.settings()  # a missing connection fails here, not at the deadline
        with closing(self.lookout()) as self._lookout:
            if not self.deferrable:
                return super().execute(context)
            step = self._lookout.look(self._watch)
        if step.end is None:
            self.defer_to_trigger(step.watch)
        return self.end(context, step)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Poll once."""
        assert self._watch is not None
        step = self._lookout.look(self._watch)
        if self.reschedule:
            # Each poke is a new process, which cannot know for how long the key has been refused.
            step = self._lookout.outlast_refusal(step)
        self._watch = step.watch
        if step.end is None:
            return False
        return PokeReturnValue(True, self.end(context, step))

    def _first_poke(self, context: Context) -> float | None:
        first = context["ti"].get_first_reschedule_date(context)
        return first.timestamp() if first else None

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Return the project that the trigger has waited for."""
        return self.end_from_event(context, event)

    def conclude(self, context: Context, project: Project, kind: Kind) -> dict[str, Any]:
        """Return the finished project; one that failed raises, as waiting again cannot help."""
        from airflow_provider_magichour.waiting.ending import project_failure

        if project.is_failed:
            raise project_failure(project, instead="Clear the task that submitted it to make a new one")
        return self.result(context, project, kind)

    def timed_out(self, message: str) -> Exception:
        """Return Airflow's own error, which is not retried and honours ``soft_fail``."""
        return AirflowSensorTimeout(in_lines(message))

    def project_kind(self) -> Kind:
        """Return the kind that the argument names, checked."""
        from airflow_provider_magichour.api.endpoints import checked_kind

        return checked_kind(told_kind(self))
