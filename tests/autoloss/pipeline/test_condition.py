from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.pipeline.condition import read
from primitives.errors import InputError

FIGURES = {"headroom": {"spread": 0.3, "noise": 0.03, "best": None}, "search_bbox": {"gain": -0.01}}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("headroom.spread > 2 * headroom.noise", True),
        ("search_bbox.gain >= 0", False),
        ("-search_bbox.gain * 100 == 1", True),
        ("2 - 1 - 1 == 0", True),
        ("8 / 2 / 2 == 2", True),
        ("1 + 2 * 3 == 7 and (1 + 2) * 3 == 9", True),
        ("1 > 2 and 1 > 0 or 2 > 1", True),
        ("1 > 2 and (1 > 0 or 2 > 1)", False),
        ("not 1 > 2 and not 2 < 1", True),
        ("1e-3 < .5 and 1.5E+2 != 1", True),
    ],
)
def test_a_condition_is_computed_as_it_is_read(text: str, holds: bool) -> None:
    assert read(text).holds(FIGURES) is holds


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6), st.data())
def test_arithmetic_is_that_of_python(numbers: list[int], data: st.DataObject) -> None:
    signs = data.draw(st.lists(st.sampled_from("+-*"), min_size=len(numbers) - 1, max_size=len(numbers) - 1))
    text = "".join(f"{sign}{number}" for sign, number in zip(["", *signs], numbers, strict=True))
    terms, how = [[numbers[0]]], {"*": operator.mul}
    for sign, number in zip(signs, numbers[1:], strict=True):
        if sign in how:
            terms[-1][0] *= number
        else:
            terms.append([number if sign == "+" else -number])
    assert read(f"{text} == {sum(term[0] for term in terms)}").holds({})


def test_it_says_which_figures_it_reads_and_what_they_were() -> None:
    found = read(" headroom.spread > 2 * headroom.noise ")
    assert found.names == (("headroom", "spread"), ("headroom", "noise"))
    assert found.told(FIGURES) == "headroom.spread > 2 * headroom.noise (headroom.spread 0.3, headroom.noise 0.03)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a number or step.figure, got the end at column 1"),
        ("1 +", "got the end at column 4"),
        ("noise > 1", "expected a number or step.figure, got 'noise' at column 1"),
        ("(1 > 2", "a bracket is not closed at column 1"),
        ("1 > 2 > 3", "expected a number, got a comparison at column 1"),
        ("headroom.spread", "expected a comparison, got a number at column 1"),
        ("not 3", "expected a comparison, got a number at column 5"),
        ("2 > 1 and 3", "expected a comparison, got a number at column 11"),
        ("a.b.c > 1", "cannot read '.' at column 4"),
        ("__import__('os')", "got '__import__' at column 1"),
        ("a.b > 1 ; 2", "cannot read ';' at column 9"),
        ("-" * 40 + "1 > 0", "more than 30 brackets and signs within each other"),
        ("1 > 0 or " * 100 + "1 > 0", "a condition has 500 characters at most, got 905"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_column(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("headroom.noise > 1 and headroom.spread / 0 > 2", False),
        ("headroom.noise < 1 or headroom.best > 2", True),
        ("(headroom.noise > 1 and headroom.best > 2) or 1 > 0", True),
    ],
)
def test_what_the_first_part_decides_is_not_asked_of_the_second(text: str, holds: bool) -> None:
    assert read(text).holds(FIGURES) is holds
    assert ("headroom.best not known" in read(text).told(FIGURES)) is ("best" in text)


def test_what_cannot_be_computed_is_a_line() -> None:
    with pytest.raises(InputError, match="headroom.best is not known here"):
        read("headroom.best > 1").holds(FIGURES)
    with pytest.raises(InputError, match="divides 1 by 0"):
        read("1 / (1 - 1) > 2").holds(FIGURES)
