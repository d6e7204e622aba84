"""Expression losses: formulas registered in mmdetection as `ExpressionBoxLoss` and `ExpressionClassLoss`."""

from __future__ import annotations

from mmdet.registry import MODELS
from torch import Tensor

from detectors.losses.weighted_loss import BoxLoss, ClassLoss
from primitives.catalog import grammar as find_grammar
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.features import box_features, class_features, per_sample


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
        self.grammar, self.expression = _parsed(expression, grammar, "loss_bbox", type(self).__name__)

    def extra_repr(self) -> str:
        """See nn.Module."""
        return f"{self.expression}, grammar={self.grammar}, loss_weight={self.loss_weight:g}"

    def formula(self, pred: Tensor, target: Tensor) -> Tensor:
        """See BoxLoss."""
        inputs = box_features(
            pred, target, pixels=self.grammar == "box_pixels", extended=self.grammar == "box_extended"
        )
        return per_sample(self.expression(inputs), inputs)


@MODELS.register_module()
class ExpressionClassLoss(ClassLoss):
    """A class formula as `loss_cls`.

    Args:
        expression: text of the formula.
        grammar: `softmax` (C + 1 logits, the last is background) or `sigmoid` (C logits).
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
        self.grammar, self.expression = _parsed(expression, grammar, "loss_cls", type(self).__name__)
        self.use_sigmoid = self.grammar == "sigmoid"
        self.reads_iou = "w" in self.expression.names
        if use_sigmoid not in (None, self.use_sigmoid):
            raise InputError(f"use_sigmoid={use_sigmoid} contradicts grammar {grammar!r}; leave it out or agree")
        if alpha is not None and not self.use_sigmoid:
            raise InputError(f"alpha={alpha} needs grammar 'sigmoid', got {grammar!r}; leave alpha out")
        self.alpha = alpha

    def extra_repr(self) -> str:
        """See nn.Module."""
        return f"{self.expression}, grammar={self.grammar}, loss_weight={self.loss_weight:g}"

    def formula(self, x: Tensor, labels: Tensor, iou: Tensor | None) -> Tensor:
        """See ClassLoss."""
        inputs = class_features(x, labels, iou if self.reads_iou else None, use_sigmoid=self.use_sigmoid)
        return per_sample(self.expression(inputs), inputs, self.alpha)


def _parsed(expression: str, grammar: str, slot: str, kind: str) -> tuple[str, Expression]:
    rules = find_grammar(grammar)
    if rules.slot != slot:
        raise InputError(f"{kind} takes formulas for {slot}, grammar {grammar!r} is for {rules.slot}")
    return rules.name, rules.parse(expression)
