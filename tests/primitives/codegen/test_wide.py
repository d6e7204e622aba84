"""Generated code of formulas that read what training knows, in every shape that it comes in."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from primitives.catalog import GRAMMARS, KNOWN
from primitives.codegen.function import function
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.sample import Sample
from tests.helpers.strategies import random_expression
from tests.primitives.codegen.test_function import module

WIDE = [name for name, rules in GRAMMARS.items() if rules.edition > 1]


def sample_of(rules: Grammar, shared: bool) -> Sample:
    """Boxes or logits; what is of the training or of classes is given once, or of every sample."""
    sample = rules.kind.given(rules.kind.reference_sample(), rules.terminals)
    once = {"progress": torch.tensor(0.3).double()}
    if sample.pred.shape != sample.target.shape:
        once["frequency"] = sample.given["frequency"][0]
    return Sample(sample.pred, sample.target, {**sample.given, **(once if shared else {})})


def written(
    formula: Expression, rules: Grammar, sample: Sample, backend: str, alpha: float | None, folder: Path
) -> Any:
    """What the generated function gives."""
    text = function(formula, rules, "loss", alpha, backend)
    loss = module(text, backend, folder).loss
    arguments = (sample.pred, sample.target, *(sample.given[name] for name in rules.given(formula)))
    if backend == "numpy":
        arguments = tuple(np.asarray(one) for one in arguments)
    with np.errstate(all="ignore"):
        return loss(*arguments)


def alike(
    formula: Expression, rules: Grammar, shared: bool, backend: str, folder: Path, alpha: float | None = None
) -> None:
    sample = sample_of(rules, shared)
    wanted: Tensor = rules.losses(formula, sample, alpha)
    found = torch.as_tensor(written(formula, rules, sample, backend, alpha, folder))
    torch.testing.assert_close(found.broadcast_to(wanted.shape), wanted, rtol=1e-7, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
@pytest.mark.parametrize(
    "known", [known for known in KNOWN.values() if known.grammar in WIDE], ids=lambda known: known.name
)
def test_known_losses_are_written_out_as_they_are(known: Any, backend: str, shared: bool, tmp_path: Path) -> None:
    alike(known.expression, GRAMMARS[known.grammar], shared, backend, tmp_path, known.alpha)


@pytest.mark.parametrize("backend", ["torch", "numpy"])
@pytest.mark.parametrize("name", WIDE)
def test_random_formulas_are_written_out_as_they_are(name: str, backend: str, tmp_path: Path) -> None:
    rules, rng, done = GRAMMARS[name], random.Random(name), 0
    while done < 60:
        formula = random_expression(rng, rules, depth=3)
        if not formula.names & rules.predicted or any(name in str(formula) for name in ("sin(", "cos(")):
            continue  # waves of large numbers are noise
        if not float(rules.losses(formula, sample_of(rules, True)).abs().max()) < 1e6:
            continue
        try:
            alike(formula, rules, bool(done % 2), backend, tmp_path)
        except InputError:  # a constant part that is not finite is not written out
            continue
        done += 1


def test_the_docstring_says_what_to_hand_over_and_in_which_shape() -> None:
    rules = GRAMMARS["sigmoid_wide"]
    text = function(rules.parse("f**t*a*(softplus(x) - x*y)"), rules, "loss", None, "numpy")
    assert "frequency: np.ndarray, progress: np.ndarray, size: np.ndarray" in text
    flat = " ".join(text.split())
    for part in (
        "as frequency (C,) or (N, C)",
        "t: progress of the training (share), as progress ()",
        "(side of the image), as size (N,)",
    ):
        assert part in flat
