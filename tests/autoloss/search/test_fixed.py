"""Slots whose loss stays while others are searched, and losses to begin with that have a weight of their own."""

from __future__ import annotations

from typing import Any

import pytest

from autoloss.candidate import Candidate
from autoloss.config import from_mapping
from autoloss.search.population import Population
from primitives.errors import InputError
from tests.helpers.small import section


def born(**changes: Any) -> list[Candidate]:
    """What is found in two generations."""
    population = Population(from_mapping(section(births=3, **changes)))
    first = population.ask(0).candidates
    population.tell([one.number for one in first])
    return [one for one in (*first, *population.ask(1).candidates) if one.number > 2]


@pytest.mark.parametrize("strategy", ["evolution", "random"])
def test_a_slot_with_the_own_loss_stays_as_it_is(strategy: str) -> None:
    assert all(one.losses.keys() == {"loss_bbox"} for one in born(fixed={"loss_cls": "own"}, strategy=strategy))


@pytest.mark.parametrize("strategy", ["evolution", "refine", "nsga2", "tune"])
def test_a_known_loss_of_a_fixed_slot_hands_nothing_on(strategy: str) -> None:
    wide = {
        "loss_cls": {"grammar": "sigmoid_wide", "like": "focal", "alpha": 0.25},
        "loss_bbox": {"grammar": "box_wide", "like": "giou"},
    }
    known = [{"loss_cls": "squared_error"}, {"loss_cls": "quality_focal", "loss_bbox": "iou"}]
    found = born(fixed={"loss_cls": "own"}, slots=wide, known=known, strategy=strategy)
    assert all(one.losses.keys() == {"loss_bbox"} for one in found)


@pytest.mark.parametrize("strategy", ["evolution", "refine", "nsga2"])
def test_everything_found_has_the_loss_that_is_fixed(strategy: str) -> None:
    found = born(fixed={"loss_cls": "varifocal"}, init=[{"loss_bbox": "1 - i/u"}], strategy=strategy)
    texts = {one.losses["loss_cls"].expression.text for one in found}
    assert len(texts) == 1
    assert len({one.losses["loss_bbox"].expression.text for one in found}) == len(found)


def test_what_init_says_of_a_fixed_slot_gives_way() -> None:
    found = born(
        fixed={"loss_cls": "own"}, init=[{"loss_cls": "varifocal"}, {"loss_bbox": "1 - i/u", "loss_cls": "focal"}]
    )
    assert found[0].losses.keys() == {"loss_bbox"}
    assert found[0].losses["loss_bbox"].expression.text == "sub(1, div(i, u))"


def test_a_loss_to_begin_with_may_have_a_weight_and_an_alpha_of_its_own() -> None:
    plain = {"formula": "abs(y - sigmoid(x))"}
    once, twice = (born(init=[{"loss_cls": {**plain, "alpha": 0.5, **more}}])[0] for more in ({}, {"times": 2.0}))
    assert twice.losses["loss_cls"].alpha == 0.5
    assert twice.losses["loss_cls"].loss_weight == pytest.approx(2 * once.losses["loss_cls"].loss_weight, rel=1e-5)


def test_a_known_loss_keeps_its_alpha_where_none_is_given() -> None:
    plain, weighted, without = (
        born(init=[{"loss_cls": loss}])[0].losses["loss_cls"].alpha
        for loss in ("cse_b_cls", {"formula": "cse_b_cls", "times": 2.0}, {"formula": "cse_b_cls", "alpha": None})
    )
    assert (plain, weighted, without) == (0.25, 0.25, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fixed": {"loss_iou": "own"}}, "fixed has a loss for slot 'loss_iou'; choices: loss_cls, loss_bbox"),
        ({"fixed": {"loss_cls": "own", "loss_bbox": "giou"}}, "fixed holds every slot"),
        ({"fixed": {"loss_cls": "1 - foo"}}, "search.fixed.loss_cls: unknown name 'foo'"),
        ({"fixed": {"loss_cls": "own"}, "strategy": {"type": "evolution", "slots": ["loss_cls"]}}, "loss_bbox, got"),
        ({"init": [{"loss_cls": {"text": "y"}}]}, "search.init"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Population(from_mapping(section(**changes)))
    assert message in str(caught.value)
