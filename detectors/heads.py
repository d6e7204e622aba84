"""Heads that hand the IoU of each predicted box to the class loss: one mechanism for every stock head.

A head asks for `loss_cls` before (or without) handing the decoded boxes to `loss_bbox`. The IoU-aware twin of a
head therefore puts off the class loss until the boxes were seen: the stock code runs unchanged, its call of
`loss_cls` leaves a note, its call of `loss_bbox` shows the boxes, and the note is paid when the head returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from primitives.errors import InputError
from primitives.features import pairwise_iou

_PREFIX = "IoUAware"


class _ClassCall:
    """A class loss to be computed once the IoU is known."""

    def __init__(self, loss: nn.Module, labels: Tensor, background: int, args: tuple[Any, ...], kwargs: Any) -> None:
        self.loss, self.labels, self.args, self.kwargs = loss, labels, args, kwargs
        self.positive = (labels >= 0) & (labels < background)
        self.iou: Tensor | None = None

    def see(self, iou: Tensor) -> None:
        """Takes the IoU of all samples, or of the positives in their order."""
        if len(iou) != len(self.labels):
            iou = iou.new_zeros(self.labels.shape).masked_scatter(self.positive, iou)
        self.iou = iou

    def pay(self) -> Tensor:
        """The class loss; without boxes there were no positives, so no IoU is read."""
        iou = torch.zeros(self.labels.shape, device=self.labels.device) if self.iou is None else self.iou
        return self.loss(*self.args, iou=iou, **self.kwargs)


class _Intercepted(nn.Module):
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
        return self._intercept(self.loss, *args, **kwargs)


class _IoUAware:
    """The mechanism, mixed in before a stock head.

    Args:
        centerness_target: None for the head's own; `iou` makes the IoU of the predicted box the target of the
            centerness branch and the weight of the box loss, as the published one-stage results have it.

    Source: Liu et al. 2021, arXiv 2102.04700, and the authors' FCOS head.
    """

    # Of the stock head.
    loss_cls: Any
    loss_bbox: Any
    loss_centerness: Any
    num_classes: int

    def __init__(self, *args: Any, centerness_target: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if centerness_target not in (None, "iou"):
            raise InputError(f"unknown centerness_target {centerness_target!r}; known: None, 'iou'")
        self._iou_as_centerness = centerness_target == "iou"
        self._calls: list[_ClassCall] = []
        self._iou: Tensor | None = None
        if getattr(self.loss_cls, "reads_iou", False):
            self.loss_cls = _Intercepted(self.loss_cls, self._put_off)
        self.loss_bbox = _Intercepted(self.loss_bbox, self._see_boxes)
        if self._iou_as_centerness:
            if not hasattr(self, "loss_centerness"):
                raise InputError(f"centerness_target='iou' needs a centerness branch, {type(self).__name__} has none")
            self.loss_centerness = _Intercepted(self.loss_centerness, self._centerness_loss)

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The stock head's losses, the class loss computed last."""
        self._calls, self._iou = [], None
        losses = super().loss(*args, **kwargs)  # type: ignore[misc]
        return {name: _paid(value) for name, value in losses.items()}

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The xyxy boxes behind what the head hands to `loss_bbox`."""
        return pred, target

    def _put_off(self, loss: nn.Module, cls_score: Tensor, labels: Tensor, *args: Any, **kwargs: Any) -> _ClassCall:
        self._calls.append(_ClassCall(loss, labels, self.num_classes, (cls_score, labels, *args), kwargs))
        return self._calls[-1]

    def _see_boxes(self, loss: nn.Module, pred: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        with torch.no_grad():
            self._iou = pairwise_iou(*self.boxes(pred.float(), target.float()))
        if self._calls:
            self._calls[-1].see(self._iou)
        if self._iou_as_centerness:
            kwargs["weight"] = self._iou
            kwargs["avg_factor"] = reduce_mean(self._iou.sum()).clamp(min=1e-6)
        return loss(pred, target, *args, **kwargs)

    def _centerness_loss(self, loss: nn.Module, pred: Tensor, _: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return loss(pred, self._iou, *args, **kwargs)


class _RoIIoUAware(_IoUAware):
    """The two-stage box head hands over deltas unless `reg_decoded_bbox`; they are decoded for the IoU."""

    reg_decoded_bbox: bool
    bbox_coder: Any

    def loss(
        self, cls_score: Tensor, bbox_pred: Tensor, rois: Tensor, labels: Tensor, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """See BBoxHead.loss."""
        self._positive_rois = rois[(labels >= 0) & (labels < self.num_classes), 1:]
        return super().loss(cls_score, bbox_pred, rois, labels, *args, **kwargs)

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See _IoUAware.boxes."""
        if self.reg_decoded_bbox:
            return pred, target
        decoded = (self.bbox_coder.decode(self._positive_rois, deltas) for deltas in (pred, target))
        first, second = (get_box_tensor(box) for box in decoded)
        return first, second


def _paid(value: Any) -> Any:
    if isinstance(value, list):
        return [_paid(item) for item in value]
    return value.pay() if isinstance(value, _ClassCall) else value


def _register(mechanism: type, head: type) -> None:
    twin = type(
        f"{_PREFIX}{head.__name__}", (mechanism, head), {"__doc__": f"{head.__name__} with {mechanism.__doc__}"}
    )
    MODELS.register_module(module=twin)


_TWINS = {FCOSHead: _IoUAware, Shared2FCBBoxHead: _RoIIoUAware}
for _head, _mechanism in _TWINS.items():
    _register(_mechanism, _head)


def iou_aware_type(name: str) -> str:
    """Name of the registered twin of a stock head that hands the IoU to its class loss.

    Args:
        name: `type` of a stock head, or of a twin.

    Raises:
        InputError: the head has no twin.
    """
    known = [head.__name__ for head in _TWINS]
    stock = name.removeprefix(_PREFIX)
    if stock not in known:
        raise InputError(f"no head that knows the IoU stands in for {name!r}; known: {', '.join(known)}")
    return f"{_PREFIX}{stock}"
