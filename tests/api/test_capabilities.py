"""What the table of AI models refuses, and what it says a clip costs: the rules on made-up models, then the table."""

from __future__ import annotations

import pytest

from airflow_provider_magichour.api import capabilities
from airflow_provider_magichour.api.capabilities import CAPABILITIES, Capability, estimate, refusal

MADE_UP = {
    "silent": Capability((3, 4, 5, 8), ("720p", "1080p"), "no", credits={"720p": 10, "1080p": 20}),
    "free": Capability((5, 10), ("480p", "720p"), "free", ("480p", "720p"), credits={"480p": 7, "720p": 9}),
    "extra": Capability(
        tuple(range(4, 57, 4)),
        ("720p", "1080p"),
        "extra",
        ("1080p",),
        8,
        credits={"720p": 48, "1080p": 72},
        audio_credits={"720p": 24},
    ),
    "loud": Capability((5,), ("720p",), "always", ("720p",), credits={"720p": 30}),
    "unpriced": Capability((5,), ("720p",), "free", legacy=True),
}


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(capabilities, "CAPABILITIES", MADE_UP)


def refused(model, **wanted):
    return refusal(model, **{"end_seconds": 5, "resolution": None, "audio": None, "end_image": False} | wanted)


# The rules


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("model", "wanted", "message"),
    [
        pytest.param("free", {"end_seconds": 7}, "end_seconds=7: free makes clips of 5, 10 seconds", id="length"),
        pytest.param(
            "silent", {"end_seconds": 6}, "end_seconds=6: silent makes clips of 3-5, 8 seconds", id="range-and-more"
        ),
        pytest.param(
            "silent", {"end_seconds": 5.0000001}, "end_seconds=5.0000001: silent makes clips of 3-5, 8", id="hair"
        ),
        pytest.param(
            "silent", {"resolution": "480p"}, "resolution='480p': silent renders 720p, 1080p", id="resolution"
        ),
        pytest.param("silent", {"audio": True}, "audio=True: silent makes no audio; leave audio out, or", id="audio"),
        pytest.param("loud", {"audio": False}, "audio=False: loud always makes audio", id="no-audio"),
        pytest.param("silent", {"end_image": True}, "end_image: silent takes no end image", id="end-image"),
        pytest.param(
            "extra",
            {"end_image": True, "resolution": "720p", "end_seconds": 4},
            "end_image with resolution='720p': extra takes one at 1080p",
            id="end-image-resolution",
        ),
        pytest.param(
            "extra",
            {"end_image": True, "end_seconds": 4},
            "end_image with resolution=None: extra takes one at 1080p",
            id="end-image-at-the-default-resolution",
        ),
        pytest.param(
            "extra",
            {"end_image": True, "resolution": "1080p", "end_seconds": 12},
            "end_image with end_seconds=12: extra takes one up to 8 seconds",
            id="end-image-length",
        ),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_is_allowed(model, wanted, message):
    assert refused(model, **wanted).startswith(message)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("silent", {"end_seconds": 3, "resolution": "1080p", "audio": False}),
        ("free", {"end_seconds": 10.0, "audio": True, "end_image": True}),
        ("free", {"resolution": "480p", "audio": False, "end_image": True}),
        ("extra", {"end_seconds": 56, "resolution": "720p", "audio": True}),
        ("extra", {"end_seconds": 8, "resolution": "1080p", "end_image": True}),
        ("loud", {"audio": True, "end_image": True}),
        ("loud", {}),
    ],
)
def test_what_a_model_can_do_passes(model, wanted):
    assert refused(model, **wanted) is None


@pytest.mark.parametrize("model", [None, "", "default", "kling-9", "Kling-3.0"])
def test_a_model_that_the_table_does_not_know_is_left_to_the_api(model):
    assert refused(model, end_seconds=999, resolution="8k", audio=True, end_image=True) is None


@pytest.mark.usefixtures("made_up")
def test_a_refusal_of_audio_names_only_current_models_that_can_turn_it_on():
    assert refused("silent", audio=True).endswith("or use free, extra")


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("model", "seconds", "resolution", "silent", "loud"),
    [
        ("silent", 8, "1080p", 160, 160),
        ("free", 10, "480p", 70, 70),
        ("extra", 8, "720p", 384, 576),
        ("extra", 8, "1080p", 576, 576),  # a resolution whose audio has no price of its own
        ("loud", 5, "720p", 150, 150),
        ("silent", 3, None, 30, 30),  # 720p: the API's default on paid plans
    ],
)
def test_a_clip_costs_its_seconds_times_the_price(model, seconds, resolution, silent, loud):
    def cost(audio):
        return estimate(model, end_seconds=seconds, resolution=resolution, audio=audio).credits

    assert (cost(False), cost(None), cost(True)) == (silent, silent, loud)


@pytest.mark.usefixtures("made_up")
def test_an_estimate_says_how_it_was_computed():
    assert estimate("extra", end_seconds=4, resolution=None, audio=None).how.startswith(
        "4 s of extra at 720p, 48 credits a second; prices of "
    )
    assert "48 credits a second and 24 for audio" in estimate("extra", end_seconds=4, resolution=None, audio=True).how


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("model", "resolution"),
    [("unpriced", "720p"), ("silent", "480p"), ("default", "720p"), (None, None), ("kling-9", "720p")],
)
def test_an_unknown_price_is_none(model, resolution):
    assert estimate(model, end_seconds=5, resolution=resolution, audio=True) is None


# The table. What it says of each model is held against the vendor's specification: tests/sandbox/test_openapi.py


@pytest.mark.parametrize(
    ("model", "wanted", "cost"),
    [
        pytest.param("kling-3.0", {"end_seconds": 5, "resolution": "720p", "audio": False}, 240, id="silent"),
        pytest.param("kling-3.0", {"end_seconds": 5, "resolution": "720p", "audio": True}, 360, id="audio"),
        pytest.param("seedance-2.5", {"end_seconds": 30, "resolution": "720p", "audio": None}, 17_280, id="a-plan"),
    ],
)
def test_a_clip_costs_what_the_models_page_says(model, wanted, cost):
    assert estimate(model, **wanted).credits == cost


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in CAPABILITIES.items()])
def test_a_row_does_not_contradict_itself(row):
    sizes = ["360p", "480p", "720p", "1080p", "4k"]
    assert row.seconds == tuple(sorted({second for second in row.seconds if 1 <= second <= 60}))
    assert row.resolutions == tuple(size for size in sizes if size in row.resolutions)
    assert set(row.end_image) <= set(row.resolutions)
    assert row.end_image_seconds is None or (row.end_image and row.end_image_seconds in row.seconds)
    assert set(row.audio_credits) <= set(row.credits) <= set(row.resolutions)
    assert set(row.audio_credits) == (set(row.credits) if row.audio == "extra" else set())
    assert list(row.credits.values()) == sorted(row.credits.values())


@pytest.mark.parametrize("name", [name for name in CAPABILITIES if name.endswith("-audio")])
def test_a_name_that_ends_in_audio_is_the_model_without_it_and_with_audio(name):
    row, silent = CAPABILITIES[name], CAPABILITIES[name.removesuffix("-audio")]
    assert (row.audio, row.seconds, row.resolutions) == ("always", silent.seconds, silent.resolutions)
    for size in row.credits:
        assert row.credits[size] == silent.credits[size] + silent.audio_credits[size]
