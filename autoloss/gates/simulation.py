"""Simulation: free predictions descended under a loss alone, without a network: the prediction-space simulation.

It shows what a loss does when nothing stands between it and the prediction. It finds losses under which predictions do
not arrive; it cannot rank good ones, and free predictions share no weights, so a loss that descends well may still
train badly.

Source: the simulation experiment of Zheng et al. 2020, arXiv 1911.08287, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from autoloss.candidate import Loss
from primitives.catalog import thresholds
from primitives.codegen.program import Program
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.field import Descent, Field

STEPS = 32
CHECKS = (8, 12, 16, 20, 22, 24, 26, 28, 30, 32)
"""Steps after which it is asked whether the outcome is decided."""
MARGIN = 0.15
"""How much worse than the worst known loss a number may be."""
_SETTLED = 0.01  # loss of a number between two checks that does not matter
_FLOOR = 0.01  # of the mean gradient at the start: below it a step shrinks with the gradient, so what vanishes stands


def descend(
    expression: Expression,
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] | None = None,
    field: Field | None = None,
) -> Descent:
    """Descends the predictions of the gate, or others, under one formula; see `descend_all`."""
    return descend_all([expression], grammar, alpha, thresholds, field)[0]


def descend_all(
    expressions: Sequence[Expression],
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] | None = None,
    field: Field | None = None,
) -> list[Descent]:
    """Descends the same predictions under each of several formulas, all in one tensor program.

    Steps have a length that shrinks to zero over the descent, whatever the length of the gradient, so the outcome
    does not depend on loss_weight.

    Args:
        expressions: the formulas.
        grammar: of all of them.
        alpha: weight of the target outside the formulas.
        thresholds: with them, a descent ends when it is decided: the predictions are worse than at the start, or
            the thresholds are met at two checks in a row and no number falls.
        field: other predictions than those of the kind.
    """
    if field is None:
        field = grammar.kind.field(grammar.terminals)
    live = [_Simulated(expression, thresholds, field.chief) for expression in expressions]
    ended, program = tuple(live), Program(expressions)
    place = field.start.expand(len(live), *field.start.shape)
    floor: Tensor | None = None
    for step in range(STEPS + 1):
        place = place.detach().requires_grad_()
        field.time(step / STEPS)
        seen = field.inputs(place)
        good = field.progress(place, seen)
        gradient = _gradient(field.losses(program(seen), seen, alpha), place)
        length = gradient.norm(dim=-1, keepdim=True)
        broken = (~torch.isfinite(length)).sum((1, 2)).tolist()
        asked = []
        for index, (one, mean) in enumerate(zip(live, good.mean(-1).tolist(), strict=True)):
            one.curve.append(mean)
            if broken[index]:
                one.broken = f"the gradient is not finite on {broken[index]} of {place.shape[1]} samples"
            if step in CHECKS or step == 0 or one.broken:
                asked.append(index)
        for index, numbers in zip(asked, field.numbers(place.detach(), asked) if asked else [], strict=True):
            live[index].check(step, numbers, field.outcome(place, index))
        if step == STEPS or not any(one.going for one in live):
            break
        if floor is None:
            floor = (_FLOOR * length.mean((1, 2), keepdim=True)).clamp(min=torch.finfo(length.dtype).tiny)
        place = place.detach() - field.first_step * (1 - step / STEPS) ** 2 * gradient / torch.maximum(length, floor)
        kept = [index for index, one in enumerate(live) if one.going]
        if len(kept) < len(live):
            live, place, floor = [live[index] for index in kept], place[kept], floor[kept]
            program = Program([one.expression for one in live])
            field.keep(kept)
    return [one.descent() for one in ended]


def derived(outcomes: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Thresholds from the numbers of losses that are to pass: the worst of each less the margin, rounded down."""
    worst: dict[str, float] = {}
    for numbers in outcomes:
        for name in thresholds():
            if name in numbers:
                worst[name] = min(worst.get(name, math.inf), numbers[name])
    return {name: math.floor((value - MARGIN) * 100) / 100 for name, value in worst.items()}


def scored(losses: Mapping[str, Loss]) -> dict[str, float]:
    """How predictions fare under a candidate's losses: every number, and `score`, the mean of the slots' chief ones.

    The chief number is that by which a kind ranks losses, such as the mean IoU at the end.

    Args:
        losses: per slot.
    """
    numbers: dict[str, float] = {}
    chief = []
    for loss in losses.values():
        found = descend(loss.expression, loss.grammar, loss.alpha).numbers
        chief.append(found[loss.grammar.kind.score])
        numbers |= found
    return {"score": math.fsum(chief) / len(chief), **numbers}


def _gradient(losses: Sequence[Tensor], place: Tensor) -> Tensor:
    """Gradient of every loss with respect to its own predictions, as `place`; zero where a loss does not read them."""
    moved = [loss for loss in losses if loss.requires_grad]
    if not moved:
        return torch.zeros_like(place)
    (gradient,) = torch.autograd.grad(torch.stack(moved).sum(), place)
    return gradient


class _Simulated:
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
