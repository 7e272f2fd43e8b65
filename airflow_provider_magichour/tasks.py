"""What the tasks share: arguments that templates render, the way to the API, deadline, deferral, the end of a wait."""

from __future__ import annotations

import ast
import json
import math
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_magichour.api.signatures import is_signed, without_signatures
from airflow_provider_magichour.compat import AirflowException, AirflowSensorTimeout, BaseOperator
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

if TYPE_CHECKING:
    from airflow_provider_magichour.api.schemas import Kind, Project
    from airflow_provider_magichour.compat import Context
    from airflow_provider_magichour.hooks import MagicHourHook
    from airflow_provider_magichour.waiting.lookout import Lookout
    from airflow_provider_magichour.waiting.watch import Step, Watch


BACKSTOP = 120.0
"""Seconds after the trigger's own deadline at which Airflow ends a deferral whose trigger said nothing."""


class ProjectWait(BaseOperator):
    """Base of the tasks that wait for a project."""

    magichour_conn_id: str

    def conclude(self, context: Context, project: Project) -> Any:
        """Return, or raise, what a finished project means to this task."""
        raise NotImplementedError

    def timed_out(self, message: str) -> Exception:
        """Return this task's error for a deadline that passed."""
        raise NotImplementedError

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Say what becomes of the project also where Airflow itself ends the deferral."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            ended = error.__cause__ if isinstance(error, AirflowSensorTimeout) else error
            # Airflow 3.0 has this class in airflow.exceptions, 3.3 in airflow.sdk.exceptions, and compat.sdk lacks it.
            if type(ended).__name__ != "TaskDeferralTimeout":
                raise
            project = getattr(self, "project_id", None) or "(see this task's XCom project_id)"
            raise self.timed_out(
                f"Airflow ended the wait for Magic Hour project {project}, which goes on and costs its credits; "
                "is a triggerer running? A retry or a clear of this task waits for it again."
            ) from None

    @cached_property
    def hook(self) -> MagicHourHook:
        """The way to the API; one for all that a run of the task does, so the connection is resolved once."""
        from airflow_provider_magichour.hooks import MagicHourHook

        return MagicHourHook(self.magichour_conn_id)

    def lookout(self, kind: Kind) -> Lookout:
        """Return what looks at the project; to be closed."""
        from airflow_provider_magichour.waiting.lookout import Lookout

        return Lookout(self.hook, kind)

    def watch(
        self,
        context: Context,
        project_id: str,
        *,
        timeout: float,
        interval: float | None,
        credits_charged: int | None = None,
        started_at: float | None = None,
    ) -> Watch:
        """Return a wait that begins now, or began earlier.

        :param project_id: what is waited for.
        :param timeout: seconds that this try waits.
        :param interval: seconds between looks; None for the default schedule.
        :param credits_charged: what the project costs, if known.
        :param started_at: when the wait began, in seconds since the epoch; None for now.
        """
        from airflow_provider_magichour.waiting.watch import Watch, deadline

        began = time.time() if started_at is None else started_at
        started, limit = context["ti"].start_date, self.execution_timeout
        return Watch(
            project_id,
            started_at=began,
            deadline=deadline(
                began,
                timeout,
                task_started=started.timestamp() if started else None,
                execution_timeout=limit.total_seconds() if limit else None,
            ),
            interval=interval,
            credits_charged=credits_charged,
        )

    def defer_to_trigger(self, watch: Watch, kind: Kind) -> NoReturn:
        """Hand the wait over to the triggerer."""
        from airflow_provider_magichour.triggers import MagicHourProjectTrigger

        self.defer(
            trigger=MagicHourProjectTrigger(
                project_id=watch.project_id,
                kind=kind,
                magichour_conn_id=self.magichour_conn_id,
                started_at=watch.started_at,
                deadline=watch.deadline,
                poll_interval=watch.interval,
                status=watch.status,
                credits_charged=watch.credits_charged,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, watch.deadline - time.time()) + BACKSTOP),
        )

    def end(self, context: Context, step: Step) -> Any:
        """Return, or raise, what the end of a wait on the worker means."""
        from airflow_provider_magichour.waiting.ending import timeout_message

        if step.end == "finished" and step.project:
            return self.conclude(context, step.project)
        if step.end == "unreachable" and step.error:
            raise step.error
        raise self.timed_out(timeout_message(step.watch, time.time() - step.watch.started_at))

    def end_from_event(self, context: Context, event: dict[str, Any] | None, kind: Kind) -> Any:
        """Return, or raise, what the trigger's event means; asks the API for the result, so that URLs are fresh."""
        from airflow_provider_magichour.exceptions import MagicHourApiError
        from airflow_provider_magichour.waiting.ending import read_event, timeout_message

        ended = read_event(event)
        if ended.end == "timeout":
            raise self.timed_out(timeout_message(ended, ended.seconds))
        if ended.end == "unreachable":
            raise MagicHourApiError(ended.message or "", status_code=ended.status_code, code=ended.code)
        project = self.hook.get_project(ended.project_id, kind)
        if not project.is_finished:
            raise MagicHourApiError(
                f"Magic Hour project {project.id} was finished and is {project.status} now; a retry waits for it again"
            )
        return self.conclude(context, project)

    def result(self, context: Context, project: Project, kind: Kind) -> dict[str, Any]:
        """Push the download URLs and return what a waiting task returns."""
        result = project.result(kind)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="download_urls", value=result["download_urls"])
        return result


LONGEST_RESULT = 100_000
"""Characters of a text that is read as what a waiting task returned: some fifty results with their signed URLs."""


class ProjectIdField:
    """An operator's ``project_id``: takes the id, or the dict that a waiting task returns, and keeps the id alone.

    Airflow sets template fields to their rendered values and stores those; the dict holds signed URLs. Without native
    rendering it comes as its text.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else getattr(instance, self._name, None)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = _project_id_of(value)


def _project_id_of(value: Any) -> Any:
    """Return the project id in what a waiting task returned, or in the text of it; in a list, of each.

    Anything else is returned without signatures: it is no id, and an error will say so.
    """
    if isinstance(value, str):
        returned = _returned(value)
        return without_signatures(value) if returned is None else _project_id_of(returned)
    if isinstance(value, Mapping) and "project_id" in value:
        return _project_id_of(value["project_id"])
    if isinstance(value, list | tuple):
        return [_project_id_of(each) for each in value]
    return without_signatures(value)


def _returned(text: str) -> dict[str, Any] | list[Any] | None:
    """Read the text of a dict or list, as Python or JSON writes it; None for any other, a template among them."""
    text = text.strip()
    if not text.startswith(("{", "[")) or "project_id" not in text or len(text) > LONGEST_RESULT:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, dict | list) else None
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


class SignedUrlField:
    """An operator's image, or further fields: signatures of URLs in it are masked in logs and in what Airflow stores.

    Airflow 3.3.2 masks in dicts and lists five levels deep.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else getattr(instance, self._name, None)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value
        for text in _texts(value):
            if "?" in text and is_signed(text):
                from airflow_provider_magichour.compat import mask_secret

                mask_secret(text.partition("?")[2])


def credits(name: str, value: Any) -> float:
    """Return an argument that is a number of credits.

    :param name: of the argument, for the message.
    :param value: number, or a rendered template that is one.
    :raises MagicHourInvalidRequestError: for anything else, or a negative one.
    """
    number = _number(value)
    if not 0 <= number < math.inf:
        raise MagicHourInvalidRequestError(f"{name}={value!r}: a number of credits (from 0 on) is needed")
    return number


def _number(value: Any) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def seconds(name: str, value: Any) -> float:
    """Return an argument that is a time, in seconds.

    :param name: of the argument, for the message.
    :param value: number of seconds, ``timedelta``, or a rendered template that is a number.
    :raises MagicHourInvalidRequestError: for anything else, or a negative one.
    """
    number = _number(value.total_seconds() if isinstance(value, timedelta) else value)
    if not 0 <= number < math.inf:
        raise MagicHourInvalidRequestError(f"{name}={value!r}: seconds (a number from 0 on) or a timedelta is needed")
    return number
