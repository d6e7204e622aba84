"""Small heads: K heads on the same frozen inputs, one per candidate, trained side by side in one tensor program.

A head is input -> 32 -> class scores, box and, where the stock head has it, centerness. Everything that does not depend
on the formulas is computed for all K at once; losses, gradients and failures stay apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.dense_heads import ATSSHead, FCOSHead, RetinaHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn
from torch.nn import functional

from detectors.frozen.extraction import Training
from detectors.heads.handover import Samples
from detectors.losses.weighted_loss import Loss
from primitives.kinds.box.pair import aligned_iou

HANDS_OVER = ("iou", "score", "size", "frequency", "progress")
"""What losses get beside prediction and target."""
HIDDEN = 32
LEARNING_RATE = 1e-2
WEIGHT_DECAY = 1e-2
CLIP = 10.0
_EAGER = 3  # iterations on a GPU before the others are replayed
_PRIOR = 0.01  # probability of a class at the start, as in Lin et al. 2017, arXiv 1708.02002, section 4.1


@dataclass(frozen=True)
class Pair:
    """The losses of one candidate.

    Args:
        loss_cls: as a head calls it.
        loss_bbox: as a head calls it.
        decoded: whether the box loss takes boxes, not deltas.
    """

    loss_cls: nn.Module
    loss_bbox: nn.Module
    decoded: bool


class Boxes:
    """How a stock head makes boxes of what its last layer puts out.

    Args:
        head: the stock head.
    """

    def __init__(self, head: Any) -> None:
        self.head = head
        self.scaled = isinstance(head, (FCOSHead, ATSSHead))
        self.distances = isinstance(head, FCOSHead)
        self.strides = [float(s[0] if isinstance(s, (tuple, list)) else s) for s in getattr(head, "strides", [])]
        if isinstance(head, (ATSSHead, RetinaHead)):
            self.strides = [float(stride[0]) for stride in head.prior_generator.strides]
        self.levels = max(1, len(self.strides))
        self.anchors = int(getattr(head, "num_base_priors", 1))
        self.columns = int(getattr(head, "cls_out_channels", 0) or head.num_classes + 1)
        self.centerness = hasattr(head, "loss_centerness")
        self.sigmoid = bool(self.strides) and bool(head.loss_cls.use_sigmoid)

    def predicted(self, raw: Tensor, level: Tensor, testing: bool = False) -> Tensor:
        """What the head's coder decodes, (..., N, 4), of raw outputs already scaled; `level` is (N,)."""
        if not self.distances:
            return raw
        if not self.head.norm_on_bbox:
            return raw.exp()
        distance = raw.clamp(min=0)
        if testing:
            distance = distance * raw.new_tensor(self.strides)[level][:, None]
        return distance

    def decoded(self, priors: Tensor, predicted: Tensor) -> Tensor:
        """Boxes (K, N, 4) xyxy from priors (N, D) or (K, N, D) and predictions (K, N, 4)."""
        many = priors.expand(*predicted.shape[:-1], priors.shape[-1]).flatten(0, -2)
        boxes: Tensor = get_box_tensor(self.head.bbox_coder.decode(many, predicted.flatten(0, -2)))
        return boxes.view(predicted.shape)


class SmallHeads(nn.Module):
    """K heads.

    Args:
        count: K.
        inputs: F.
        boxes: of the stock head.
        generator: of the first weights, the same for every head.
    """

    def __init__(self, count: int, inputs: int, boxes: Boxes, generator: torch.Generator) -> None:
        super().__init__()
        self.count, self.boxes = count, boxes
        outputs = boxes.anchors * (boxes.columns + 4 + boxes.centerness)
        first = torch.randn(inputs, HIDDEN, generator=generator) * math.sqrt(2 / inputs)
        second = torch.randn(HIDDEN, outputs, generator=generator) * 0.01
        bias = torch.zeros(boxes.anchors, boxes.columns + 4 + boxes.centerness)
        if boxes.sigmoid:
            bias[:, : boxes.columns] = -math.log((1 - _PRIOR) / _PRIOR)
        if boxes.distances and boxes.head.norm_on_bbox:
            bias[:, boxes.columns : boxes.columns + 4] = 1.0  # a clamp at 0 lets nothing through below it
        self.first = nn.Parameter(first.repeat(1, count))
        self.first_bias = nn.Parameter(torch.zeros(count * HIDDEN))
        self.second = nn.Parameter(second.expand(count, -1, -1).clone())
        self.second_bias = nn.Parameter(bias.flatten().expand(count, 1, -1).clone())
        self.scales = nn.Parameter(torch.ones(count, boxes.levels))

    def forward(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits (K, N, A, C'), scaled raw boxes (K, N, A, 4) and centerness logits (K, N, A or 0).

        Args:
            x: (N, F).
            level: (N,).
        """
        hidden = functional.relu(torch.addmm(self.first_bias, x, self.first))
        hidden = hidden.view(len(x), self.count, HIDDEN).transpose(0, 1)
        out = torch.baddbmm(self.second_bias, hidden, self.second)
        out = out.view(self.count, len(x), self.boxes.anchors, -1)
        columns = self.boxes.columns
        raw = out[..., columns : columns + 4]
        if self.boxes.scaled:
            raw = raw * self.scales[:, level][:, :, None, None]
        return out[..., :columns], raw, out[..., columns + 4 :].flatten(2)

    def gradient_norms(self) -> Tensor:
        """Length (K,) of every head's gradient."""
        grads = [parameter.grad for parameter in (self.second, self.second_bias, self.scales)]
        squares = sum(grad.flatten(1).square().sum(1) for grad in grads if grad is not None)
        assert self.first.grad is not None
        assert self.first_bias.grad is not None
        squares = squares + self.first.grad.view(-1, self.count, HIDDEN).square().sum((0, 2))
        squares = squares + self.first_bias.grad.view(self.count, HIDDEN).square().sum(1)
        return squares.sqrt()

    def scale_gradients(self, factors: Tensor) -> None:
        """Multiplies every head's gradient by its factor (K,); with 0 it is 0, whatever it was."""
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if parameter is self.first or parameter is self.first_bias:
                view = grad.view(-1, self.count, HIDDEN)
                factor = factors[None, :, None]
            else:
                view = grad.view(self.count, -1)
                factor = factors[:, None]
            view.copy_(torch.where(factor == 0, torch.zeros_like(view), view * factor))


def train_heads(
    data: Training,
    pairs: Sequence[Pair],
    boxes: Boxes,
    iterations: int,
    positives: int,
    negatives: int,
    seed: int,
    iou_as_centerness: bool = False,
) -> tuple[SmallHeads, list[int | None]]:
    """Trains a head per pair of losses on the same samples in the same order.

    Args:
        data: samples.
        pairs: losses of every candidate.
        boxes: of the stock head.
        iterations: how many.
        positives: samples with an object an iteration.
        negatives: samples without one.
        seed: of first weights and order.
        iou_as_centerness: the IoU of the predicted box takes the place of the centerness.

    Returns:
        The heads, and for each the iteration at which its gradient was not finite, None where it always was.
    """
    device = data.x.device
    generator = torch.Generator().manual_seed(seed)
    heads = SmallHeads(len(pairs), data.x.shape[1], boxes, generator).to(device)
    step = _Step(data, pairs, heads, positives, negatives, iou_as_centerness, iterations)
    order = [_order(len(data.boxes), positives, iterations, generator)]
    order.append(_order(len(data.labels) - len(data.boxes), negatives, iterations, generator) + len(data.boxes))
    picks = torch.cat(order, dim=1).to(device)
    rates = [_rate(iteration, iterations) for iteration in range(iterations)]
    if step.capturable and iterations > _EAGER:
        _replayed(step, picks, torch.tensor(rates, device=device))
    else:
        for pick, rate in zip(picks, rates, strict=True):
            step(pick, rate)
    failed = step.failed.tolist()
    return heads, [None if first < 0 else first for first in failed]


def _order(count: int, batch: int, iterations: int, generator: torch.Generator) -> Tensor:
    """Indices (iterations, batch): every sample once before any comes again."""
    rounds = math.ceil(batch * iterations / count)
    many = torch.cat([torch.randperm(count, generator=generator) for _ in range(rounds)])
    return many[: batch * iterations].view(iterations, batch)


def _rate(iteration: int, iterations: int) -> float:
    """The learning rate: a linear warm-up over a tenth, then a cosine to a hundredth."""
    warm = max(1, iterations // 10)
    if iteration < warm:
        return LEARNING_RATE * (0.1 + 0.9 * iteration / warm)
    share = (iteration - warm) / max(1, iterations - warm)
    return LEARNING_RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def _replayed(step: _Step, picks: Tensor, rates: Tensor) -> None:
    """All iterations, but for the first as replays of one CUDA graph: some hundred small kernels by a single launch.

    Source: PyTorch's documentation, "CUDA Graphs": iterations on a side stream, a capture, replays on fixed inputs.
    """
    pick, rate = picks[0].clone(), rates[0].clone()

    def inputs(iteration: int) -> None:
        pick.copy_(picks[iteration])
        rate.copy_(rates[iteration])

    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for iteration in range(_EAGER):
            inputs(iteration)
            step(pick, rate)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(pick, rate)
    for iteration in range(_EAGER, len(picks)):
        inputs(iteration)
        graph.replay()


class _Step:
    """One iteration; it asks nothing back from the device."""

    def __init__(
        self,
        data: Training,
        pairs: Sequence[Pair],
        heads: SmallHeads,
        positives: int,
        negatives: int,
        iou_as_centerness: bool,
        iterations: int,
    ) -> None:
        device = data.x.device
        self.data, self.pairs, self.heads, self.positives = data, pairs, heads, positives
        self.iou_as_centerness = iou_as_centerness
        # Losses are means over positives: negatives count as often as they are in the whole set.
        share = data.negatives * positives / negatives
        self.weight = torch.cat((torch.ones(positives), torch.full((negatives,), share))).to(device)
        self.samples = positives + share * negatives
        own = all(isinstance(loss, Loss) for pair in pairs for loss in (pair.loss_cls, pair.loss_bbox))
        self.capturable = own and device.type == "cuda"
        """Whether it can be captured: mmdetection's own losses may look at values, which waits for the device."""
        self.optimizer = torch.optim.AdamW(
            heads.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, capturable=self.capturable
        )
        self.failed = torch.full((len(pairs),), -1, device=device)
        self.iteration, self.iterations = torch.zeros((), dtype=torch.long, device=device), iterations
        size = functional.pad(data.size, (0, len(data.labels) - len(data.size)), value=1.0)
        self.size, self.frequency = size.clamp(max=1), functional.pad(data.frequency, (0, 1), value=1.0)

    def __call__(self, pick: Tensor, rate: float | Tensor) -> None:
        """Forward, backward, and a step of every head that has not failed."""
        self.optimizer.param_groups[0]["lr"] = rate
        self._gradients(pick)
        self.optimizer.step()
        self.iteration += 1

    def _gradients(self, pick: Tensor) -> None:
        """Clipped gradients of every head; 0 of one that has failed."""
        loss = self._losses(pick)
        self.optimizer.zero_grad(set_to_none=False)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        norms = self.heads.gradient_norms()
        good = torch.isfinite(norms) & torch.isfinite(loss.detach()) & (self.failed < 0)
        self.failed.copy_(torch.where((self.failed < 0) & ~good, self.iteration, self.failed))
        self.heads.scale_gradients(torch.where(good, (CLIP / (norms + 1e-6)).clamp(max=1), torch.zeros_like(norms)))

    def _given(
        self, loss: nn.Module, pick: Tensor, logits: Tensor, iou: Tensor, frequency: Tensor
    ) -> dict[str, Tensor]:
        """What a loss reads beside prediction and target, as the stock heads hand it over; `iou` as of `pick`."""
        samples = Samples(logits, self.data.labels[pick], int(self.heads.boxes.head.num_classes))
        known: dict[str, Callable[[], Tensor]] = {
            "iou": lambda: iou,
            "score": lambda: samples.score(len(pick)),
            "size": lambda: self.size[pick],
            "frequency": lambda: frequency,
            "progress": lambda: self.iteration / self.iterations,
        }
        return {name: known[name]() for name in getattr(loss, "reads", ())}

    def _losses(self, pick: Tensor) -> Tensor:
        """The loss of every candidate, (K,)."""
        data, heads, boxes, positives = self.data, self.heads, self.heads.boxes, self.positives
        good = pick[:positives]
        level = data.level[pick]
        logits, raw, centerness = heads(data.x[pick], level)
        rows = torch.arange(len(pick), device=pick.device)
        logits = logits[:, rows, data.anchor[pick]]
        raw = raw[:, rows[:positives], data.anchor[good]]
        predicted = boxes.predicted(raw, level[:positives])
        decoded = boxes.decoded(data.priors[good], predicted)
        target = data.boxes[good]
        with torch.no_grad():
            iou = aligned_iou(decoded.flatten(0, 1), target.repeat(heads.count, 1)).view(heads.count, positives)
            iou = functional.pad(iou, (0, len(pick) - positives))
        weight, labels = data.box_weight[good], data.labels[pick]
        two_stage = not boxes.strides
        average = float(positives) if not two_stage else self.samples
        weights = iou[:, :positives] if self.iou_as_centerness else weight.expand(heads.count, -1)
        totals = []
        for index, pair in enumerate(self.pairs):
            more = self._given(pair.loss_cls, pick, logits[index], iou[index], self.frequency[: boxes.columns])
            total = pair.loss_cls(logits[index], labels, self.weight, avg_factor=average, **more)
            weight = weights[index]
            of_targets = self.frequency[labels[:positives]]
            more = self._given(pair.loss_bbox, good, logits[index][:positives], iou[index][:positives], of_targets)
            box_average: Any = self.samples if two_stage else weight.sum().clamp(min=1e-6)
            if pair.decoded:
                total = total + pair.loss_bbox(decoded[index], target, weight, avg_factor=box_average, **more)
            else:
                each = weight[:, None].expand(-1, 4)
                total = total + pair.loss_bbox(predicted[index], data.deltas[good], each, avg_factor=box_average)
            totals.append(total)
        summed = torch.stack(totals)
        if boxes.centerness:
            found = centerness[:, rows[:positives], data.anchor[good]]
            wanted = iou[:, :positives] if self.iou_as_centerness else data.centerness[good].expand_as(found)
            each = functional.binary_cross_entropy_with_logits(found, wanted, reduction="none").mean(-1)
            summed = summed + float(boxes.head.loss_centerness.loss_weight) * each
        return summed
