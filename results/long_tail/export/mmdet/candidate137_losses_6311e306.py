"""Candidate137ClassLoss_6311e306 and Candidate137BoxLoss_6311e306.

Candidate 137 of run search (seed 0): tuning of 90: loss_cls (alpha 0.25 to 0.14). Score at final: 0.670 ± 0.012, the
detector's own loss 0.656 ± 0.015 (COCO mAP on the images of that rung).

Found with configs/detectors/tiny_fcos.py on 1000 train, 200 val, 300 test, 10 verify images with 10 classes, by
autoloss 0.1.0.

In an mmdetection config: custom_imports = dict(imports=['candidate137_losses_6311e306']) with this folder on
PYTHONPATH, and Candidate137ClassLoss_6311e306 and Candidate137BoxLoss_6311e306 as the type of loss_cls or loss_bbox.
config.py beside this file does it.
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


def candidate137_class_loss(x: Tensor, labels: Tensor, frequency: Tensor) -> Tensor:
    """Losses (N,) of logits x, (N, C), and labels (N,); C is background.

    Formula: div(mul(square(sub(y, sigmoid(x))), sub(softplus(x), mul(x, y))), pow(f, 0.5))
    LaTeX: \\frac{\\left(y - \\frac{1}{1 + e^{- x}}\\right)^{2} \\left(- x y + \\log{\\left(e^{x} + 1
        \\right)}\\right)}{\\sqrt{f}}
    Inputs:
        x: predicted logits (logit)
        y: target (one-hot)
        f: frequency of the class in training, relative to the most frequent one; 1 of the background (share of the
            most frequent), as frequency (C,) or (N, C)
    """
    f = frequency.detach().to(x.dtype).expand_as(x)
    index = labels.clamp(0, x.shape[1] - 1)[:, None]
    hit = (labels < x.shape[1])[:, None]
    x_at = x.gather(1, index)
    f_at = frequency.detach().to(x.dtype).expand_as(x).gather(1, index)
    at1 = torch.square(1.0 - torch.sigmoid(x_at)) * (functional.softplus(x_at) - x_at)
    at2 = torch.exp(torch.clamp(0.5 * torch.log(torch.clamp(f_at, min=1e-08)), max=60.0))
    at_label = at1 / (at2 + 1e-20)
    t1 = torch.exp(torch.clamp(0.5 * torch.log(torch.clamp(f, min=1e-08)), max=60.0))
    off_label = torch.square(-torch.sigmoid(x)) * functional.softplus(x) / (t1 + 1e-20)
    others = torch.ones_like(x).scatter(1, index, (~hit).to(x.dtype))
    return 0.86 * (off_label * others).sum(-1) + 0.14 * torch.where(hit, at_label, 0.0)[:, 0]


class Candidate137ClassLoss_6311e306(ClassLoss):
    """`candidate137_class_loss` as a `loss_cls`.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        use_sigmoid: heads read it; it is True for this loss.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """

    use_sigmoid = True
    reads = ("frequency",)

    def __init__(
        self, use_sigmoid: bool = True, reduction: str = "mean", loss_weight: float = 0.899766
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid is not self.use_sigmoid:
            raise ValueError(f"use_sigmoid must be True for this loss, got {use_sigmoid}")

    def formula(self, x: Tensor, labels: Tensor, **given: Tensor) -> Tensor:
        """See candidate137_class_loss."""
        return candidate137_class_loss(x, labels, **given)


def candidate137_box_loss(pred: Tensor, target: Tensor, size: Tensor) -> Tensor:
    """Losses (N,) of aligned boxes, (N, 4) xyxy in pixels.

    Formula: add(sub(1, div(i, u)), mul(square(a), square(a)))
    LaTeX: a^{4} - \\frac{i}{u} + 1
    Inputs:
        i: intersection of the predicted box and its target (target area)
        u: union of the predicted box and its target (target area)
        a: size of the target relative to the image: square root of its share (side of the image), as size (N,)
    """
    x1_p, y1_p, x2_p, y2_p = pred.t().contiguous().unbind()
    x1_t, y1_t, x2_t, y2_t = target.t().contiguous().unbind()
    w_t, h_t = x2_t - x1_t, y2_t - y1_t
    w_p, h_p = x2_p - x1_p, y2_p - y1_p
    w_i = (torch.min(x2_p, x2_t) - torch.max(x1_p, x1_t)).clamp(min=0)
    h_i = (torch.min(y2_p, y2_t) - torch.max(y1_p, y1_t)).clamp(min=0)
    area = w_t * h_t
    i = w_i * h_i
    u = w_p * h_p + area - i + 1e-7
    a = size.detach().to(pred.dtype)
    t1 = torch.square(a)
    return 1.0 - i / u + t1 * t1


class Candidate137BoxLoss_6311e306(BoxLoss):
    """`candidate137_box_loss` as a `loss_bbox`, on decoded boxes.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """
    reads = ("size",)

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.28721) -> None:
        super().__init__(reduction, loss_weight)

    def formula(self, pred: Tensor, target: Tensor, **given: Tensor) -> Tensor:
        """See candidate137_box_loss."""
        return candidate137_box_loss(pred, target, **given)


LOSSES = {"loss_cls": Candidate137ClassLoss_6311e306, "loss_bbox": Candidate137BoxLoss_6311e306}

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
    """The same for FCOS, which predicts distances from points to the sides of boxes, and asks once for all levels."""

    norm_on_bbox: bool
    strides: Sequence[float]

    def loss_by_feat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor], *args: Any, **kwargs: Any) -> Any:
        """See FCOSHead.loss_by_feat."""
        self._preds = torch.cat([level.detach().permute(0, 2, 3, 1).reshape(-1, 4) for level in bbox_preds])
        self._places = [level[0, 0].numel() for level in bbox_preds]
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
        return super().loss_by_feat_single(anchors, cls_score, bbox_pred, centerness, labels, *rest, **kwargs)

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
        return super().loss_by_feat_single(cls_score, bbox_pred, anchors, *args, **kwargs)

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
        return super().loss_by_feat_single(
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


def decoded(coder: Any, priors: Tensor, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) xyxy of deltas from priors (N, 4) xyxy."""
    first, second = (get_box_tensor(coder.decode(priors, deltas)) for deltas in (pred, target))
    return first, second


if MODELS is not None:
    try:
        from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead, RetinaHead
        from mmdet.structures.bbox import get_box_tensor
    except ModuleNotFoundError as error:
        if error.name == "mmcv._ext":
            raise ImportError("this mmcv has no compiled ops: import a stand-in first, as config.py does") from error
        raise

    @MODELS.register_module(force=True)
    class Candidate137FCOSHead_6311e306(PointIoUAware, FCOSHead):
        """FCOSHead that hands over what losses read beside prediction and target."""

        stands_for = "FCOSHead"

    @MODELS.register_module(force=True)
    class Candidate137ATSSHead_6311e306(AnchorCenternessIoUAware, ATSSHead):
        """ATSSHead that hands over what losses read beside prediction and target."""

        stands_for = "ATSSHead"

    @MODELS.register_module(force=True)
    class Candidate137RetinaHead_6311e306(AnchorIoUAware, RetinaHead):
        """RetinaHead that hands over what losses read beside prediction and target."""

        stands_for = "RetinaHead"

    @MODELS.register_module(force=True)
    class Candidate137GFLHead_6311e306(QualityIoUAware, GFLHead):
        """GFLHead that hands over what losses read beside prediction and target."""

        stands_for = "GFLHead"
