"""Candidates that stand are a sequence, best first, that knows what was scored, and what of it is noise."""

from __future__ import annotations

import numpy as np
import pytest

from autoloss.candidate import Candidate
from autoloss.search.strategies.standing import Standing
from tests.helpers.open_gates import boxes

FOUR = [boxes(number, "1 - i/u") for number in (7, 2, 5, 9)]


def made_up(candidates: list[Candidate], noise: float, seeds: int, effect: float = 0.0) -> Standing:
    """Scores of 0.4 and noise; every seed adds something to all of them."""
    rng = np.random.default_rng(0)
    luck = rng.normal(0, effect, seeds)
    rows = {one.number: tuple(0.4 + rng.normal(0, noise, seeds) + luck) for one in candidates}
    return Standing(candidates, [rows])


def test_it_is_a_sequence_of_candidates_with_scores() -> None:
    standing = Standing(FOUR, [{7: (0.1,)}, {7: (0.3, 0.5), 2: (0.2, 0.2)}])
    assert [one.number for one in standing] == [7, 2, 5, 9]
    assert (standing[0], standing[-1], len(standing)) == (FOUR[0], FOUR[3], 4)
    assert standing.score(FOUR[0]) == pytest.approx(0.4)
    assert standing.score(FOUR[2]) < standing.score(FOUR[1])  # nothing but its place is known
    assert list(Standing()) == []


def test_the_noise_of_a_difference_is_that_of_seeds_after_what_they_add_to_all() -> None:
    many = [boxes(number, "1 - i/u") for number in range(400)]
    found = [made_up(many, 0.02, 3, effect).noise for effect in (0.0, 0.1)]
    assert found == pytest.approx([0.02 * (2 / 3) ** 0.5] * 2, rel=0.1)


def test_one_seed_or_one_candidate_tells_nothing_of_noise() -> None:
    assert made_up(FOUR, 0.02, 1).noise == 0
    assert made_up(FOUR[:1], 0.02, 3).noise == 0
    assert Standing(FOUR).noise == 0


def test_what_did_not_train_is_no_noise() -> None:
    rows = {7: (0.40, 0.41), 2: (0.40, 0.41), 5: (0.0, 0.1), 9: (0.1, 0.0)}
    assert Standing(FOUR, [rows]).noise == pytest.approx(0, abs=1e-9)


def test_a_candidate_beats_another_before_which_it_stands_by_more_than_the_noise() -> None:
    rows = {7: (0.50, 0.52), 2: (0.49, 0.51), 5: (0.41, 0.39), 9: (0.42, 0.42)}
    standing = Standing(FOUR, [rows])
    seven, two, five, _ = FOUR
    assert standing.noise > 0.005
    assert standing.beats(seven, five)
    assert not standing.beats(five, seven)
    assert not standing.beats(seven, two)
