"""What templates and upstream tasks hand over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import redact

from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.operators import MagicHourImageToVideoOperator
from airflow_provider_magichour.templating import ProjectIdField, seconds


class Task:
    project_id = ProjectIdField()

    def __init__(self, project_id):
        self.project_id = project_id


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param("p1", "p1", id="id"),
        pytest.param({"project_id": "p1", "download_urls": ["https://x?sig=1"]}, "p1", id="dict"),
        pytest.param("{{ ti.xcom_pull('submit') }}", "{{ ti.xcom_pull('submit') }}", id="template"),
        pytest.param(["p1"], ["p1"], id="list"),
        pytest.param(None, None, id="none"),
    ],
)
def test_of_what_is_handed_over_the_id_alone_is_kept(value, kept):
    assert Task(value).project_id == kept


def test_setting_it_again_as_rendering_does_reduces_it_too():
    task = Task("{{ upstream }}")
    task.project_id = {"project_id": "p2", "download_urls": ["https://x?sig=1"]}
    assert task.project_id == "p2"
    assert "sig" not in repr(vars(task))


def test_two_tasks_do_not_share_it():
    first, second = Task("p1"), Task("p2")
    assert (first.project_id, second.project_id) == ("p1", "p2")


def test_before_it_is_set_it_is_none():
    assert Task.__new__(Task).project_id is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(60, 60.0, id="int"),
        pytest.param(1.5, 1.5, id="float"),
        pytest.param("60", 60.0, id="text"),
        pytest.param("1.5", 1.5, id="float-text"),
        pytest.param(0, 0.0, id="zero"),
        pytest.param(timedelta(minutes=2), 120.0, id="timedelta"),
        pytest.param(timedelta(0), 0.0, id="no-time"),
    ],
)
def test_a_time_is_seconds(value, expected):
    assert seconds("timeout", value) == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(-1, id="negative"),
        pytest.param("-1", id="negative-text"),
        pytest.param(timedelta(seconds=-1), id="negative-timedelta"),
        pytest.param("an hour", id="words"),
        pytest.param("", id="empty"),
        pytest.param(None, id="none"),
        pytest.param(True, id="boolean"),
        pytest.param("nan", id="nan"),
        pytest.param("inf", id="infinite"),
        pytest.param(10**400, id="beyond-float"),
        pytest.param([60], id="list"),
    ],
)
def test_what_is_no_time_is_refused_by_name_and_value(value):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        seconds("timeout", value)
    assert str(caught.value).startswith(f"timeout={value!r}: seconds ")
    assert "timedelta" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example/a.jpg?X-Amz-Date=20260901&X-Amz-Signature=5ecretsignature",
        "https://h.example/a.jpg?sp=r&sig=5ecretsignature",
        "https://h.example/a.jpg?token=5ecretsignature",
    ],
)
def test_the_signature_of_an_image_is_masked_wherever_airflow_shows_it(url):
    task = MagicHourImageToVideoOperator(task_id="submit", image="later.jpg", end_seconds=5)
    task.image = url
    assert task.image == url
    assert "5ecretsignature" not in str(redact(url))


def test_a_plain_query_of_an_image_is_not_masked():
    url = "https://h.example/a.jpg?version=20260901"
    MagicHourImageToVideoOperator(task_id="submit", image=url, end_seconds=5)
    assert redact(url) == url
