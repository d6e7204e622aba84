"""A probe carries the gradient that autograd finds through boxes and logits themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.kinds.box.kind import BOX
from primitives.kinds.probe import First


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_a_probe_gives_the_losses_and_gradients_of_raw_predictions(known: KnownLoss) -> None:
    rules = GRAMMARS[known.grammar]
    sample = rules.kind.given(rules.kind.typical_sample(), rules.terminals)
    pred = sample.pred.clone().requires_grad_()
    wanted = rules.losses(known.expression, replace(sample, pred=pred), known.alpha)
    (gradient,) = torch.autograd.grad(wanted.sum(), pred)
    if rules.kind is BOX:  # in (cx / w, cy / h, log w, log h)
        wh = sample.pred[:, 2:] - sample.pred[:, :2]
        first, second = gradient[:, :2], gradient[:, 2:]
        gradient = torch.cat((wh * (first + second), wh / 2 * (second - first)), dim=-1)
    losses, found = rules.kind.typical(rules.terminals).gradient(known.expression, known.alpha)
    torch.testing.assert_close(losses, wanted.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found, gradient, rtol=1e-7, atol=1e-9)


def test_a_formula_that_reads_no_prediction_has_no_gradient() -> None:
    for name, text in (("box_extended", "sub(v, v)"), ("sigmoid", "mul(y, w)")):
        rules = GRAMMARS[name]
        probe = rules.kind.typical(rules.terminals)
        _, gradient = probe.gradient(rules.parse(text))
        assert gradient.shape[0] == 256
        assert not gradient.any()


def test_values_looked_at_first_are_those_of_the_formula_however_few_are_kept() -> None:
    inputs = {"i": torch.tensor([0.2, 0.4]), "u": torch.tensor([1.0, 2.0])}
    first = First(inputs, most=2)
    for _ in range(2):
        for text in ("div(i, u)", "sub(1, div(i, u))", "add(i, u)", "mul(u, div(i, u))"):
            formula = GRAMMARS["box"].parse(text)
            assert torch.equal(first(formula), formula(inputs))
