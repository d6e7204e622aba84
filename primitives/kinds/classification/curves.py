"""Curves along a logit, and what must hold of a loss along them."""

from __future__ import annotations

import math
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
_FARTHEST = 8.0
_OUT = -16.0
_NO_REST = 0.5
CONTEXTS = 6


@dataclass(frozen=True)
class Curves:
    """Curves along one logit; rows of the inputs are curves times grid points.

    Args:
        inputs: of the formula, (rows, C).
        target: (K, len(W_LEVELS), GRID) shape of the first rows, along the target logit at every w.
        other: (K * 2, GRID) shape of the rest, along another logit, for positives at w = 1 and background.
        column: (rows, 1) the logit.
    """

    inputs: Mapping[str, Tensor]
    target: tuple[int, int, int]
    other: tuple[int, int]
    column: Tensor


@cache
def curves(kind: Kind, terminals: tuple[Terminal, ...], background: bool, edition: int = 1) -> Curves:
    """Losses along the target logit at every w, and along another logit at w = 1 and for background.

    From the second edition of the rules on, the other classes of a softmax are out of the running there: a proper
    scoring rule falls where a wrong class takes from another one that is more certain.
    """
    generator, columns = draws.generator(5), width(background)
    count = max(CONTEXTS, 2 * draws.cases(terminals))
    base = torch.randn(count, columns, generator=generator, dtype=torch.float64) * 1.5 - 0.5
    grid = torch.linspace(-_FARTHEST, _FARTHEST, GRID, dtype=torch.float64)
    target = torch.arange(count) % COUNT
    rows, labels, ious, moving = [], [], [], []
    for k in range(count):
        for w in W_LEVELS:
            x = base[k].repeat(GRID, 1)
            x[:, target[k]] = grid
            rows.append(x)
            labels.append(target[k].repeat(GRID))
            ious.append(torch.full((GRID,), w, dtype=torch.float64))
            moving.append(labels[-1])
    for k in range(count):
        for label in (int(target[k]), COUNT):
            x = base[k].repeat(GRID, 1)
            if background and edition > 1:
                x[:, torch.arange(columns) != label] = _OUT
            x[:, (target[k] + 1) % COUNT] = grid
            rows.append(x)
            labels.append(torch.full((GRID,), label))
            ious.append(torch.ones(GRID, dtype=torch.float64))
            moving.append(((target[k] + 1) % COUNT).repeat(GRID))
    # What is given beside stays as it is in one context: drawn, or at each of its levels in turn.
    contexts = torch.cat(
        (torch.arange(count).repeat_interleave(len(W_LEVELS)), torch.arange(count).repeat_interleave(2))
    )
    each = {**draws.given(terminals, count, columns), **draws.levels(terminals, count, columns)}
    given = {name: value[contexts.repeat_interleave(GRID)] for name, value in each.items()}
    sample = Sample(torch.cat(rows).float(), torch.cat(labels), {**given, "iou": torch.cat(ious)})
    shapes = (count, len(W_LEVELS), GRID), (2 * count, GRID)
    return Curves(kind.inputs(sample, terminals), *shapes, torch.cat(moving)[:, None])


@cache
def ends(kind: Kind, terminals: tuple[Terminal, ...], background: bool, edition: int = 1) -> First:
    """Both ends of some curves, (2 * CONTEXTS * 2, C): along the target at w = 1, then along another of background."""
    every = curves(kind, terminals, background, edition)
    count, levels, _ = every.target
    order = [k * levels + levels - 1 for k in range(count)] + [count * levels + 2 * k + 1 for k in range(count)]
    rows = torch.tensor([[curve * GRID, curve * GRID + GRID - 1] for curve in order]).flatten()
    return First({name: value[rows] for name, value in every.inputs.items()})


def ways(kind: Kind, terminals: Sequence[Terminal], background: bool) -> tuple[Way, ...]:
    """See Kind.ways; the logits beside are 0, the box is right (w = 1) where there is one."""

    def of_logit(column: int, label: int, x: Tensor) -> Mapping[str, Tensor]:
        # A sigmoid's column stands alone; a softmax has a class beside the target, and background.
        logits = [torch.zeros_like(x)] * (3 if background else 1)
        logits[column] = x
        labels = torch.full((len(x),), label)
        given = {**draws.middle(terminals, len(x), len(logits)), "iou": torch.ones(len(x))}
        return kind.inputs(Sample(torch.stack(logits, dim=-1), labels, given), terminals)

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
    """Losses of a formula along the target logit, (K, W, GRID), and along others, (2 K, GRID).

    Where parts are held, what the derivative along the logit adds up to.
    """
    along = curves(kind, formula.terminals, background, formula.edition)
    loss = _added_up(kind, formula, along) if formula.held else _losses(kind, formula, along.inputs)
    count = math.prod(along.target)
    return loss[:count].reshape(along.target), loss[count:].reshape(along.other)


def _losses(kind: Kind, formula: Formula, inputs: Mapping[str, Tensor]) -> Tensor:
    return kind.losses(formula.expression(inputs), inputs, formula.alpha)


def _added_up(kind: Kind, formula: Formula, along: Curves) -> Tensor:
    x = along.inputs["x"].clone().requires_grad_()
    loss = _losses(kind, formula, {**along.inputs, "x": x})
    if not loss.requires_grad:
        return torch.zeros_like(loss)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    slope = gradient.gather(1, along.column).reshape(-1, GRID)
    steps = (slope[:, 1:] + slope[:, :-1]) / 2 * (2 * _FARTHEST / (GRID - 1))
    return torch.cat((torch.zeros_like(steps[:, :1]), steps.cumsum(-1)), dim=-1).flatten()


def judged(
    kind: Kind, formula: Formula, background: bool, everywhere: Callable[[], Verdict]
) -> tuple[list[Verdict], bool]:
    """See Kind.course; the ends of the curves are enough to refuse most."""
    if not formula.held:
        few = ends(kind, formula.terminals, background, formula.edition)
        found = at_ends(kind.losses(few(formula.expression), few.inputs, formula.alpha).reshape(2, -1, 2))
        if found:
            return found, False
    target, other = losses(kind, formula, background)
    looked = along_curves(target, other, formula.edition)
    negated = not looked[-1].passed and along_curves(-target, -other, formula.edition)[-1].passed
    if negated:
        looked = along_curves(-target, -other, formula.edition)
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


def along_curves(target: Tensor, other: Tensor, edition: int = 1) -> list[Verdict]:
    """Finite; minimum: a target logit pulls, the others push; monotone: one valley that does not run backwards.

    Args:
        target: (contexts, levels of w, T) losses along the target logit.
        other: (2 * contexts, T) losses along another, for a positive and for background in turn.
        edition: of the rules; see `Grammar`.
    """
    if not bool(torch.isfinite(target).all() and torch.isfinite(other).all()):
        return [Verdict("finite", False, "value is not finite along the logits")]
    first = _pull_and_push(target[:, -1], other, course.tolerance(edition))
    if first.passed and edition > 1:
        first = _comes_to_rest(target[:, -1]) or first
    return [first, _one_valley(target)] if first.passed else [first]


def _pull_and_push(certain: Tensor, other: Tensor, tolerance: float) -> Verdict:
    """At w = 1 the loss falls in the target logit; it rises in another logit, and more so for background."""
    fall, rise = -course.steps(certain), course.steps(other)
    still = certain[:, 0] - certain[:, -1] <= course.noise(certain)[:, 0]
    bad_fall = (course.against(-fall) > tolerance) | still
    background = other[1::2]
    bad_rise = (course.against(-rise) > course.TOLERANCE).sum() + (
        background[:, -1] - background[:, 0] <= course.noise(background)[:, 0]
    ).sum()
    if bool(bad_fall.any()):
        return _no_pull(int(bad_fall.sum()), len(certain))
    if int(bad_rise) > 0:
        return _no_push(int(bad_rise), len(other))
    return Verdict("minimum", True, "falls in the target logit, rises in the others")


def _comes_to_rest(certain: Tensor) -> Verdict | None:
    """A refusal where the pull on the target logit is as strong when the answer is right as it ever was."""
    pull = (certain[:, :-1] - certain[:, 1:]).clamp(min=0)
    bad = int((pull[:, -1] > _NO_REST * pull.amax(-1)).sum())
    if not bad:
        return None
    reason = (
        f"the loss has no end: its gradient does not fall where the answer is right on {bad} of {len(certain)} curves"
    )
    return Verdict("minimum", False, reason, {"without end": bad / len(certain)})


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
