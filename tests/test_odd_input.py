"""Whatever a person types into an operator, a sensor or a connection: it works, or an error of ours names the field."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_magichour.api.settings import settings_from
from airflow_provider_magichour.compat import AirflowSensorTimeout, TaskDeferred
from airflow_provider_magichour.exceptions import MagicHourError
from airflow_provider_magichour.extras import CONNECTION_EXTRAS
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

KEY = "mhk_odd_a1b2c3d4"


@dataclass(frozen=True)
class Deep:
    """Lists or dicts in one another, told in short; Airflow itself walks through some 300, and not more."""

    depth: int
    listed: bool

    def built(self) -> Any:
        value: Any = "p1"
        for _ in range(self.depth):
            value = [value] if self.listed else {"a": value}
        return value


def built(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value.built() if isinstance(value, Deep) else value for name, value in arguments.items()}


TYPED = [
    *("", " ", "None", "null", "nan", "true", "1e999", "{", "[1", "{{", "://", "~", "..", "/", "s3://", "s3://["),
    *("nosuch://a/b.jpg", "http://[", "file://\0.jpg", "\0", "a\0b.jpg", "\ud800", "\ud800.jpg", "\u202e"),
    *("9" * 5000, "a" * 5000 + ".jpg", "mailto:a"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, 2**63, math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0]),
    st.floats(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.text(),
    st.text(st.characters(codec=None, categories=["Cs", "Cc", "Lu", "Zs"])),
    st.sampled_from(TYPED),
    st.binary(),
    st.datetimes(),
    st.timedeltas(),
    st.sampled_from(
        [object(), int, Path("a\0.jpg"), Decimal("sNaN"), timedelta.max, range(3), lambda: 1, datetime.min]
    ),
)
KEYS = st.one_of(st.text(), st.integers(), st.none(), st.tuples(st.integers()), st.just("\ud800"), st.binary())
NESTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(st.sampled_from(["style", "assets", "prompt", "image_file_path", "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)
ODD = st.one_of(
    SCALARS,
    NESTS,
    st.sets(st.integers()),
    st.builds(Deep, st.sampled_from([5, 45, 60, 200]), st.booleans()),
)


def odd(*names: str) -> Any:
    """Return strategies for one or several arguments out of some."""
    return st.dictionaries(st.sampled_from(names), ODD, min_size=1, max_size=2)


def settings_for(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def refusal(call: Callable[[], Any]) -> str:
    """Return our error's text, which anybody can write down; nothing where it went well. Any other error is none."""
    try:
        call()
    except (TaskDeferred, AirflowSensorTimeout):
        return ""
    except MagicHourError as error:
        text = str(error)
    else:
        return ""
    text.encode()
    return text


def check(call: Callable[[], Any], arguments: dict[str, Any]) -> None:
    text = refusal(call)
    shown = [*arguments, *(shown_by for name in arguments for shown_by in CALLED.get(name, ()))]
    assert not text or any(name in text for name in shown), text


# How messages about the user's files, the API and its answers call an argument.
CALLED = {
    "image": ("Could not", "is not a file", "is empty"),
    "end_image": ("Could not", "is not a file", "is empty"),
    "destination": ("Could not", "is not a folder", "is a folder"),
    "conn_id": ("Could not",),
    "magichour_conn_id": ("connection",),
    "project_id": ("project",),
    "kind": ("project",),
    "model": ("Nothing was sent", "HTTP 422"),
    "resolution": ("Nothing was sent", "HTTP 422"),
    "end_seconds": ("HTTP 422",),
    "extra_body": ("HTTP 422", "style", "assets", "prompt", "image", "name"),
}


SUBMIT = (
    *("image", "end_image", "end_seconds", "model", "resolution", "audio", "prompt", "name", "extra_body", "conn_id"),
    *("magichour_conn_id", "poll_interval", "timeout", "max_credits", "on_unsure_submission"),
)


@settings_for(400)
@given(arguments=odd(*SUBMIT))
@example(arguments={"extra_body": Deep(200, listed=False)})
@example(arguments={"prompt": "\ud800"})
@example(arguments={"name": "\0"})
def test_a_submit_takes_an_argument_or_names_it(sandbox: Any, clock: Any, context: Any, arguments: Any) -> None:
    usual = {"image": "https://example.com/cat.jpg", "end_seconds": 5}
    with DAG("d", schedule=None):
        task = MagicHourImageToVideoOperator(task_id="s", **{**usual, **built(arguments)})
    check(lambda: task.execute(context()), arguments)


@settings_for(200)
@given(arguments=odd("project_id", "kind", "magichour_conn_id", "destination", "conn_id", "overwrite"))
def test_a_download_takes_an_argument_or_names_it(
    sandbox: Any, clock: Any, context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = {"project_id": sandbox.add_job().id, "destination": f"{tmp_path}/"}
    with DAG("d", schedule=None):
        task = MagicHourDownloadOperator(task_id="s", **{**usual, **built(arguments)})
    check(lambda: task.execute(context()), arguments)


@settings_for(200)
@given(arguments=odd("project_id", "kind", "magichour_conn_id", "deferrable"))
def test_a_sensor_takes_an_argument_or_names_it(sandbox: Any, clock: Any, context: Any, arguments: Any) -> None:
    usual = {"project_id": sandbox.add_job().id, "timeout": 60}
    with DAG("d", schedule=None):
        task = MagicHourProjectSensor(task_id="s", **{**usual, **built(arguments)})
    check(lambda: task.execute(context()), arguments)


TEXTS = st.one_of(st.none(), st.text(), st.sampled_from(TYPED))


@settings_for(400)
@given(
    host=TEXTS,
    schema=TEXTS,
    port=st.one_of(st.none(), st.integers()),
    password=st.one_of(st.just(KEY), TEXTS),
    extra=st.one_of(st.dictionaries(st.sampled_from([*CONNECTION_EXTRAS, "other"]), ODD), ODD),
)
def test_a_connection_is_understood_or_says_what_is_wrong(host, schema, port, password, extra) -> None:
    made = built(extra) if isinstance(extra, dict) else extra
    connection = SimpleNamespace(host=host, schema=schema, port=port, password=password)
    text = refusal(lambda: settings_from(connection, made, "a_connection").sends_key_in_clear)
    assert not text or "a_connection" in text
    assert KEY not in text


@settings_for(50)
@given(conn_id=ODD)
def test_a_hook_finds_a_connection_or_says_which_it_lacks(conn_id: Any) -> None:
    from airflow_provider_magichour.hooks import MagicHourHook

    hook = MagicHourHook(built({"conn_id": conn_id})["conn_id"])
    for resolve in (hook.settings, lambda: asyncio.run(hook.async_settings())):
        with pytest.raises(MagicHourError, match=r"onnection"):
            resolve()
    assert json.dumps(hook.test_connection()[1])
