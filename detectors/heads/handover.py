"""Handover: what heads hand to losses beside prediction and target, by one mechanism for every stock head.

To class losses and to box losses alike, by keyword: `iou` of the predicted box with its target, `score` (the predicted
probability of the target's class, detached), `size` (the square root of the target's share of the image), `frequency`
of classes and `progress` of the training, which the hook `TrainingState` tells.

A head asks for `loss_cls` before handing the decoded boxes to `loss_bbox`. The IoU-aware twin of a head therefore puts
off the class loss until the boxes are known: the stock code runs unchanged, its call of `loss_cls` gives a
`DeferredClassLoss`, its call of `loss_bbox` the boxes, and the deferred loss is computed when the head returns.

Exported losses carry this code with them, `aligned_iou` among it, so it needs PyTorch and mmdetection alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from primitives.kinds.box.pair import aligned_iou


class Samples:
    """What a head calls its class loss with: scores (N, C) or with a column for the background, and labels (N,)."""

    def __init__(self, scores: Tensor, labels: Tensor, background: int) -> None:
        self.scores, self.labels, self.background = scores.detach(), labels, background
        self.positive = (labels >= 0) & (labels < background)

    def of_boxes(self, values: Tensor, count: int) -> Tensor:
        """Values (N, ...) of the samples that `count` boxes belong to: all, or the positives."""
        return values if count == len(self.labels) else values[self.positive]

    def spread(self, values: Tensor, otherwise: float) -> Tensor:
        """Values of all samples, or of the positives in their order, as (N,); `otherwise` where there is no object."""
        if len(values) == len(self.labels):
            return torch.where(self.positive, values, otherwise)
        return values.new_full(self.labels.shape, otherwise).masked_scatter(self.positive, values)

    def score(self, count: int) -> Tensor:
        """Predicted probability of the target's class, of the samples that `count` boxes belong to; of no meaning
        where a label has no column."""
        scores, labels = (self.of_boxes(part, count) for part in (self.scores.float(), self.labels))
        column = labels.clamp(0, scores.shape[1] - 1)[:, None]
        if scores.shape[1] == self.background:
            return scores.gather(1, column)[:, 0].sigmoid()
        return scores.softmax(-1).gather(1, column)[:, 0]


class DeferredClassLoss:
    """A class loss to be computed once the boxes of its samples are known."""

    def __init__(self, loss: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        self.loss, self.args, self.given = loss, args, given

    def compute(self) -> Tensor:
        """The class loss."""
        return self.loss(*self.args, **self.given)


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

    `hands_over`: keywords of what its losses get; a subclass that adds to it has them in `more`. `from_training`: those
    that its losses read and `TrainingState` tells: `progress`, a scalar in 0..1, and `frequency`, (C,).
    """

    hands_over: tuple[str, ...] = ("iou", "score", "size", "frequency", "progress")

    # Of the stock head.
    loss_cls: Any
    loss_bbox: Any
    num_classes: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.progress: Tensor | None = None
        self.frequency: Tensor | None = None
        self.images: Sequence[tuple[int, ...]] | None = None
        self._samples: Samples | None = None
        self._measured: dict[str, Tensor] = {}
        self._deferred: DeferredClassLoss | None = None
        self._cls_reads: tuple[str, ...] = tuple(getattr(self.loss_cls, "reads", ()))
        self._box_reads: tuple[str, ...] = tuple(getattr(self.loss_bbox, "reads", ()))
        reads = {*self._cls_reads, *self._box_reads}
        self.from_training = tuple(sorted(reads & {"progress", "frequency"}))
        if reads:
            self.loss_cls = Intercepted(self.loss_cls, self._take_scores)
        self.loss_bbox = Intercepted(self.loss_bbox, self._take_boxes)

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The stock head's losses, the class loss computed last."""
        losses = super().loss(*args, **kwargs)  # type: ignore[misc]
        found = {name: resolved(value) for name, value in losses.items()}
        self._samples = self._deferred = None
        return found

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The xyxy boxes behind what the head hands to `loss_bbox`."""
        return pred, target

    def room(self, areas: Tensor) -> Tensor:
        """Area of the image (N,) around every sample, in the unit of the boxes, from the areas of the images (B,)."""
        raise NotImplementedError

    def more(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:  # noqa: ARG002  for subclasses
        """What the class loss gets beside, (N,) by keyword."""
        return {}

    def told(self, name: str) -> Tensor:
        """What the training tells of itself."""
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise RuntimeError(f"a loss reads {name}, which TrainingState tells the heads: name it in custom_hooks")
        return value

    def _take_scores(self, loss: nn.Module, cls_score: Tensor, target: Any, *args: Any, **kwargs: Any) -> Any:
        """Stands where the head asks for its class loss."""
        labels = target[0] if isinstance(target, tuple) else target
        samples = self._samples = Samples(cls_score, labels, self.num_classes)
        if not self._cls_reads:
            return loss(cls_score, target, *args, **kwargs)
        given = self._of_classes(samples) | self.more(cls_score, labels)
        if isinstance(target, tuple):  # heads that know the IoU hand it over with the labels
            del given["iou"]
        kwargs |= {name: value for name, value in given.items() if name in self._cls_reads}
        self._deferred = DeferredClassLoss(loss, (cls_score, target, *args), kwargs)
        return self._deferred

    def _of_classes(self, samples: Samples) -> dict[str, Tensor]:
        """What a class loss reads before any box is known: without boxes there are no positives."""
        labels = samples.labels
        given = {
            "iou": torch.zeros(labels.shape, device=labels.device),
            "size": torch.ones(labels.shape, device=labels.device),
        }
        if "score" in self._cls_reads:
            given["score"] = samples.score(len(labels))
        if "progress" in self._cls_reads:
            given["progress"] = self.told("progress")
        if "frequency" in self._cls_reads:
            given["frequency"] = self._with_background()[: samples.scores.shape[1]]
        return given

    def _take_boxes(self, loss: Callable[..., Any], pred: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Stands where the head asks for its box loss."""
        if self._samples is None:
            return loss(pred, target, *args, **kwargs)
        with torch.no_grad():
            self._measured = self._of_boxes(self._samples, pred.float(), target.float())
            self._give(self._samples)
            given = {**self._measured, **self._of_targets(self._samples, len(target))}
        return loss(pred, target, *args, **kwargs, **{name: given[name] for name in self._box_reads})

    def _of_boxes(self, samples: Samples, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The IoU of boxes and the size of their targets, as far as a loss reads them."""
        reads, (pred, target), found = {*self._cls_reads, *self._box_reads}, self.boxes(pred, target), {}
        if "iou" in reads:
            found["iou"] = aligned_iou(pred, target)
        if "size" in reads:
            if self.images is None:
                raise RuntimeError("a loss reads size, which needs a RoI head that tells its box heads of the images")
            areas = torch.tensor([float(shape[0] * shape[1]) for shape in self.images], device=target.device)
            sides = (target[:, 2:] - target[:, :2]).clamp(min=0)
            share = sides.prod(-1) / samples.of_boxes(self.room(areas), len(target))
            size = share.clamp(max=1).sqrt()
            found["size"] = samples.spread(size, 1.0) if len(size) == len(samples.labels) else size
        return found

    def _give(self, samples: Samples) -> None:
        """Gives a class loss that waits what is known of its boxes."""
        if self._deferred is None:
            return
        for name, otherwise in (("iou", 0.0), ("size", 1.0)):
            if name in self._deferred.given:
                self._deferred.given[name] = samples.spread(self._measured[name], otherwise)

    def _of_targets(self, samples: Samples, count: int) -> dict[str, Tensor]:
        """What a box loss reads that no box says, of the samples that `count` boxes belong to."""
        given = {}
        if "score" in self._box_reads:
            given["score"] = samples.score(count)
        if "progress" in self._box_reads:
            given["progress"] = self.told("progress")
        if "frequency" in self._box_reads:
            frequency = self._with_background()
            given["frequency"] = frequency[samples.of_boxes(samples.labels, count).clamp(0, len(frequency) - 1)]
        return given

    def _with_background(self) -> Tensor:
        """Frequencies (C + 1,), 1 for the background."""
        frequency = self.told("frequency")
        return torch.cat((frequency, frequency.new_ones(1)))


class DenseIoUAware(IoUAware):
    """The same for a one-stage head, which is told of the images, and asks for its losses level by level."""

    def loss(self, x: Any, batch_data_samples: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """See BaseDenseHead.loss."""
        self.images = shapes(batch_data_samples)
        return super().loss(x, batch_data_samples, *args, **kwargs)

    def room(self, areas: Tensor) -> Tensor:
        """See IoUAware.room; the samples of a level lie image by image."""
        assert self._samples is not None
        return areas.repeat_interleave(len(self._samples.labels) // len(areas))


def shapes(samples: Any) -> list[tuple[int, ...]]:
    """Height and width of the images of a batch, as the network takes them, without padding."""
    return [tuple(sample.metainfo["img_shape"][:2]) for sample in samples]


def resolved(value: Any) -> Any:
    """A head's loss with every deferred part of it computed."""
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value.compute() if isinstance(value, DeferredClassLoss) else value
