"""LogitAdjustedClassLoss_2892a0cc.

logit-adjusted cross-entropy. Source: Menon et al. 2021, arXiv 2007.07314, eq. 10.

Written by autoloss 0.1.0; not trained for this export.

In an mmdetection config: custom_imports = dict(imports=['logit_adjusted_losses_2892a0cc']) with this folder on
PYTHONPATH, and LogitAdjustedClassLoss_2892a0cc as the type of loss_cls or loss_bbox. config.py beside this file does
it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
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


def logit_adjusted_class_loss(x: Tensor, labels: Tensor, frequency: Tensor) -> Tensor:
    """Losses (N,) of logits x, (N, C + 1) with the background last, and labels (N,); C is background.

    Formula: neg(dot(y, log(softmax(add(x, log(f))))))
    LaTeX: - \\operatorname{dot}{\\left(y,\\log{\\left(\\operatorname{softmax}{\\left(x + \\log{\\left(f \\right)} \\right)}
        \\right)} \\right)}
    Inputs:
        x: predicted logits (logit)
        y: target (one-hot)
        f: frequency of the class in training, relative to the most frequent one; 1 of the background (share of the
            most frequent), as frequency (C,) or (N, C)
    """
    target = labels[:, None] == torch.arange(x.shape[1], device=x.device)
    y = target.to(x.dtype)
    f = functional.pad(frequency.detach().to(x.dtype), (0, x.shape[1] - frequency.shape[-1]), value=1.0).expand_as(x)
    t1 = torch.log(torch.softmax(x + torch.log(f + 1e-20), dim=-1) + 1e-20)
    at_label = -(y * t1).sum(-1, keepdim=True)
    return at_label[:, 0]


class LogitAdjustedClassLoss_2892a0cc(ClassLoss):
    """`logit_adjusted_class_loss` as a `loss_cls`.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        use_sigmoid: heads read it; it is False for this loss.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """

    use_sigmoid = False
    reads = ("frequency",)

    def __init__(
        self, use_sigmoid: bool = False, reduction: str = "mean", loss_weight: float = 1.0
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid is not self.use_sigmoid:
            raise ValueError(f"use_sigmoid must be False for this loss, got {use_sigmoid}")

    def formula(self, x: Tensor, labels: Tensor, **given: Tensor) -> Tensor:
        """See logit_adjusted_class_loss."""
        return logit_adjusted_class_loss(x, labels, **given)


LOSSES = {"loss_cls": LogitAdjustedClassLoss_2892a0cc}

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
        losses = super().loss(*args, **kwargs)
        found = {name: resolved(value) for name, value in losses.items()}
        self._samples = self._deferred = None
        return found

    def boxes(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The xyxy boxes behind what the head hands to `loss_bbox`."""
        return pred, target

    def room(self, areas: Tensor) -> Tensor:
        """Area of the image (N,) around every sample, in the unit of the boxes, from the areas of the images (B,)."""
        raise NotImplementedError

    def more(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:  # for subclasses
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


def shapes(samples: Any) -> list[tuple[int, ...]]:
    """Height and width of the images of a batch, as the network takes them, without padding."""
    return [tuple(sample.metainfo["img_shape"][:2]) for sample in samples]


def resolved(value: Any) -> Any:
    """A head's loss with every deferred part of it computed."""
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value.compute() if isinstance(value, DeferredClassLoss) else value


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


def decoded(coder: Any, priors: Tensor, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) xyxy of deltas from priors (N, 4) xyxy."""
    first, second = (get_box_tensor(coder.decode(priors, deltas)) for deltas in (pred, target))
    return first, second


if MODELS is not None:
    try:
        from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead, Shared4Conv1FCBBoxHead
        from mmdet.structures.bbox import get_box_tensor
    except ModuleNotFoundError as error:
        if error.name == "mmcv._ext":
            raise ImportError("this mmcv has no compiled ops: import a stand-in first, as config.py does") from error
        raise

    @MODELS.register_module(force=True)
    class LogitAdjustedShared2FCBBoxHead_2892a0cc(RoIIoUAware, Shared2FCBBoxHead):
        """Shared2FCBBoxHead that hands over what losses read beside prediction and target."""

        stands_for = "Shared2FCBBoxHead"

    @MODELS.register_module(force=True)
    class LogitAdjustedShared4Conv1FCBBoxHead_2892a0cc(RoIIoUAware, Shared4Conv1FCBBoxHead):
        """Shared4Conv1FCBBoxHead that hands over what losses read beside prediction and target."""

        stands_for = "Shared4Conv1FCBBoxHead"
