"""What templates and upstream tasks hand over."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.secrets_masker import redact

from airflow_provider_magichour.api.endpoints import checked_project_id
from airflow_provider_magichour.api.signatures import without_signatures
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.fields import ProjectIdField, seconds, truth_or_as_it_is
from airflow_provider_magichour.operators import MagicHourDownloadOperator, MagicHourImageToVideoOperator
from airflow_provider_magichour.sensors import MagicHourProjectSensor

SIGNED = "https://videos.example.com/a.mp4?X-Amz-Date=1&X-Amz-Signature=5ecret"


def waited(project_id):
    """What a waiting task returns."""
    return {"project_id": project_id, "download_urls": [SIGNED], "expires_at": None, "fps": 24.0}


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
        pytest.param(str(waited("p1")), "p1", id="text-of-a-dict"),
        pytest.param(f" {waited('p1')}\n", "p1", id="text-with-blanks"),
        pytest.param(json.dumps(waited("p1")), "p1", id="json"),
        pytest.param([waited("p1"), waited("p2")], ["p1", "p2"], id="list-of-dicts"),
        pytest.param((waited("p1"), None), ["p1", None], id="tuple"),
        pytest.param(str([waited("p1"), waited("p2")]), ["p1", "p2"], id="text-of-a-list"),
        pytest.param([str(waited("p1")), json.dumps(waited("p2"))], ["p1", "p2"], id="list-of-texts"),
        pytest.param([[waited("p1")]], [["p1"]], id="list-in-a-list"),
        pytest.param({"project_id": waited("p1")}, "p1", id="dict-in-a-dict"),
        pytest.param("{{ {'project_id': 'p1'} }}", "{{ {'project_id': 'p1'} }}", id="template-with-a-dict"),
        pytest.param("", "", id="empty"),
        pytest.param("None", None, id="text-of-none"),
        pytest.param(["None", "p1"], [None, "p1"], id="list-with-the-text-of-none"),
    ],
)
def test_of_what_is_handed_over_the_id_alone_is_kept(value, kept):
    assert Task(value).project_id == kept


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"id": "p1", "downloads": [{"url": SIGNED}]}, id="another-dict"),
        pytest.param([SIGNED], id="urls"),
        pytest.param(str([SIGNED]), id="text-of-urls"),
        pytest.param(f"{{'project_id': 'p1', 'download_urls': ['{SIGNED}", id="half-a-text"),
        pytest.param(str([*[waited("p1")] * 2000]), id="too-long"),
        pytest.param("{'project_id': " + "[" * 5000 + repr(SIGNED), id="too-deep"),
        pytest.param("{'project_id': " + "-" * 50_000 + f"1, 'url': {SIGNED!r}}}", id="too-deep-to-compile"),
        pytest.param('{"project_id": ' + "[" * 40_000 + json.dumps(SIGNED), id="too-deep-json"),
    ],
)
def test_of_what_holds_no_id_no_signature_is_kept(value):
    assert "5ecret" not in repr(vars(Task(value)))


def test_a_text_is_read_and_never_run():
    text = "{'project_id': __import__('os').getcwd()}"
    assert Task(text).project_id == text


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
    assert caught.value.args[0].startswith(f"timeout={value!r}: seconds ")
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


def test_every_value_of_a_query_and_a_login_is_masked_and_a_short_word_is_not():
    url = "https://someone:pa55word@h.example/a.jpg?hm=0123456789abcdef&fit=crop"
    MagicHourImageToVideoOperator(task_id="submit", image=url, end_seconds=5)
    told = redact("pa55word, 0123456789abcdef, someone, crop")
    assert told.endswith(", crop")
    assert not any(secret in told for secret in ("pa55word", "0123456789abcdef", "someone"))


def test_a_signature_deep_in_further_fields_is_masked_wherever_airflow_shows_it():
    url = "https://h.example/a.jpg?token=deep5ecret"
    task = MagicHourImageToVideoOperator(task_id="submit", image="later.jpg", end_seconds=5, extra_body={})
    task.extra_body = {"assets": {"masks": [{"url": url}]}, "seed": 5}
    assert task.extra_body["assets"]["masks"][0]["url"] == url
    assert "deep5ecret" not in str(redact(task.extra_body))


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        pytest.param("https://h.example/a.jpg?v=1&X-Amz-Signature=s", "https://h.example/a.jpg", id="s3"),
        pytest.param("https://h.example/a.jpg?5ecret", "https://h.example/a.jpg", id="no-name"),
        pytest.param("it's https://h/it's?a=1'&X-Amz-Signature=s", "it's https://h/it's'", id="quotes"),
        pytest.param("https://h.example/a.jpg#access_token=s", "https://h.example/a.jpg", id="fragment"),
        pytest.param("https%3A%2F%2Fh.example%2Fa.jpg%3FSig%3Ds", "https%3A%2F%2Fh.example%2Fa.jpg", id="encoded"),
        pytest.param("https://h.example/a.jpg?sv=1&SIG=s", "https://h.example/a.jpg", id="azure"),
        pytest.param("https://h.example/a.jpg?token=s", "https://h.example/a.jpg", id="token"),
        pytest.param("https://h.example/a.jpg?v=1&%74oken=s", "https://h.example/a.jpg", id="escaped"),
        pytest.param("https://h.example/?url=https%3A%2F%2Fx%2Fa%3Fsig%3Ds", "https://h.example/", id="url-in-a-url"),
        pytest.param("https://h.example/?url=https://x/a?sig=s", "https://h.example/", id="bare-url-in-a-url"),
        pytest.param("https://h.example/a.jpg?v=a b&token=s", "https://h.example/a.jpg b", id="blank"),
        pytest.param("https://u:s@s@h.example/a.jpg?v=1", "https://h.example/a.jpg", id="login"),
        pytest.param("Like https://x/a?sig=s? Or https://x/b?v=1", "Like https://x/a Or https://x/b", id="text"),
        pytest.param("https://h.example/@me/a.jpg?v=1", "https://h.example/@me/a.jpg", id="plain"),
        pytest.param("http://[bad/a.png?v=1", "http://[bad/a.png", id="no-url"),
        pytest.param("api-assets/1.png", "api-assets/1.png", id="path"),
        pytest.param("What? x@y & so on", "What? x@y & so on", id="words"),
        pytest.param(
            {"a": [{"url": "https://x/a?sig=s"}, ("https://x/b?token=s",)], "b": 5, "c": None},
            {"a": [{"url": "https://x/a"}, ["https://x/b"]], "b": 5, "c": None},
            id="deep",
        ),
    ],
)
def test_what_others_may_see_has_no_signature(value, cleaned):
    assert without_signatures(value) == cleaned


def render(task, **params):
    task.render_template_fields({"params": {"x": None, **params}})
    return task


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("template", ["{{ params.x }}", "{{ params.x | tojson }}", " {{ params.x }} "])
def test_an_argument_that_a_template_makes_of_none_is_as_if_it_was_left_out(native, template):
    optional = ("end_image", "model", "resolution", "audio", "prompt", "name", "conn_id", "poll_interval")
    with DAG("d", schedule=None, render_template_as_native_obj=native):
        submit = MagicHourImageToVideoOperator(
            task_id="s", image="a.jpg", end_seconds=5, **dict.fromkeys(optional, template)
        )
        download = MagicHourDownloadOperator(task_id="d", project_id="p1", destination="a/", conn_id=template)
    render(submit)
    assert {name: getattr(submit, name) for name in optional} == dict.fromkeys(optional)
    assert render(download).conn_id is None


@pytest.mark.parametrize(("text", "meant"), [("true", True), ("False", False), (True, True), ("maybe", "maybe")])
def test_truths_may_be_texts(text, meant):
    download = MagicHourDownloadOperator(task_id="d", project_id="p1", destination="a/", overwrite="{{ params.o }}")
    assert truth_or_as_it_is(render(download, o=text).overwrite) == meant
    assert MagicHourProjectSensor(task_id="w", project_id="p1", deferrable=text).deferrable == meant
    names = ("wait_for_completion", "deferrable", "durable", "check_balance", "validate_request")
    submit = MagicHourImageToVideoOperator(task_id="s", image="a", end_seconds=5, **dict.fromkeys(names, text))
    assert {getattr(submit, name) for name in names} == {meant}


def test_what_expand_gives_is_not_rendered_as_a_template():
    text = "".join(["{{ params", ".x }}"])
    with DAG("d", schedule=None):
        names = ("image", "end_image", "model", "resolution", "prompt", "name", "conn_id", "poll_interval")
        tasks = [
            MagicHourImageToVideoOperator(task_id="s", end_seconds=5, **dict.fromkeys(names, text)),
            MagicHourDownloadOperator(task_id="d", project_id=text, destination=text, conn_id=text, overwrite=text),
            MagicHourProjectSensor(task_id="w", project_id=text),
        ]
    for task in tasks:
        context = {"params": {"x": "a secret"}}
        # As a mapped operator does.
        task._do_render_template_fields(task, task.template_fields, context, task.get_template_env(), {id(text)})
        assert "a secret" not in [getattr(task, name) for name in task.template_fields]


SECRET = "5ecretf00d5ecret"
URL = f"https://login:{SECRET}@cdn.example.com/a.jpg?token={SECRET}"


def tasks_with_urls():
    with DAG("d", schedule=None):
        return [
            MagicHourImageToVideoOperator(
                task_id="submit", image=URL, end_image=URL, end_seconds=5, prompt=URL, name=URL, extra_body={"a": [URL]}
            ),
            MagicHourDownloadOperator(task_id="download", project_id=URL, destination=URL),
            MagicHourProjectSensor(task_id="wait", project_id=URL),
        ]


def copies(task):
    """Return a task, and copies as Airflow makes them."""
    return [task, copy.copy(task), copy.deepcopy(task), task.prepare_for_execution(), pickle.loads(pickle.dumps(task))]


@pytest.mark.parametrize("which", range(5), ids=["itself", "copy", "deepcopy", "prepared", "pickled"])
def test_what_walks_the_attributes_of_a_task_meets_no_secret_of_a_url(which):
    for task in tasks_with_urls():
        task = copies(task)[which]
        # Airflow keeps what the constructor was given; OpenLineage leaves that out.
        walked = {name: value for name, value in vars(task).items() if name != "_BaseOperator__init_kwargs"}
        assert SECRET not in repr(walked)
        assert SECRET not in json.dumps(walked, default=str)


@pytest.mark.parametrize("which", range(5), ids=["itself", "copy", "deepcopy", "prepared", "pickled"])
def test_copies_of_a_task_have_its_arguments_and_render_for_themselves(which):
    with DAG("d", schedule=None):
        task = MagicHourImageToVideoOperator(
            task_id="s", image="{{ params.x }}", end_seconds=5, extra_body={"a": ["{{ params.x }}"]}
        )
    copied = render(copies(task)[which], x="b.jpg")
    assert (copied.image, copied.extra_body) == ("b.jpg", {"a": ["b.jpg"]})
    if copied is not task:
        assert (task.image, task.extra_body) == ("{{ params.x }}", {"a": ["{{ params.x }}"]})


def test_openlineage_tells_no_secret_of_a_url(monkeypatch, sandbox):
    utils = pytest.importorskip("airflow.providers.openlineage.utils.utils")
    from openlineage.client.serde import Serde

    for task in tasks_with_urls():
        if hasattr(task, "hook"):
            task.hook.settings()
        told = Serde.to_json({"task": utils.TaskInfoComplete(task)})
        assert SECRET not in told
        assert sandbox.api_key not in told


@pytest.mark.parametrize(
    "make", [lambda inner: [inner], lambda inner: {"project_id": inner}, lambda inner: {"a": inner}]
)
def test_a_value_without_end_is_no_argument_that_anything_stumbles_over(make):
    value = "p1"
    for _ in range(3000):
        value = make(value)
    with DAG("d", schedule=None):
        MagicHourImageToVideoOperator(task_id="s", image=value, end_seconds=5, extra_body={"a": value})
        wait = MagicHourProjectSensor(task_id="w", project_id=value)
    with pytest.raises(MagicHourInvalidRequestError, match="project_id="):
        checked_project_id(wait.project_id)
