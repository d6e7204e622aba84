from __future__ import annotations

from autoloss.config import from_mapping
from autoloss.search.cost_model import Cost, MachineCosts, Parts, project
from autoloss.search.selection.visits import Visit, reaching
from tests.helpers.small import section

ONE = Cost(Parts(1.0, 0.5, 2.0), Parts(1.0, 0.5, 2.0), iterations=10)  # 8 seconds
LADDER = [
    {"name": "a", "task": {}, "seeds": [1], "keep": {"count": 2, "of_own": 0.5, "more_seeds": [11, 12]}},
    {"name": "b", "task": {}, "seeds": [2]},
]


def test_more_seeds_are_at_most_for_all_and_at_least_for_those_that_were_given() -> None:
    rules = from_mapping(section(ladder=LADDER, generations=2, finale=None))  # own, two known; 4 births
    given, again = Visit(3, 2, again=True), Visit(4, 1, again=True)
    assert reaching(rules)["a"] == [Visit(7, 1), given, again, again, Visit(4, 1), again, again]
    assert reaching(rules, passing=False)["a"] == [Visit(7, 1), given, Visit(4, 1)]
    assert reaching(rules)["b"] == [Visit(5, 1), Visit(2, 1)]


def test_a_race_and_a_check_by_hand() -> None:
    finale = {"rung": {"name": "full", "task": {}, "seeds": [3, 4, 5]}, "count": 4, "known": [0], "race": [4, 4, 1]}
    check = {"name": "check", "task": {}, "seeds": [6], "keep": {"of_own": 0.5}}
    rules = from_mapping(section(ladder=LADDER, generations=2, finale={**finale, "check": check}))
    assert reaching(rules)["check"] == [Visit(1 + 4, 1)]
    assert reaching(rules)["full"] == [Visit(2 + 4, 2), Visit(2 + 1, 1, again=True)]
    assert reaching(rules, passing=False)["check"] == []
    assert reaching(rules, passing=False)["full"] == [Visit(2, 2), Visit(2, 1, again=True)]
    costs = MachineCosts("cpu", 1, 1, 0.0, 0.0, (0.0, 0.0), dict.fromkeys(("a", "b", "check", "full"), ONE))
    stages = {stage.name: stage for stage in project(rules, costs).stages}
    assert (stages["full"].candidates, stages["full"].evaluations, stages["full"].work) == (6, 15, 15 * 8.0)
    assert (stages["check"].candidates, stages["check"].evaluations) == (5, 5)
    assert (stages["a"].candidates, stages["a"].evaluations) == (11, 11 + 3 * 2 + 4 * 2 * 2)
