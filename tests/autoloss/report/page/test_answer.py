"""Differences with intervals: what a run says of its best loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from autoloss.report.page.answer import Difference, paired


def test_the_interval_is_students_over_paired_seeds() -> None:
    mine, other = {1: 0.62, 2: 0.64, 3: 0.66, 9: 0.1}, {1: 0.61, 2: 0.60, 3: 0.64}
    gaps = [0.01, 0.04, 0.02]
    expected = stats.t.interval(0.95, 2, loc=sum(gaps) / 3, scale=stats.sem(gaps))
    mean, low, high = paired(mine, other)
    assert (mean, low, high) == pytest.approx((sum(gaps) / 3, *expected))


def test_one_seed_has_no_interval() -> None:
    assert paired({1: 0.5}, {1: 0.25}) == (0.25, None, None)


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 1), min_size=2))
def test_a_loss_does_not_differ_from_itself(scores: dict[int, float]) -> None:
    assert paired(scores, scores) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.01, 0.02, "better, beyond the noise"),
        (-0.02, -0.01, "worse, beyond the noise"),
        (-0.01, 0.02, "within the noise"),
        (None, None, "one seed: no interval"),
    ],
)
def test_the_verdict_is_what_the_interval_says(low: float | None, high: float | None, says: str) -> None:
    assert Difference(finalist=1, control="own", difference=0.0, low=low, high=high).verdict == says
