import csv
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from autoloss.gates import pipeline, simulation
from autoloss.gates.analysis import descended
from autoloss.gates.simulation_inputs import ASPECTS, SCALES, all_boxes, sampled_boxes, sampled_logits
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.features import pairwise_iou
from primitives.operators import OPERATORS


def run(known: KnownLoss) -> simulation.Descent:
    return simulation.descend(known.expression, GRAMMARS[known.grammar], known.alpha)


def test_the_thresholds_are_those_that_the_known_losses_give() -> None:
    assert simulation.derived(descended()) == simulation.THRESHOLDS


def test_the_whole_sample_is_that_of_the_paper() -> None:
    """Zheng et al. 2020, arXiv 1911.08287, section 3.2: 7 aspect ratios, 7 scales, distances to 10 times the size."""
    boxes = all_boxes()
    assert (len(ASPECTS), len(SCALES)) == (7, 7)
    assert len(boxes.place) == 7 * 7 * 7 * 21 * 4
    assert (float(boxes.distance.min()), float(boxes.distance.max())) == (0, 10)
    pred, target = boxes.xyxy(boxes.place[None])
    assert ((pairwise_iou(pred, target) > 0) == boxes.overlapping).all()


def test_the_sample_of_the_gate_has_overlapping_and_disjoint_pairs_at_many_scales() -> None:
    boxes = sampled_boxes()
    pred, target = boxes.xyxy(boxes.place[None])
    iou = pairwise_iou(pred, target)
    assert ((iou > 0) == boxes.overlapping).all()
    assert 0.05 < float(iou[boxes.overlapping].min()) + 0.05 < 0.3 < 0.6 < float(iou.max())
    sides = (target[:, 2:] - target[:, :2]).log2()
    assert float(sides.max() - sides.min()) > 6
    assert float(boxes.distance.max()) > 8


@pytest.mark.parametrize("use_sigmoid", [True, False])
def test_the_logits_are_few_positives_of_any_iou_among_many_negatives(use_sigmoid: bool) -> None:
    logits = sampled_logits(use_sigmoid)
    assert len(logits.x) == 8 * logits.positives
    assert (float(logits.iou[: logits.positives].min()), float(logits.iou.max())) == (pytest.approx(0.05), 1)
    assert (logits.labels[logits.positives :] == 4).all()


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
            reached = all(whole[name] >= least for name, least in simulation.THRESHOLDS.items() if name in whole)
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


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    a, b = (torch.tensor(values).double() for values in zip(*pairs, strict=True))
    expected = 0.0 if a.unique().numel() == 1 or b.unique().numel() == 1 else spearmanr(a, b).statistic
    assert simulation.spearman(a, b) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.booleans(), min_size=2, max_size=30).filter(any))
def test_average_precision_is_that_of_scikit_learn(right: list[bool]) -> None:
    scores = torch.linspace(1, 0, len(right))
    expected = average_precision_score(right, scores)
    assert simulation.average_precision(scores, torch.tensor(right), sum(right)) == pytest.approx(expected)
