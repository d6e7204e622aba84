"""Course: whether values along paths to the optimum are finite, lowest at their end, and fall towards it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from primitives.kinds.verdict import Verdict
from primitives.symbolic import Case

# A step against the rule counts only when it undoes this share of the path's whole fall: published losses have
# small bumps, and float32 has noise.
TOLERANCE = 0.05
# Paths or curves that may break the rule.
MAX_SHARE = 0.05
# The second edition of the rules lets pass small hills: of an area difference where a box grows before it moves, of
# smoothed labels beyond their probability.
_HILL = 0.1
_NOISE = 8 * torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Way:
    """One number that says how good a prediction is, and the inputs of a formula as functions of it.

    Args:
        name: of the number, for people, such as `IoU`.
        symbol: SymPy's name of it.
        text: what is on its way, and how.
        far: where it starts: as far off as it gets.
        optimum: where it ends.
        inputs: of a formula, by name, a row per number, from (T,) numbers; derivatives go through it.
        case: the formula as SymPy's function of the number.
    """

    name: str
    symbol: str
    text: str
    far: float
    optimum: float
    inputs: Callable[[Tensor], Mapping[str, Tensor]]
    case: Case


def against(steps: Tensor) -> Tensor:
    """Share of its way that each path (P, T) goes up, given its steps (P, T - 1): 0 falls, 1 rises all the way."""
    up, down = steps.clamp(min=0).sum(-1), (-steps).clamp(min=0).sum(-1)
    return up / (up + down).clamp(min=torch.finfo(steps.dtype).tiny)


def tolerance(edition: int) -> float:
    """The share of its way that a path may go up, by the edition of the rules; see `Grammar`."""
    return TOLERANCE if edition == 1 else _HILL


def eps(largest: Tensor) -> Tensor:
    """What float32 cannot tell from zero where losses are that large."""
    return _NOISE * largest.abs()


def noise(loss: Tensor) -> Tensor:
    """What float32 cannot tell from zero along each path (P, T), as (P, 1)."""
    return eps(loss.abs().amax(-1, keepdim=True))


def steps(loss: Tensor) -> Tensor:
    """Steps (P, T - 1) along each path (P, T), 0 where they are noise."""
    raw = loss[..., 1:] - loss[..., :-1]
    return torch.where(raw.abs() <= noise(loss), torch.zeros_like(raw), raw)


def minimum(loss: Tensor, most: float, where: str) -> tuple[list[Verdict], bool]:
    """Whether the loss (P, T) is finite and lowest at the end of nearly every path.

    Args:
        loss: along paths onto targets.
        most: so many paths may break the rule.
        where: what the paths are of.

    Returns:
        Verdicts up to the first refusal, and whether the loss negated would pass.
    """
    values = loss.numpy()  # most formulas fall here, and NumPy takes half of torch's time on so few values
    low, high, end = values.min(-1), values.max(-1), values[:, -1]
    with np.errstate(invalid="ignore", over="ignore"):
        span = high - low
        unsure = _NOISE * np.maximum(high, -low)
        limit = TOLERANCE * span + unsure
        broken = len(span) - np.count_nonzero(np.isfinite(span))
        still, missed = np.count_nonzero(span <= unsure), np.count_nonzero(end - low > limit)
        opposite = np.count_nonzero(high - end > limit)
    count = len(loss)
    if broken:
        return [Verdict("finite", False, f"value is not finite on {broken} of {count} paths {where}")], False
    finite = Verdict("finite", True, f"finite on {count} paths {where}")
    if missed > most or still > most:
        why = f"the loss is not lowest at the target on {missed} of {count} paths, and it is flat on {still}"
        numbers = {"missed": missed / count, "flat": still / count}
        return [finite, Verdict("minimum", False, why, numbers)], max(opposite, still) <= most
    return [finite, Verdict("minimum", True, f"lowest at the target on {count - missed} of {count} paths")], False


def monotone(loss: Tensor, rising: Tensor, what: str, edition: int = 1) -> Verdict:
    """Whether the loss (P, T) falls wherever predictions get better, on nearly every path.

    Args:
        loss: along paths onto targets.
        rising: (P, T - 1) whether the step makes the prediction no worse.
        what: measures how good predictions are.
        edition: of the rules; see `Grammar`.
    """
    count = len(loss)
    worst = against(torch.where(rising, steps(loss), torch.zeros_like(loss[:, 1:])))
    rises = int((worst > tolerance(edition)).sum())
    numbers = {"rises": rises / count, "worst": float(worst.max())}
    if rises > MAX_SHARE * count:
        return Verdict("monotone", False, f"the loss rises with {what} on {rises} of {count} paths", numbers)
    return Verdict("monotone", True, f"falls as {what} rises on {count - rises} of {count} paths", numbers)


def confirmed(after: Sequence[Verdict], everywhere: Callable[[], Verdict]) -> list[Verdict]:
    """Finite on the whole probe, and the verdicts that come after it."""
    verdict = everywhere()
    return [verdict, *after] if verdict.passed else [verdict]
