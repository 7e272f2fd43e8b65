"""Where a task's project can be seen in Magic Hour's web app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_magichour.api.library import LIBRARY, library_url
from airflow_provider_magichour.compat import BaseOperatorLink
from airflow_provider_magichour.informing import informing

if TYPE_CHECKING:
    from airflow_provider_magichour.api.tools import Kind
    from airflow_provider_magichour.compat import BaseOperator, Context, TaskInstanceKey


class MagicHourProjectLink(BaseOperatorLink):
    """The project in Magic Hour's library, for anyone who is logged in there; the link is not signed."""

    name = "Magic Hour"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return what :func:`push_link` has stored; "" if there is no project yet.

        Airflow calls this on the worker at the end of each run, also one that defers, and stores the result again.
        """
        from airflow_provider_magichour.compat import XCom

        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


def push_link(context: Context, project_id: str, kind: Kind) -> None:
    """Show the link from now on: while the task runs, is deferred, or waits for its next poke.

    It is stored where Airflow keeps links, whatever ``do_xcom_push`` says.

    :param context: of the task.
    :param project_id: what the task makes or waits for.
    :param kind: ``video``, ``image`` or ``audio``.
    """
    with informing("the link to the project"):
        context["ti"].xcom_push(key=MagicHourProjectLink().xcom_key, value=library_url(project_id, kind))


def push_library_link(context: Context) -> None:
    """Show a link to the library, for a task of many projects; see :func:`push_link`."""
    with informing("the link to the library"):
        context["ti"].xcom_push(key=MagicHourProjectLink().xcom_key, value=LIBRARY)
