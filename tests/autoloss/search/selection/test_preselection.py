"""A model learns from what was trained which losses are worth it."""

from __future__ import annotations

import random

import pytest

from autoloss.candidate import Candidate, How, Kind, Loss, Origin
from autoloss.config import from_mapping
from autoloss.search.selection.preselection import Model, profile
from autoloss.search.strategies.variation import rounded
from autoloss.settings import Settings
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from tests.helpers.small import section

SIGMOID = GRAMMARS["sigmoid"]
FOCAL = KNOWN["focal"]


def settings(**preselection: float) -> Settings:
    return from_mapping(section(preselection={"least": 10, **preselection}))


def powers(count: int) -> list[Candidate]:
    """Losses |y - p|^g with g from 0.5 to 2.5, at once hard and soft on hard samples."""
    found = []
    for number in range(count):
        power = rounded(0.5 + 2 * number / count)
        text = f"exp(mul({power}, log(abs(sub(y, sigmoid(x))))))"
        losses = {"loss_cls": Loss(SIGMOID.parse(text), SIGMOID, 1.0, 0.25)}
        found.append(Candidate(number + 1, Kind.FOUND, 0, losses, Origin(How.RANDOM, (), ("loss_cls",))))
    return found


def told(model: Model, candidates: list[Candidate]) -> None:
    """Harder losses score better."""
    model.tell(candidates, [{one.number: (one.number / 100,) for one in candidates}])


def test_losses_like_those_that_scored_well_are_predicted_to_score_well() -> None:
    model, candidates = Model(settings()), powers(40)
    told(model, candidates[::2])
    found = model.predicted([one.losses for one in candidates[1::2]])
    low, high = found[: len(found) // 3], found[-len(found) // 3 :]
    assert max(low) < min(high)
    assert found == model.predicted([one.losses for one in candidates[1::2]])


def test_it_wants_to_see_no_more_than_one_proposal_until_it_knows_enough_and_for_a_share_of_candidates() -> None:
    rng = random.Random(0)
    few, always, sometimes = Model(settings()), Model(settings(random=0.0, proposals=5)), Model(settings(random=0.5))
    told(few, powers(9))
    told(always, powers(10))
    told(sometimes, powers(10))
    assert few.more(rng) == 0
    assert {always.more(rng) for _ in range(50)} == {4}
    drawn = [sometimes.more(rng) for _ in range(400)]
    assert set(drawn) == {0, 3}
    assert 0.4 < drawn.count(0) / 400 < 0.6


def test_a_search_without_preselection_draws_nothing_for_it() -> None:
    model, rng = Model(from_mapping(section())), random.Random(0)
    told(model, powers(20))
    before = rng.getstate()
    assert model.more(rng) == 0
    assert rng.getstate() == before


def test_who_fell_on_the_way_counts_as_the_worst_that_was_seen() -> None:
    model, candidates = Model(settings()), powers(20)
    model.tell(candidates, [{one.number: (0.5,) for one in candidates[10:]} | {11: (0.2,)}])
    fell, stayed = model.predicted([candidates[2].losses, candidates[17].losses])
    assert fell < 0.35 < stayed


def test_a_weight_is_among_what_a_model_knows_of_a_loss() -> None:
    model, (loss,) = Model(settings()), powers(20)[10].losses.values()
    ladder = [
        Candidate(number, Kind.FOUND, 0, {"loss_cls": loss.times(2.0**number)}, Origin(How.RANDOM))
        for number in range(1, 21)
    ]
    told(model, ladder)
    light, heavy = model.predicted([{"loss_cls": loss.times(4.0)}, {"loss_cls": loss.times(2.0**18)}])
    assert heavy > light + 0.1


@pytest.mark.parametrize("text", ["abs(y - sigmoid(x))", "square(y - sigmoid(x))", "softplus(x) - x*y"])
def test_a_profile_says_nothing_of_the_scale_of_a_loss(text: str) -> None:
    def seen(formula: Expression) -> tuple[float, ...]:
        return profile(formula, 0.25, FOCAL.expression, FOCAL.alpha, SIGMOID)

    assert seen(SIGMOID.parse(f"({text}) * 3")) == pytest.approx(seen(SIGMOID.parse(text)), rel=1e-6, abs=1e-6)


def test_the_profile_of_the_loss_that_is_replaced_pulls_along_itself() -> None:
    found = profile(FOCAL.expression, FOCAL.alpha, FOCAL.expression, FOCAL.alpha, SIGMOID)
    lengths, along = found[:12], found[12:24]
    assert list(lengths) == sorted(lengths)
    assert along[-1] == pytest.approx(1)
