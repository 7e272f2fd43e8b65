"""What others send is read liberally, and can be logged, stored and sent on afterwards."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_magichour.api.texts import loads


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(rb'{"a": "\ud83d"}', {"a": "�"}, id="first-half-of-an-emoji"),
        pytest.param(rb'{"a": "\uDE00"}', {"a": "�"}, id="second-half"),
        pytest.param(rb'{"a": "\ude00\ud83d"}', {"a": "��"}, id="halves-the-wrong-way-round"),
        pytest.param(rb'{"a": "\ud83d\ud83d\ude00"}', {"a": "�\U0001f600"}, id="half-before-a-whole"),
        pytest.param(rb'{"\ud83d": 1}', {"�": 1}, id="half-in-a-key"),
        pytest.param(rb'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}, id="whole-emoji"),
        pytest.param(rb'{"a": "\\ud83d \\u0000"}', {"a": r"\ud83d \u0000"}, id="escaped-backslash"),
        pytest.param(b'{"a": "\xed\xa0\xbd"}', {"a": "���"}, id="half-in-bytes"),
        pytest.param(b'{"a": "caf\xe9"}', {"a": "caf�"}, id="one-bad-byte"),
        pytest.param(b'{"a": "\x01\t\n"}', {"a": "\x01\t\n"}, id="control-characters"),
        pytest.param(b'{"a": "\0"}', {"a": "�"}, id="nul"),
        pytest.param(rb'{"a": "\u0000"}', {"a": "�"}, id="nul-escaped"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', {"a": 1}, id="byte-order-mark"),
        pytest.param('{"a": "é"}'.encode("utf-16"), {"a": "é"}, id="utf-16"),
        pytest.param(b'{"a": 1, "a": 2}', {"a": 2}, id="repeated-key"),
        pytest.param(b'{"a": -Infinity, "b": 1e999}', {"a": -float("inf"), "b": float("inf")}, id="infinite"),
        pytest.param(b'{"a": ' + b"9" * 100_000 + b', "b": 1}', {"a": float("inf"), "b": 1}, id="huge-number"),
    ],
)
def test_an_odd_text_is_read(body, value):
    assert loads(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"<html>", b'{"a": "half', b"[" * 100_000, b'{"a":' * 100_000, b"[" * 10**6 + b"]" * 10**6,
        rb'{"a": "\ud8"}',
    ],
    ids=["empty", "bytes", "html", "half", "deep-lists", "deep-objects", "deep-and-whole", "half-an-escape"],
)  # fmt: skip
def test_what_cannot_be_read_is_a_value_error(body):
    with pytest.raises(ValueError):  # noqa: PT011 -- any of that kind
        loads(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda each: st.lists(each) | st.dictionaries(st.text(st.characters(codec=None)), each),
)


@settings(deadline=None)
@given(VALUES)
def test_what_was_read_can_be_logged_stored_and_sent_on(value):
    read = loads(json.dumps(value).encode())
    text = json.dumps(read, ensure_ascii=False)
    assert "\0" not in text
    assert text.encode()


@settings(deadline=None)
@given(st.binary() | st.text('[]{}",:\\ud8320eE.-\0é').map(str.encode))
def test_no_body_raises_anything_but_a_value_error(body):
    with contextlib.suppress(ValueError):
        loads(body)
