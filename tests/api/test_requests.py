"""From an operator's arguments to what is sent, or to a refusal that says what to change."""

from __future__ import annotations

import copy
import math

import pytest

from airflow_provider_magichour.api.requests import deprecation_warnings, image_to_video_request
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

IMAGE = "api-assets/id/1234.png"


def body(**arguments):
    return image_to_video_request(**{"image": IMAGE, "end_seconds": 5} | arguments).body


def refusal(**arguments):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        body(**arguments)
    return str(caught.value)


def test_none_is_not_sent():
    assert body() == {"end_seconds": 5, "assets": {"image_file_path": IMAGE}}


def test_every_argument_has_its_place():
    assert body(
        end_image="api-assets/id/5678.png",
        model="kling-3.0",
        resolution="1080p",
        audio=True,
        prompt="a dog running",
        name="my clip",
    ) == {
        "end_seconds": 5,
        "assets": {"image_file_path": IMAGE, "end_image_file_path": "api-assets/id/5678.png"},
        "model": "kling-3.0",
        "resolution": "1080p",
        "audio": True,
        "style": {"prompt": "a dog running"},
        "name": "my clip",
    }


def test_false_and_an_empty_prompt_are_sent():
    sent = body(audio=False, prompt="")
    assert (sent["audio"], sent["style"]) == (False, {"prompt": ""})


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        pytest.param(5, 5, id="int"),
        pytest.param(5.0, 5, id="whole-float"),
        pytest.param(5.5, 5.5, id="float"),
        pytest.param("5", 5, id="text"),
        pytest.param("5.0", 5, id="whole-float-text"),
        pytest.param("5.5", 5.5, id="float-text"),
        pytest.param(" 5 ", 5, id="text-with-blanks"),
    ],
)
def test_a_number_may_be_a_text(value, sent):
    result = body(end_seconds=value)["end_seconds"]
    assert (result, type(result)) == (sent, type(sent))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("five", id="word"),
        pytest.param("", id="empty"),
        pytest.param("5s", id="unit"),
        pytest.param("5,5", id="comma"),
        pytest.param("1_0", id="underscore"),
        pytest.param("nan", id="nan-text"),
        pytest.param("inf", id="infinite-text"),
        pytest.param(math.nan, id="nan"),
        pytest.param(math.inf, id="infinite"),
        pytest.param(10**400, id="beyond-float"),
        pytest.param(True, id="boolean"),
        pytest.param("True", id="boolean-text"),
        pytest.param({"seconds": 5}, id="dict"),
    ],
)
def test_anything_else_is_no_number(value):
    assert refusal(end_seconds=value).startswith(f"end_seconds={value!r}: a number is needed")


@pytest.mark.parametrize("value", [0, -1, "0", "-0.5"])
def test_a_clip_has_a_length(value):
    assert refusal(end_seconds=value).startswith(f"end_seconds={value!r}: ")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        pytest.param(True, True, id="true"),
        pytest.param(False, False, id="false"),
        pytest.param("true", True, id="true-text"),
        pytest.param("True", True, id="true-as-python-renders-it"),
        pytest.param("FALSE", False, id="false-text"),
        pytest.param(" false ", False, id="false-with-blanks"),
    ],
)
def test_a_boolean_may_be_a_text(value, sent):
    assert body(audio=value)["audio"] is sent


@pytest.mark.parametrize("value", ["yes", "1", "", "None", "on", 1, 0, 1.0])
def test_anything_else_is_no_boolean(value):
    assert refusal(audio=value).startswith(f"audio={value!r}: true or false is needed")


def test_every_field_of_the_page_of_2025_can_be_sent():
    assert body(
        name="Image To Video video",
        prompt="a dog running",
        extra_body={"height": 960, "width": 512, "style": {"high_quality": False, "quality_mode": "quick"}},
    ) == {
        "name": "Image To Video video",
        "end_seconds": 5,
        "height": 960,
        "width": 512,
        "style": {"prompt": "a dog running", "high_quality": False, "quality_mode": "quick"},
        "assets": {"image_file_path": IMAGE},
    }


def test_every_field_of_the_page_of_2026_can_be_sent():
    assert body(
        audio=True,
        model="kling-2.5-audio",
        name="My Image To Video video",
        prompt="a dog running",
        resolution="720p",
        extra_body={"height": "123", "width": "123", "style": {"high_quality": "true", "quality_mode": "studio"}},
    ) == {
        "assets": {"image_file_path": IMAGE},
        "audio": True,
        "end_seconds": 5,
        "height": 123,
        "model": "kling-2.5-audio",
        "name": "My Image To Video video",
        "resolution": "720p",
        "style": {"prompt": "a dog running", "high_quality": True, "quality_mode": "studio"},
        "width": 123,
    }


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        pytest.param({"height": "tall"}, "height", id="height"),
        pytest.param({"width": True}, "width", id="width"),
        pytest.param({"style": {"high_quality": "yes"}}, "style.high_quality", id="high_quality"),
        pytest.param({"style": {"quality_mode": 1}}, "style.quality_mode", id="quality_mode"),
        pytest.param({"style": "grainy"}, "style", id="style"),
    ],
)
def test_known_fields_of_extra_body_are_checked_too(extra, field):
    assert refusal(extra_body=extra).startswith(f"{field}=")


@pytest.mark.parametrize(
    ("extra", "field", "replacement"),
    [
        pytest.param({"height": 960}, "height", "`resolution`", id="height"),
        pytest.param({"width": 512}, "width", "`resolution`", id="width"),
        pytest.param({"style": {"high_quality": True}}, "style.high_quality", "1080p for true", id="high_quality"),
        pytest.param({"style": {"quality_mode": "quick"}}, "style.quality_mode", "720p for quick", id="quality_mode"),
    ],
)
def test_a_deprecated_field_warns_and_names_its_replacement(extra, field, replacement):
    (warning,) = deprecation_warnings(extra)
    assert f"extra_body field {field} is deprecated" in warning
    assert replacement in warning


@pytest.mark.parametrize(
    "extra", [None, {}, {"seed": 7}, {"style": {"mood": "calm"}}, {"quality_mode": "x"}, {"assets": {"height": 1}}]
)
def test_other_fields_do_not_warn(extra):
    assert deprecation_warnings(extra) == []


def test_extra_body_is_merged_deeply():
    extra = {"seed": 7, "style": {"mood": "calm"}, "assets": {"mask": {"file_path": "m"}}, "tags": ["a"]}
    assert body(prompt="run", extra_body=extra) == {
        "end_seconds": 5,
        "assets": {"image_file_path": IMAGE, "mask": {"file_path": "m"}},
        "style": {"prompt": "run", "mood": "calm"},
        "seed": 7,
        "tags": ["a"],
    }


def test_extra_body_stays_as_it_was_given():
    extra = {"style": {"mood": "calm"}, "assets": {"mask": "m"}}
    before = copy.deepcopy(extra)
    body(prompt="run", extra_body=extra)
    assert extra == before


def test_extra_body_may_carry_what_no_argument_says():
    assert body(extra_body={"model": "kling-3.0", "style": {"prompt": "run"}})["style"] == {"prompt": "run"}


def test_extra_body_may_repeat_an_argument():
    assert body(model="kling-3.0", extra_body={"model": "kling-3.0"})["model"] == "kling-3.0"


@pytest.mark.parametrize(
    ("arguments", "extra", "message"),
    [
        pytest.param(
            {"model": "kling-3.0"}, {"model": "veo3.1"}, "model='veo3.1' contradicts model='kling-3.0'", id="top"
        ),
        pytest.param(
            {},
            {"assets": {"image_file_path": "b"}},
            f"assets.image_file_path='b' contradicts image='{IMAGE}'",
            id="deep",
        ),
        pytest.param(
            {"prompt": "run"}, {"style": {"prompt": "sit"}}, "style.prompt='sit' contradicts prompt='run'", id="style"
        ),
        pytest.param({"audio": False}, {"audio": True}, "audio=True contradicts audio=False", id="false"),
        pytest.param({}, {"assets": "b"}, "assets='b' contradicts", id="no-object"),
    ],
)
def test_extra_body_may_not_contradict_an_argument(arguments, extra, message):
    assert f"extra_body field {message}" in refusal(**arguments, extra_body=extra)


@pytest.mark.parametrize("extra", ["{}", [], [("a", 1)], 5, True])
def test_extra_body_is_a_dict(extra):
    assert refusal(extra_body=extra).startswith(f"extra_body={extra!r}: a dict ")


def test_none_in_extra_body_is_not_sent():
    sent = body(extra_body={"seed": None, "options": {"loop": None, "speed": 2}})
    assert sent == {"end_seconds": 5, "assets": {"image_file_path": IMAGE}, "options": {"speed": 2}}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"extra_body": {"seed": math.nan}}, id="nan"),
        pytest.param({"extra_body": {"options": {"seed": math.inf}}}, id="infinite"),
        pytest.param({"extra_body": {"tags": {"a", "b"}}}, id="set"),
        pytest.param({"extra_body": {"blob": b"x"}}, id="bytes"),
        pytest.param({"prompt": "\ud800"}, id="half-a-character"),
    ],
)
def test_what_cannot_be_written_as_json_is_refused_before_anything_is_sent(arguments):
    refusal(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"image": None}, "image is missing", id="no-image"),
        pytest.param({"image": None, "end_image": "b"}, "image is missing", id="no-image-but-an-end-image"),
        pytest.param({"end_seconds": None}, "end_seconds is missing", id="no-length"),
        pytest.param({"image": ""}, "image='': a text that is not empty", id="empty-image"),
        pytest.param({"image": "  "}, "image='  ': a text that is not empty", id="blank-image"),
        pytest.param({"image": 5}, "image=5: a text", id="number-as-image"),
        pytest.param({"image": {"url": "u"}}, "image={'url': 'u'}: a text", id="dict-as-image"),
        pytest.param({"end_image": ""}, "end_image='': a text that is not empty", id="empty-end-image"),
        pytest.param({"model": ""}, "model='': a text that is not empty", id="empty-model"),
        pytest.param({"model": 3}, "model=3: a text", id="number-as-model"),
        pytest.param({"resolution": 720}, "resolution=720: a text", id="number-as-resolution"),
        pytest.param({"prompt": 5}, "prompt=5: a text", id="number-as-prompt"),
        pytest.param({"name": 5}, "name=5: a text", id="number-as-name"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(arguments, message):
    text = refusal(**arguments)
    assert text.startswith(message)
    assert text.endswith("Nothing was sent.")


@pytest.mark.parametrize("argument", ["image", "end_image", "end_seconds", "model", "resolution", "audio", "prompt"])
def test_a_list_where_one_value_belongs_points_at_expand(argument):
    text = refusal(**{argument: ["a?sig=1", "b"]})
    assert text.startswith(f"{argument} is a list of 2: ")
    assert ".expand()" in text
    assert "sig=1" not in text


def test_all_bad_arguments_are_named_at_once():
    text = refusal(image="", end_seconds="five", audio="yes")
    assert all(part in text for part in ("image=''", "end_seconds='five'", "audio='yes'"))


IMPOSSIBLE = [
    pytest.param({"model": "kling-3.0", "end_seconds": 16}, "end_seconds=16: kling-3.0", "3-15", id="duration"),
    pytest.param({"model": "kling-2.6", "end_seconds": "7"}, "end_seconds=7: kling-2.6", "5, 10", id="duration-text"),
    pytest.param({"model": "kling-3.0", "resolution": "480p"}, "resolution='480p'", "720p, 1080p, 4k", id="resolution"),
    pytest.param({"model": "wan-2.2", "audio": "true"}, "audio=True: wan-2.2", "kling-3.0", id="audio"),
    pytest.param({"model": "kling-2.5", "audio": False}, "audio=False: kling-2.5", "set it to True", id="no-audio"),
    pytest.param({"model": "wan-2.2", "end_image": "b"}, "end_image: wan-2.2", "no end image", id="end-image"),
    pytest.param(
        {"model": "kling-2.6", "end_image": "b", "resolution": "720p"}, "end_image with", "1080p", id="end-image-at"
    ),
    pytest.param(
        {"model": "veo3.1", "end_image": "b", "end_seconds": 16}, "end_image with", "8 seconds", id="end-image-up-to"
    ),
    pytest.param({"extra_body": {"model": "wan-2.2", "audio": True}}, "audio=True: wan-2.2", "kling-3.0", id="extra"),
]


@pytest.mark.parametrize(("arguments", "named", "allowed"), IMPOSSIBLE)
def test_what_a_known_model_cannot_do_is_refused(arguments, named, allowed):
    text = refusal(**arguments)
    assert text.startswith(named)
    assert allowed in text
    assert "Nothing was sent" in text
    assert "validate_request=False" in text


@pytest.mark.parametrize(("arguments", "named", "allowed"), IMPOSSIBLE)
def test_the_table_can_be_turned_off(arguments, named, allowed):
    assert body(**arguments, validate=False)["assets"]["image_file_path"] == IMAGE


def test_types_are_checked_with_the_table_turned_off():
    assert refusal(end_seconds="five", validate=False).startswith("end_seconds='five'")


@pytest.mark.parametrize("model", [None, "default", "kling-9.9"])
def test_a_model_that_the_table_does_not_know_passes(model):
    sent = body(model=model, end_seconds=59.5, resolution="8k", audio=True, end_image="b")
    assert (sent["end_seconds"], sent["resolution"], sent.get("model")) == (59.5, "8k", model)
