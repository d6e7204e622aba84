"""Paths: boxes on their way to their targets, and what must hold of a loss along them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from primitives.kinds import course, draws
from primitives.kinds.box import samples
from primitives.kinds.box.pair import aligned_iou
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.probe import First
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Verdict

_WHERE = "of a box onto its target"
# Chosen one by one, each the one with which most of 6,000 random formulas of every box grammar fall: others would
# cost time, not change a verdict.
_SCOUTS = (1, 2, 5, 6, 17, 30, 32, 33, 34, 35, 40, 42, 43, 46, 47, 48, 50, 52, 58, 59)


@dataclass(frozen=True)
class Paths:
    """Boxes on their way to their targets: inputs (P * T,), and where the IoU does not fall, (P, T - 1)."""

    inputs: Mapping[str, Tensor]
    shape: tuple[int, int]
    rising: Tensor

    def losses(self, formula: Formula) -> Tensor:
        """Losses (P, T) of a formula."""
        return formula.expression(self.inputs).expand(self.shape[0] * self.shape[1]).reshape(self.shape)


def boxes() -> tuple[Tensor, Tensor]:
    """Boxes that move, scale, or do both, and their targets, (P, T, 4) xyxy in pixels."""
    each, steps, generator = 32, 17, draws.generator(4)
    centre, log_wh = samples.targets(3 * each, 1, 1000, generator)
    shift = draws.uniform((3 * each, 2), -1.6, 1.6, generator)
    stretch = draws.uniform((3 * each, 2), -1.2, 1.2, generator)
    stretch[:each], shift[each : 2 * each] = 0, 0
    stretch[each : 2 * each, 1] = stretch[each : 2 * each, 0]  # concentric and similar: the IoU rises all the way
    left = torch.linspace(1, 0, steps, dtype=torch.float64)[None, :, None]
    pred = samples.boxes(
        centre[:, None] + left * (shift * log_wh.exp())[:, None], log_wh[:, None] + left * stretch[:, None]
    )
    return pred, samples.boxes(centre, log_wh)[:, None].expand_as(pred)


@cache
def paths(kind: Kind, terminals: tuple[Terminal, ...]) -> Paths:
    """Boxes that move, scale, or do both, onto their targets; what a head gives stays as it is along a path."""
    pred, target = boxes()
    count, steps = pred.shape[:2]
    given = {name: value.repeat_interleave(steps) for name, value in draws.given(terminals, count).items()}
    sample = Sample(pred.reshape(-1, 4), target.reshape(-1, 4), given)
    iou = aligned_iou(sample.pred, sample.target).reshape(count, steps)
    inputs = {name: value.float() for name, value in kind.inputs(sample, terminals).items()}
    return Paths(inputs, (count, steps), iou[:, 1:] >= iou[:, :-1])


@cache
def scouts(kind: Kind, terminals: tuple[Terminal, ...]) -> First:
    """Boxes on the few paths on which nearly every random formula falls that falls on all of them, (20 * T,)."""
    ways = paths(kind, terminals)
    return First({name: value.reshape(ways.shape)[list(_SCOUTS)].flatten() for name, value in ways.inputs.items()})


def judged(kind: Kind, formula: Formula, everywhere: Callable[[], Verdict]) -> tuple[list[Verdict], bool]:
    """See Kind.course: a few paths first, then all of them, then the whole probe."""
    ways = paths(kind, formula.terminals)
    count, steps = ways.shape
    most = course.MAX_SHARE * count
    few = scouts(kind, formula.terminals)
    first = few(formula.expression).expand(len(_SCOUTS) * steps).reshape(-1, steps)
    found, turned = course.minimum(first, most, _WHERE)
    if not (found[-1].passed or turned):
        return found, False
    loss = ways.losses(formula)
    found, turned = course.minimum(loss, most, _WHERE)
    if turned:
        opposite, _ = course.minimum(-loss, most, _WHERE)
        last = course.monotone(-loss, ways.rising, "IoU")
        if last.passed:
            return course.confirmed((opposite[-1], last), everywhere), True
    if found[-1].passed:
        found = course.confirmed((found[-1], course.monotone(loss, ways.rising, "IoU")), everywhere)
    return found, False
