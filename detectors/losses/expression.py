"""Expression losses: formulas registered in mmdetection as `ExpressionBoxLoss` and `ExpressionClassLoss`."""

from __future__ import annotations

from mmdet.registry import MODELS
from torch import Tensor

from detectors.losses.weighted_loss import BoxLoss, ClassLoss
from primitives.catalog import GRAMMARS
from primitives.catalog import grammar as find_grammar
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.classification.kind import SIGMOID
from primitives.kinds.sample import Sample


@MODELS.register_module()
class ExpressionBoxLoss(BoxLoss):
    """A box formula as `loss_bbox`, on decoded boxes.

    Args:
        expression: text of the formula.
        grammar: `box`, `box_pixels` or `box_extended`.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.

    Raises:
        InputError: the text is not a formula of the grammar.
    """

    def __init__(
        self, expression: str, grammar: str = "box", reduction: str = "mean", loss_weight: float = 1.0
    ) -> None:
        super().__init__(reduction, loss_weight)
        self.rules, self.expression = _parsed(expression, grammar, "loss_bbox", type(self).__name__)
        self.reads = self.rules.given(self.expression)

    def extra_repr(self) -> str:
        """See nn.Module."""
        return f"{self.expression}, grammar={self.rules.name}, loss_weight={self.loss_weight:g}"

    def formula(self, pred: Tensor, target: Tensor, **given: Tensor) -> Tensor:
        """See BoxLoss."""
        inputs = self.rules.inputs(Sample(pred, target, given))
        return self.rules.kind.losses(self.expression(inputs), inputs)


@MODELS.register_module()
class ExpressionClassLoss(ClassLoss):
    """A class formula as `loss_cls`.

    Args:
        expression: text of the formula.
        grammar: of classes, such as `softmax` (C + 1 logits, the last is background) or `sigmoid` (C logits).
        alpha: weight of the target column, 1 - alpha elsewhere; None weights nothing. Sigmoid only.
        use_sigmoid: heads read it from the config; it must agree with the grammar.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.

    Raises:
        InputError: the text is not a formula of the grammar, or the arguments contradict each other.
    """

    def __init__(
        self,
        expression: str,
        grammar: str,
        alpha: float | None = None,
        use_sigmoid: bool | None = None,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(reduction, loss_weight)
        self.rules, self.expression = _parsed(expression, grammar, "loss_cls", type(self).__name__)
        self.reads = self.rules.given(self.expression)
        self.use_sigmoid = self.rules.kind is SIGMOID
        if use_sigmoid not in (None, self.use_sigmoid):
            raise InputError(f"use_sigmoid={use_sigmoid} contradicts grammar {grammar!r}; leave it out or agree")
        if alpha is not None and not self.rules.kind.weighs_target:
            weighing = " or ".join(repr(name) for name, one in GRAMMARS.items() if one.kind.weighs_target)
            raise InputError(f"alpha={alpha} needs grammar {weighing}, got {grammar!r}; leave alpha out")
        self.alpha = alpha

    def extra_repr(self) -> str:
        """See nn.Module."""
        return f"{self.expression}, grammar={self.rules.name}, loss_weight={self.loss_weight:g}"

    def formula(self, x: Tensor, labels: Tensor, **given: Tensor) -> Tensor:
        """See ClassLoss."""
        inputs = self.rules.inputs(Sample(x, labels, given))
        return self.rules.kind.losses(self.expression(inputs), inputs, self.alpha)


def _parsed(expression: str, grammar: str, slot: str, module: str) -> tuple[Grammar, Expression]:
    rules = find_grammar(grammar)
    if rules.slot != slot:
        raise InputError(f"{module} takes formulas for {slot}, grammar {grammar!r} is for {rules.slot}")
    return rules, rules.parse(expression)
