from __future__ import annotations

from pathlib import Path

import pytest

from autoloss.evaluator import Measurable, SideBySide
from autoloss.workers.several import SeveralEvaluators
from primitives.errors import InputError

HERE = "tests.helpers.fast_evaluator"
RUNG = {"steps": 3}
IOU = {
    "loss_bbox": {"expression": "sub(1, div(i, u))", "grammar": "box", "loss_weight": 1.0},
}


def several(*names: str, **changes: str) -> SeveralEvaluators:
    return SeveralEvaluators([{"type": f"{HERE}:{name}", **changes} for name in names], "mean")


def test_each_evaluates_and_metrics_have_its_number() -> None:
    both = several("DescentEvaluator", "DescentEvaluator").evaluate(IOU, RUNG, 1)
    alone = several("DescentEvaluator").evaluate(IOU, RUNG, 1)
    assert both == {"score": alone["score"], "1: score": alone["score"], "2: score": alone["score"]}


def test_candidates_stand_side_by_side_where_an_evaluator_can() -> None:
    found = several("DescentEvaluator", "GroupEvaluator").evaluate_many([IOU, {}, IOU], RUNG, 1)
    first, _, third = (one for one in found if not isinstance(one, str))
    assert third["1: score"] == first["1: score"]
    assert third["2: score"] > first["2: score"]  # that one tells its place


def test_a_candidate_that_one_of_them_fails_has_its_reason() -> None:
    found = several("GroupEvaluator", "GroupEvaluator", fail="one").evaluate_many([IOU, IOU, IOU], RUNG, 1)
    assert found[2] == "1: the gradient is not finite at iteration 3"
    assert not isinstance(found[0], str)


def test_costs_add_up(tmp_path: Path) -> None:
    found = several("MeasuredEvaluator", "MeasuredEvaluator")
    assert isinstance(found, SideBySide)
    assert isinstance(found, Measurable)
    shared = found.measure_shared({**RUNG, "shares": 1}, 0.1, str(tmp_path))
    assert shared == pytest.approx(
        {"iterations": 100, "fixed": 0.2, "iteration": 0.04, "evaluate": 0.8, "load": 0.6, "bytes": 1e7}
    )
    assert found.measure([IOU], {**RUNG, "shares": 1}, 0.1, str(tmp_path))["iterations"] == 3
    with pytest.raises(InputError, match="not all can be measured"):
        several("MeasuredEvaluator", "DescentEvaluator").measure([IOU], RUNG, 0.1, str(tmp_path))


def test_they_say_what_they_train() -> None:
    told = several("DescentEvaluator", "DescentEvaluator").describe()
    assert told["detector"] == "free boxes and logits"
    assert told["metric"] == "mean mAP over own"
