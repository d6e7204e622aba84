"""QualityFocalClassLoss_be78066f.

quality focal (beta 2). Source: Li et al. 2020, arXiv 2006.04388, eq. 2.

Written by autoloss 0.1.0; not trained for this export.

In an mmdetection config: custom_imports = dict(imports=['quality_focal_losses_be78066f']) with this folder on
PYTHONPATH, and QualityFocalClassLoss_be78066f as the type of loss_cls or loss_bbox. config.py beside this file does
it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
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

    `reads`: what the formula reads beside prediction and target, keywords that the head must hand over, (N,) each.

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
        if how == "none":
            return loss * self.loss_weight
        if how == "mean" and avg_factor is None and loss.numel():
            return loss.mean() * self.loss_weight
        total = loss.sum() * self.loss_weight
        if avg_factor is None:
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


def quality_focal_class_loss(x: Tensor, labels: Tensor, iou: Tensor) -> Tensor:
    """Losses (N,) of logits x, (N, C), and labels (N,); C is background.

    Formula: mul(mul(sub(w, sigmoid(x)), sub(w, sigmoid(x))), sub(softplus(x), mul(x, w)))
    LaTeX: \\left(w - \\frac{1}{1 + e^{- x}}\\right)^{2} \\left(- w x + \\log{\\left(e^{x} + 1 \\right)}\\right)
    Inputs:
        x: predicted logits (logit)
        w: IoU of the predicted box, detached (IoU)
    """
    index = labels.clamp(0, x.shape[1] - 1)[:, None]
    hit = (labels < x.shape[1])[:, None]
    x_at = x.gather(1, index)
    w_at = iou.detach().to(x.dtype)[:, None]
    at1 = w_at - torch.sigmoid(x_at)
    at_label = at1 * at1 * (functional.softplus(x_at) - x_at * w_at)
    t1 = -torch.sigmoid(x)
    off_label = t1 * t1 * functional.softplus(x)
    others = torch.full_like(x, 1.0).scatter(1, index, torch.where(hit, 0.0, 1.0).to(x.dtype))
    return (off_label * others).sum(-1) + torch.where(hit, at_label, 0.0)[:, 0]


class QualityFocalClassLoss_be78066f(ClassLoss):
    """`quality_focal_class_loss` as a `loss_cls`.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        use_sigmoid: heads read it; it is True for this loss.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """

    use_sigmoid = True
    reads = ("iou",)

    def __init__(
        self, use_sigmoid: bool = True, reduction: str = "mean", loss_weight: float = 0.734046
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid is not self.use_sigmoid:
            raise ValueError(f"use_sigmoid must be True for this loss, got {use_sigmoid}")

    def formula(self, x: Tensor, labels: Tensor, **given: Tensor) -> Tensor:
        """See quality_focal_class_loss."""
        return quality_focal_class_loss(x, labels, **given)


LOSSES = {"loss_cls": QualityFocalClassLoss_be78066f}

if MODELS is not None:
    for _loss in LOSSES.values():
        MODELS.register_module(module=_loss, force=True)  # the same, if this file is imported under two names


def aligned_iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU of aligned boxes, (N, 4) xyxy twice -> (N,) in 0..1."""
    wh_i = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
    wh_p, wh_t = pred[:, 2:] - pred[:, :2], target[:, 2:] - target[:, :2]
    i = wh_i[:, 0] * wh_i[:, 1]
    u = wh_p[:, 0] * wh_p[:, 1] + wh_t[:, 0] * wh_t[:, 1] - i + 1e-7
    return (i / u.clamp(min=1e-7)).clamp(0, 1)


class DeferredClassLoss:
    """A class loss to be computed once the IoU is known."""

    def __init__(self, loss: nn.Module, labels: Tensor, background: int, args: tuple[Any, ...], kwargs: Any) -> None:
        self.loss, self.labels, self.args, self.kwargs = loss, labels, args, kwargs
        self.positive = (labels >= 0) & (labels < background)
        self.iou: Tensor | None = None

    def set_iou(self, iou: Tensor) -> None:
        """Takes the IoU of all samples, or of the positives in their order."""
        if len(iou) != len(self.labels):
            iou = iou.new_zeros(self.labels.shape).masked_scatter(self.positive, iou)
        self.iou = iou

    def compute(self) -> Tensor:
        """The class loss; without boxes there were no positives, so no IoU is read."""
        iou = torch.zeros(self.labels.shape, device=self.labels.device) if self.iou is None else self.iou
        return self.loss(*self.args, iou=iou, **self.kwargs)


class Intercepted(nn.Module):
    """Stands where a loss stood: calls go to the head first, attributes to the loss."""

    def __init__(self, loss: nn.Module, intercept: Callable[..., Any]) -> None:
        super().__init__()
        self.loss = loss
        self._intercept = intercept

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("loss"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """See the class."""
        return self._intercept(self.loss, *args, **kwargs)


class IoUAware:
    """The mechanism, mixed in before a stock head that hands over boxes.

    `hands_over`: keywords of what its class loss gets; a subclass that adds to it has them in `more`.
    """

    hands_over: tuple[str, ...] = ("iou",)

    # Of the stock head.
    loss_cls: Any
    loss_bbox: Any
    num_classes: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deferred: list[DeferredClassLoss] = []
        self._iou: Tensor | None = None
        if getattr(self.loss_cls, "reads", ()):
            self.loss_cls = Intercepted(self.loss_cls, self._defer)
        self.loss_bbox = Intercepted(self.loss_bbox, self._take_boxes)

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The stock head's losses, the class loss computed last."""
        self._deferred, self._iou = [], None
        losses = super().loss(*args, **kwargs)
        return {name: resolved(value) for name, value in losses.items()}

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The xyxy boxes behind what the head hands to `loss_bbox`."""
        return pred, target

    def more(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:  # for subclasses
        """What the class loss gets beside the IoU, (N,) by keyword."""
        return {}

    def _defer(
        self, loss: nn.Module, cls_score: Tensor, labels: Tensor, *args: Any, **kwargs: Any
    ) -> DeferredClassLoss:
        reads: tuple[str, ...] = getattr(loss, "reads", ())
        kwargs |= {name: value for name, value in self.more(cls_score, labels).items() if name in reads}
        self._deferred.append(DeferredClassLoss(loss, labels, self.num_classes, (cls_score, labels, *args), kwargs))
        return self._deferred[-1]

    def _take_boxes(self, loss: Callable[..., Any], pred: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        with torch.no_grad():
            self._iou = aligned_iou(*self.boxes(pred.float(), target.float()))
        if self._deferred:
            self._deferred[-1].set_iou(self._iou)
        return loss(pred, target, *args, **kwargs)


class CenternessIoUAware(IoUAware):
    """The same for a head with a centerness branch, where the IoU can also take the place of the centerness.

    The stock head asks `centerness_target` before it decodes any box, on every process also without positives, and
    averages over all processes what it is told; so the IoU is told there.

    Args:
        centerness_target: None for the head's own; `iou` makes the IoU of the predicted box the target of the
            centerness branch and the weight of the box loss, as the published one-stage results have it.

    Source: Liu et al. 2021, arXiv 2102.04700, and the authors' FCOS head.
    """

    bbox_coder: Any
    _positive: Tensor  # what the head predicted for the positives, (P, 4)

    def __init__(self, *args: Any, centerness_target: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if centerness_target not in (None, "iou"):
            raise ValueError(f"unknown centerness_target {centerness_target!r}; known: None, 'iou'")
        self._iou_as_centerness = centerness_target == "iou"

    def centerness_target(self, *targets: Tensor) -> Tensor:
        """The centerness of the positives (P,) in 0..1, or their IoU; arguments as of the stock head."""
        if not self._iou_as_centerness:
            return super().centerness_target(*targets)
        with torch.no_grad():
            return aligned_iou(*self.positives(*targets))

    def positives(self, *targets: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and target boxes of the positives, (P, 4) xyxy twice."""
        raise NotImplementedError

    def keep(self, preds: Tensor, labels: Tensor) -> None:
        """Keeps what was predicted (N, 4) where labels (N,) are no background."""
        if self._iou_as_centerness:  # choosing rows waits for the device
            self._positive = preds[(labels >= 0) & (labels < self.num_classes)]


class PointIoUAware(CenternessIoUAware):
    """The same for FCOS, which predicts distances from points to the sides of boxes."""

    def loss_by_feat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor], *args: Any, **kwargs: Any) -> Any:
        """See FCOSHead.loss_by_feat."""
        self._preds = torch.cat([level.detach().permute(0, 2, 3, 1).reshape(-1, 4) for level in bbox_preds])
        return super().loss_by_feat(cls_scores, bbox_preds, *args, **kwargs)

    def get_targets(self, *args: Any, **kwargs: Any) -> tuple[list[Tensor], list[Tensor]]:
        """See FCOSHead.get_targets."""
        labels, targets = super().get_targets(*args, **kwargs)
        self.keep(self._preds, torch.cat(labels))
        return labels, targets

    def positives(self, *targets: Tensor) -> tuple[Tensor, Tensor]:
        """See CenternessIoUAware.positives; the boxes lie around their points, which the IoU does not depend on."""
        sides = targets[0].new_tensor([-1, -1, 1, 1])
        return self._positive.float() * sides, targets[0].float() * sides


class AnchorCenternessIoUAware(CenternessIoUAware):
    """The same for ATSS, which predicts deltas from anchors, level by level."""

    def loss_by_feat_single(
        self,
        anchors: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        centerness: Tensor,
        labels: Tensor,
        *rest: Any,
        **kwargs: Any,
    ) -> Any:
        """See ATSSHead.loss_by_feat_single."""
        self.keep(bbox_pred.detach().permute(0, 2, 3, 1).reshape(-1, 4), labels.reshape(-1))
        return super().loss_by_feat_single(anchors, cls_score, bbox_pred, centerness, labels, *rest, **kwargs)

    def positives(self, *targets: Tensor) -> tuple[Tensor, Tensor]:
        """See CenternessIoUAware.positives."""
        anchors, boxes = targets
        return get_box_tensor(self.bbox_coder.decode(anchors, self._positive)).float(), boxes.float()


class AnchorIoUAware(IoUAware):
    """A head with anchors hands over deltas unless `reg_decoded_bbox`; they are decoded for the IoU."""

    reg_decoded_bbox: bool
    bbox_coder: Any

    def loss_by_feat_single(
        self, cls_score: Tensor, bbox_pred: Tensor, anchors: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """See AnchorHead.loss_by_feat_single."""
        self._priors = anchors.reshape(-1, anchors.size(-1))
        return super().loss_by_feat_single(cls_score, bbox_pred, anchors, *args, **kwargs)

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See IoUAware.boxes."""
        return (pred, target) if self.reg_decoded_bbox else decoded(self.bbox_coder, self._priors, pred, target)


def decoded(coder: Any, priors: Tensor, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) xyxy of deltas from priors (N, 4) xyxy."""
    first, second = (get_box_tensor(coder.decode(priors, deltas)) for deltas in (pred, target))
    return first, second


def resolved(value: Any) -> Any:
    """A head's loss with every deferred part of it computed."""
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value.compute() if isinstance(value, DeferredClassLoss) else value


if MODELS is not None:
    try:
        from mmdet.models.dense_heads import ATSSHead, FCOSHead, RetinaHead
        from mmdet.structures.bbox import get_box_tensor
    except ModuleNotFoundError as error:
        if error.name == "mmcv._ext":
            raise ImportError("this mmcv has no compiled ops: import a stand-in first, as config.py does") from error
        raise

    @MODELS.register_module(force=True)
    class QualityFocalFCOSHead_be78066f(PointIoUAware, FCOSHead):
        """FCOSHead that hands the IoU of its boxes to `QualityFocalClassLoss_be78066f`."""

        stands_for = "FCOSHead"

    @MODELS.register_module(force=True)
    class QualityFocalATSSHead_be78066f(AnchorCenternessIoUAware, ATSSHead):
        """ATSSHead that hands the IoU of its boxes to `QualityFocalClassLoss_be78066f`."""

        stands_for = "ATSSHead"

    @MODELS.register_module(force=True)
    class QualityFocalRetinaHead_be78066f(AnchorIoUAware, RetinaHead):
        """RetinaHead that hands the IoU of its boxes to `QualityFocalClassLoss_be78066f`."""

        stands_for = "RetinaHead"
