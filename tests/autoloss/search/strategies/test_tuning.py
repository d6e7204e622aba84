"""Tuning tries every number of the best both ways, larger steps first, and believes no gain within the noise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from autoloss.candidate import Candidate, How, Kind, Loss, Origin
from autoloss.config import from_mapping
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft
from autoloss.search.strategies.tuning import Tuning, base
from autoloss.search.strategies.variation import seeded
from primitives.catalog import GRAMMARS
from tests.helpers.open_gates import OpenGates, boxes
from tests.helpers.small import section

BEST, NEXT = boxes(4, "1 - i/u"), boxes(5, "3 - exp(i/u)")


def asked(standing: Standing, count: int, best: int = 3) -> Iterator[Draft]:
    """The next proposals, none of them refused."""
    strategy = Tuning(from_mapping(section()), best, slots=["loss_bbox"])
    strategy.tell(standing)
    gates = OpenGates({"loss_bbox": BEST.losses["loss_bbox"]})
    gates.seen = [one.losses for one in standing]
    for number in range(count):
        with seeded("tuned", number) as rng:
            draft = strategy.ask(rng, gates)
        gates.seen.append(draft.losses)
        yield draft


def whats(standing: Standing, count: int, best: int = 3) -> list[str]:
    return [f"{draft.origin.parents} {', '.join(draft.origin.titles)}" for draft in asked(standing, count, best)]


def test_every_number_of_the_best_is_tried_both_ways_by_smaller_and_smaller_steps() -> None:
    four = ["weight x 2", "weight x 0.5", "1 to 2", "1 to 0.5", "weight x 1.41", "weight x 0.707", "1 to 1.4"]
    assert whats(Standing([BEST]), 7) == [f"(4,) {what}" for what in four]


def test_several_are_tuned_side_by_side_and_after_their_last_steps_it_is_the_next_ones_turn() -> None:
    sides = whats(Standing([BEST, NEXT]), 8, best=2)
    assert [what[:4] for what in sides] == ["(4,)"] * 4 + ["(5,)"] * 4
    alone = whats(Standing([BEST, NEXT]), 20, best=1)
    assert [key for key, _ in itertools.groupby(what[:4] for what in alone)] == ["(4,)", "(5,)"]


def test_where_every_step_was_tried_formulas_come_from_nothing() -> None:
    hows = [draft.origin.how for draft in asked(Standing([BEST]), 20)]
    assert [key for key, _ in itertools.groupby(hows)] == [How.TUNING, How.RANDOM]


def tuned(number: int, parent: Candidate) -> Candidate:
    origin = Origin(How.TUNING, (parent.number,), ("loss_bbox",), ("weight x 2",))
    return boxes(number, "1 - i/u", 2.0, origin)


def test_who_was_tuned_takes_the_place_of_its_parent_only_beyond_the_noise() -> None:
    child = tuned(8, BEST)
    other = {5: (0.30, 0.34)}
    within = Standing([child, BEST, NEXT], [{8: (0.41, 0.41), 4: (0.42, 0.38), **other}])
    beyond = Standing([child, BEST, NEXT], [{8: (0.51, 0.51), 4: (0.42, 0.38), **other}])
    assert base(child, within) == BEST
    assert base(child, beyond) == child
    assert whats(within, 1) == ["(4,) weight x 0.5"]  # the other way was tried
    assert whats(beyond, 1) == ["(8,) weight x 2"]


def test_a_chain_of_small_gains_leads_back_to_where_it_began() -> None:
    first = tuned(8, BEST)
    second = tuned(9, first)
    rows = {9: (0.43, 0.41), 8: (0.41, 0.42), 4: (0.42, 0.40), 5: (0.30, 0.35)}
    assert base(second, Standing([second, first, BEST, NEXT], [rows])) == BEST


def test_the_alpha_of_a_class_loss_is_tuned_by_its_odds() -> None:
    grammar = GRAMMARS["sigmoid"]
    loss = Loss(grammar.parse("abs(y - sigmoid(x))"), grammar, alpha=0.25)
    origin = Origin(How.RANDOM, (), ("loss_cls",))
    one = Candidate(4, Kind.FOUND, 0, {"loss_cls": loss}, origin, (), True)
    strategy = Tuning(from_mapping(section()), slots=["loss_cls"])
    strategy.tell(Standing([one]))
    gates = OpenGates({"loss_cls": loss})
    found = []
    for number in range(4):
        with seeded("tuned", number) as rng:
            draft = strategy.ask(rng, gates)
        gates.seen.append(draft.losses)
        found.append((*draft.origin.titles, draft.losses["loss_cls"].alpha))
    assert found == [
        ("weight x 2", 0.25),
        ("weight x 0.5", 0.25),
        ("alpha 0.25 to 0.4", 0.4),
        ("alpha 0.25 to 0.14", 0.14),
    ]
