from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from autoloss.candidate import Evaluation, State
from autoloss.search.selection.noise import Noise, by_seed, difference, level_scores, noise

TABLES = st.dictionaries(
    st.integers(0, 9), st.dictionaries(st.integers(0, 4), st.floats(0, 1), max_size=5), min_size=1, max_size=8
)


def test_noise_is_what_neither_candidates_nor_seeds_explain() -> None:
    good, lucky = {1: 0.1, 2: 0.3, 3: 0.2}, {7: 0.0, 8: 0.05, 9: -0.02}
    table = {number: {seed: base + luck for seed, luck in lucky.items()} for number, base in good.items()}
    found = noise(table)
    assert found is not None
    assert found.deviation == pytest.approx(0, abs=1e-12)
    assert found.freedom == (3 - 1) * (3 - 1)


def test_of_a_whole_table_it_is_that_of_the_analysis_of_variance() -> None:
    scores = np.random.default_rng(0).normal(0.5, 0.1, (5, 4))
    found = noise({row: dict(enumerate(mine)) for row, mine in enumerate(scores.tolist())})
    residuals = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    assert found is not None
    assert found.freedom == 4 * 3
    assert found.deviation == pytest.approx(math.sqrt((residuals**2).sum() / 12))


def test_it_is_estimated_right_where_candidates_have_some_of_the_seeds() -> None:
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(300):
        luck = rng.normal(0, 0.1, 4)
        table = {n: {s: n + luck[s] + rng.normal(0, 0.03) for s in range(2 + n % 3)} for n in range(6)}
        found = noise(table)
        assert found is not None
        squares.append(found.deviation**2)
    assert math.sqrt(statistics.fmean(squares)) == pytest.approx(0.03, rel=0.05)


def test_one_seed_or_one_candidate_tells_no_noise() -> None:
    assert noise({}) is None
    assert noise({1: {5: 0.1}, 2: {5: 0.2}, 3: {6: 0.3}}) is None
    assert noise({1: {5: 0.1, 6: 0.4}}) is None


def test_what_does_not_train_tells_no_noise() -> None:
    trained = {1: {5: 0.40, 6: 0.44}, 2: {5: 0.41, 6: 0.42}}
    assert noise({**trained, 3: {5: 0.0, 6: 0.0}}, least=0.2) == noise(trained)


def test_errors_and_margins_fall_with_seeds() -> None:
    found = Noise(0.02, 10)
    assert found.error(2) == pytest.approx(0.02)
    assert found.margin(2) == pytest.approx(0.02 * stats.t.ppf(0.975, 10))
    assert found.margin(8) == pytest.approx(found.margin(2) / 2)


def test_a_candidate_that_failed_with_a_seed_has_no_scores() -> None:
    done = [Evaluation(number, "a", seed, State.DONE, 0.5) for number, seed in ((1, 5), (1, 6), (2, 5))]
    failed = Evaluation(2, "a", 6, State.FAILED, error="NaN")
    assert by_seed([*done, failed, Evaluation(3, "a", 5, State.RUNNING)]) == {1: {5: 0.5, 6: 0.5}}


def test_luck_with_a_seed_moves_nobody() -> None:
    # Seed 6 gives all 0.1 more; only candidate 2 had it beside the standards 0 and 1.
    table = {0: {5: 0.3, 6: 0.4}, 1: {5: 0.2, 6: 0.3}, 2: {5: 0.25, 6: 0.35}, 3: {5: 0.26}}
    assert level_scores(table, [5], [0, 1]) == pytest.approx({0: 0.3, 1: 0.2, 2: 0.25, 3: 0.26})


@given(TABLES)
def test_seeds_that_no_standard_has_had_yet_do_not_count(table: dict[int, dict[int, float]]) -> None:
    assert level_scores(table, [0], []) == pytest.approx({n: mine[0] for n, mine in table.items() if 0 in mine})


@given(TABLES, st.floats(-1, 1))
def test_scores_move_with_all_scores(table: dict[int, dict[int, float]], more: float) -> None:
    moved = {number: {seed: score + more for seed, score in mine.items()} for number, mine in table.items()}
    before, after = level_scores(table, [0, 1], [0]), level_scores(moved, [0, 1], [0])
    assert after == pytest.approx({number: score + more for number, score in before.items()})


def test_a_difference_is_the_paired_interval_of_the_common_seeds() -> None:
    mine, other = {1: 0.50, 2: 0.54, 3: 0.49, 9: 1.0}, {1: 0.40, 2: 0.41, 3: 0.41}
    found = difference(mine, other)
    assert found is not None
    test = stats.ttest_rel([0.50, 0.54, 0.49], [0.40, 0.41, 0.41]).confidence_interval(0.95)
    assert (found.low, found.high, found.seeds) == (pytest.approx(test.low), pytest.approx(test.high), 3)
    assert found.mean == pytest.approx(0.31 / 3)
    assert difference(mine, {1: 0.4}) is None


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(1000):
        luck = rng.normal(0, 0.05, 4)
        own, mine = luck + rng.normal(0, 0.01, 4), 0.02 + luck + rng.normal(0, 0.03, 4)
        found = difference(dict(enumerate(mine.tolist())), dict(enumerate(own.tolist())))
        assert found is not None
        inside += found.low <= 0.02 <= found.high
    assert 930 <= inside <= 970
