import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.gates import pipeline, simulation
from autoloss.gates.analysis import descended
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss, thresholds
from primitives.expression import Expression
from primitives.kinds.field import Descent
from primitives.operators import OPERATORS


def run(known: KnownLoss) -> Descent:
    return simulation.descend(known.expression, GRAMMARS[known.grammar], known.alpha)


def test_the_thresholds_are_those_that_the_known_losses_give() -> None:
    assert simulation.derived(descended()) == thresholds()


@given(st.sampled_from(sorted(KNOWN)), st.integers(-20, 20))
@settings(max_examples=20)
def test_the_outcome_does_not_depend_on_the_loss_weight(name: str, power: int) -> None:
    known = KNOWN[name]
    heavier = Expression(OPERATORS["mul"], (Expression(2.0**power), known.expression))
    weighted = simulation.descend(heavier, GRAMMARS[known.grammar], known.alpha)
    assert weighted.numbers == pytest.approx(run(known).numbers, abs=0.02)


def test_many_formulas_at_once_come_to_what_each_comes_to_alone() -> None:
    rules = GRAMMARS["box"]
    formulas = [known.expression for known in KNOWN.values() if known.grammar == "box"]
    together = simulation.descend_all([*formulas, rules.parse("exp(exp(exp(u)))")], rules)
    for formula, one in zip(formulas, together, strict=False):
        alone = simulation.descend(formula, rules)
        assert one.numbers == pytest.approx(alone.numbers, abs=1e-3)
        assert one.curve == pytest.approx(alone.curve, abs=1e-3)
    assert together[-1].broken.startswith("the gradient is not finite on")


def test_a_descent_that_stops_early_gets_the_verdict_of_the_whole(golden: Path) -> None:
    for row in csv.DictReader((golden / "gates.csv").read_text().splitlines()):
        rules, alpha = GRAMMARS[row["grammar"]], float(row["alpha"]) if row["alpha"] else None
        judgement = pipeline.judge(rules.parse(row["formula"]), rules, alpha)
        if judgement.verdicts[-1].gate == "converges":
            whole = simulation.descend(judgement.expression, rules, alpha).numbers
            reached = all(whole[name] >= least for name, least in rules.asked(thresholds()).items() if name in whole)
            assert reached == judgement.passed, row["name"]


def test_boxes_arrive_under_giou_and_leave_under_its_negative() -> None:
    giou = run(KNOWN["giou"])
    assert giou.curve[0] < 0.4 < 0.98 < giou.curve[-1]
    assert giou.numbers["iou"] == pytest.approx(giou.curve[-1])
    away = simulation.descend(Expression(OPERATORS["neg"], (KNOWN["giou"].expression,)), GRAMMARS["box"])
    assert away.numbers["iou"] < 0.01


def test_disjoint_boxes_stay_where_they_are_under_iou_and_some_arrive_under_diou() -> None:
    assert run(KNOWN["iou"]).numbers["disjoint"] == 0
    assert run(KNOWN["diou"]).numbers["disjoint"] > 0


def test_scores_rank_by_iou_where_the_loss_knows_it_only() -> None:
    assert run(KNOWN["quality_focal"]).numbers["rank"] > 0.95 > 0.3 > run(KNOWN["focal"]).numbers["rank"]


@pytest.mark.parametrize("name", ["box_wide", "sigmoid_wide", "softmax_wide"])
def test_time_runs_from_0_to_1_while_predictions_descend(name: str) -> None:
    rules = GRAMMARS[name]
    field = rules.kind.field(rules.terminals)
    seen = []
    for share in (0.0, 0.5, 1.0):
        field.time(share)
        seen.append(field.inputs(field.start[None])["t"].unique().tolist())
        frequencies = field.inputs(field.start[None])["f"].unique()
    assert seen == [[0.0], [0.5], [1.0]]
    assert len(frequencies) > 50


def test_a_loss_that_turns_round_with_time_ends_where_it_does_not_belong() -> None:
    rules = GRAMMARS["box_wide"]
    loss, turned = (rules.parse(text) for text in ("(1 - t)*(1 - i/u)", "(0.1 - t)*(1 - i/u)"))
    assert simulation.descend(loss, rules).numbers["iou"] > 0.9
    assert simulation.descend(turned, rules).numbers["iou"] < 0.1
