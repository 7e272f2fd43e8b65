"""What the table of AI models refuses and what it costs, against literals copied from the vendor's pages."""

from __future__ import annotations

import pytest

from airflow_provider_magichour.api.capabilities import CAPABILITIES, estimate, refusal

RESOLUTIONS = ("360p", "480p", "720p", "1080p", "4k")
HD = ("480p", "720p", "1080p")
VEO = (4, 6, 8, 16, 24, 32, 40, 48, 56)


def seconds(first, last, *more):
    return (*range(first, last + 1), *more)


# model, seconds, resolutions, audio, resolutions that take an end image, longest clip that takes one.
CURRENT = [
    ("gemini-omni-1.1", seconds(3, 10), ("360p", "720p", "1080p", "4k"), "no", ("360p", "720p", "1080p", "4k"), 60),
    ("kling-2.6", (5, 10), ("720p", "1080p"), "no", ("1080p",), 60),
    ("kling-3.0", seconds(3, 15), ("720p", "1080p", "4k"), "extra", ("720p", "1080p", "4k"), 60),
    ("ltx-2.5", seconds(1, 60), HD, "free", HD, 60),
    ("minimax-h3", seconds(1, 30), HD, "free", HD, 60),
    ("seedance-1.5", seconds(4, 12), HD, "extra", HD, 60),
    ("seedance-2.0", seconds(4, 15), (*HD, "4k"), "free", (*HD, "4k"), 60),
    ("seedance-2.0-fast", seconds(4, 15), ("480p", "720p"), "free", ("480p", "720p"), 60),
    ("seedance-2.0-mini", seconds(4, 15), ("480p", "720p"), "free", ("480p", "720p"), 60),
    ("seedance-2.5", seconds(4, 30), HD, "free", HD, 60),
    ("veo3.1", VEO, ("720p", "1080p"), "extra", ("720p", "1080p"), 8),
    ("veo3.1-lite", VEO, ("720p", "1080p"), "extra", ("720p", "1080p"), 8),
    ("wan-2.2", seconds(3, 10, 15), HD, "no", (), 60),
    ("wan-3.0", seconds(2, 10, 15, 20, 25, 30), HD, "free", HD, 60),
]
LEGACY = [
    ("ltx-2", seconds(3, 10, 15, 20, 25, 30), HD, "always", (), 60),
    ("ltx-2.3", seconds(1, 10, 15, 20, 25, 30), HD, "free", HD, 60),
    ("seedance", seconds(2, 12), HD, "no", (), 60),
    ("kling-2.5", (5, 10), ("720p", "1080p"), "always", (), 60),
    ("kling-2.5-audio", (5, 10), ("720p", "1080p"), "always", (), 60),
    ("sora-2", (4, 8, 12, 24, 36, 48, 60), ("720p",), "free", (), 60),
    ("kling-1.6", (5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60), ("720p", "1080p"), "no", (), 60),
    ("veo3.1-audio", VEO, ("720p", "1080p"), "always", ("720p", "1080p"), 8),
]
ROWS = [pytest.param(*row, id=row[0]) for row in [*CURRENT, *LEGACY]]
ROW = ("model", "lengths", "resolutions", "audio", "end_image", "end_image_up_to")


def refused(model, **wanted):
    return refusal(model, **{"end_seconds": 5, "resolution": None, "audio": None, "end_image": False} | wanted)


def test_the_table_holds_the_documented_models_and_no_other():
    assert set(CAPABILITIES) == {row[0] for row in [*CURRENT, *LEGACY]}


def test_only_the_undocumented_models_are_legacy():
    assert {name for name, row in CAPABILITIES.items() if row.legacy} == {row[0] for row in LEGACY}


@pytest.mark.parametrize(ROW, ROWS)
def test_exactly_the_documented_durations_pass(model, lengths, resolutions, audio, end_image, end_image_up_to):
    assert tuple(n for n in range(62) if refused(model, end_seconds=n) is None) == lengths


@pytest.mark.parametrize(ROW, ROWS)
def test_a_fraction_of_a_second_is_refused(model, lengths, resolutions, audio, end_image, end_image_up_to):
    assert refused(model, end_seconds=lengths[0] + 0.5)


@pytest.mark.parametrize(ROW, ROWS)
def test_exactly_the_documented_resolutions_pass(model, lengths, resolutions, audio, end_image, end_image_up_to):
    passed = tuple(size for size in RESOLUTIONS if refused(model, end_seconds=lengths[0], resolution=size) is None)
    assert passed == resolutions


@pytest.mark.parametrize(ROW, ROWS)
def test_audio_passes_where_documented(model, lengths, resolutions, audio, end_image, end_image_up_to):
    passed = {wish for wish in (True, False, None) if refused(model, end_seconds=lengths[0], audio=wish) is None}
    assert passed == {"no": {False, None}, "always": {True, None}}.get(audio, {True, False, None})


@pytest.mark.parametrize(ROW, ROWS)
def test_an_end_image_passes_where_documented(model, lengths, resolutions, audio, end_image, end_image_up_to):
    passed = tuple(
        size for size in RESOLUTIONS if refused(model, end_seconds=lengths[0], resolution=size, end_image=True) is None
    )
    assert passed == end_image


@pytest.mark.parametrize(ROW, [row for row in ROWS if row.values[4]])
def test_an_end_image_passes_up_to_the_documented_length(
    model, lengths, resolutions, audio, end_image, end_image_up_to
):
    passed = tuple(
        n for n in range(62) if refused(model, end_seconds=n, resolution=end_image[0], end_image=True) is None
    )
    assert passed == tuple(n for n in lengths if n <= end_image_up_to)


@pytest.mark.parametrize("model", [None, "", "default", "kling-9", "Kling-3.0"])
def test_a_model_that_the_table_does_not_know_is_left_to_the_api(model):
    assert refused(model, end_seconds=999, resolution="8k", audio=True, end_image=True) is None


@pytest.mark.parametrize(
    ("model", "wanted", "message"),
    [
        pytest.param("kling-2.6", {"end_seconds": 7}, "end_seconds=7: kling-2.6 makes clips of 5, 10 ", id="two"),
        pytest.param(
            "wan-3.0",
            {"end_seconds": 12},
            "end_seconds=12: wan-3.0 makes clips of 2-10, 15, 20, 25, 30 ",
            id="range-and-more",
        ),
        pytest.param(
            "kling-3.0", {"end_seconds": 5.0000001}, "end_seconds=5.0000001: kling-3.0 makes clips of 3-15 ", id="hair"
        ),
        pytest.param(
            "kling-3.0",
            {"resolution": "480p"},
            "resolution='480p': kling-3.0 renders 720p, 1080p, 4k",
            id="resolution",
        ),
        pytest.param("wan-2.2", {"audio": True}, "audio=True: wan-2.2 makes no audio", id="audio"),
        pytest.param("ltx-2", {"audio": False}, "audio=False: ltx-2 always makes audio", id="no-audio"),
        pytest.param("wan-2.2", {"end_image": True}, "end_image: wan-2.2 takes no end image", id="end-image"),
        pytest.param(
            "kling-2.6",
            {"end_image": True, "resolution": "720p"},
            "end_image with resolution='720p': kling-2.6 takes one at 1080p",
            id="end-image-resolution",
        ),
        pytest.param(
            "veo3.1",
            {"end_image": True, "end_seconds": 16},
            "end_image with end_seconds=16: veo3.1 takes one up to 8 seconds",
            id="end-image-length",
        ),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_is_allowed(model, wanted, message):
    assert refused(model, **wanted).startswith(message)


def test_a_refusal_of_audio_names_only_current_models_that_can_turn_it_on():
    text = refused("wan-2.2", audio=True)
    named = {name for name in CAPABILITIES if f" {name}," in f"{text.replace('use ', 'use , ')},"}
    assert named - {"wan-2.2"} == {row[0] for row in CURRENT if row[3] in ("free", "extra")}


@pytest.mark.parametrize(
    ("model", "resolution", "silent", "loud"),
    [
        pytest.param(*row, id=f"{row[0]}-{row[1]}")
        for row in [
            ("ltx-2.3", "480p", 24, 24),
            ("ltx-2.3", "720p", 48, 48),
            ("ltx-2.3", "1080p", 72, 72),
            ("minimax-h3", "480p", 24, 24),
            ("minimax-h3", "720p", 48, 48),
            ("minimax-h3", "1080p", 72, 72),
            ("wan-2.2", "480p", 24, 24),
            ("wan-2.2", "720p", 48, 48),
            ("wan-2.2", "1080p", 72, 72),
            ("kling-2.6", "720p", 36, 36),
            ("kling-2.6", "1080p", 72, 72),
            ("kling-3.0", "720p", 48, 72),
            ("kling-3.0", "1080p", 72, 96),
            ("kling-3.0", "4k", 240, 288),
            ("veo3.1-lite", "720p", 48, 72),
            ("veo3.1-lite", "1080p", 72, 96),
            ("veo3.1", "720p", 96, 120),
            ("veo3.1", "1080p", 120, 144),
            ("veo3.1-audio", "720p", 120, 120),
            ("veo3.1-audio", "1080p", 144, 144),
            ("seedance-1.5", "480p", 30, 60),
            ("seedance-1.5", "720p", 60, 120),
            ("seedance-1.5", "1080p", 90, 180),
            ("seedance-2.0-mini", "480p", 96, 96),
            ("seedance-2.0-mini", "720p", 192, 192),
            ("seedance-2.0", "480p", 144, 144),
            ("seedance-2.0", "720p", 288, 288),
            ("seedance-2.5", "480p", 288, 288),
            ("seedance-2.5", "720p", 576, 576),
            ("sora-2", "720p", 120, 120),
        ]
    ],
)
def test_a_clip_costs_its_seconds_times_the_published_price(model, resolution, silent, loud):
    def cost(audio):
        return estimate(model, end_seconds=8, resolution=resolution, audio=audio).credits

    assert (cost(False), cost(None), cost(True)) == (8 * silent, 8 * silent, 8 * loud)


@pytest.mark.parametrize(
    ("audio", "expected"), [pytest.param(False, 240, id="silent"), pytest.param(True, 360, id="audio")]
)
def test_five_seconds_of_kling_cost_what_the_models_page_says(audio, expected):
    assert estimate("kling-3.0", end_seconds=5, resolution="720p", audio=audio).credits == expected


def test_thirty_seconds_of_seedance_cost_more_than_a_months_plan():
    assert estimate("seedance-2.5", end_seconds=30, resolution="720p", audio=None).credits == 17_280


def test_an_estimate_says_how_it_was_computed():
    assert estimate("kling-3.0", end_seconds=5, resolution=None, audio=None).how == (
        "5 s of kling-3.0 at 720p, 48 credits a second; prices of August 2026"
    )
    assert "48 credits a second and 24 for audio" in (
        estimate("kling-3.0", end_seconds=5, resolution="720p", audio=True).how
    )


def test_without_a_resolution_the_price_is_that_of_720p():
    assert estimate("kling-3.0", end_seconds=5, resolution=None, audio=False).credits == 240


@pytest.mark.parametrize(
    ("model", "resolution"),
    [
        pytest.param("ltx-2.5", "720p", id="price-not-published"),
        pytest.param("gemini-omni-1.1", "4k", id="price-not-published-4k"),
        pytest.param("wan-3.0", "720p", id="price-not-published-wan"),
        pytest.param("seedance-2.0-fast", "480p", id="price-not-published-fast"),
        pytest.param("seedance-2.0", "1080p", id="resolution-without-price"),
        pytest.param("seedance-2.5", "1080p", id="newer-resolution-without-price"),
        pytest.param("kling-3.0", "480p", id="resolution-not-rendered"),
        pytest.param("default", "720p", id="default"),
        pytest.param(None, None, id="no-model"),
        pytest.param("kling-9", "720p", id="unknown-model"),
    ],
)
def test_an_unknown_price_is_none(model, resolution):
    assert estimate(model, end_seconds=5, resolution=resolution, audio=True) is None


def test_an_end_image_without_a_resolution_is_judged_at_the_default_one():
    text = refusal("kling-2.6", end_seconds=5, resolution=None, audio=None, end_image=True)
    assert "1080p" in (text or "")
