"""From an operator's arguments to what is sent, or to a refusal that says what to change."""

from __future__ import annotations

import copy
import json
import math
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path, PurePosixPath

import numpy
import pytest
from upath import UPath

from airflow_provider_magichour.api.requests import field_warnings, image_to_video_request, refuse_key
from airflow_provider_magichour.compat import ObjectStoragePath
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

IMAGE = "api-assets/id/1234.png"


class Word(StrEnum):
    ZOOM = "zoom"


def body(**arguments):
    return image_to_video_request(**{"image": IMAGE, "end_seconds": 5} | arguments).body


def refusal(**arguments):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        body(**arguments)
    return caught.value.args[0]


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


@pytest.mark.parametrize("text", ["None", " None\n", "null"])
def test_what_a_template_makes_of_none_is_not_sent(text):
    optional = ("end_image", "model", "resolution", "audio", "prompt", "name")
    assert body(**dict.fromkeys(optional, text), extra_body={"style": {"mood": text}, "seed": text}) == body()
    for required in ("image", "end_seconds"):
        assert refusal(**{required: text}).startswith(f"{required} is missing")


def test_none_within_a_text_is_sent():
    assert body(prompt="None of them moves")["style"] == {"prompt": "None of them moves"}


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (2024, "2024"),
        (-3, "-3"),
        (1.0, "1.0"),
        (numpy.int64(2024), "2024"),
        (numpy.float64(2.5), "2.5"),
        (Decimal("1.50"), "1.5"),
        (numpy.str_("a"), "a"),
        (Word.ZOOM, "zoom"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("argument", ["prompt", "name", "model", "resolution"])
def test_a_text_that_native_rendering_made_a_number_is_one_again(argument, value, sent):
    made = body(**{argument: value})
    made = made["style"]["prompt"] if argument == "prompt" else made[argument]
    assert (made, type(made)) == (sent, str)


@pytest.mark.parametrize(
    "path",
    [
        PurePosixPath("/data/cat.jpg"),
        Path("/data/cat.jpg"),
        ObjectStoragePath("s3://c@b/cat.jpg"),
        UPath("memory://b/a"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("argument", ["image", "end_image"])
def test_a_path_is_taken_for_a_file(argument, path):
    assert body(**{argument: path})["assets"][{"image": "image_file_path"}.get(argument, "end_image_file_path")] == str(
        path
    )


@pytest.mark.parametrize("value", [numpy.bool_(True), numpy.array(True)], ids=repr)
def test_a_boolean_may_be_of_numpy(value):
    assert body(audio=value)["audio"] is True


def test_in_extra_body_too_what_means_one_thing_is_taken():
    extra = {"seed": numpy.int64(7), "rate": Decimal("0.5"), "on": numpy.bool_(False), "at": Path("a"), "x": (1, 2.0)}
    sent = body(extra_body=extra)
    assert {name: sent[name] for name in extra} == {"seed": 7, "rate": 0.5, "on": False, "at": "a", "x": [1, 2.0]}
    assert json.loads(json.dumps(sent)) == sent


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
    text = refusal(end_seconds=value)
    assert text.startswith(f"end_seconds={value!r}: ")
    assert "number" in text


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


@pytest.mark.parametrize("value", ["yes", "1", "", "nothing", "on", 1, 0, 1.0])
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
        pytest.param({"style": {"quality_mode": True}}, "style.quality_mode", id="quality_mode"),
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
    (warning,) = field_warnings(image_to_video_request(image=IMAGE, end_seconds=5, extra_body=extra))
    assert f"Field {field} is deprecated" in warning
    assert replacement in warning


@pytest.mark.parametrize("extra", [None, {}, {"style": {}}, {"model": "kling-9.9"}])
def test_known_fields_do_not_warn(extra):
    assert field_warnings(image_to_video_request(image=IMAGE, end_seconds=5, extra_body=extra)) == []


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"seed": 7}, "seed"),
        ({"style": {"mood": "calm"}, "quality_mode": "x"}, "style.mood', 'quality_mode"),
        ({"assets": {"height": {"a": [1]}}}, "assets.height"),
    ],
)
def test_fields_that_the_row_does_not_know_warn_once(extra, named):
    (warning,) = field_warnings(image_to_video_request(image=IMAGE, end_seconds=5, extra_body=extra))
    assert warning.startswith(f"image-to-video has no field '{named}' that this version knows")


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


def nest(depth):
    value = {}
    for _ in range(depth):
        value = {"a": [value]}
    return value


def endless():
    value = {}
    value["a"] = value
    return value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"image": None}, "image is missing", id="no-image"),
        pytest.param({"image": None, "end_image": "b"}, "image is missing", id="no-image-but-an-end-image"),
        pytest.param({"end_seconds": None}, "end_seconds is missing", id="no-length"),
        pytest.param({"image": ""}, "image='': a text that is not empty", id="empty-image"),
        pytest.param({"image": "  "}, "image='  ': a text that is not empty", id="blank-image"),
        pytest.param({"image": True}, "image=True: a text", id="boolean-as-image"),
        pytest.param({"image": {"url": "u"}}, "image={'url': 'u'}: a text", id="dict-as-image"),
        pytest.param({"end_image": ""}, "end_image='': a text that is not empty", id="empty-end-image"),
        pytest.param({"model": ""}, "model='': a text that is not empty", id="empty-model"),
        pytest.param({"model": False}, "model=False: a text", id="boolean-as-model"),
        pytest.param({"prompt": {"a": 1}}, "prompt={'a': 1}: a text", id="dict-as-prompt"),
        pytest.param({"name": True}, "name=True: a text", id="boolean-as-name"),
        pytest.param({"name": math.inf}, "name=inf: a value that JSON can hold", id="infinite-name"),
        pytest.param({"prompt": b"zoom"}, "prompt=b'zoom': a value that JSON can hold", id="bytes-as-prompt"),
        pytest.param({"prompt": "\ud800"}, "prompt='\\ud800': a value that JSON can hold", id="half-a-character"),
        pytest.param({"extra_body": {"seed": math.nan}}, "extra_body.seed=nan: ", id="nan"),
        pytest.param({"extra_body": {"a": {"b": [1, {2}]}}}, "extra_body.a.b[1]={2}: ", id="set"),
        pytest.param({"extra_body": {"blob": b"x"}}, "extra_body.blob=b'x': ", id="bytes"),
        pytest.param({"extra_body": {"at": datetime(2026, 1, 1)}}, "extra_body.at=datetime", id="datetime"),
        pytest.param({"extra_body": {5: 1}}, "extra_body has the key 5: a text", id="number-as-key"),
        pytest.param({"extra_body": {"a": [{("b",): 1}]}}, "extra_body.a[0] has the key ('b',): ", id="tuple-as-key"),
        pytest.param({"extra_body": {"\ud800": 1}}, "extra_body has the key '\\ud800': ", id="half-a-key"),
        pytest.param({"end_image": nest(60)}, "end_image is nested deeper than 50", id="deep-image"),
        pytest.param({"extra_body": nest(5000)}, "extra_body is nested deeper than 50", id="deep"),
        pytest.param({"extra_body": endless()}, "extra_body is nested deeper than 50", id="endless"),
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


KEY = "mhk_live_a1b2c3d4e5"
NAMES = {"assets.image_file_path": "image", "style.prompt": "prompt", "assets.face_mappings": "faces"}
ENCODED = "".join(f"%{ord(letter):02x}" for letter in KEY)


@pytest.mark.parametrize(
    "text", [KEY, f"a {KEY} b", ENCODED, f"x?k={ENCODED}", ENCODED.replace("%", "%25"), f"mh%6b{KEY[3:]}"]
)
@pytest.mark.parametrize(
    ("field", "request_with"),
    [
        ("image", lambda text: {"assets": {"image_file_path": text}}),
        ("prompt", lambda text: {"style": {"prompt": text}}),
        ("name", lambda text: {"name": text}),
        ("references[0].url[1]", lambda text: {"references": [{"url": ["a", text]}]}),
        ("assets.video_file_path", lambda text: {"assets": {"video_file_path": text}}),
        ("faces[1].new_face", lambda text: {"assets": {"face_mappings": [{}, {"new_face": text}]}}),
        ("The name of a field", lambda text: {"options": {text: 1}}),
    ],
    ids=["image", "prompt", "name", "deep", "no-argument", "within-an-argument", "key-of-a-dict"],
)
def test_a_request_that_holds_the_api_key_is_refused_without_showing_it(text, field, request_with):
    with pytest.raises(MagicHourInvalidRequestError) as caught:
        refuse_key(request_with(text), KEY, NAMES)
    shown = str(caught.value)
    assert shown.startswith(field)
    assert KEY not in shown
    assert ENCODED not in shown


@pytest.mark.parametrize("text", [KEY[:-1], KEY.upper(), "mhk_", "100 % of it", "%zz"])
def test_other_texts_are_no_key(text):
    refuse_key({"style": {"prompt": text}, "seed": 5, "end": None}, KEY)


def test_a_short_key_is_looked_for_as_a_whole_text_alone():
    refuse_key({"name": "a key lime"}, "key")
    with pytest.raises(MagicHourInvalidRequestError, match="name contains"):
        refuse_key({"name": "key"}, "key")
