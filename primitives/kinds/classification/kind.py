"""The kinds of class losses: one value per sample and class, summed over the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from primitives.algebra import Answer
from primitives.expression import Expression
from primitives.kinds.classification import certificates, curves, panels, proofs, relation, samples, simulation
from primitives.kinds.classification.code import ClassCode, of_kind
from primitives.kinds.classification.scores import CLASSES, KNOWN_IN_TRAINING, Scores, W, X, Y
from primitives.kinds.course import Way
from primitives.kinds.field import Descend, Field
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.panel import Panel
from primitives.kinds.probe import Probe
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Certificate, Verdict
from primitives.symbolic import Case


class ClassKind(Kind):
    """Losses of logits and labels (N,).

    Args:
        name: unique.
        background: whether the last of the (N, C + 1) logits is the background's, as a softmax has it; else there are
            C, each of a sigmoid.
        stand_in: the known loss that stock detectors train with.
        heads: which heads classify so.
        marks: words that published text uses in formulas of this kind only.
    """

    word = "class"
    slot = "loss_cls"
    terminals = (*CLASSES, *KNOWN_IN_TRAINING)
    arguments = ("x", "labels")
    floating = ("x",)
    outcomes = simulation.OUTCOMES
    score = "ap"

    def __init__(self, name: str, *, background: bool, stand_in: str, heads: str, marks: frozenset[str]) -> None:
        self.name, self.background, self.weighs_target = name, background, not background
        self.stand_in, self.heads, self.marks = stand_in, heads, marks
        # The loss of one class is written in its probability p as often as in its logit.
        self.shorthands = (("ny", "sub(1, y)"), ("p", f"{name}(x)"))
        shape = "(N, C + 1) with the background last" if background else "(N, C)"
        self.says = f"Losses (N,) of logits x, {shape}, and labels (N,); C is background."

    def derived(self, sample: Sample) -> Scores:
        """See Kind."""
        return Scores(sample, self.background)

    def spread(self, sample: Sample, given: str) -> Tensor:
        """See Kind; the same in every column."""
        return super().spread(sample, given)[:, None].expand_as(sample.pred)

    def losses(self, value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:
        """See Kind; summed over the classes, `alpha` weighting the target column and 1 - alpha the others.

        A formula that ends in one column per sample has no class axis left to weight.

        Source: alpha: Lin et al. 2017, arXiv 1708.02002, eq. 3.
        """
        rows, columns = inputs[X.name].shape
        if value.dim() == 2 and value.shape[1] == 1 and columns > 1:
            return value[:, 0].expand(rows)
        value = value.expand(rows, columns)
        if alpha is not None:
            value = value * (alpha * inputs[Y.name] + (1 - alpha) * (1 - inputs[Y.name]))
        return value.sum(-1)

    def spread_code(self, given: str, backend: str) -> str:
        """See Written; the same in every column."""
        given = super().spread_code(given, backend)
        if backend == "torch":
            return f"{given}.reshape(-1, 1).expand_as(x)"
        np = "np" if backend == "numpy" else "jnp"
        return f"{np}.broadcast_to({np}.reshape({given}, (-1, 1)), x.shape).astype(x.dtype)"

    def body(
        self, expression: Expression, terminals: Sequence[Terminal], alpha: float | None, backend: str
    ) -> list[str]:
        """See Written."""
        rows = [replace(one, code=of_kind(one.code, self.background)) for one in terminals]
        at_label = {
            one.name: one.code.get("at label", f"{self._of_each(one.given)}{{column}}") for one in rows if one.given
        }
        return ClassCode(self.background, backend, self.written(rows, backend), at_label).body(expression, alpha)

    def _of_each(self, given: str) -> str:
        """What was given of every sample, or of all, as (N,)."""
        return f"{super().spread_code(given, 'torch')}.reshape(-1).expand_as(labels)"

    def whole_sample(self) -> Sample:
        """Logits up to +-50; of 10 to 50 where they belong at the end."""
        return samples.whole(self.background)

    def typical_sample(self) -> Sample:
        """See Kind."""
        return samples.typical(self.background)

    def reference_sample(self) -> Sample:
        """See Kind."""
        return samples.reference(self.background)

    def moved(self, sample: Sample) -> Sample:
        """Every logit moved by a thousandth."""
        return replace(sample, pred=sample.pred + 1e-3)

    def probe(self, sample: Sample, terminals: Sequence[Terminal], dtype: torch.dtype) -> Probe:
        """See Kind; the prediction is the input x itself."""
        cast = replace(sample, pred=sample.pred.to(dtype))
        return Probe(self.inputs(cast, terminals), (X.name,), None, self.losses)

    def complaint(self, names: frozenset[str]) -> str:
        """A loss must read its target."""
        return "" if names & {Y.name, W.name} else f"reads no target: {Y.name} or {W.name}"

    def course(self, formula: Formula, everywhere: Callable[[], Verdict]) -> tuple[list[Verdict], bool]:
        """The target logit pulls and the others push; along the target logit lies one valley."""
        return curves.judged(self, formula, self.background, everywhere)

    def field(self, terminals: Sequence[Terminal]) -> Field:
        """See Kind."""
        return simulation.LogitField(self, terminals, self.background)

    def certificates(self, formula: Formula, descend: Descend) -> list[Certificate]:  # noqa: ARG002
        """Optimum, monotone, convexity, properness and label noise."""
        return certificates.found(self, formula, self.background)

    def related(
        self, formula: Formula, known: Formula, title: str, prove: Callable[..., Answer[Any]]
    ) -> tuple[str, str] | None:
        """A class loss times a function of w at positives, and times a constant elsewhere."""
        return relation.weighted(self, formula, known, title, self.background, prove)

    @property
    def case(self) -> Case:
        """The formula for a positive."""
        return proofs.of_softmax if self.background else proofs.of_sigmoid

    @property
    def of_target(self) -> str:
        """The target is the first class of a softmax."""
        return "_0" if self.background else ""

    def ways(self, terminals: Sequence[Terminal]) -> tuple[Way, ...]:
        """The logit of the target rises, and that of another class falls."""
        return curves.ways(self, terminals, self.background)

    def panels(self, formula: Formula, scale: float, descend: Descend) -> Iterable[Panel]:
        """See Kind."""
        return panels.drawn(self, formula, self.background, scale, descend)

    def limits(self, formula: Formula) -> list[str]:
        """See Kind."""
        return [f"Class loss: for heads that classify by {self.name} ({self.heads}).", *super().limits(formula)]


SOFTMAX = ClassKind(
    "softmax",
    background=True,
    stand_in="cross_entropy",
    heads="the box heads of Faster, Cascade and Mask R-CNN",
    marks=frozenset(("softmax", "dot", "z")),
)
SIGMOID = ClassKind(
    "sigmoid",
    background=False,
    stand_in="focal",
    heads="FCOS, ATSS, RetinaNet",
    marks=frozenset(("q", "py", "ny")),
)
