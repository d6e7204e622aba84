"""Printable: what a text of a person may do to the place where it lands."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.text.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("traffic light", "traffic light"),
        ("", ""),
        ("a\nb\tc\0", r"a\nb\tc\x00"),
        ("\x1b[31mred\x9b", r"\x1b[31mred\x9b"),
        ("abc\u202edef\u2066\u200f", r"abc\u202edef\u2066\u200f"),
        ("a\u2028b\u2029\ufeff", r"a\u2028b\u2029\ufeff"),
        ("\ud800", r"\ud800"),
        ("Straße 猫 كلب שלום", "Straße 猫 كلب שלום"),
        ("می\u200cخندد \U0001f469\u200d\U0001f680", "می\u200cخندد \U0001f469\u200d\U0001f680"),
        (r"C:\data\new", r"C:\data\new"),
        (7, "7"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_by_its_escape(text, shown):
    assert printable(text) == shown


def test_long_text_loses_its_middle_and_says_its_length():
    shown = printable("begin" + "x" * 20_000 + "end", limit=60)
    assert len(shown) == 60
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert "20,008 characters" in shown
    assert printable("x" * 500, limit=None) == "x" * 500


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_one_line_that_can_be_encoded_and_stays_so(text):
    shown = printable(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert printable(shown, limit=None) == shown


@given(st.text(st.characters(exclude_categories=()), max_size=300), st.integers(40, 80))
def test_no_text_is_longer_than_the_limit_and_its_escapes(text, limit):
    assert len(printable(text, limit)) <= len("\\U00010000") * limit
