"""FocalClassLoss_8adee022.

focal (gamma 2). Source: Lin et al. 2017, arXiv 1708.02002, eq. 5.

Written by autoloss 0.1.0; not trained for this export.

In an mmdetection config: custom_imports = dict(imports=['focal_losses_8adee022']) with this folder on PYTHONPATH, and
FocalClassLoss_8adee022 as the type of loss_cls or loss_bbox. config.py beside this file does it.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if importlib.util.find_spec("mmdet") is None:  # without mmdetection the classes are plain modules
    MODELS = None
else:
    from mmdet.registry import MODELS


REDUCTIONS = ("none", "mean", "sum")


class Loss(nn.Module):
    """Reduction, weights and the average factor.

    `reads`: what the formula reads beside prediction and target, keywords that the head must hand over: (N,) each, but
    for `progress`, a scalar, and the `frequency` of class losses, a number a column of the logits.

    Args:
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.

    Raises:
        ValueError: no such reduction.
    """

    reads: tuple[str, ...] = ()

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction, self.loss_weight = reduction, loss_weight
        self._how(None, None)

    def _how(self, avg_factor: float | Tensor | None, reduction_override: str | None) -> str:
        how = self.reduction if reduction_override is None else reduction_override
        if how not in REDUCTIONS:
            raise ValueError(f"unknown reduction {how!r}; known: {', '.join(REDUCTIONS)}")
        if avg_factor is not None and how == "sum":
            raise ValueError('avg_factor can not be used with reduction="sum"')
        return how

    def _given(self, handed: dict[str, Any], left: tuple[str, ...] = ()) -> dict[str, Tensor]:
        """What the formula reads of what was handed over; nothing but `left` may be handed over and not be read."""
        extra = [name for name in handed if name not in (*self.reads, *left)]
        if extra:
            raise TypeError(f"{type(self).__name__} got an unexpected keyword argument {extra[0]!r}")
        missing = [name for name in self.reads if handed.get(name) is None]
        if missing:
            raise ValueError(f"{type(self).__name__} reads {', '.join(missing)}; this head hands over none")
        return {name: handed[name] for name in self.reads}

    def _reduce(self, loss: Tensor, weight: Tensor | None, avg_factor: float | Tensor | None, how: str) -> Tensor:
        """Weights, sums and averages losses (N,); a row of weight 0 counts as 0, whatever its value."""
        if weight is not None:
            loss = torch.where(weight == 0, 0.0, loss * weight)
        mean = how == "mean" and avg_factor is None and loss.numel()
        total = loss if how == "none" else loss.mean() if mean else loss.sum()
        if self.loss_weight != 1:
            total = total * self.loss_weight
        if avg_factor is None or how == "none":
            return total
        # mmdetection guards the division the same way, so that avg_factor 0 gives no NaN.
        return total / (avg_factor + torch.finfo(torch.float32).eps)


class ClassLoss(Loss):
    """A `loss_cls`; a subclass has `formula`, which gives losses (N,).

    `use_sigmoid`: logits are (N, C) for sigmoid heads, (N, C + 1) with the background last for softmax heads.
    """

    stands_for = "CrossEntropyLoss"
    use_sigmoid: bool

    def formula(self, x: Tensor, labels: Tensor, **given: Tensor) -> Tensor:
        """Losses (N,) of logits x and labels (N,), and of what the formula reads beside."""
        raise NotImplementedError

    def forward(
        self,
        pred: Tensor,
        target: Tensor | tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        iou: Tensor | None = None,
        ignore_index: int | None = None,
        **given: Tensor,
    ) -> Tensor:
        """Loss of class logits.

        Args:
            pred: logits, (N, C) for sigmoid, (N, C + 1) for softmax.
            target: class indices (N,), C is background; or (indices, IoU) as mmdetection's quality losses take.
            weight: (N,) or (N, 1).
            avg_factor: divides the sum; not with reduction `sum`, and of no effect with `none`.
            reduction_override: `none`, `mean` or `sum` takes the place of `reduction`.
            iou: (N,) IoU of each sample's predicted box with its target; read at positives only.
            ignore_index: samples with this label count as 0; a mean counts them among its N, as mmdetection's does.
            given: what else the formula reads, by the names in `reads`.

        Returns:
            A float32 scalar, or (N,) for reduction `none`; float64 for float64 logits.

        Raises:
            ValueError: an unknown `reduction_override` (mmdetection asserts), an avg_factor with reduction `sum`, or
                the head did not hand over what the formula reads.
            TypeError: any other argument; nothing is taken and left unused.
        """
        how = self._how(avg_factor, reduction_override)
        labels, iou = target if isinstance(target, tuple) else (target, iou)
        given = self._given(given if iou is None else {**given, "iou": iou}, left=("iou",))
        pred = at_least_float32(pred)
        weight = None if weight is None else weight.reshape(labels.shape)
        if ignore_index is not None:
            ignored = labels == ignore_index
            labels = labels.masked_fill(ignored, 0)  # a label that there is
            weight = torch.where(ignored, 0.0, torch.ones_like(pred[:, 0]) if weight is None else weight)
        if weight is not None:
            pred = alive(pred, weight)
        if len(pred) == 0:
            return self._reduce(pred.sum(-1), None, avg_factor, how)
        return self._reduce(self.formula(pred, labels, **given), weight, avg_factor, how)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32; autocast leaves it so, for it lowers matrix products and convolutions alone."""
    return values if values.dtype == torch.float64 else values.float()


def alive(pred: Tensor, weight: Tensor) -> Tensor:
    """Cuts the gradient of rows with weight 0, so that 0 * inf in a formula's derivative cannot reach them."""
    return torch.where((weight == 0)[:, None], pred.detach(), pred)


def focal_class_loss(x: Tensor, labels: Tensor) -> Tensor:
    """Losses (N,) of logits x, (N, C), and labels (N,); C is background.

    Formula: mul(mul(sub(y, sigmoid(x)), sub(y, sigmoid(x))), sub(softplus(x), mul(x, y)))
    LaTeX: \\left(y - \\frac{1}{1 + e^{- x}}\\right)^{2} \\left(- x y + \\log{\\left(e^{x} + 1 \\right)}\\right)
    Inputs:
        x: predicted logits (logit)
        y: target (one-hot)
    """
    index = labels.clamp(0, x.shape[1] - 1)[:, None]
    hit = (labels < x.shape[1])[:, None]
    x_at = x.gather(1, index)
    at1 = 1.0 - torch.sigmoid(x_at)
    at_label = at1 * at1 * (functional.softplus(x_at) - x_at)
    t1 = -torch.sigmoid(x)
    off_label = t1 * t1 * functional.softplus(x)
    others = torch.ones_like(x).scatter(1, index, (~hit).to(x.dtype))
    return 0.75 * (off_label * others).sum(-1) + 0.25 * torch.where(hit, at_label, 0.0)[:, 0]


class FocalClassLoss_8adee022(ClassLoss):
    """`focal_class_loss` as a `loss_cls`.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        use_sigmoid: heads read it; it is True for this loss.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """

    use_sigmoid = True

    def __init__(
        self, use_sigmoid: bool = True, reduction: str = "mean", loss_weight: float = 1.0
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid is not self.use_sigmoid:
            raise ValueError(f"use_sigmoid must be True for this loss, got {use_sigmoid}")

    def formula(self, x: Tensor, labels: Tensor) -> Tensor:
        """See focal_class_loss."""
        return focal_class_loss(x, labels)


LOSSES = {"loss_cls": FocalClassLoss_8adee022}

if MODELS is not None:
    for _loss in LOSSES.values():
        MODELS.register_module(module=_loss, force=True)  # the same, if this file is imported under two names
