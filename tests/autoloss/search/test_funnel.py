import pytest

from autoloss.gates import pipeline
from autoloss.gates.distinct import Distinct
from autoloss.search import funnel
from autoloss.search.strategies.variation import random_formula, seeded
from primitives.catalog import GRAMMARS


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_formula_ends_somewhere_and_the_same_seed_gives_the_same_funnel(name: str) -> None:
    found, again = (funnel.run_funnel(GRAMMARS[name], 400, seed=3) for _ in range(2))
    assert sum(found.ends.values()) == found.proposed == 400
    assert found.ends == again.ends
    assert found.passed == again.passed
    assert funnel.run_funnel(GRAMMARS[name], 400, seed=4).ends != found.ends


def test_the_funnel_counts_what_judging_one_by_one_counts() -> None:
    rules, ends, seen = GRAMMARS["box"], dict[str, int](), Distinct()
    with seeded("funnel", "box", 0):
        formulas = [random_formula(rules) for _ in range(500)]
    for formula in formulas:
        judgement = pipeline.judge(formula, rules, seen=seen)
        seen.add(judgement.identity)
        gate = "passed" if judgement.passed else judgement.verdicts[-1].gate
        ends[gate] = ends.get(gate, 0) + 1
    assert funnel.run_funnel(rules, 500).ends == ends


def test_known_losses_are_rediscovered_and_named() -> None:
    assert "iou" in funnel.run_funnel(GRAMMARS["box"], 8_000).rediscovered


def test_who_watches_is_told_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    found = funnel.run_funnel(GRAMMARS["sigmoid"], 300, watch=lambda *numbers: told.append(numbers))
    assert told[-1] == (300, found.ends.get("passed", 0))
