"""A loss as an object: call it on tensors, look at its algebra, judge it, draw it, put it into a detector."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from autoloss.candidate import Loss
from autoloss.gates import analysis, equivalence, inspection
from primitives import algebra, symbolic
from primitives.catalog import named
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.forms import simplify
from primitives.forms.infix import infix
from primitives.grammar import Grammar
from primitives.kinds.sample import Sample
from primitives.text.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODULES = {
    "loss_bbox": "detectors.losses.expression:ExpressionBoxLoss",
    "loss_cls": "detectors.losses.expression:ExpressionClassLoss",
}
"""Loss modules of mmdetection by slot, as 'module:class'; the engine names them and imports them when asked to."""


@dataclass(frozen=True)
class LossFormula:
    """A formula with what it needs to be a loss; a notebook shows it as mathematics.

    Args:
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula, None for none.
        loss_weight: that the module for a detector gets.
    """

    expression: Expression
    grammar: Grammar
    alpha: float | None = None
    loss_weight: float = 1.0

    def __str__(self) -> str:
        return infix(self.expression)

    def __repr__(self) -> str:
        alpha = "" if self.alpha is None else f", alpha={self.alpha:g}"
        return f"autoloss.loss({str(self)!r}, {self.grammar.name!r}{alpha})"

    def __call__(self, pred: Tensor, target: Tensor, **given: Tensor) -> Tensor:
        """Losses of every sample, without loss_weight; gradients go to the predictions.

        Args:
            pred: predicted boxes (N, 4) xyxy in pixels, or logits (N, C); a softmax has the background last.
            target: target boxes (N, 4), or labels (N,), C being background.
            given: what else the formula reads, (N,) each, such as `iou` of the predicted boxes.

        Returns:
            Losses (N,).

        Raises:
            InputError: the shapes do not belong together, or what the formula reads is not given.
        """
        wanted = self.grammar.given(self.expression)
        if missing := [name for name in wanted if name not in given]:
            names = ", ".join(f"{name}=" for name in missing)
            raise InputError(f"{self} reads what the predictions do not say; give {names} one value per sample")
        if unread := [name for name in given if name not in wanted]:
            reads = ", ".join(wanted) or "nothing beside predictions and targets"
            raise InputError(f"unknown input {printable(unread[0])!r}; {self} reads {reads}")
        try:
            return self.grammar.losses(self.expression, Sample(pred, target, given), self.alpha)
        except ValueError as error:
            raise InputError(str(error)) from None

    @property
    def canonical(self) -> str:
        """The formula in call form, as runs and configs have it."""
        return str(self.expression)

    @property
    def simplified(self) -> LossFormula:
        """The same loss in its short form: same values, same gradients."""
        return replace(self, expression=simplify.simplified(self.expression, self.grammar))

    @property
    def known(self) -> str | None:
        """Title of the known loss that it is, up to an affine map."""
        found = equivalence.recognised(Loss(self.expression, self.grammar, alpha=self.alpha))
        return found.title if found else None

    @property
    def sympy(self) -> Any:
        """The formula as a SymPy expression, protections left out; softmax and dot stay named functions.

        Raises:
            InputError: SymPy does not come to an end in 5 seconds.
        """
        return _answered(
            algebra.ask(symbolic.display, self.expression.tree, self._positive, seconds=inspection.SECONDS)
        )

    @property
    def latex(self) -> str:
        """The formula as LaTeX, as it is written; `.simplified.latex` is that of the short form."""
        return algebra.latex(self.expression, self.grammar.terminals)

    def derivative(self, name: str) -> Any:
        """The derivative by an input, as a SymPy expression, simplified where that does not take long.

        Of classes that hang together by a softmax it is that of a positive of the first of two, by its logits `x_0`
        (for which `x` stands) and `x_1`.

        Args:
            name: of an input that a prediction changes.

        Raises:
            InputError: no such input, or SymPy does not come to an end.
        """
        formula = self.grammar.formula(self.simplified.expression, self.alpha)
        if name not in self.grammar.predicted:
            choices = ", ".join(sorted(self.grammar.predicted))
            raise InputError(f"no prediction changes {printable(repr(name))}; derivatives are by {choices}")
        case, symbol = inspection.case_of(formula, self.grammar), inspection.symbol_of(name, formula, self.grammar)
        arguments = (case, formula.expression.tree, formula.positive, formula.fixed, symbol)
        short = algebra.ask(symbolic.derivative, *arguments, True, seconds=inspection.SECONDS)
        if short.value is not None:
            return short.value
        return _answered(algebra.ask(symbolic.derivative, *arguments, False, seconds=inspection.SECONDS))

    def check(self) -> dict[str, Any]:
        """What every gate says, and the certificates, as `autoloss check --json` prints them."""
        return analysis.examined(self.expression, self.grammar, self.alpha)

    def inspect(self) -> dict[str, Any]:
        """The same and more: derivatives, ways to the optimum, the nearest known loss, as `autoloss inspect --json`."""
        return inspection.inspected(self.expression, self.grammar, self.alpha)

    def plot(self, file: str | Path | None = None, beside: str | None = None) -> Figure:
        """Draws it beside a known loss; a notebook shows what is returned.

        Args:
            file: PNG, SVG or PDF by its ending, where it is to be written, too.
            beside: name of the known loss; None for that of its kind.

        Raises:
            InputError: no such loss, or the file cannot be written.
        """
        from autoloss.report.plots import fidelity_plot, loss_plot

        mine = loss_plot.Drawn("this", self.expression, self.grammar, self.alpha)
        figure = loss_plot.picture(mine, loss_plot.beside(mine, beside))
        if file is not None:
            fidelity_plot.save(figure, Path(file))
        return figure

    def module(self, **options: Any) -> Any:
        """The loss as a module of mmdetection, as `loss_bbox` or `loss_cls` of a head.

        Args:
            options: of the module, such as `reduction`, and `loss_weight` where it is not that of this loss.

        Raises:
            InputError: mmdetection is not installed.
        """
        name, _, called = MODULES[self.grammar.slot].partition(":")
        try:
            module = getattr(importlib.import_module(name), called)
        except ImportError as error:
            raise InputError(f"a module for a detector needs mmdetection: {error}") from None
        weighed = {} if self.alpha is None else {"alpha": self.alpha}
        own = {"grammar": self.grammar.name, "loss_weight": self.loss_weight, **weighed}
        return module(self.canonical, **{**own, **options})

    @property
    def _positive(self) -> frozenset[str]:
        return self.grammar.formula(self.expression).positive

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex}$"


def loss(text: str, grammar: str | None = None, alpha: float | None = None) -> LossFormula:
    """A loss from a formula, such as `1 - i/u`, or from the name of a known loss, such as `giou`.

    Args:
        text: infix or calls; never handed to an interpreter.
        grammar: its name; None for the one that the text leaves no doubt about.
        alpha: weight of the target column of a sigmoid loss outside the formula.

    Raises:
        InputError: the text is no formula, there is no such grammar, or its losses are not weighted so.
    """
    return LossFormula(*named(text, grammar, alpha))


def _answered(answer: algebra.Answer[Any]) -> Any:
    if answer.value is None:
        raise InputError(answer.cause or "SymPy finds no such expression")
    return answer.value
