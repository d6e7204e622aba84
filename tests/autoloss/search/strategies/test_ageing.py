"""Who is old dies, however good."""

from __future__ import annotations

from autoloss.candidate import How
from autoloss.config import from_mapping
from autoloss.search.strategies.ageing import Ageing
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.variation import seeded
from tests.helpers.open_gates import OpenGates, boxes
from tests.helpers.small import section

OLD_AND_GOOD = [boxes(number, f"{number} - i/u") for number in range(2, 12)]


def parents(sample: int) -> list[int]:
    settings = from_mapping(section())
    ageing = Ageing(settings, population=4, sample=sample, slots=["loss_bbox"])
    ageing.tell(Standing(OLD_AND_GOOD))
    found = []
    for number in range(100):
        with seeded("ageing", number) as rng:
            draft = ageing.ask(rng, OpenGates({"loss_bbox": OLD_AND_GOOD[0].losses["loss_bbox"]}))
        assert draft.origin.how is How.MUTATION
        found += draft.origin.parents
    return found


def test_parents_are_drawn_from_the_youngest_alone_and_the_best_of_a_sample_wins() -> None:
    assert set(parents(sample=1)) == {8, 9, 10, 11}
    drawn = parents(sample=4)
    assert drawn.count(8) > 50  # the best of the youngest
