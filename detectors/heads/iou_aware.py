"""IoU-aware: the mechanism of `handover` for each stock head; heads differ in what they hand over as boxes, and when.

Exported losses carry this code with them, so it needs PyTorch and mmdetection alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from detectors.heads.handover import DenseIoUAware, IoUAware, Samples, shapes
from primitives.kinds.box.pair import aligned_iou


class CenternessIoUAware(DenseIoUAware):
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
    """The same for FCOS, which predicts distances from points to the sides of boxes, and asks once for all levels."""

    norm_on_bbox: bool
    strides: Sequence[float]

    def loss_by_feat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor], *args: Any, **kwargs: Any) -> Any:
        """See FCOSHead.loss_by_feat."""
        self._preds = torch.cat([level.detach().permute(0, 2, 3, 1).reshape(-1, 4) for level in bbox_preds])
        self._places = [level[0, 0].numel() for level in bbox_preds]
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

    def room(self, areas: Tensor) -> Tensor:
        """See IoUAware.room; with `norm_on_bbox` a pixel is a stride."""
        units = [float(stride) if self.norm_on_bbox else 1.0 for stride in self.strides]
        levels = zip(self._places, units, strict=True)
        return torch.cat([areas.repeat_interleave(places) / unit**2 for places, unit in levels])


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


class AnchorIoUAware(DenseIoUAware):
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


class QualityIoUAware(DenseIoUAware):
    """The same for GFL, which asks for its box loss before its class loss, and knows the IoU by then."""

    def loss_by_feat_single(
        self,
        anchors: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        stride: Sequence[int],
        *rest: Any,
        **kwargs: Any,
    ) -> Any:
        """See GFLHead.loss_by_feat_single."""
        scores = cls_score.permute(0, 2, 3, 1).reshape(-1, cls_score.shape[1])
        self._samples = Samples(scores, labels.reshape(-1), self.num_classes)
        self._stride, self._measured, self._deferred = float(stride[0]), {}, None
        return super().loss_by_feat_single(  # type: ignore[misc]
            anchors, cls_score, bbox_pred, labels, label_weights, bbox_targets, stride, *rest, **kwargs
        )

    def room(self, areas: Tensor) -> Tensor:
        """See IoUAware.room; a pixel is a stride."""
        return super().room(areas) / self._stride**2

    def _take_scores(self, loss: nn.Module, cls_score: Tensor, target: Any, *args: Any, **kwargs: Any) -> Any:
        found = super()._take_scores(loss, cls_score, target, *args, **kwargs)
        if self._measured and self._samples is not None:
            self._give(self._samples)
        return found


class RoIIoUAware(IoUAware):
    """The two-stage box head hands over deltas unless `reg_decoded_bbox`; they are decoded for the IoU."""

    reg_decoded_bbox: bool
    bbox_coder: Any

    def loss(
        self, cls_score: Tensor, bbox_pred: Tensor, rois: Tensor, labels: Tensor, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """See BBoxHead.loss."""
        self._image = rois[:, 0].long()
        if not self.reg_decoded_bbox:  # choosing rows waits for the device
            self._priors = rois[(labels >= 0) & (labels < self.num_classes), 1:]
        return super().loss(cls_score, bbox_pred, rois, labels, *args, **kwargs)

    def room(self, areas: Tensor) -> Tensor:
        """See IoUAware.room."""
        return areas[self._image]

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See IoUAware.boxes."""
        return (pred, target) if self.reg_decoded_bbox else decoded(self.bbox_coder, self._priors, pred, target)


class ImageAware:
    """Mixed in before a RoI head: it tells its box heads how large the images are, for those that hand over sizes."""

    bbox_head: Any

    def loss(self, x: Any, rpn_results_list: Any, batch_data_samples: Any, *args: Any, **kwargs: Any) -> Any:
        """See StandardRoIHead.loss."""
        for head in self.bbox_head if isinstance(self.bbox_head, nn.ModuleList) else [self.bbox_head]:
            head.images = shapes(batch_data_samples)
        return super().loss(x, rpn_results_list, batch_data_samples, *args, **kwargs)  # type: ignore[misc]


def decoded(coder: Any, priors: Tensor, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) xyxy of deltas from priors (N, 4) xyxy."""
    first, second = (get_box_tensor(coder.decode(priors, deltas)) for deltas in (pred, target))
    return first, second
