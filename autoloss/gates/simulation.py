"""Descent: free boxes and logits descended under a loss alone, without a network: the prediction-space simulation.

It shows what a loss does when nothing stands between it and the prediction. It finds losses under which boxes do not
arrive; it cannot rank good ones, and free logits share no weights, so a class loss that descends well may still train
badly.

Source: the simulation experiment of Zheng et al. 2020, arXiv 1911.08287, section 3.2: seven aspect ratios, seven
scales, distances up to ten times the size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autoloss.candidate import Loss
from autoloss.gates.simulation_inputs import Boxes, Logits, sampled_boxes, sampled_logits
from primitives.codegen.program import Program
from primitives.expression import Expression
from primitives.features import box_features, class_features, per_sample
from primitives.grammar import Grammar

STEPS = 32
CHECKS = (8, 12, 16, 20, 22, 24, 26, 28, 30, 32)
"""Steps after which it is asked whether the outcome is decided."""
MARGIN = 0.15
"""How much worse than the worst known loss a number may be."""
THRESHOLDS: Mapping[str, float] = {"iou": 0.84, "arrived": 0.85, "accuracy": 0.85, "rank": -0.41, "ap": 0.3}
"""Least numbers of a descent that passes: what `derived` gives."""
_SETTLED = 0.01  # loss of a number between two checks that does not matter
ARRIVED = 0.9
"""IoU from which a box has arrived."""
_FIRST_BOX_STEP = 1.0  # in sizes of the target; with it the steps of a descent add up to 11 sizes
_FIRST_LOGIT_STEP = 1.5
_FLOOR = 0.01  # of the mean gradient at the start: below it a step shrinks with the gradient, so what vanishes stands


@dataclass(frozen=True)
class Descent:
    """What a descent came to.

    Args:
        numbers: the outcome by name; for boxes `iou`, `arrived`, `disjoint`, for logits `accuracy`, `rank`, `ap`.
        curve: mean IoU of the pairs that overlapped, or mean probability of the target class, at every step.
        final: (N,) IoU of every pair, or (N, C) logits, where it ended.
        steps: taken.
        broken: what ended it where it could not go on, else empty.
    """

    numbers: Mapping[str, float]
    curve: tuple[float, ...]
    final: Tensor
    steps: int
    broken: str = ""


def descend(
    expression: Expression,
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] | None = None,
    boxes: Boxes | None = None,
) -> Descent:
    """Descends the sample of the gate, or other pairs of boxes, under one formula; see `descend_all`."""
    return descend_all([expression], grammar, alpha, thresholds, boxes)[0]


def descend_all(
    expressions: Sequence[Expression],
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] | None = None,
    boxes: Boxes | None = None,
) -> list[Descent]:
    """Descends the same predictions under each of several formulas, all in one tensor program.

    Steps have a length that shrinks to zero over the descent, whatever the length of the gradient, so the outcome
    does not depend on loss_weight.

    Args:
        expressions: the formulas.
        grammar: of all of them.
        alpha: weight of the target column of a sigmoid loss.
        thresholds: with them, a descent ends when it is decided: the predictions are worse than at the start, or
            the thresholds are met at two checks in a row and no number falls.
        boxes: other pairs of boxes than the sample's.
    """
    field: _BoxField | _LogitField
    if grammar.slot == "loss_bbox":
        field = _BoxField(boxes or sampled_boxes(), grammar)
    else:
        field = _LogitField(sampled_logits(grammar.name == "sigmoid"))
    live = [_Walker(expression, thresholds, field.chief) for expression in expressions]
    ended, program = tuple(live), Program(expressions)
    place = field.start.expand(len(live), *field.start.shape)
    floor: Tensor | None = None
    for step in range(STEPS + 1):
        place = place.detach().requires_grad_()
        seen = field.inputs(place)
        good = field.progress(place, seen)
        gradient = _gradient(field.losses(program(seen), seen, alpha), place)
        length = gradient.norm(dim=-1, keepdim=True)
        broken = (~torch.isfinite(length)).sum((1, 2)).tolist()
        asked = []
        for index, (walker, mean) in enumerate(zip(live, good.mean(-1).tolist(), strict=True)):
            walker.curve.append(mean)
            if broken[index]:
                walker.broken = f"the gradient is not finite on {broken[index]} of {place.shape[1]} samples"
            if step in CHECKS or step == 0 or walker.broken:
                asked.append(index)
        for index, numbers in zip(asked, field.numbers(place.detach(), asked) if asked else [], strict=True):
            live[index].check(step, numbers, field.outcome(place, index))
        if step == STEPS or not any(walker.going for walker in live):
            break
        if floor is None:
            floor = (_FLOOR * length.mean((1, 2), keepdim=True)).clamp(min=torch.finfo(length.dtype).tiny)
        place = place.detach() - field.first_step * (1 - step / STEPS) ** 2 * gradient / torch.maximum(length, floor)
        kept = [index for index, walker in enumerate(live) if walker.going]
        if len(kept) < len(live):
            live, place, floor = [live[index] for index in kept], place[kept], floor[kept]
            program = Program([walker.expression for walker in live])
            field.keep(kept)
    return [walker.descent() for walker in ended]


def derived(outcomes: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Thresholds from the numbers of losses that are to pass: the worst of each less the margin, rounded down."""
    worst: dict[str, float] = {}
    for numbers in outcomes:
        for name in THRESHOLDS:
            if name in numbers:
                worst[name] = min(worst.get(name, math.inf), numbers[name])
    return {name: math.floor((value - MARGIN) * 100) / 100 for name, value in worst.items()}


def scored(losses: Mapping[str, Loss]) -> dict[str, float]:
    """How predictions fare under a candidate's losses: every number, and `score`, the mean of the slots' chief ones.

    The chief numbers are the mean IoU at the end and the AP of the ranking of samples by their score.

    Args:
        losses: per slot.
    """
    numbers: dict[str, float] = {}
    for loss in losses.values():
        numbers |= descend(loss.expression, loss.grammar, loss.alpha).numbers
    chief = [numbers[name] for name in ("iou", "ap") if name in numbers]
    return {"score": math.fsum(chief) / len(chief), **numbers}


def _gradient(losses: Sequence[Tensor], place: Tensor) -> Tensor:
    """Gradient of every loss with respect to its own predictions, as `place`; zero where a loss does not read them."""
    moved = [loss for loss in losses if loss.requires_grad]
    if not moved:
        return torch.zeros_like(place)
    (gradient,) = torch.autograd.grad(torch.stack(moved).sum(), place)
    return gradient


class _Walker:
    """One formula on its way."""

    def __init__(self, expression: Expression, thresholds: Mapping[str, float] | None, chief: str) -> None:
        self.expression, self.thresholds, self.chief = expression, thresholds, chief
        self.curve: list[float] = []
        self.checks: list[Mapping[str, float]] = []
        self.final = torch.empty(0)
        self.step, self.broken, self.going = 0, "", True

    def check(self, step: int, numbers: Mapping[str, float], final: Tensor) -> None:
        """Takes the numbers of a check, and decides whether to go on."""
        self.step, self.final = step, final
        self.checks.append(numbers)
        self.going = not self.broken and not (self.thresholds is not None and self._decided(self.thresholds))

    def _decided(self, thresholds: Mapping[str, float]) -> bool:
        if len(self.checks) == 1:
            return False
        first, before, now = self.checks[0], self.checks[-2], self.checks[-1]
        if now[self.chief] < first[self.chief]:
            return True
        met = all(min(before[name], now[name]) >= least for name, least in thresholds.items() if name in now)
        return met and all(now[name] > before[name] - _SETTLED for name in now)

    def descent(self) -> Descent:
        return Descent(self.checks[-1], tuple(self.curve), self.final, self.step, self.broken)


class _BoxField:
    """Boxes on their way: places (M, N, 4) of M formulas."""

    chief, first_step = "iou", _FIRST_BOX_STEP

    def __init__(self, boxes: Boxes, grammar: Grammar) -> None:
        self.boxes, self.start = boxes, boxes.place
        self.pixels, self.extended = grammar.name == "box_pixels", grammar.name == "box_extended"
        self.iou = self.best = torch.zeros(1, len(boxes.place))

    def inputs(self, place: Tensor) -> dict[str, Tensor]:
        flat = box_features(*self.boxes.xyxy(place), pixels=self.pixels, extended=self.extended)
        return {name: value.reshape(place.shape[:2]) for name, value in flat.items()}

    def losses(self, values: list[Tensor], seen: Mapping[str, Tensor], alpha: float | None) -> list[Tensor]:  # noqa: ARG002
        """Losses (N,) of every formula."""
        return values

    def progress(self, place: Tensor, seen: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """IoU of the pairs that overlapped at the start, (M, K)."""
        self.iou = (seen["i"] / seen["u"]).detach()
        self.best = torch.maximum(self.best, self.iou)
        return self.iou[:, self.boxes.overlapping]

    def numbers(self, place: Tensor, which: Sequence[int]) -> list[dict[str, float]]:  # noqa: ARG002
        """Outcomes of some of the formulas."""
        near, iou, arrived = self.boxes.overlapping, self.iou[which], (self.best[which] >= ARRIVED).float()
        found = torch.stack((iou[:, near].mean(-1), arrived[:, near].mean(-1), arrived[:, ~near].mean(-1)), dim=-1)
        return [dict(zip(("iou", "arrived", "disjoint"), row, strict=True)) for row in found.tolist()]

    def outcome(self, place: Tensor, index: int) -> Tensor:  # noqa: ARG002
        return self.iou[index]

    def keep(self, kept: list[int]) -> None:
        self.best = self.best[kept]


class _LogitField:
    """Logits on their way: places (M, N, C) of M formulas."""

    chief, first_step = "accuracy", _FIRST_LOGIT_STEP

    def __init__(self, logits: Logits) -> None:
        self.logits, self.start = logits, logits.x
        self.fixed = class_features(logits.x, logits.labels, logits.iou, use_sigmoid=logits.use_sigmoid)

    def inputs(self, place: Tensor) -> dict[str, Tensor]:
        return {**{name: value.expand(place.shape) for name, value in self.fixed.items()}, "x": place}

    def losses(self, values: list[Tensor], seen: Mapping[str, Tensor], alpha: float | None) -> list[Tensor]:
        """Losses (N,) of every formula."""
        rows = ({name: value[k] for name, value in seen.items()} for k in range(len(values)))
        return [per_sample(value, row, alpha) for value, row in zip(values, rows, strict=True)]

    def progress(self, place: Tensor, seen: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Probability of the target class of every positive, (M, K)."""
        rows = torch.arange(self.logits.positives)
        return _scores(self.logits, place.detach())[:, rows, self.logits.labels[rows]]

    def numbers(self, place: Tensor, which: Sequence[int]) -> list[dict[str, float]]:
        """Outcomes of some of the formulas."""
        return [self._numbers(place[index]) for index in which]

    def _numbers(self, place: Tensor) -> dict[str, float]:
        logits, positives = self.logits, self.logits.positives
        scores, labels, iou = _scores(logits, place), logits.labels[:positives], logits.iou[:positives]
        chosen = place[:positives].argmax(-1) == labels
        good = torch.zeros(len(scores), dtype=torch.bool)
        good[:positives] = (iou >= 0.5) & chosen
        quiet = (scores[positives:].amax(-1) < 0.5).float()
        return {
            "accuracy": (float(chosen.float().mean()) + float(quiet.mean())) / 2,
            "rank": spearman(scores[torch.arange(positives), labels], iou),
            "ap": average_precision(scores.amax(-1), good, int((iou >= 0.5).sum())),
        }

    def outcome(self, place: Tensor, index: int) -> Tensor:
        return place[index].detach()

    def keep(self, kept: list[int]) -> None:
        """Nothing is kept beside the places."""


def _scores(logits: Logits, x: Tensor) -> Tensor:
    """Probabilities (..., classes), the background left out."""
    return x.sigmoid() if logits.use_sigmoid else x.softmax(-1)[..., :-1]


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation of two (N,) tensors, equal values sharing their mean rank; 0 where one is constant."""
    ranks = torch.stack([_ranks(a), _ranks(b)])
    ranks = ranks - ranks.mean(-1, keepdim=True)
    scale = ranks.norm(dim=-1).prod()
    return float((ranks[0] * ranks[1]).sum() / scale) if scale > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    middle: Tensor = counts.cumsum(0) - (counts.double() - 1) / 2
    return middle[inverse]


def average_precision(scores: Tensor, good: Tensor, total: int) -> float:
    """Area under precision over recall, (N,) scores and whether each is right; `total` right ones exist."""
    right = good[scores.argsort(descending=True, stable=True)].double()
    precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
    return float((precision * right).sum() / max(total, 1))
