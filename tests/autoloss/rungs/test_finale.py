from __future__ import annotations

from typing import Any

import pytest

from autoloss.config import from_mapping
from autoloss.rungs.finale import Finale
from autoloss.rungs.rung import Rung
from autoloss.settings import Settings
from primitives.errors import InputError
from tests.helpers.small import section

SEEDS = [2, 3, 4, 5]
CHECK = {"name": "whole", "task": {"steps": 2}, "seeds": [9], "keep": {"of_own": 0.5}}


def search(**finale: Any) -> Settings:
    return from_mapping(section(finale={"rung": {"name": "full", "task": {"steps": 8}, "seeds": SEEDS}, **finale}))


def test_without_a_race_all_finalists_have_every_seed_in_one_round() -> None:
    assert list(Finale(rung=Rung(name="a", task={}, seeds=SEEDS), count=6).rounds()) == [(6, SEEDS)]


def test_a_race_is_a_round_for_each_number_of_those_that_are_left() -> None:
    finale = Finale(rung=Rung(name="a", task={}, seeds=SEEDS), count=6, race=[6, 6, 3, 1])
    assert list(finale.rounds()) == [(6, [2, 3]), (3, [4]), (1, [5])]
    assert list(finale.shrunk(2).rounds()) == [(3, [2, 3]), (1, [4, 5])]


def test_the_check_comes_before_the_finale_among_the_rungs() -> None:
    assert [rung.name for rung in search(check=CHECK).rungs] == ["verify", "proxy", "whole", "full"]
    assert from_mapping(search(check=CHECK, race=[3, 3, 2, 1]).model_dump()) == search(check=CHECK, race=[3, 3, 2, 1])


@pytest.mark.parametrize(
    ("finale", "message"),
    [
        ({"race": [3, 2]}, "finale.race has a number for each of the 4 seeds of its rung, got 3, 2"),
        ({"race": []}, "finale.race has a number for each of the 4 seeds of its rung, got none"),
        ({"race": [6, 6, 3, 1]}, "finale.race begins with finale.count, 3, got 6, 6, 3, 1"),
        ({"race": [3, 2, 3, 1]}, "in finale.race nobody comes back, so numbers only fall, got 3, 2, 3, 1"),
        ({"race": [3, 2, 1, 0]}, r"search.finale.race.3: .* got 0"),
        ({"check": {**CHECK, "keep": {}}}, "finale.check finds what collapses: its keep has of_own, and nothing else"),
        ({"check": {**CHECK, "keep": {"of_own": 0.5, "count": 3}}}, "its keep has of_own, and nothing else"),
        ({"check": {**CHECK, "seeds": [2]}}, "rungs whole and full share seed 2"),
        ({"check": {**CHECK, "name": "Proxy"}}, "rungs need names of their own"),
        (
            {"rung": {"name": "full", "task": {}, "seeds": [2], "keep": {"count": 1, "more_seeds": [3]}}},
            "race says who gets which",
        ),
    ],
)
def test_mistakes_are_named(finale: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        search(**finale)
    assert "\n" not in str(caught.value)
