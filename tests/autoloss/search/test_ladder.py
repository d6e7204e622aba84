import math
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from autoloss.search.ladder import contested, mean_ranked, promoted, ranked

SCORES = st.dictionaries(st.integers(0, 50), st.floats(0, 1), max_size=20)


def keep(**rules: float) -> SimpleNamespace:
    return SimpleNamespace(**{"of_own": None, "share": None, "count": None, **rules})


def test_candidates_rank_by_score_then_by_number() -> None:
    assert ranked({4: 0.5, 2: 0.5, 9: 0.7}) == [9, 2, 4]


def test_rules_hold_together() -> None:
    scores = {1: 0.9, 2: 0.5, 3: 0.3, 4: 0.1}
    assert promoted(scores, 0.6, keep()) == [1, 2, 3, 4]
    assert promoted(scores, 0.6, keep(of_own=0.5)) == [1, 2, 3]
    assert promoted(scores, 0.6, keep(share=0.5)) == [1, 2]
    assert promoted(scores, 0.6, keep(of_own=0.5, count=1)) == [1]


@given(SCORES, st.floats(0, 1), st.floats(0.01, 1))
def test_whoever_goes_on_is_no_worse_than_whoever_stays(scores: dict[int, float], own: float, share: float) -> None:
    kept = promoted(scores, own, keep(of_own=0.5, share=share))
    left = set(scores) - set(kept)
    assert all(scores[a] >= scores[b] for a in kept for b in left)


def test_candidates_go_on_by_their_mean_rank_over_the_rungs_they_passed() -> None:
    first = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.1}
    second = {1: 0.5, 2: 0.6, 3: 0.7}
    assert mean_ranked([first, second]) == [3, 2, 1]  # all of them have mean rank 1: the last rung decides
    assert mean_ranked([first, {1: 0.65, 2: 0.6, 3: 0.7}]) == [1, 3, 2]
    assert promoted({1: 0.65, 2: 0.6, 3: 0.7}, 0.6, keep(count=2), [first]) == [1, 3]


def test_a_rung_that_only_finds_what_is_broken_leaves_the_ranks_to_those_before() -> None:
    first, second = {1: 0.9, 2: 0.8, 3: 0.7}, {1: 0.1, 2: 0.2, 3: 0.9}
    assert promoted(second, 0.2, keep(count=2), [first], ranks=False) == [1, 2]
    assert promoted(second, 0.2, keep(of_own=0.9), [first], ranks=False) == [2, 3]
    assert promoted(second, 0.2, keep(count=2), ranks=False) == [3, 2]


def test_ranks_of_an_earlier_rung_count_among_those_that_are_left() -> None:
    assert mean_ranked([{1: 0.2, 2: 0.9, 3: 0.8, 4: 0.7}, {1: 0.9, 4: 0.8}]) == [1, 4]
    assert mean_ranked([{1: 0.2, 2: 0.9, 3: 0.6, 4: 0.7}, {1: 0.9, 4: 0.8, 3: 0.7}]) == [4, 1, 3]


def test_contested_is_who_is_no_further_from_a_cut_than_noise_reaches() -> None:
    scores = {1: 0.9, 2: 0.8, 3: 0.79, 4: 0.5, 5: 0.1}
    assert contested(scores, 0.6, keep(count=2), 0.02) == {2, 3}
    assert contested(scores, 0.6, keep(count=2), 0.2) == {1, 2, 3}
    assert contested(scores, 0.6, keep(count=5), math.inf) == set()
    assert contested(scores, 0.6, keep(of_own=0.8), 0.03) == {4}
    assert contested(scores, 0.6, keep(count=1, of_own=0.8), 0.03) == {4}
    assert contested(scores, 0.6, keep(count=1, of_own=0.8), 0.115) == {1, 2, 3, 4}


@given(SCORES, st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 0.3))
def test_whoever_is_not_contested_stays_on_its_side_whatever_noise_does_to_those_that_are(
    scores: dict[int, float], own: float, share: float, margin: float
) -> None:
    rules = keep(share=share)
    kept, near = promoted(scores, own, rules), contested(scores, own, rules, margin)
    worst = {number: score - margin if number in near else score for number, score in scores.items()}
    assert set(kept) - near <= set(promoted(worst, own, rules))
