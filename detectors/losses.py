"""Expression losses: formulas registered in mmdetection as `ExpressionBoxLoss` and `ExpressionClassLoss`."""

from __future__ import annotations

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from primitives.catalog import grammar as find_grammar
from primitives.errors import InputError
from primitives.features import box_features, class_features, per_sample

_REDUCTIONS = ("none", "mean", "sum")


class _ExpressionLoss(nn.Module):
    """What both slots share: the formula, float32, and mmdetection's weight and reduction contract."""

    slot = ""

    def __init__(self, expression: str, grammar: str, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        rules = find_grammar(grammar)
        if rules.slot != self.slot:
            raise InputError(
                f"{type(self).__name__} takes formulas for {self.slot}, grammar {grammar!r} is for {rules.slot}"
            )
        self.grammar = rules.name
        self.expression = rules.parse(expression)
        self.reduction = _reduction(reduction)
        self.loss_weight = loss_weight

    def extra_repr(self) -> str:
        return f"{self.expression}, grammar={self.grammar}, loss_weight={self.loss_weight:g}"

    def _reduce(self, loss: Tensor, weight: Tensor | None, avg_factor: float | Tensor | None, how: str) -> Tensor:
        """Weights, sums and averages losses (N,); a row of weight 0 counts as 0, whatever its value."""
        if weight is not None:
            loss = torch.where(weight == 0, 0.0, loss * weight)
        if how == "none":
            return loss * self.loss_weight
        total = loss.sum() * self.loss_weight
        if how == "sum":
            return total
        if avg_factor is None:
            return total / max(loss.numel(), 1)
        # mmdetection guards the division the same way, so that avg_factor 0 gives no NaN.
        return total / (avg_factor + torch.finfo(torch.float32).eps)

    def _how(self, avg_factor: float | Tensor | None, reduction_override: str | None) -> str:
        how = _reduction(reduction_override) if reduction_override else self.reduction
        if avg_factor is not None and how == "sum":
            raise ValueError('avg_factor can not be used with reduction="sum"')
        return how


@MODELS.register_module()
class ExpressionBoxLoss(_ExpressionLoss):
    """A box formula as `loss_bbox`, on decoded boxes.

    Args:
        expression: text of the formula.
        grammar: `box`, `box_pixels` or `box_extended`.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.

    Raises:
        InputError: the text is not a formula of the grammar.
    """

    slot = "loss_bbox"

    def __init__(
        self, expression: str, grammar: str = "box", reduction: str = "mean", loss_weight: float = 1.0
    ) -> None:
        super().__init__(expression, grammar, reduction, loss_weight)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: object,  # noqa: ARG002  mmdetection's contract
    ) -> Tensor:
        """Loss of aligned boxes.

        Args:
            pred: predicted boxes, (N, 4) xyxy in pixels.
            target: target boxes, (N, 4) xyxy in pixels.
            weight: (N,), or (N, 4), which is averaged over its last axis.
            avg_factor: divides the sum; not with reduction `sum`.
            reduction_override: takes the place of `reduction`.
            kwargs: what heads hand to other losses; not used.

        Returns:
            A float32 scalar, or (N,) for reduction `none`.
        """
        how = self._how(avg_factor, reduction_override)
        pred, target = _at_least_float32(pred), _at_least_float32(target)
        if weight is not None:
            weight = weight.mean(-1) if weight.dim() == 2 else weight
            pred = _alive(pred, weight)
        if len(pred) == 0:
            # An empty selection still needs a graph to every parameter behind it.
            return self._reduce(pred.sum(-1), None, avg_factor, how)
        with torch.autocast(pred.device.type, enabled=False):
            inputs = box_features(
                pred, target, pixels=self.grammar == "box_pixels", extended=self.grammar == "box_extended"
            )
            return self._reduce(per_sample(self.expression(inputs), inputs), weight, avg_factor, how)


@MODELS.register_module()
class ExpressionClassLoss(_ExpressionLoss):
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

    slot = "loss_cls"

    def __init__(
        self,
        expression: str,
        grammar: str,
        alpha: float | None = None,
        use_sigmoid: bool | None = None,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(expression, grammar, reduction, loss_weight)
        self.use_sigmoid = self.grammar == "sigmoid"
        if use_sigmoid not in (None, self.use_sigmoid):
            raise InputError(f"use_sigmoid={use_sigmoid} contradicts grammar {grammar!r}; leave it out or agree")
        if alpha is not None and not self.use_sigmoid:
            raise InputError(f"alpha={alpha} needs grammar 'sigmoid', got {grammar!r}; leave alpha out")
        self.alpha = alpha

    @property
    def reads_iou(self) -> bool:
        """Whether the formula reads w, so that the head must hand over the IoU of the predicted boxes."""
        return "w" in self.expression.names

    def forward(
        self,
        pred: Tensor,
        target: Tensor | tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        iou: Tensor | None = None,
        **kwargs: object,  # noqa: ARG002  mmdetection's contract
    ) -> Tensor:
        """Loss of class logits.

        Args:
            pred: logits, (N, C) for sigmoid, (N, C + 1) for softmax.
            target: class indices (N,), C is background; or (indices, IoU) as mmdetection's quality losses take.
            weight: (N,) or (N, 1).
            avg_factor: divides the sum; not with reduction `sum`.
            reduction_override: takes the place of `reduction`.
            iou: (N,) IoU of each sample's predicted box with its target; read at positives only.
            kwargs: what heads hand to other losses; not used.

        Returns:
            A float32 scalar, or (N,) for reduction `none`.

        Raises:
            InputError: the formula reads w and the head gave no IoU.
        """
        how = self._how(avg_factor, reduction_override)
        labels, iou = target if isinstance(target, tuple) else (target, iou)
        if self.reads_iou and iou is None:
            raise InputError(f"{self.expression} reads w, and this head gives no IoU; use an IoUAware... head type")
        pred = _at_least_float32(pred)
        if weight is not None:
            weight = weight.reshape(labels.shape)
            pred = _alive(pred, weight)
        if len(pred) == 0:
            return self._reduce(pred.sum(-1), None, avg_factor, how)
        with torch.autocast(pred.device.type, enabled=False):
            inputs = class_features(pred, labels, iou if self.reads_iou else None, use_sigmoid=self.use_sigmoid)
            loss = per_sample(self.expression(inputs), inputs, self.alpha)
            return self._reduce(loss, weight, avg_factor, how)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _alive(pred: Tensor, weight: Tensor) -> Tensor:
    """Cuts the gradient of rows with weight 0, so that 0 * inf in a formula's derivative cannot reach them."""
    return torch.where((weight == 0)[:, None], pred.detach(), pred)


def _reduction(name: str) -> str:
    if name not in _REDUCTIONS:
        raise InputError(f"unknown reduction {name!r}; known: {', '.join(_REDUCTIONS)}")
    return name
