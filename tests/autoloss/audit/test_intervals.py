from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from autoloss.audit.intervals import Numbers, Scores, choices, difference, holm, seeds_for
from autoloss.values import LEVEL

SEEDS, IMAGES, DRAWS = 5, 100, 200
TIMES = choices(IMAGES, DRAWS) / IMAGES


def made_up(
    rng: np.random.Generator,
    seeds: float,
    images: float,
    together: float,
    mean: float = 0.0,
    hard: Numbers | None = None,
) -> Scores:
    """Scores of a loss, the mean over images of what each contributes with each seed."""
    each = mean + seeds * rng.normal(size=SEEDS) + images * (rng.normal(size=(IMAGES, 1)) if hard is None else hard)
    each = each + together * rng.normal(size=(IMAGES, SEEDS))
    return Scores(each.mean(0), TIMES @ each, IMAGES)


@pytest.mark.parametrize(
    ("seeds", "images", "together"),
    [(0.01, 0.0, 0.0), (0.01, 0.1, 0.0), (0.01, 0.1, 0.1), (0.0, 0.0, 0.1), (0.005, 0.1, 0.1)],
    ids=["seeds", "seeds and images", "all three", "both together", "mostly images"],
)
def test_intervals_cover_the_truth_in_93_to_97_percent_of_simulated_audits(
    seeds: float, images: float, together: float
) -> None:
    rng, truth = np.random.default_rng(0), 0.02
    covered = 0
    for _ in range(1000):
        found = difference(made_up(rng, seeds, images, together, truth), made_up(rng, seeds, images, together))
        covered += found.low <= truth <= found.high
    assert 930 <= covered <= 970


def test_percentiles_of_a_bootstrap_of_five_seeds_would_cover_too_little() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(SEEDS, size=(500, SEEDS))
    covered = 0
    for _ in range(1000):
        apart = rng.normal(size=SEEDS)
        low, high = np.percentile(apart[drawn].mean(1), (2.5, 97.5))
        covered += low <= 0 <= high
    assert covered < 900


def test_the_own_loss_against_itself_shows_no_difference_in_94_percent_of_simulated_audits() -> None:
    rng = np.random.default_rng(0)
    alone, among_three = [], []
    for _ in range(1000):
        hard = rng.normal(size=(IMAGES, 1))  # of images, to whatever is trained
        own, *finalists = (made_up(rng, 0.01, 0.1, 0.1, hard=hard) for _ in range(4))
        chances = [difference(one, own).p_value for one in finalists]
        alone.append(chances[0] >= LEVEL)
        among_three.append(min(holm(chances)) >= LEVEL)
    assert min(np.mean(alone), np.mean(among_three)) >= 0.94


def test_scores_that_are_the_same_differ_by_nothing() -> None:
    own = made_up(np.random.default_rng(0), 0.01, 0.1, 0.1)
    found = difference(own, own)
    assert (found.mean, found.low, found.high, found.p_better, found.p_value) == (0, 0, 0, 0.5, 1)


def test_a_difference_without_any_spread_is_certain() -> None:
    found = difference(Scores(np.full(5, 0.5)), Scores(np.full(5, 0.25)))
    assert (found.low, found.high, found.p_better, found.p_value) == (0.25, 0.25, 1, 0)


def test_without_images_it_is_the_paired_t_test() -> None:
    first, second = np.array([0.51, 0.53, 0.55, 0.52, 0.56]), np.array([0.50, 0.51, 0.52, 0.52, 0.53])
    found = difference(Scores(first), Scores(second))
    wanted = stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval()))


def test_the_spread_of_images_does_not_shrink_with_seeds() -> None:
    rng = np.random.default_rng(0)
    found = difference(made_up(rng, 0, 0.1, 0), made_up(rng, 0, 0.1, 0))
    assert found.error == pytest.approx(0.1 * np.sqrt(2 / IMAGES), rel=0.25)
    assert found.freedom > 50


def test_the_difference_of_the_reverse_is_the_reverse() -> None:
    rng = np.random.default_rng(0)
    one, two = made_up(rng, 0.01, 0.1, 0.1, 0.02), made_up(rng, 0.01, 0.1, 0.1)
    there, back = difference(one, two), difference(two, one)
    assert there.low == pytest.approx(-back.high)
    assert there.p_better == pytest.approx(1 - back.p_better)
    assert there.p_value == pytest.approx(back.p_value)


def test_choices_are_the_same_at_every_call_and_hold_as_many_images() -> None:
    found: Numbers = choices(30, 50)
    assert (found == choices(30, 50)).all()
    assert (found.sum(1) == 30).all()


def test_holm_corrects_as_published() -> None:
    # statsmodels 0.14: multipletests([0.01, 0.04, 0.03, 0.005], method="holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_never_makes_a_chance_smaller_nor_turns_their_order(chances: list[float]) -> None:
    found = holm(chances)
    assert all(one >= chance for one, chance in zip(found, chances, strict=True))
    assert all(one <= 1 for one in found)
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    assert [found[place] for place in order] == sorted(found)


@pytest.mark.parametrize(
    ("gain", "spread", "seeds"), [(0.1, 0.01, 5), (0.02, 0.02, 10), (0.01, 0.05, 20), (0.0, 0.01, 20), (0.0, 0.0, 5)]
)
def test_more_seeds_are_planned_for_smaller_gains_within_bounds(gain: float, spread: float, seeds: int) -> None:
    assert seeds_for(gain, spread, 20, 5, 20) == seeds


def test_as_many_seeds_as_planned_show_the_gain_in_four_audits_of_five() -> None:
    rng, gain, spread = np.random.default_rng(0), 0.02, 0.02
    count = seeds_for(gain, spread, 1000, 5, 50)
    shown = 0
    for _ in range(400):
        first = Scores(gain + spread * rng.normal(size=count))
        shown += difference(first, Scores(np.zeros(count))).p_value < LEVEL
    assert 0.70 < shown / 400 < 0.90


def test_one_image_says_nothing_of_images() -> None:
    seeds = np.array([0.5, 0.6, 0.7])
    alone = Scores(seeds, np.tile(seeds, (DRAWS, 1)), 1)
    other = Scores(seeds - 0.1, np.tile(seeds - 0.1, (DRAWS, 1)), 1)
    assert difference(alone, other).mean == pytest.approx(0.1)
