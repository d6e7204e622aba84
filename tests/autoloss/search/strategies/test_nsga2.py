"""Parents are those that nobody beats in score and size at once."""

from __future__ import annotations

from autoloss.config import from_mapping
from autoloss.search.strategies.nsga2 import NSGA2
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.variation import seeded
from tests.helpers.open_gates import OpenGates, boxes
from tests.helpers.small import section

TEXTS = {
    1: ("1 - i/u + i/e - i/e", 0.50),  # best and longest
    2: ("1 - i/u + i/e", 0.45),  # shorter, less good
    3: ("1 - i/u + u/e", 0.40),  # as long as 2, worse
    4: ("1 - i/u", 0.30),  # shortest
    5: ("3 - i/u", 0.20),  # as short, worse
}


def told(parents: int) -> NSGA2:
    candidates = [boxes(number, text) for number, (text, _) in TEXTS.items()]
    strategy = NSGA2(from_mapping(section(variation={"parents": parents})), slots=["loss_bbox"])
    strategy.tell(Standing(candidates, [{number: (score, score) for number, (_, score) in TEXTS.items()}]))
    return strategy


def drawn(strategy: NSGA2) -> set[int]:
    found: set[int] = set()
    for number in range(60):
        with seeded("nsga2", number) as rng:
            draft = strategy.ask(rng, OpenGates({"loss_bbox": boxes(0, "1 - i/u").losses["loss_bbox"]}))
        found |= set(draft.origin.parents)
    return found


def test_parents_are_the_front_of_score_and_size() -> None:
    assert drawn(told(3)) == {1, 2, 4}


def test_the_next_front_comes_in_where_there_is_room_the_more_crowded_last() -> None:
    assert drawn(told(5)) == {1, 2, 3, 4, 5}
    assert len(drawn(told(4)) - {1, 2, 4}) == 1


def test_of_a_front_the_crowded_go_first() -> None:
    assert drawn(told(2)) == {1, 4}


def test_a_slot_left_out_is_as_long_as_the_loss_that_stands_for_its_own() -> None:
    settings = from_mapping(section())
    strategy, box = NSGA2(settings), boxes(4, "1 - i/u")
    own = settings.stand_ins["loss_cls"].expression.size
    assert strategy._size(box) == own + box.size
