"""Make thousands of clips in one task."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_magichour import metrics
from airflow_provider_magichour.api.arguments import checked_text
from airflow_provider_magichour.api.arguments import path_of as text_at
from airflow_provider_magichour.compat import conf
from airflow_provider_magichour.fields import (
    ON_UNSURE,
    Items,
    ItemsField,
    SignedUrlField,
    choice,
    credits,
    seconds,
    truth,
    whole,
)
from airflow_provider_magichour.informing import informing
from airflow_provider_magichour.links import MagicHourProjectLink, push_library_link
from airflow_provider_magichour.operators.arguments import arguments_of, signature, take_signed_urls
from airflow_provider_magichour.operators.generate import FIELDS
from airflow_provider_magichour.tasks import ApiTask, when_taken

if TYPE_CHECKING:
    from airflow_provider_magichour.batch.manifest import Problems
    from airflow_provider_magichour.batch.night import Night
    from airflow_provider_magichour.batch.rules import Rules
    from airflow_provider_magichour.compat import Context

# Arguments of the tools' own operators whose names differ from the API's fields.
ARGUMENTS = """
    background_image end_image face_mappings face_swap_mode generation_mode image images mode points prompt
    selection_mode source style_tool target video video_source youtube_url
""".split()


class OfItems(ApiTask):
    """Base that takes the arguments that all items share."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Before Airflow's metaclass wraps __init__: otherwise default_args do not reach these arguments (3.3.2).
        super().__init_subclass__(**kwargs)
        if "arguments" in vars(cls):
            take_signed_urls(cls, vars(cls)["arguments"])
            cls.__init__.__signature__ = signature(cls, cls)  # type: ignore[attr-defined]


class MagicHourBatchOperator(OfItems):
    """Make many clips (or images, or sounds) with one tool of Magic Hour, in one task. Each item is paid for once.

    Submits, waits deferred in one trigger, downloads. A clip made by a mapped task costs Airflow as much as some twenty
    here: use mapped tasks for a few dozen clips that a person checks one by one, and a batch for thousands. On Airflow
    3.3 submissions are remembered in the task state store: a retry, or clearing a batch that failed, works on
    unfinished items; clearing one that succeeded makes only failed items and missing files again, unless
    ``redo="all"``. All items are checked before anything is sent, the first few are submitted alone, and an item that
    fails does not stop the others.

    Returns a summary: ``total``, ``counts`` of items by status, ``credits_charged``, ``results``, ``destination``,
    ``failed`` (the first ids), ``started_at``, ``ended_at``. Pushes ``credits_charged`` and ``progress`` after each
    round. Leaves behind: a file ``<item id>-<project id>.<extension>`` for each result; a file of JSON Lines with
    ``id``, ``index``, ``status``, ``project_id``, ``files``, ``credits_charged``, ``code``, ``message`` and
    ``attempts`` of each item, even if the batch fails; the record ``magichour_batch`` in the task state store, which
    never expires. Killing the task leaves projects running and paid: a retry finds them.

    An item is an object with ``id`` (letters, digits, ``.``, ``_``, ``-``; files are named after it) and fields of the
    API, or arguments of the tool's own operator. Arguments here of the same names are defaults for all items.

    :param items: list of dicts, what an upstream task returned, or the path or URI of a file of JSON Lines in any
        store; at most 10,000. (templated)
    :param destination: folder of the results: local, or an object storage URI. (templated)
    :param tool: last part of the path of the API's endpoint. (templated)
    :param results: path or URI of the file of results; by default ``_magichour/<run>.jsonl`` in ``destination``. Two
        batches of one run that share a destination need one each. (templated)
    :param in_flight: projects that render at a time, from 1 to 1,000; your plan may allow fewer. (templated)
    :param submit_at_once: create requests at a time, from 1 to 16: that many may be unsure after a kill. (templated)
    :param item_attempts: projects that one task attempt makes for an item whose projects fail, from 1 to 10.
        (templated)
    :param item_timeout: seconds (or ``timedelta``) that a task attempt waits for one project. (templated)
    :param tolerated_failures: items that may fail in a successful batch: a number, or a share such as ``"2%"``.
        (templated)
    :param redo: what clearing a successful batch makes again: ``failed`` items, or ``all``, which pays again.
        (templated)
    :param conn_id: id of the connection of the storage that items and files are read from. (templated)
    :param destination_conn_id: id of the connection of the storage of ``destination`` and ``results``; by default
        ``conn_id``. (templated)
    :param magichour_conn_id: id of the Magic Hour connection. (templated)
    :param name: the projects' name in Magic Hour's library; by default dag, task, run, item and four random characters.
        (templated)
    :param deferrable: wait in the triggerer, without a worker.
    :param durable: remember what was submitted; False holds the worker, and a retry pays for all again.
    :param on_unsure_submission: if it is not known whether an item's project was created: ``fail`` the item, or
        ``resubmit`` it, which may pay twice.
    :param max_credits: limit for all items over all attempts; items without a known price are refused. (templated)
    :param check_balance: check the account's credits before each round submits, and stop if they do not suffice.
    :param validate_request: refuse what the AI model is known not to support.
    :raises MagicHourInvalidRequestError: an argument or an item cannot be used; nothing was sent; not retried.
    :raises MagicHourBatchError: items have no result, and a retry can help.
    :raises MagicHourBatchFailedError: items have no result, and a person has to act; not retried.
    :raises MagicHourStorageError: the manifest cannot be read, or the results cannot be written.
    :raises MagicHourError: the task state store does not answer; a retry continues.
    """

    arguments: ClassVar[Mapping[str, str]] = {name: name for name in (*FIELDS, *ARGUMENTS)}
    template_fields: Sequence[str] = (
        "items",
        "tool",
        "destination",
        "results",
        "in_flight",
        "submit_at_once",
        "item_attempts",
        "item_timeout",
        "tolerated_failures",
        "redo",
        "conn_id",
        "destination_conn_id",
        "magichour_conn_id",
        "name",
        "max_credits",
    )
    operator_extra_links = (MagicHourProjectLink(),)
    ui_color = "#e8e1fa"

    items = ItemsField()
    destination = SignedUrlField()
    results = SignedUrlField()
    name = SignedUrlField()

    def __init__(
        self,
        *,
        items: Any,
        destination: str | PathLike[str],
        tool: str = "image-to-video",
        results: str | PathLike[str] | None = None,
        in_flight: int | str = 50,
        submit_at_once: int | str = 4,
        item_attempts: int | str = 2,
        item_timeout: float | str | timedelta = 3600,
        tolerated_failures: int | str = 0,
        redo: Literal["failed", "all"] = "failed",
        conn_id: str | None = None,
        destination_conn_id: str | None = None,
        magichour_conn_id: str = "magichour_default",
        name: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        durable: bool = True,
        on_unsure_submission: Literal["fail", "resubmit"] = "fail",
        max_credits: float | str | None = None,
        check_balance: bool = False,
        validate_request: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**self._with_defaults(kwargs))
        self.items, self.tool, self.destination, self.results = items, tool, destination, results
        self.in_flight, self.submit_at_once = in_flight, submit_at_once
        self.item_attempts, self.item_timeout = item_attempts, item_timeout
        self.tolerated_failures, self.redo = tolerated_failures, redo
        self.conn_id, self.destination_conn_id = conn_id, destination_conn_id
        self.magichour_conn_id, self.name = magichour_conn_id, name
        self.deferrable, self.durable = deferrable, durable
        self.on_unsure_submission, self.max_credits = on_unsure_submission, max_credits
        self.check_balance, self.validate_request = check_balance, validate_request
        self._stopping = threading.Event()

    def _with_defaults(self, given: dict[str, Any]) -> dict[str, Any]:
        """Take the items' defaults, and show only those among the rendered fields. Return the other arguments."""
        named = [argument for argument in self.arguments if argument in given]
        for argument in named:
            setattr(self, argument, given.pop(argument))
        self.template_fields = (*type(self).template_fields, *named)
        return given

    def execute(self, context: Context) -> Any:
        """Begin an attempt: check all items, read what earlier attempts did, and do the first round."""
        night, problems = self._night(context)
        if problems.unnamed:
            self.log.warning(
                "%d items have no id, so their position is used: if the order changes, a retry pays again",
                problems.unnamed,
            )
        ti, redoes_all = context["ti"], self.redo == "all"
        missing = night.begin(problems, try_number=ti.try_number, max_tries=ti.max_tries, redoes_all=redoes_all)
        return self._work(context, night, missing)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Do another round, once enough projects have ended."""
        from airflow_provider_magichour.waiting.many import ended_in

        return self._resumed(context, ended_in(event))

    def left_waiting(self, context: Context) -> Any:
        """Continue even if no triggerer has run the trigger."""
        self.log.warning("No triggerer has answered in time: is one running? Polling all projects from the worker")
        return self._resumed(context, None)

    def on_kill(self) -> None:
        """Wait for answers to what was sent, and send nothing more; projects keep running: the API cannot cancel."""
        self._stopping.set()

    def _resumed(self, context: Context, ended: Sequence[str] | None) -> Any:
        night, _ = self._night(context)
        return self._work(context, night, night.resume(ended))

    def _work(self, context: Context, night: Night, ended: Sequence[str]) -> Any:
        from airflow_provider_magichour.triggers import MagicHourBatchTrigger

        push_library_link(context)
        while night.leg(ended):
            self._tell(context, night)
            trigger = MagicHourBatchTrigger(**night.waits())
            if self._defers(context):
                self.defer_until(trigger.deadline, trigger)
            ended = night.wait(trigger.watches())
        self._tell(context, night)
        return self._end(context, night)

    def _end(self, context: Context, night: Night) -> dict[str, Any]:
        from airflow_provider_magichour.media.lineage import note_outputs, tell_outlets

        summary, error = night.end()
        if error is not None:
            raise error
        uris = [uri for uri in (night.results, night.rules.destination) if "://" in uri]
        note_outputs(self.hook, uris)
        tell_outlets(self, context, uris, {"counts": summary["counts"]})
        ti = context["ti"]
        when_taken(self, context, lambda: night.ledger.note_returned(ti.try_number, ti.max_tries))
        return summary

    def _tell(self, context: Context, night: Night) -> None:
        """Report the batch's progress."""
        from airflow_provider_magichour.batch.results import line

        metrics.worked(metrics.tags_of(self, context), night.events)
        with informing("the batch's progress"):
            progress = night.progress()
            self.log.info("%s", line(progress))
            self.push(context, credits_charged=progress["credits"], progress=progress)

    def _defers(self, context: Context) -> bool:
        return truth("deferrable", self.deferrable) and truth("durable", self.durable)

    def _night(self, context: Context) -> tuple[Night, Problems]:
        """Read the arguments and the items; problems with items are raised when an attempt begins."""
        from airflow_provider_magichour.api.tool_rows import tool_named
        from airflow_provider_magichour.batch.begin import found
        from airflow_provider_magichour.batch.ledger import Ledger
        from airflow_provider_magichour.batch.manifest import Problems, read_items
        from airflow_provider_magichour.batch.night import Night
        from airflow_provider_magichour.batch.plan import Plan
        from airflow_provider_magichour.batch.policy import tolerance

        self._check(context)
        problems = Problems()
        items = text_at(self.items.entries if isinstance(self.items, Items) else self.items)
        items = read_items(found(items, self.conn_id), problems)
        tool = tool_named(self.tool)
        defaults = {name: getattr(self, name) for name in self.template_fields if name in self.arguments}
        rules = self._rules(context)
        night = Night(
            hook=self.hook,
            plan=Plan(
                tool,
                arguments_of(tool.name),
                defaults if self.name is None else {**defaults, "name": self.name},
                self.conn_id,
                truth("validate_request", self.validate_request),
            ),
            rules=rules,
            ledger=Ledger(context.get("task_state_store") if truth("durable", self.durable) else None),
            items=items,
            results=self._results_uri(context, rules),
            limit=None if self.max_credits is None else credits("max_credits", self.max_credits),
            checks_balance=truth("check_balance", self.check_balance),
            tolerated=tolerance(self.tolerated_failures, len(items)),
            stopping=self._stopping,
        )
        return night, problems

    def _check(self, context: Context) -> None:
        from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

        choice("redo", self.redo, ("failed", "all"))
        choice("on_unsure_submission", self.on_unsure_submission, ON_UNSURE)
        if truth("durable", self.durable) and "task_state_store" not in context:
            raise MagicHourInvalidRequestError(
                "This Airflow has no task state store (3.3 has one): a retry of a batch would pay for all of it again. "
                "Nothing was sent. Set durable=False to accept that, or map over MagicHourGenerateOperator"
            )

    def _rules(self, context: Context) -> Rules:
        from airflow_provider_magichour.batch.rules import Rules
        from airflow_provider_magichour.submission.names import default_name

        ti = context["ti"]
        destination = checked_text("destination", self.destination, "a folder")
        return Rules(
            destination=f"{destination.rstrip('/')}/",
            conn_id=self.destination_conn_id or self.conn_id,
            in_flight=whole("in_flight", self.in_flight, 1, 1000),
            submit_at_once=whole("submit_at_once", self.submit_at_once, 1, 16),
            item_attempts=whole("item_attempts", self.item_attempts, 1, 10),
            item_timeout=seconds("item_timeout", self.item_timeout),
            on_unsure=self.on_unsure_submission,
            name=lambda item_id: default_name(ti, item_id),
            until=self.deadline(context, 0.0, math.inf),
        )

    def _results_uri(self, context: Context, rules: Rules) -> str:
        if self.results is not None:
            return checked_text("results", self.results, "the path or URI of a file")
        ti = context["ti"]
        index = f"-{ti.map_index}" if ti.map_index is not None and ti.map_index >= 0 else ""
        return f"{rules.destination}_magichour/{re.sub(r'[^0-9A-Za-z_.+:-]', '_', ti.run_id)}{index}.jsonl"
