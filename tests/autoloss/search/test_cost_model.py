"""The projection of a search: by hand, and what must hold of any."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.config import from_mapping
from autoloss.search.cost_model import PROPOSE, Cost, MachineCosts, Parts, halving, makespan, project
from autoloss.search.selection.visits import reaching
from autoloss.settings import Settings
from tests.helpers.small import section

ONE = Cost(Parts(1.0, 0.5, 2.0), Parts(1.0, 0.5, 2.0), iterations=10)  # 8 seconds


def search(**changes: Any) -> Settings:
    return from_mapping(section(**changes))


def losses(rules: Settings, passing: bool = True) -> dict[str, list[int]]:
    """Candidates of every visit."""
    return {name: [visit.losses for visit in visits] for name, visits in reaching(rules, passing).items()}


def measured(costs: dict[str, Cost], devices: int = 2, **changes: Any) -> MachineCosts:
    return MachineCosts(**{**vars(MachineCosts("cpu", devices, 1, 3.0, 2.0, (0.5, 0.25), costs)), **changes})


def test_a_search_by_hand() -> None:
    # 3 generations of 4; own and two known ones besides in the first; they climb every rung, the found pass or do not.
    rules = search()
    assert losses(rules) == {"verify": [7, 4, 4], "proxy": [7, 4, 4], "full": [4]}
    assert losses(rules, passing=False) == {"verify": [7, 4, 4], "proxy": [3, 0, 0], "full": [2]}
    found = project(rules, measured({"verify": ONE, "proxy": ONE, "full": ONE}), devices=(1, 4))
    begin, proposing, verify, proxy, full = found.stages
    assert begin.wall == {1: 5.0, 2: 5.0, 4: 5.0}
    assert (proposing.name, proposing.work) == (PROPOSE, 4 * 0.5 + 8 * 0.25)
    assert (verify.candidates, verify.evaluations, full.candidates, full.evaluations) == (15, 15, 4, 8)
    assert verify.work == 15 * 8.0
    # The first worker is there when the others start, which takes 2 s: of 7 trainings it does 4.
    assert verify.wall == {1: 120.0, 2: 8.0 * (4 + 2 + 2), 4: 2 + 8.0 * (2 + 1 + 1)}
    assert full.wall == {1: 64.0, 2: 32.0, 4: 16.0}
    assert found.wall == {1: 5 + 4 + 120 + 120 + 64, 2: 5 + 4 + 64 + 64 + 32, 4: 5 + 4 + 34 + 32 + 16}
    assert proxy.share == 64 / 169


def test_keep_rules_are_those_of_the_ladder() -> None:
    ladder = [
        {"name": "a", "task": {}, "keep": {"share": 0.3}},
        {"name": "b", "task": {}, "seeds": [1], "keep": {"count": 2, "of_own": 0.5}},
        {"name": "c", "task": {}, "seeds": [2, 3]},
    ]
    finale = {"rung": {"name": "d", "task": {}, "seeds": [4]}, "count": 5, "known": [0]}
    rules = search(births=10, generations=2, ladder=ladder, finale=finale, controls=[{"loss_bbox": 2.0}] * 2)
    # Five are given: own, two known, two controls. Of the controls the best takes part in the finale.
    assert losses(rules) == {"a": [15, 10], "b": [8, 3], "c": [7, 2], "d": [1 + 1 + 1 + 4]}
    assert losses(rules, passing=False) == {"a": [15, 10], "b": [8, 3], "c": [5, 0], "d": [3]}
    assert reaching(search(finale=None)).keys() == {"verify", "proxy"}


def test_what_candidates_share_is_made_once_a_seed_and_groups_stand_side_by_side() -> None:
    cost = Cost(Parts(0.0, 1.0), Parts(0.0, 2.0), 3, Parts(1.0, 0.1, 2.0), 20, load=0.5, memory=7.0, disk=100.0)
    assert [cost.seconds(count, 3) for count in (1, 2, 3)] == [3.0, 4.5, 6.0]
    assert cost.sharing == 5.0
    ladder = [{"name": "frozen", "task": {}, "seeds": [1, 2], "batch": 3}]
    rules = search(ladder=ladder, finale=None, generations=2)
    found = project(rules, measured({"frozen": cost}, bytes_evaluation=1.0), devices=(1, 99))
    stage = found.stages[-1]
    # 7 candidates are groups of 3, 3, 1, then 4 are 3, 1; two seeds each.
    assert stage.evaluations == 2 * (7 + 4)
    works = 2 * (6 + 6 + 3) + 2 * (6 + 3)
    assert stage.wall[1] == 2 * 5.0 + 2 * (2 * 0.5) + 2 * (2 * 0.5) + works
    # With room for all the first worker goes on at once, the others start (2 s) and each loads for one seed.
    assert stage.wall[99] == 2 * 5.0 + 2 * (2 * 0.5) + 2 * 0.5 + (2 + 6) + 6
    assert (stage.memory, stage.disk) == (7.0, 2 * 100.0 + 22)


def test_workers_that_share_a_gpu_are_one_device() -> None:
    costs = {"verify": ONE, "proxy": ONE, "full": ONE}
    alone, shared = (project(search(), measured(costs, 1, side_by_side=side)) for side in (1, 4))
    assert shared.stages[2].wall[1] == 2 + 8.0 * (2 + 1 + 1)
    assert alone.stages[2].wall[1] == 8.0 * 15
    assert shared.stages[2].work == alone.stages[2].work / 4


def test_works_go_to_the_worker_that_is_free_first() -> None:
    assert makespan([], 3) == 0.0
    assert makespan([3.0, 1.0, 1.0, 2.0], 2) == 4.0
    assert makespan([1.0, 1.0, 1.0], 3, late=5.0) == 3.0
    assert makespan([4.0, 4.0, 4.0], 3, late=5.0) == 9.0


def test_halving_names_the_mildest_change_and_what_it_costs() -> None:
    big = Cost(Parts(), Parts(), 0)
    long = Cost(Parts(0.0, 1.0), Parts(0.0, 1.0), iterations=1000)
    change = halving(search(), measured({"verify": big, "proxy": big, "full": long}))
    assert change.what == "333 iterations at 'full' (1,000 now)"
    assert change.share == pytest.approx((9 + 4 * 333) / (9 + 4 * 1000))
    shared = Cost(Parts(), Parts(), 0, Parts(0.0, 1.0), 1000)
    change = halving(search(), measured({"verify": shared, "proxy": big, "full": big}))
    assert "iterations of what candidates share at 'verify'" in change.what
    many = search(births=64, generations=1, finale=None)
    fixed = Cost(Parts(5.0), Parts(5.0), 1)
    change = halving(many, measured({"verify": big, "proxy": fixed}, births=(0.0, 0.0)))
    assert change.what == "keep.count=21 at 'verify' (64 of a generation go on now)"


def test_a_change_that_does_not_halve_says_how_much_it_saves() -> None:
    costs = {"verify": ONE, "proxy": ONE, "full": ONE}
    change = halving(search(), measured(costs, begin=1e6))
    assert 0.5 < change.share < 1
    alone = search(generations=1, births=1, known=[], finale=None)
    assert (
        halving(alone, measured({"verify": Cost(Parts(1.0), Parts(1.0)), "proxy": Cost(Parts(), Parts())})).share == 1
    )


PARTS = st.builds(Parts, *[st.floats(0, 100)] * 3)
COSTS = st.builds(
    Cost, PARTS, PARTS, st.integers(0, 50), st.none() | PARTS, st.integers(0, 50), st.floats(0, 10), st.floats(0, 1e9)
)


@settings(max_examples=50)
@given(
    costs=st.tuples(COSTS, COSTS, COSTS),
    births=st.integers(1, 20),
    generations=st.integers(1, 4),
    keep=st.fixed_dictionaries(
        {}, optional={"of_own": st.floats(0, 2), "share": st.floats(0.01, 1), "count": st.integers(1, 9)}
    ),
    batch=st.integers(1, 5),
    seeds=st.integers(1, 3),
    devices=st.integers(1, 40),
    side=st.integers(1, 3),
)
def test_what_must_hold_of_any_search(
    costs: tuple[Cost, Cost, Cost],
    births: int,
    generations: int,
    keep: dict[str, Any],
    batch: int,
    seeds: int,
    devices: int,
    side: int,
) -> None:
    ladder = [
        {"name": "verify", "task": {}, "keep": keep, "batch": batch, "seeds": list(range(seeds))},
        {"name": "proxy", "task": {}, "seeds": [10, 11]},
    ]
    finale = {"rung": {"name": "full", "task": {}, "seeds": [20]}, "count": 2}
    rules = search(ladder=ladder, finale=finale, births=births, generations=generations)
    basis = measured(dict(zip(("verify", "proxy", "full"), costs, strict=True)), devices, side_by_side=side)
    most = project(rules, basis, devices=range(1, 41))
    least = project(rules, basis, reaching(rules, passing=False), devices=range(1, 41))
    walls = [most.wall[number] for number in range(1, 41)]
    # More devices never cost more wall-clock; fewer candidates never cost more.
    for fewer, more in itertools.pairwise(walls):
        assert more <= fewer * (1 + 1e-9)
    assert all(least.wall[number] <= most.wall[number] * (1 + 1e-9) for number in most.wall)
    assert least.work <= most.work * (1 + 1e-9)
    assert math.isclose(sum(stage.share for stage in most.stages), 1)
    # Devices cannot do more than work all the time.
    assert all(number * wall >= most.work * (1 - 1e-9) for number, wall in most.wall.items())
    assert halving(rules, basis).wall <= most.wall[devices] * (1 + 1e-9)
