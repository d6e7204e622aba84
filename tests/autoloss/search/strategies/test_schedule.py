"""A schedule gives every strategy its turn, by the number of candidates."""

from __future__ import annotations

from typing import Any

from autoloss.candidate import How
from autoloss.config import from_mapping
from autoloss.search.population import Population
from autoloss.search.strategies.schedule import Schedule
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.variation import seeded
from tests.helpers import strategies_of_others
from tests.helpers.open_gates import OpenGates, boxes
from tests.helpers.searches import WAYS
from tests.helpers.small import section

BEST = boxes(4, "1 - i/u")


def hows(steps: list[Any], count: int) -> list[How]:
    strategy = Schedule(from_mapping(section()), steps)
    strategy.tell(Standing([BEST]))
    found = []
    for before in range(count):
        with seeded("turns", before) as rng:
            gates = OpenGates({"loss_bbox": BEST.losses["loss_bbox"]}, before)
            found.append(strategy.ask(rng, gates).origin.how)
    return found


def test_each_strategy_proposes_its_number_of_candidates_and_the_last_goes_on() -> None:
    box: dict[str, Any] = {"slots": ["loss_bbox"]}
    steps = [({"type": name, **box}, count) for name, count in (("random", 2), ("tune", 3), ("refine", 1))]
    assert hows(steps, 8) == [How.RANDOM] * 2 + [How.TUNING] * 3 + [How.REFINEMENT] * 3


def test_slots_can_be_searched_one_after_the_other() -> None:
    steps = [[{"type": "evolution", "slots": [slot]}, 4] for slot in ("loss_cls", "loss_bbox")]
    search = Population(
        from_mapping(section(**{**WAYS["evolution"], "strategy": {"type": "schedule", "steps": steps}}))
    )
    born = search.ask(0).candidates
    search.tell([4, 5, 0])
    born += search.ask(1).candidates
    bred = [one.origin.slots for one in born if one.origin.how in (How.MUTATION, How.CROSSOVER)]
    assert bred == [("loss_cls",), ("loss_bbox",), ("loss_bbox",)]  # three were given to begin with


def test_a_strategy_of_ones_own_takes_its_turn_too() -> None:
    strategies_of_others.TOLD.clear()
    climber = {"type": "tests.helpers.strategies_of_others:Climber", "share": 0.0}
    assert hows([({"type": "random", "slots": ["loss_bbox"]}, 1), (climber, 5)], 2) == [How.RANDOM, How.MUTATION]
    assert strategies_of_others.TOLD == [[4]]
