"""Which failure may be repeated, and after how long."""

from __future__ import annotations

import pytest

from airflow_provider_magichour.api.answers import Failure
from airflow_provider_magichour.api.repeats import CREATE_PATIENCE, Attempts, repeat_delay


def delay(failure, *, attempt=1, waited=0.0, patience=60.0, creates=False, chance=0.5, gateway_failures=0):
    create = Attempts(gateway_failures) if creates else None
    return repeat_delay(failure, attempt=attempt, waited=waited, patience=patience, create=create, chance=chance)


def status(code, **more):
    return Failure(f"HTTP {code}", status=code, **more)


NEVER_SENT = pytest.param(Failure("no connection", sent=False), id="never-connected")
LOST = [
    pytest.param(Failure("no answer within 30 s"), id="read-timeout"),
    pytest.param(Failure("the connection was lost"), id="cut"),
    pytest.param(status(200), id="unreadable-200"),
    pytest.param(status(204), id="empty-204"),
    *(pytest.param(status(code), id=str(code)) for code in (101, 408, 500, 501, 504, 507, 520, 524)),
]
REDIRECTS = [pytest.param(status(code), id=str(code)) for code in (300, 301, 302, 303, 304, 307, 308)]


MADE_NOTHING = [NEVER_SENT, *(pytest.param(status(code), id=str(code)) for code in (429,))]
GATEWAY = [pytest.param(status(code), id=str(code)) for code in (502, 503)]
REFUSALS = [
    pytest.param(status(code), id=str(code))
    for code in (400, 401, 402, 403, 404, 405, 407, 409, 410, 413, 415, 418, 422, 425, 451, 499)
]


@pytest.mark.parametrize("failure", MADE_NOTHING)
def test_a_create_is_repeated_where_nothing_was_made(failure):
    assert delay(failure, creates=True) == 1.0


@pytest.mark.parametrize("failure", LOST)
def test_a_create_is_never_repeated_where_something_may_have_been_made(failure):
    assert delay(failure, creates=True) is None


@pytest.mark.parametrize("failure", LOST)
def test_a_create_with_a_lost_answer_is_not_repeated_even_if_asked_to(failure):
    assert delay(Failure(failure.reason, status=failure.status, retry_after=1.0), creates=True) is None


@pytest.mark.parametrize("failure", [*MADE_NOTHING, *GATEWAY, *LOST])
def test_other_calls_are_repeated_whatever_was_lost(failure):
    assert delay(failure) == 1.0


@pytest.mark.parametrize("creates", [True, False])
@pytest.mark.parametrize("failure", [*REFUSALS, *REDIRECTS])
def test_a_refusal_is_never_repeated(failure, creates):
    assert delay(failure, creates=creates) is None


@pytest.mark.parametrize("failure", [*MADE_NOTHING, *REFUSALS])
def test_it_is_sure_that_nothing_was_made(failure):
    assert failure.made_nothing


@pytest.mark.parametrize("failure", GATEWAY)
@pytest.mark.parametrize(("chance", "expected"), [(0.0, 30), (0.5, 45), (1.0, 60)])
def test_one_more_create_may_follow_a_gateways_answer_after_half_a_minute_to_a_minute(failure, chance, expected):
    assert delay(failure, creates=True, gateway_failures=1, chance=chance) == expected


@pytest.mark.parametrize("failure", GATEWAY)
def test_no_create_follows_a_gateways_second_answer(failure):
    assert delay(failure, creates=True, gateway_failures=2) is None


def test_a_gateway_that_asks_for_more_time_gets_it():
    failure = status(503, retry_after=90.0)
    assert delay(failure, creates=True, gateway_failures=1, patience=120) == 90
    assert delay(failure, creates=True, gateway_failures=1, patience=60) is None


@pytest.mark.parametrize("failure", [*GATEWAY, *LOST, *REDIRECTS])
def test_it_is_not_sure_that_nothing_was_made(failure):
    assert not failure.made_nothing


@pytest.mark.parametrize(("attempt", "expected"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 16), (60, 16)])
def test_the_delay_doubles_up_to_16_seconds(attempt, expected):
    assert delay(status(503), attempt=attempt) == expected


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 6.0), (0.5, 8.0), (1.0, 10.0)])
def test_the_delay_is_spread_by_a_quarter_each_way(chance, expected):
    assert delay(status(503), attempt=4, chance=chance) == expected


@pytest.mark.parametrize(
    ("waited", "expected"),
    [
        pytest.param(0.0, 8.0, id="fresh"),
        pytest.param(52.0, 8.0, id="just-fits"),
        pytest.param(52.1, None, id="just-not"),
        pytest.param(60.0, None, id="used-up"),
        pytest.param(90.0, None, id="overdrawn"),
    ],
)
def test_no_repeat_begins_after_the_patience(waited, expected):
    assert delay(status(503), attempt=4, waited=waited, patience=60.0) == expected


def test_without_patience_there_is_one_attempt():
    assert delay(status(503), patience=0.0) is None


def test_a_create_has_two_minutes():
    assert CREATE_PATIENCE == 120


@pytest.mark.parametrize("creates", [True, False])
@pytest.mark.parametrize("attempt", [1, 5])
def test_what_the_api_asks_for_wins_over_the_own_delay(attempt, creates):
    assert delay(status(429, retry_after=7.0), attempt=attempt, creates=creates) == 7.0


def test_asked_for_no_delay_it_does_not_hammer():
    assert delay(status(429, retry_after=0.0)) == 0.25


@pytest.mark.parametrize(
    ("asked", "expected"),
    [pytest.param(60.0, 60.0, id="fits"), pytest.param(60.5, None, id="longer"), pytest.param(1e9, None, id="years")],
)
def test_asked_to_wait_longer_than_the_patience_it_gives_up(asked, expected):
    assert delay(status(429, retry_after=asked), patience=60.0) == expected
