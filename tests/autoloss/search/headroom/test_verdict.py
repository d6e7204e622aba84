from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from autoloss.search.headroom.verdict import Headroom, Scored, judged, smallest_difference
from primitives.errors import InputError


def scored(number: int, kind: str, scores: Sequence[float], trains: bool = True) -> Scored:
    mean, deviation = statistics.fmean(scores), statistics.stdev(scores)
    return Scored(number, f"{kind} {number}", kind, tuple(scores), mean, deviation, trains)


def judge(own: float, known: Sequence[float], tuned: Sequence[float] = (), noise: float = 0.01, n: int = 3) -> Headroom:
    """Losses with these means, each with the same scatter: noise times -1, 0, 1."""
    steps = noise * np.linspace(-1, 1, n)
    rows = [("own", own), *(("known", mean) for mean in known), *(("control", mean) for mean in tuned)]
    return judged(
        [scored(k, kind, list(mean + steps)) for k, (kind, mean) in enumerate(rows)], tuple(range(n)), "final"
    )


def test_known_losses_that_differ_by_more_than_seeds_say_that_a_search_can_pay() -> None:
    found = judge(0.385, [0.458, 0.39, 0.37], [0.395, 0.38])
    assert found.verdict == (
        "known losses differ by 7.3 points (the best over the own one, 6.3 over it with a tuned weight) and seeds by "
        "1.0: a search can pay"
    )
    assert found.best.mean == pytest.approx(0.458)
    assert found.spread == pytest.approx(0.088)
    assert found.noise == pytest.approx(0.01)


def test_losses_that_differ_by_no_more_than_seeds_are_saturated() -> None:
    found = judge(0.775, [0.776, 0.774, 0.773], [0.772])
    assert found.verdict == "saturated: all known losses within the noise (the best +0.1 points, +1.9 at most)"


def test_seeds_that_differ_by_much_leave_open_what_could_be_gained() -> None:
    found = judge(0.775, [0.776, 0.774, 0.773], [0.772], noise=0.03)
    assert found.verdict.startswith("undecided: the best known loss gains 0.1 points and 3 seeds show 7.6 points")


def test_losses_that_look_worse_may_still_gain_where_seeds_differ_by_much() -> None:
    found = judge(0.775, [0.760, 0.74], [0.772], n=2)
    assert found.verdict.startswith("undecided: no known loss is seen to gain (the best -1.5 points, +2.")


def test_worse_losses_alone_are_no_headroom() -> None:
    found = judge(0.775, [0.774, 0.6, 0.5], [0.7])
    assert found.verdict.startswith("saturated: no known loss beats the own one by more than the noise")


def test_a_weight_that_is_worth_as_much_as_a_formula_is_tuned_first() -> None:
    assert "tune weights first; a search must beat that" in judge(0.4, [0.47, 0.4], [0.468]).verdict
    assert "with another weight gains 7.0 points and no known loss more" in judge(0.4, [0.39, 0.4], [0.47]).verdict


def test_a_detector_that_has_hardly_learnt_says_nothing_of_losses() -> None:
    found = judge(0.02, [0.045, 0.01], [0.021], noise=0.001)
    assert found.verdict.startswith("too early to tell: the best of these losses scores 4.5 points")


def test_a_gain_that_seeds_cannot_show_is_undecided_and_says_how_many_would() -> None:
    found = judge(0.4, [0.43, *[0.39] * 8], [0.4], noise=0.01, n=2)
    assert found.verdict.startswith("undecided: the best known loss gains 3.0 points and 2 seeds show")
    assert found.needed is not None
    freedom = 11  # of 11 losses with two seeds
    assert smallest_difference(found.noise, found.needed, freedom) <= 0.03
    assert smallest_difference(found.noise, found.needed - 1, freedom) > 0.03


def test_the_best_of_many_has_to_be_better_than_one_alone() -> None:
    alone, among = judge(0.4, [0.42], [0.4]), judge(0.4, [0.42, *[0.4] * 12], [0.4])
    assert alone.best.chance is not None
    assert among.best.chance is not None
    few = stats.dunnett(
        np.asarray(alone.best.scores), np.asarray(alone.losses[-1].scores), control=np.asarray(alone.own.scores)
    )
    assert alone.best.chance < few.pvalue[0]  # of two sides
    assert among.best.chance > 0.5 * alone.best.chance


def test_losses_that_do_not_train_are_left_out_of_noise_and_spread() -> None:
    rows = [scored(0, "own", [0.4, 0.41]), scored(1, "known", [0.41, 0.42]), scored(2, "known", [0.3, 0.02], False)]
    found = judged(rows, (0, 1), "final")
    assert found.noise == pytest.approx(math.sqrt(0.5) * 0.01)
    assert found.spread == pytest.approx(0.01)
    assert found.losses[-1].chance is None
    with pytest.raises(InputError, match="no known loss scores half as much"):
        judged([rows[0], rows[2]], (0, 1), "final")


def test_scores_without_any_scatter_are_judged_by_themselves() -> None:
    assert judge(0.4, [0.4, 0.4], [0.4], noise=0).verdict.startswith("saturated: all known losses within the noise")


@given(noise=st.floats(1e-4, 0.1), seeds=st.integers(2, 40), freedom=st.integers(4, 200))
def test_the_smallest_difference_is_seen_as_often_as_it_says(noise: float, seeds: int, freedom: int) -> None:
    least = smallest_difference(noise, seeds, freedom)
    apart = noise * math.sqrt(2 / seeds)
    critical = stats.t.ppf(0.975, freedom)
    power = stats.nct.sf(critical, freedom, least / apart)
    assert power == pytest.approx(0.8, abs=0.02)
    assert smallest_difference(noise, seeds + 1, freedom) < least
