"""IoU-aware: heads that hand the IoU of each predicted box to the class loss; one mechanism for every stock head.

A head asks for `loss_cls` before handing the decoded boxes to `loss_bbox`. The IoU-aware twin of a head therefore puts
off the class loss until the boxes are known: the stock code runs unchanged, its call of `loss_cls` gives a
`DeferredClassLoss`, its call of `loss_bbox` the boxes, and the deferred loss is computed when the head returns.

Exported losses carry this code with them, `aligned_iou` among it, so it needs PyTorch and mmdetection alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from primitives.kinds.box.pair import aligned_iou


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
        losses = super().loss(*args, **kwargs)  # type: ignore[misc]
        return {name: resolved(value) for name, value in losses.items()}

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The xyxy boxes behind what the head hands to `loss_bbox`."""
        return pred, target

    def more(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:  # noqa: ARG002  for subclasses
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
            return super().centerness_target(*targets)  # type: ignore[misc]
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
        return super().loss_by_feat(cls_scores, bbox_preds, *args, **kwargs)  # type: ignore[misc]

    def get_targets(self, *args: Any, **kwargs: Any) -> tuple[list[Tensor], list[Tensor]]:
        """See FCOSHead.get_targets."""
        labels, targets = super().get_targets(*args, **kwargs)  # type: ignore[misc]
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
        return super().loss_by_feat_single(anchors, cls_score, bbox_pred, centerness, labels, *rest, **kwargs)  # type: ignore[misc]

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
        return super().loss_by_feat_single(cls_score, bbox_pred, anchors, *args, **kwargs)  # type: ignore[misc]

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See IoUAware.boxes."""
        return (pred, target) if self.reg_decoded_bbox else decoded(self.bbox_coder, self._priors, pred, target)


class RoIIoUAware(IoUAware):
    """The two-stage box head hands over deltas unless `reg_decoded_bbox`; they are decoded for the IoU."""

    reg_decoded_bbox: bool
    bbox_coder: Any

    def loss(
        self, cls_score: Tensor, bbox_pred: Tensor, rois: Tensor, labels: Tensor, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """See BBoxHead.loss."""
        if not self.reg_decoded_bbox:  # choosing rows waits for the device
            self._priors = rois[(labels >= 0) & (labels < self.num_classes), 1:]
        return super().loss(cls_score, bbox_pred, rois, labels, *args, **kwargs)

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
