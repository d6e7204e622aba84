from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.text.markup import MOST, digest, docstring, markdown, plain, slug

ANY = st.text(st.characters(), max_size=300)  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("full", "full"),
        ("", ""),
        (" two\nlines\u2028and\ttabs ", "two lines and tabs"),
        ("\x1b[31mred\x00", r"\x1b[31mred\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("Größe 大きい", "Größe 大きい"),
        ("x" * 10_000, "x" * (MOST - 1) + "…"),
    ],
)
def test_a_name_is_shown_as_one_short_line(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(ANY)
def test_what_is_shown_can_be_seen_and_stored(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) <= MOST
    shown.encode()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("mAP 0.5 ± 0.1, e.g.", "mAP 0.5 ± 0.1, e.g."),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a|b", r"a\|b"),
        ("[x](javascript:1)", r"\[x\](javascript:1)"),
        ("`*_#", r"\`\*\_\#"),
        ("\\|", r"\\\|"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, escaped: str) -> None:
    assert markdown(text) == escaped


@given(ANY.filter(lambda text: text.isprintable()))
def test_a_docstring_holds_the_text(text: str) -> None:
    read = ast.literal_eval(f'"""{docstring(text)}"""')
    assert read == text.replace("{{", "{ {")


@given(ANY)
def test_a_slug_is_a_harmless_part_of_a_file_name(text: str) -> None:
    found = slug(text)
    assert 0 < len(found.encode()) <= 60
    assert found.isascii()
    assert not set(found) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert found[0] not in ".-"


def test_digests_are_short_and_differ() -> None:
    assert digest("a") == "ca978112"
    assert digest("\ud800") != digest("a")
