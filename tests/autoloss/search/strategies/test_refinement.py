"""Refinement changes one node, one number or one weight of the best."""

from __future__ import annotations

from collections import Counter

from autoloss.candidate import How
from autoloss.config import from_mapping
from autoloss.search.strategies.refinement import Refinement
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.variation import seeded
from tests.helpers.open_gates import OpenGates, boxes
from tests.helpers.small import section

BEST = boxes(4, "2 - 3*i/u", weight=1.5)


def test_one_thing_changes_and_the_origin_says_which() -> None:
    strategy = Refinement(from_mapping(section()), slots=["loss_bbox"])
    strategy.tell(Standing([BEST]))
    before, kinds = BEST.losses["loss_bbox"], Counter[str]()
    for number in range(200):
        with seeded("refined", number) as rng:
            draft = strategy.ask(rng, OpenGates({"loss_bbox": before}))
        after, (what,) = draft.losses["loss_bbox"], draft.origin.titles
        assert (draft.origin.how, draft.origin.parents, draft.origin.slots) == (How.REFINEMENT, (4,), ("loss_bbox",))
        if what.startswith("weight x "):
            kinds["weight"] += 1
            assert after.expression == before.expression
            assert after.loss_weight == before.times(float(what.removeprefix("weight x "))).loss_weight
        else:
            one_number = what.split(" to ")[0] in ("2", "3") and what.split(" to ")[-1] not in "iue123"
            kinds["number" if one_number else "node"] += 1
            assert after.expression != before.expression
    assert all(kinds[kind] > 25 for kind in ("weight", "number", "node")), kinds


def test_where_nobody_stands_formulas_come_from_nothing() -> None:
    strategy = Refinement(from_mapping(section()), slots=["loss_bbox"])
    with seeded("nobody") as rng:
        draft = strategy.ask(rng, OpenGates({"loss_bbox": BEST.losses["loss_bbox"]}))
    assert draft.origin.how is How.RANDOM
