"""Calibration: a formula starts with the gradients of the loss it replaces."""

from __future__ import annotations

import pytest

from autoloss.gates.calibration import calibrated
from primitives.catalog import GRAMMARS, KNOWN


@pytest.mark.parametrize("factor", [0.01, 1.0, 40.0])
def test_a_factor_of_a_formula_is_made_up_for_by_its_weight(factor: float) -> None:
    grammar = GRAMMARS["box"]
    loss = calibrated(grammar.parse(f"{factor} * (1 - i/u)"), grammar, None, "iou", weight=2.0)
    assert loss.loss_weight * factor == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("name", ["equalised_focal", "logit_adjusted_focal"])
def test_losses_for_long_tails_weigh_the_most_frequent_class_as_the_loss_does_that_they_come_from(name: str) -> None:
    known = KNOWN[name]
    assert calibrated(known.expression, GRAMMARS[known.grammar], known.alpha, "focal").loss_weight == 1.0
