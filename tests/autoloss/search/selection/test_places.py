from __future__ import annotations

from typing import Any

from autoloss.config import from_mapping
from autoloss.rungs.rung import Rung
from autoloss.search.selection.final import compare
from autoloss.search.selection.places import Places
from tests.helpers.made_up import MadeUp
from tests.helpers.small import section

CHECK = {"name": "whole", "task": {}, "seeds": [9], "keep": {"of_own": 0.5}}


def places(score: Any, finale: dict[str, Any] | None, begun: bool = True) -> Places:
    """Of own, two known losses and 6 found, numbers 3 to 8."""
    ladder = [{"name": "only", "task": {}, "seeds": [1]}]
    settings = from_mapping(section(ladder=ladder, finale=finale, births=6, generations=1))
    made = MadeUp(settings, score)
    made.evaluate(sorted(made.candidates), settings.ladder[0])
    if settings.finale and begun:
        compare(made.runner, settings.finale)
    return Places(settings, list(made.candidates.values()), made.done)


def ladder_score(number: int, rung: Rung, seed: int) -> float:
    return 0.1 * number + 0.01 * seed


def test_whoever_left_a_race_early_stands_behind_those_that_stayed_whatever_it_scored() -> None:
    def score(number: int, rung: Rung, seed: int) -> float:
        late = rung.name == "full" and seed > 3
        return ladder_score(number, rung, seed) - (1.0 if late else 0.0)

    finale = {"rung": {"name": "full", "task": {}, "seeds": [2, 3, 4]}, "count": 4, "race": [4, 4, 2]}
    found = places(score, finale)
    assert [one.number for one in found.ranked] == [8, 7, 0, 6, 5, 4, 3, 2, 1]
    assert {number: one.seeds for number, one in found.over_own().items()} == {8: 3, 7: 3, 6: 2, 5: 2}
    assert {number: one.seeds for number, one in found.gains(8).items()} == {0: 3, 7: 3, 6: 2, 5: 2}
    assert found.gains(8)[0] == found.over_own()[8]


def test_whoever_collapsed_or_failed_at_the_check_is_neither_best_nor_recommended_nor_on_the_front() -> None:
    def score(number: int, rung: Rung, seed: int) -> float | None:
        at_check = {8: 0.0, 7: None} if rung.name == "whole" else {}
        return at_check.get(number, ladder_score(number + 1, rung, seed))

    finale = {"rung": {"name": "full", "task": {}, "seeds": [2, 3]}, "count": 2, "check": CHECK}
    found = places(score, finale)
    order = [one.number for one in found.ranked]
    assert order[-2:] == [8, 7]  # of all that climbed, and the failed one among them
    chosen = found.choice()
    assert chosen is not None
    assert (chosen.best, chosen.rung) == (6, "full")
    assert found.front() == [6]


def test_whoever_failed_in_the_finale_is_not_recommended_though_nobody_else_got_there() -> None:
    def score(number: int, rung: Rung, seed: int) -> float | None:
        return None if rung.name == "full" and number >= 7 else ladder_score(number, rung, seed)

    found = places(score, {"rung": {"name": "full", "task": {}, "seeds": [2, 3]}, "count": 2})
    chosen = found.choice()
    assert chosen is not None
    assert (chosen.best, chosen.rung) == (6, "only")
    assert [one.number for one in found.ranked][-2:] == [8, 7]


def test_before_the_finale_the_last_rung_of_the_ladder_decides() -> None:
    finale = {"rung": {"name": "full", "task": {}, "seeds": [2, 3]}, "count": 2}
    found = places(ladder_score, finale, begun=False)
    chosen = found.choice()
    assert chosen is not None
    assert (chosen.candidate, chosen.rung, chosen.error) == (8, "only", None)
    assert found.over_own() == {}
    assert found.front() == [8]  # all of one size
