"""Curves along a logit, and what must hold of a loss along them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from primitives.kinds import course, draws
from primitives.kinds.classification import proofs
from primitives.kinds.classification.samples import COUNT, W_LEVELS, width
from primitives.kinds.course import Way
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.probe import First
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Verdict

GRID = 33
_FAR = 10.0
CONTEXTS = 6


@dataclass(frozen=True)
class Curves:
    """Curves along one logit; rows of the inputs are curves times grid points.

    Args:
        inputs: of the formula, (rows, C).
        target: (K, len(W_LEVELS), GRID) shape of the first rows, along the target logit at every w.
        other: (K * 2, GRID) shape of the rest, along another logit, for positives at w = 1 and background.
    """

    inputs: Mapping[str, Tensor]
    target: tuple[int, int, int]
    other: tuple[int, int]


@cache
def curves(kind: Kind, terminals: tuple[Terminal, ...], background: bool) -> Curves:
    """Losses along the target logit at every w, and along another logit at w = 1 and for background."""
    generator, columns = draws.generator(5), width(background)
    base = torch.randn(CONTEXTS, columns, generator=generator, dtype=torch.float64) * 1.5 - 0.5
    grid = torch.linspace(-8, 8, GRID, dtype=torch.float64)
    target = torch.arange(CONTEXTS) % COUNT
    rows, labels, ious = [], [], []
    for k in range(CONTEXTS):
        for w in W_LEVELS:
            x = base[k].repeat(GRID, 1)
            x[:, target[k]] = grid
            rows.append(x)
            labels.append(target[k].repeat(GRID))
            ious.append(torch.full((GRID,), w, dtype=torch.float64))
    for k in range(CONTEXTS):
        for label in (int(target[k]), COUNT):
            x = base[k].repeat(GRID, 1)
            x[:, (target[k] + 1) % COUNT] = grid
            rows.append(x)
            labels.append(torch.full((GRID,), label))
            ious.append(torch.ones(GRID, dtype=torch.float64))
    # What a head gives beside stays as it is in one context.
    contexts = torch.cat((torch.arange(CONTEXTS).repeat_interleave(len(W_LEVELS)), torch.arange(CONTEXTS).repeat(2)))
    given = {name: value[contexts.repeat_interleave(GRID)] for name, value in draws.given(terminals, CONTEXTS).items()}
    sample = Sample(torch.cat(rows).float(), torch.cat(labels), {**given, "iou": torch.cat(ious)})
    return Curves(kind.inputs(sample, terminals), (CONTEXTS, len(W_LEVELS), GRID), (2 * CONTEXTS, GRID))


@cache
def ends(kind: Kind, terminals: tuple[Terminal, ...], background: bool) -> First:
    """Both ends of some curves, (2 * CONTEXTS * 2, C): along the target at w = 1, then along another of background."""
    levels, targets = len(W_LEVELS), CONTEXTS * len(W_LEVELS)
    order = [k * levels + levels - 1 for k in range(CONTEXTS)] + [targets + 2 * k + 1 for k in range(CONTEXTS)]
    rows = torch.tensor([[curve * GRID, curve * GRID + GRID - 1] for curve in order]).flatten()
    return First({name: value[rows] for name, value in curves(kind, terminals, background).inputs.items()})


def ways(kind: Kind, terminals: Sequence[Terminal], background: bool) -> tuple[Way, ...]:
    """See Kind.ways; the logits beside are 0, the box is right (w = 1) where there is one."""

    def of_logit(column: int, label: int, x: Tensor) -> Mapping[str, Tensor]:
        # A sigmoid's column stands alone; a softmax has a class beside the target, and background.
        logits = [torch.zeros_like(x)] * (3 if background else 1)
        logits[column] = x
        labels = torch.full((len(x),), label)
        sample = Sample(
            torch.stack(logits, dim=-1), labels, {**draws.middle(terminals, len(x)), "iou": torch.ones(len(x))}
        )
        return kind.inputs(sample, terminals)

    beside = ", the other two being 0" if background else ""
    target = Way(
        "logit",
        "x",
        f"the logit of the target{beside}",
        -_FAR,
        _FAR,
        partial(of_logit, 0, 0),
        partial(proofs.along, background=background, hit=True),
    )
    other = Way(
        "logit",
        "x",
        f"the logit of {'another class' if background else 'a class that is not there'}{beside}",
        _FAR,
        -_FAR,
        partial(of_logit, 1, 0) if background else partial(of_logit, 0, 1),
        partial(proofs.along, background=background, hit=False),
    )
    return target, other


def losses(kind: Kind, formula: Formula, background: bool) -> tuple[Tensor, Tensor]:
    """Losses of a formula along the target logit, (CONTEXTS, W, GRID), and along others, (2 CONTEXTS, GRID)."""
    along = curves(kind, formula.terminals, background)
    loss = kind.losses(formula.expression(along.inputs), along.inputs, formula.alpha)
    count = CONTEXTS * len(W_LEVELS) * GRID
    return loss[:count].reshape(along.target), loss[count:].reshape(along.other)


def judged(
    kind: Kind, formula: Formula, background: bool, everywhere: Callable[[], Verdict]
) -> tuple[list[Verdict], bool]:
    """See Kind.course; the ends of the curves are enough to refuse most."""
    few = ends(kind, formula.terminals, background)
    found = at_ends(kind.losses(few(formula.expression), few.inputs, formula.alpha).reshape(2, -1, 2))
    if found:
        return found, False
    target, other = losses(kind, formula, background)
    looked = along_curves(target, other)
    negated = not looked[-1].passed and along_curves(-target, -other)[-1].passed
    if negated:
        looked = along_curves(-target, -other)
    return course.confirmed(looked, everywhere), negated


def at_ends(ends: Tensor) -> list[Verdict]:
    """A refusal that the ends of the curves suffice for, or nothing: all of a curve would refuse too, either way round.

    Args:
        ends: (2, curves, 2) losses at both ends along the target logit at w = 1, and along another for background.
    """
    way = ends[..., 1] - ends[..., 0]
    if not bool(torch.isfinite(way).all()):
        return [Verdict("finite", False, "value is not finite along the logits")]
    way = torch.where(way.abs() <= course.eps(ends.abs().amax(-1)), torch.zeros_like(way), way).sign().int()
    falls, rises = way.tolist()
    if set(falls) | {-sign for sign in rises} in ({-1}, {1}):
        return []
    finite = Verdict("finite", True, "finite at the ends of all curves along a logit")
    if len(set(falls)) > 1 or 0 in falls:
        return [finite, _no_pull(sum(sign >= 0 for sign in falls), len(falls))]
    return [finite, _no_push(sum(sign != -falls[0] for sign in rises), len(rises))]


def along_curves(target: Tensor, other: Tensor) -> list[Verdict]:
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
    fall, rise = -course.steps(certain), course.steps(other)
    still = certain[:, 0] - certain[:, -1] <= course.noise(certain)[:, 0]
    bad_fall = (course.against(-fall) > course.TOLERANCE) | still
    background = other[1::2]
    bad_rise = (course.against(-rise) > course.TOLERANCE).sum() + (
        background[:, -1] - background[:, 0] <= course.noise(background)[:, 0]
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
    steps = course.steps(target)
    after = torch.arange(steps.shape[-1]) >= place[..., None]
    wrong = torch.where(after, -steps, steps).clamp(min=0).sum(-1)
    bumpy = int((wrong > course.TOLERANCE * steps.abs().sum(-1)).sum())
    back = int((place[:, 1:] < place[:, :-1] - 1).sum())
    total, pairs = target[..., 0].numel(), place[:, 1:].numel()
    numbers = {"bumpy": bumpy / total, "backwards": back / pairs}
    if bumpy > course.MAX_SHARE * total:
        return Verdict(
            "monotone", False, f"more than one valley along the target logit on {bumpy} of {total} curves", numbers
        )
    if back > 0:
        reason = f"the valley moves down as w grows on {back} of {pairs} pairs of curves"
        return Verdict("monotone", False, reason, numbers)
    return Verdict("monotone", True, f"one valley on {total - bumpy} of {total} curves, moving up with w", numbers)
