from __future__ import annotations

import pytest

from autoloss.config import from_mapping
from autoloss.rungs.rung import Keep, Rung
from primitives.errors import InputError
from tests.helpers.small import section


def test_a_rung_has_the_seeds_of_all_and_those_of_some() -> None:
    rung = Rung(name="a", task={}, seeds=[1], keep=Keep(count=3, more_seeds=[2, 3]))
    assert rung.every_seed == [1, 2, 3]
    assert rung.with_seeds([3]) == Rung(name="a", task={}, seeds=[3], keep=rung.keep)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"more_seeds": [5]}, "more_seeds settle who is on which side of a cut: give of_own, share or count, too"),
        ({"count": 2, "more_seeds": [1]}, "rung proxy names a seed twice: 1, 1"),
        ({"count": 2, "more_seeds": [0]}, "rungs verify and proxy share seed 0: the same luck counts twice"),
        ({"count": 2, "more_seeds": [-1]}, r"search.ladder.1.keep.more_seeds.0: .* got -1"),
        ({"count": 2, "more_seeds": 2}, r"search.ladder.1.keep.more_seeds: .* got 2"),
    ],
)
def test_mistakes_about_more_seeds_are_named(keep: dict[str, object], message: str) -> None:
    content = section()
    content["ladder"][1] |= {"keep": keep}
    with pytest.raises(InputError, match=message) as caught:
        from_mapping(content)
    assert "\n" not in str(caught.value)
