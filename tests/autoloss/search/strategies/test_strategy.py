"""A strategy is a class that a config names; asked and told, by this protocol alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoloss.candidate import OWN, Candidate, How, Kind, Loss, Origin
from autoloss.config import from_mapping
from autoloss.proposals.strategy import STRATEGIES
from autoloss.search.loop import discover
from autoloss.search.population import Population
from autoloss.search.strategies.evolution import Evolution
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import build
from autoloss.search.strategies.variation import seeded
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS
from primitives.errors import InputError
from tests.helpers import strategies_of_others
from tests.helpers.open_gates import OpenGates
from tests.helpers.small import section

OTHERS = "tests.helpers.strategies_of_others"


def settings(**strategy: Any) -> Settings:
    return from_mapping(section(strategy=strategy))


def test_the_strategy_of_a_config_that_names_none_is_evolution() -> None:
    assert type(build(from_mapping(section()))) is Evolution


def test_parents_breed_without_their_dead_parts() -> None:
    """A formula whose dead parts are inherited grows by them from generation to generation."""
    rules = from_mapping(section(variation={"both": 0.0}))
    box = GRAMMARS["box"]
    grown = Loss(box.parse("sub(3, sub(div(i, u), div(sub(e, e), e)))"), box)
    parent = Candidate(7, Kind.FOUND, 0, {"loss_bbox": grown}, Origin(How.RANDOM))
    gates = OpenGates({"loss_bbox": grown})
    evolution = Evolution(rules.model_copy(update={"slots": {"loss_bbox": rules.slots["loss_bbox"]}}))
    evolution.tell(Standing([parent]))
    for number in range(100):
        with seeded("bred", number) as rng:
            evolution.ask(rng, gates)
    assert {str(one) for one, _ in gates.asked} == {"sub(3, div(i, u))"}
    assert max(formula.size for _, formula in gates.asked) < grown.expression.size


def test_a_strategy_of_ones_own_proposes_and_is_told_how_candidates_stand(tmp_path: Path) -> None:
    strategies_of_others.TOLD.clear()
    rules = settings(type=f"{OTHERS}:Climber", share=0.0)
    with Run.create(tmp_path / "run", rules.identity()) as run:
        discover(rules, run)
        found = [one for one in run.candidates() if one.kind is Kind.FOUND]
        rung, of_run = rules.ladder[-1], {one.number: one for one in run.candidates()}
        scores = {one.candidate: one.score for one in run.evaluations() if one.rung == rung.name}
    told = strategies_of_others.TOLD
    assert [len(standing) > 0 for standing in told] == [True] * rules.generations
    assert all(score is not None for score in scores.values())
    first_told = [scores[number] for number in told[0]]
    assert first_told == sorted(first_told, reverse=True)  # type: ignore[type-var]
    assert {one.origin.how for one in found if one.generation == 0} == {How.RANDOM}
    for one in found:
        if one.generation > 0:
            parent = told[one.generation - 1][0]
            assert one.parents == (parent,)
            assert one.losses.get("loss_cls") == of_run[parent].losses.get("loss_cls")


def test_what_a_strategy_proposes_depends_on_seed_and_history_alone() -> None:
    rules = settings(type=f"{OTHERS}:Climber")
    whole = Population(rules)
    first = whole.ask(0)
    whole.tell([4, OWN])
    second = whole.ask(1)
    resumed = Population(rules, first.candidates)
    resumed.tell([4, OWN])
    assert resumed.ask(1) == second


def test_a_strategy_that_proposes_the_same_for_ever_is_ended_by_the_limit_of_proposals() -> None:
    rules = from_mapping(section(strategy={"type": f"{OTHERS}:Stubborn"}, variation={"draws": 5}))
    with pytest.raises(InputError, match=r"no formula for loss_bbox passed the gates in 5 proposals \(last: distinct"):
        Population(rules).ask(0)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            {"type": "os:system"},
            "^search.strategy.type: os:system is no class, .*; a strategy is a class$",
        ),
        ({"type": "subprocess:Popen"}, "is no strategy: it has no tell, ask; needed: tell, ask$"),
        ({"type": "nothing_here:A"}, "cannot be imported: No module named 'nothing_here'"),
        ({"type": f"{OTHERS}:Climber", "shares": 1}, "does not take these arguments: .*'shares'"),
        ({"type": f"{OTHERS}:Climber", "share": 2}, "does not take these arguments: share is 0 to 1, got 2"),
        (
            {"type": "ageing", "population": 0},
            "ageing does not take these arguments: population is a whole number from",
        ),
        ({"type": "ageing", "sample": True}, "sample is a whole number from 1, got True"),
        ({"type": "tune", "best": "3"}, "best is a whole number from 1, got '3'"),
        (
            {"type": "nsga2", "slots": ["loss_mask"]},
            "slots is a list of those that the search may change, loss_cls, loss_bbox, got",
        ),
        ({"type": "refine", "slots": "loss_cls"}, "slots is a list of those that the search may change"),
        ({"type": "random", "slots": []}, "slots is a list of those that the search may change"),
        ({"type": "schedule"}, r"steps is a list such as .*, got \(\)"),
        ({"type": "schedule", "steps": []}, r"steps is a list such as \[\('random', 64\), .*, got \[\]"),
        ({"type": "schedule", "steps": [["random", 3], "tune"]}, "; step 2 is 'tune'"),
        ({"type": "schedule", "steps": [["random", 3, 4]]}, r"; step 1 is \['random', 3, 4\]"),
        ({"type": "schedule", "steps": [["random", 0]]}, "the number of step 1 is a whole number from 1, got 0"),
        ({"type": "schedule", "steps": [["evolve", 8]]}, "step 1: strategy needs a type: evolution, .*, got 'evolve'"),
        ({"type": "schedule", "steps": [[{"slots": []}, 8]]}, "step 1: strategy needs a type: evolution"),
        ({"type": "schedule", "steps": [[{"type": "tune", "best": 0}, 8]]}, "tune does not take .*best is a whole"),
        ({"type": "schedule", "steps": [["schedule", 8]]}, "step 1 is a schedule; a step is another strategy"),
    ],
)
def test_what_is_named_and_no_strategy_is_one_line(strategy: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Population(settings(**strategy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("none", "Wrong gave None; `ask` gives a Draft of losses and their origin"),
        ("text", "`ask` gives a Draft of losses"),
        ("slot", "Wrong gave a loss of grammar box for 'loss_cls'; slots: loss_cls, loss_bbox"),
        ("unknown", "a loss of grammar box for 'loss_mask'; slots: loss_cls, loss_bbox"),
        ("origin", "a draft whose origin names as new: none; its losses: loss_bbox"),
        ("empty", "a draft whose origin names as new: loss_bbox; its losses: none"),
    ],
)
def test_what_is_no_draft_is_one_line(how: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Population(settings(type=f"{OTHERS}:Wrong", how=how)).ask(0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [None, 3, "evolve", "a.b", ["evolution"]], ids=repr)
def test_what_is_no_name_of_a_strategy_is_told_when_the_config_is_read(name: Any) -> None:
    choices = "evolution, ageing, nsga2, refine, tune, random, schedule, or one of your own as 'module:Class'"
    with pytest.raises(InputError, match=f"strategy needs a type: {choices}"):
        settings(type=name)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_of_the_toolkit_is_the_same_by_its_short_name_and_by_its_class(name: str) -> None:
    steps = {"steps": [["random", 2]]} if name == "schedule" else {}
    by_class = settings(type=STRATEGIES[name], **steps)
    assert by_class == settings(type=name, **steps)
    assert steps or by_class == from_mapping(section(strategy=name))
    assert f"{type(build(by_class)).__module__}:{type(build(by_class)).__name__}" == STRATEGIES[name]


def test_another_strategy_is_another_search(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", settings(type=f"{OTHERS}:Climber").identity()).close()
    with Run.create(tmp_path / "run", from_mapping(section()).identity()) as run:  # nothing has begun: it may change
        discover(from_mapping(section(generations=1, finale=None)), run)
    with pytest.raises(InputError, match="strategy"):
        Run.create(tmp_path / "run", settings(type=f"{OTHERS}:Climber").identity())
