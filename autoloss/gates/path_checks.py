"""Looks: whether values along paths of boxes and curves of logits are lowest at the target, and fall towards it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autoloss.candidate import Verdict
from autoloss.gates import paths

# A step against the rule counts only when it undoes this share of the path's whole fall: published losses have
# small bumps, and float32 has noise.
TOLERANCE = 0.05
# Paths or curves that may break the rule.
MAX_SHARE = 0.05
_NOISE = 8 * torch.finfo(torch.float32).eps


def _against(steps: Tensor) -> Tensor:
    """Share of its way that each path (P, T) goes up, given its steps (P, T - 1): 0 falls, 1 rises all the way."""
    up, down = steps.clamp(min=0).sum(-1), (-steps).clamp(min=0).sum(-1)
    return up / (up + down).clamp(min=torch.finfo(steps.dtype).tiny)


def _eps(largest: Tensor) -> Tensor:
    """What float32 cannot tell from zero where losses are that large."""
    return _NOISE * largest.abs()


def _noise(loss: Tensor) -> Tensor:
    """What float32 cannot tell from zero along each path (P, T), as (P, 1)."""
    return _eps(loss.abs().amax(-1, keepdim=True))


def _steps(loss: Tensor) -> Tensor:
    steps = loss[..., 1:] - loss[..., :-1]
    return torch.where(steps.abs() <= _noise(loss), torch.zeros_like(steps), steps)


def box_minimum(loss: Tensor, most: float) -> tuple[list[Verdict], bool]:
    """Whether the loss (P, T) is finite and lowest at the end of nearly every path.

    Args:
        loss: along paths of boxes onto their targets.
        most: so many paths may break the rule.

    Returns:
        Verdicts up to the first refusal, and whether the loss negated would pass.
    """
    values = loss.numpy()
    low, high, end = values.min(-1), values.max(-1), values[:, -1]
    with np.errstate(invalid="ignore", over="ignore"):
        span = high - low
        noise = _NOISE * np.maximum(high, -low)
        limit = TOLERANCE * span + noise
        broken = len(span) - np.count_nonzero(np.isfinite(span))
        still, missed = np.count_nonzero(span <= noise), np.count_nonzero(end - low > limit)
        opposite = np.count_nonzero(high - end > limit)
    count, where = len(loss), "of a box onto its target"
    if broken:
        return [Verdict("finite", False, f"value is not finite on {broken} of {count} paths {where}")], False
    finite = Verdict("finite", True, f"finite on {count} paths {where}")
    if missed > most or still > most:
        why = f"the loss is not lowest at the target on {missed} of {count} paths, and it is flat on {still}"
        numbers = {"missed": missed / count, "flat": still / count}
        return [finite, Verdict("minimum", False, why, numbers)], max(opposite, still) <= most
    return [finite, Verdict("minimum", True, f"lowest at the target on {count - missed} of {count} paths")], False


def box_monotone(loss: Tensor, ways: paths.BoxPaths) -> Verdict:
    """Whether the loss (P, T) falls wherever the IoU rises, on nearly every path."""
    count = len(loss)
    worst = _against(torch.where(ways.rising, _steps(loss), torch.zeros_like(loss[:, 1:])))
    rises = int((worst > TOLERANCE).sum())
    numbers = {"rises": rises / count, "worst": float(worst.max())}
    if rises > MAX_SHARE * count:
        return Verdict("monotone", False, f"the loss rises with IoU on {rises} of {count} paths", numbers)
    return Verdict("monotone", True, f"falls as IoU rises on {count - rises} of {count} paths", numbers)


def class_ends(ends: Tensor) -> list[Verdict]:
    """A refusal that the ends of the curves suffice for, or nothing: all of a curve would refuse too, either way round.

    Args:
        ends: (2, curves, 2) losses at both ends along the target logit at w = 1, and along another for background.
    """
    way = ends[..., 1] - ends[..., 0]
    if not bool(torch.isfinite(way).all()):
        return [Verdict("finite", False, "value is not finite along the logits")]
    way = torch.where(way.abs() <= _eps(ends.abs().amax(-1)), torch.zeros_like(way), way).sign().int()
    falls, rises = way.tolist()
    if set(falls) | {-sign for sign in rises} in ({-1}, {1}):
        return []
    finite = Verdict("finite", True, "finite at the ends of all curves along a logit")
    if len(set(falls)) > 1 or 0 in falls:
        return [finite, _no_pull(sum(sign >= 0 for sign in falls), len(falls))]
    return [finite, _no_push(sum(sign != -falls[0] for sign in rises), len(rises))]


def class_curves(target: Tensor, other: Tensor) -> list[Verdict]:
    """Finite; minimum: a target logit pulls, the others push; monotone: one valley that does not run backwards.

    Args:
        target: (contexts, levels of w, T) losses along the target logit.
        other: (2 * contexts, T) losses along another, for a positive and for background in turn.
    """
    if not bool(torch.isfinite(target).all() and torch.isfinite(other).all()):
        return [Verdict("finite", False, "value is not finite along the logits")]
    first = _pull_and_push(target[:, -1], other)
    return [first, _one_valley(target)] if first.passed else [first]


def _pull_and_push(certain: Tensor, other: Tensor) -> Verdict:
    """At w = 1 the loss falls in the target logit; it rises in another logit, and more so for background."""
    fall, rise = -_steps(certain), _steps(other)
    bad_fall = (_against(-fall) > TOLERANCE) | (certain[:, 0] - certain[:, -1] <= _noise(certain)[:, 0])
    background = other[1::2]
    bad_rise = (_against(-rise) > TOLERANCE).sum() + (
        background[:, -1] - background[:, 0] <= _noise(background)[:, 0]
    ).sum()
    if bool(bad_fall.any()):
        return _no_pull(int(bad_fall.sum()), len(certain))
    if int(bad_rise) > 0:
        return _no_push(int(bad_rise), len(other))
    return Verdict("minimum", True, "falls in the target logit, rises in the others")


def _no_pull(bad: int, count: int) -> Verdict:
    reason = f"the loss does not fall in the target logit on {bad} of {count} curves at w = 1"
    return Verdict("minimum", False, reason, {"not falling": bad / count})


def _no_push(bad: int, count: int) -> Verdict:
    reason = f"the loss does not rise in the other logits on {bad} of {count} curves"
    return Verdict("minimum", False, reason, {"not rising": bad / count})


def _one_valley(target: Tensor) -> Verdict:
    """Along the target logit there is one valley at every w, and its place does not move down as w grows."""
    place = target.argmin(-1)
    steps = _steps(target)
    after = torch.arange(steps.shape[-1]) >= place[..., None]
    wrong = torch.where(after, -steps, steps).clamp(min=0).sum(-1)
    bumpy = int((wrong > TOLERANCE * steps.abs().sum(-1)).sum())
    back = int((place[:, 1:] < place[:, :-1] - 1).sum())
    total, pairs = target[..., 0].numel(), place[:, 1:].numel()
    numbers = {"bumpy": bumpy / total, "backwards": back / pairs}
    if bumpy > MAX_SHARE * total:
        return Verdict(
            "monotone", False, f"more than one valley along the target logit on {bumpy} of {total} curves", numbers
        )
    if back > 0:
        reason = f"the valley moves down as w grows on {back} of {pairs} pairs of curves"
        return Verdict("monotone", False, reason, numbers)
    return Verdict("monotone", True, f"one valley on {total - bumpy} of {total} curves, moving up with w", numbers)
