from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoloss.search.selection.choice import front, recommended
from autoloss.search.selection.noise import Noise

POINTS = st.dictionaries(st.integers(0, 99), st.tuples(st.floats(0, 1), st.integers(1, 30)), max_size=20)


def test_the_front_by_hand() -> None:
    scores, sizes = {1: 0.5, 2: 0.6, 3: 0.6, 4: 0.4, 5: 0.55}, {1: 5, 2: 9, 3: 12, 4: 6, 5: 5}
    assert front(scores, sizes) == [5, 2]


@given(POINTS)
def test_nobody_on_the_front_is_beaten_and_everybody_else_is(points: dict[int, tuple[float, int]]) -> None:
    scores, sizes = {n: one[0] for n, one in points.items()}, {n: one[1] for n, one in points.items()}
    found = front(scores, sizes)

    def beaten(number: int) -> bool:
        return any(
            scores[one] >= scores[number]
            and sizes[one] <= sizes[number]
            and (scores[one], sizes[one]) != (scores[number], sizes[number])
            for one in points
        )

    assert not any(map(beaten, found))
    same = {(scores[one], sizes[one]) for one in found}
    assert all(beaten(one) or (scores[one], sizes[one]) in same for one in points)
    assert [sizes[one] for one in found] == sorted({sizes[one] for one in found})


SEEDS = (1, 2)
SIZES = {7: 20, 8: 9, 9: 9, 3: 4}


def scores(**means: float) -> dict[int, dict[int, float]]:
    return {int(name[1:]): dict.fromkeys(SEEDS, mean) for name, mean in means.items()}


def test_the_shortest_within_one_standard_error_of_the_best_is_recommended() -> None:
    found = recommended([7, 8, 9, 3], SIZES, scores(n7=0.50, n8=0.49, n9=0.489, n3=0.47), "final", Noise(0.02, 6))
    assert found is not None
    assert (found.candidate, found.best, found.error) == (8, 7, 0.02)
    assert found.rule == "the shortest found within one standard error (0.020) of the best, 7, at final"


def test_the_best_is_recommended_where_nothing_as_good_is_shorter() -> None:
    found = recommended([7, 8], SIZES, scores(n7=0.50, n8=0.40), "final", Noise(0.02, 6))
    assert found is not None
    assert found.candidate == 7
    assert found.rule == "the best found at final; none within one standard error (0.020) of the best is shorter"


def test_whoever_lacks_a_seed_of_the_best_takes_nobodys_place() -> None:
    table = {7: {1: 0.5, 2: 0.5}, 8: {1: 0.5}}
    found = recommended([7, 8], SIZES, table, "final", Noise(0.02, 6))
    assert found is not None
    assert found.candidate == 7


def test_without_a_noise_the_best_is_recommended_and_without_a_score_nothing() -> None:
    found = recommended([7, 8], SIZES, {7: {1: 0.5}, 8: {1: 0.5}}, "final", None)
    assert found is not None
    assert (found.candidate, found.error) == (7, None)
    assert "no two seeds tell the noise" in found.rule
    assert recommended([], SIZES, {}, "final", None) is None
    assert recommended([7], SIZES, {8: {1: 0.5}}, "final", None) is None
