"""CiouBoxLoss_b02a9db6.

CIoU. Source: Zheng et al. 2020, arXiv 1911.08287, eq. 10; the aspect counts from IoU 0.5 on and its weight is
detached, as in mmdetection.

Written by autoloss 0.1.0; not trained for this export.

In an mmdetection config: custom_imports = dict(imports=['ciou_losses_b02a9db6']) with this folder on PYTHONPATH, and
CiouBoxLoss_b02a9db6 as the type of loss_cls or loss_bbox. config.py beside this file does it.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import torch
from torch import Tensor, nn

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


class BoxLoss(Loss):
    """A `loss_bbox`, on decoded boxes; a subclass has `formula`, which gives losses (N,)."""

    stands_for = "GIoULoss"  # mmdetection's own that fills the slot where nothing is trained

    def formula(self, pred: Tensor, target: Tensor, **given: Tensor) -> Tensor:
        """Losses (N,) of aligned boxes, (N, 4) xyxy in pixels, and of what the formula reads beside."""
        raise NotImplementedError

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **given: Tensor,
    ) -> Tensor:
        """Loss of aligned boxes.

        Args:
            pred: predicted boxes, (N, 4) xyxy in pixels.
            target: target boxes, (N, 4) xyxy in pixels.
            weight: (N,), or (N, 4), which is averaged over its last axis.
            avg_factor: divides the sum; not with reduction `sum`, and of no effect with `none`.
            reduction_override: `none`, `mean` or `sum` takes the place of `reduction`.
            given: what the formula reads beside, by the names in `reads`.

        Returns:
            A float32 scalar, or (N,) for reduction `none`; float64 for float64 boxes.

        Raises:
            ValueError: an unknown `reduction_override` (mmdetection asserts), an avg_factor with reduction `sum`, or
                the head did not hand over what the formula reads.
            TypeError: any other argument; nothing is taken and left unused.
        """
        how, given = self._how(avg_factor, reduction_override), self._given(given)
        pred, target = at_least_float32(pred), at_least_float32(target)
        if weight is not None:
            weight = weight.mean(-1) if weight.dim() == 2 else weight
            pred = alive(pred, weight)
        if len(pred) == 0:  # an empty selection still needs a graph to every parameter behind it
            return self._reduce(pred.sum(-1), None, avg_factor, how)
        return self._reduce(self.formula(pred, target, **given), weight, avg_factor, how)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32; autocast leaves it so, for it lowers matrix products and convolutions alone."""
    return values if values.dtype == torch.float64 else values.float()


def alive(pred: Tensor, weight: Tensor) -> Tensor:
    """Cuts the gradient of rows with weight 0, so that 0 * inf in a formula's derivative cannot reach them."""
    return torch.where((weight == 0)[:, None], pred.detach(), pred)


def ciou_box_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Losses (N,) of aligned boxes, (N, 4) xyxy in pixels.

    Formula: add(add(sub(1, div(i, u)), d), mul(v, stop(div(mul(div(max(sub(div(i, u), 0.5), 0), sub(div(i, u),
        0.5)), v), add(sub(1, div(i, u)), v)))))
    LaTeX: d - \\frac{i}{u} + v \\operatorname{stop}{\\left(\\frac{v \\max\\left(0, \\frac{i}{u} -
        \\frac{1}{2}\\right)}{\\left(\\frac{i}{u} - \\frac{1}{2}\\right) \\left(- \\frac{i}{u} + v + 1\\right)} \\right)} + 1
    Inputs:
        i: intersection of the predicted box and its target (target area)
        u: union of the predicted box and its target (target area)
        d: squared distance of the centres (squared diagonal)
        v: squared difference of the aspect angles (1)
    """
    x1_p, y1_p, x2_p, y2_p = pred.t().contiguous().unbind()
    x1_t, y1_t, x2_t, y2_t = target.t().contiguous().unbind()
    w_t, h_t = x2_t - x1_t, y2_t - y1_t
    w_p, h_p = x2_p - x1_p, y2_p - y1_p
    w_i = (torch.min(x2_p, x2_t) - torch.max(x1_p, x1_t)).clamp(min=0)
    h_i = (torch.min(y2_p, y2_t) - torch.max(y1_p, y1_t)).clamp(min=0)
    w_e = (torch.max(x2_p, x2_t) - torch.min(x1_p, x1_t)).clamp(min=0)
    h_e = (torch.max(y2_p, y2_t) - torch.min(y1_p, y1_t)).clamp(min=0)
    area = w_t * h_t
    i = w_i * h_i
    u = w_p * h_p + area - i + 1e-7
    unit = area.clamp(min=1e-7)
    d_x, d_y = (x1_p + x2_p - x1_t - x2_t) / 2, (y1_p + y2_p - y1_t - y2_t) / 2
    d = (d_x * d_x + d_y * d_y) / (w_e * w_e + h_e * h_e + 1e-7)
    angle_t = torch.atan(w_t / (h_t + 1e-7))
    angle_p = torch.atan(w_p / (h_p + 1e-7))
    v = (4 / math.pi**2) * (angle_t - angle_p) ** 2
    i, u = i / unit, u / unit
    t1 = i / u
    t2 = 1.0 - t1
    t3 = t1 - 0.5
    t4 = torch.maximum(t3, torch.full_like(d, 0.0)) / (t3 + 1e-20) * v
    return t2 + d + v * (t4 / (t2 + v + 1e-20)).detach()


class CiouBoxLoss_b02a9db6(BoxLoss):
    """`ciou_box_loss` as a `loss_bbox`, on decoded boxes.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = 11.5189) -> None:
        super().__init__(reduction, loss_weight)

    def formula(self, pred: Tensor, target: Tensor) -> Tensor:
        """See ciou_box_loss."""
        return ciou_box_loss(pred, target)


LOSSES = {"loss_bbox": CiouBoxLoss_b02a9db6}

if MODELS is not None:
    for _loss in LOSSES.values():
        MODELS.register_module(module=_loss, force=True)  # the same, if this file is imported under two names
