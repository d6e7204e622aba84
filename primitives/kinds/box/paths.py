"""Paths: boxes on their way to their targets, and what must hold of a loss along them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from primitives.kinds import course, draws
from primitives.kinds.box import samples
from primitives.kinds.box.pair import aligned_iou
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.probe import First, Probe
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Verdict

STEPS = 17
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


def boxes(left: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Boxes that move, scale, or do both, and their targets, (P, T, 4) xyxy in pixels.

    Args:
        left: (P, T) share of the way that is left; None for STEPS of them, from all to none.
    """
    each, generator = 32, draws.generator(4)
    centre, log_wh = samples.targets(3 * each, 1, 1000, generator)
    shift = draws.uniform((3 * each, 2), -1.6, 1.6, generator)
    stretch = draws.uniform((3 * each, 2), -1.2, 1.2, generator)
    stretch[:each], shift[each : 2 * each] = 0, 0
    stretch[each : 2 * each, 1] = stretch[each : 2 * each, 0]  # concentric and similar: the IoU rises all the way
    where = torch.linspace(1, 0, STEPS, dtype=torch.float64)[None, :, None] if left is None else left[..., None]
    pred = samples.boxes(
        centre[:, None] + where * (shift * log_wh.exp())[:, None], log_wh[:, None] + where * stretch[:, None]
    )
    return pred, samples.boxes(centre, log_wh)[:, None].expand_as(pred)


def _given(terminals: Sequence[Terminal], count: int, steps: int) -> Mapping[str, Tensor]:
    """What stays as it is along a path, drawn, or at each of its levels in turn."""
    each = {**draws.given(terminals, count), **draws.levels(terminals, count)}
    return {name: value.repeat_interleave(steps) for name, value in each.items()}


@cache
def paths(kind: Kind, terminals: tuple[Terminal, ...]) -> Paths:
    """Boxes that move, scale, or do both, onto their targets; what a head gives stays as it is along a path."""
    pred, target = boxes()
    count, steps = pred.shape[:2]
    sample = Sample(pred.reshape(-1, 4), target.reshape(-1, 4), _given(terminals, count, steps))
    iou = aligned_iou(sample.pred, sample.target).reshape(count, steps)
    inputs = {name: value.float() for name, value in kind.inputs(sample, terminals).items()}
    return Paths(inputs, (count, steps), iou[:, 1:] >= iou[:, :-1])


@cache
def scouts(kind: Kind, terminals: tuple[Terminal, ...]) -> First:
    """Boxes on the few paths on which nearly every random formula falls that falls on all of them, (20 * T,)."""
    ways = paths(kind, terminals)
    return First({name: value.reshape(ways.shape)[list(_SCOUTS)].flatten() for name, value in ways.inputs.items()})


@cache
def _slopes(kind: Kind, terminals: tuple[Terminal, ...]) -> Probe:
    """The middle of every step of every path, with what carries a gradient to the share of the way that is left."""
    count, steps = paths(kind, terminals).shape
    middle = 1 - (torch.arange(steps - 1, dtype=torch.float64) + 0.5) / (steps - 1)
    given = _given(terminals, count, steps - 1)

    def inputs_at(place: Tensor) -> dict[str, Tensor]:
        pred, target = boxes(place.reshape(count, steps - 1))
        return kind.inputs(Sample(pred.reshape(-1, 4), target.reshape(-1, 4), given), terminals)

    leaves = tuple(one.name for one in terminals if one.predicted)
    return Probe.by_jacobian(middle.repeat(count)[:, None], inputs_at, leaves, kind.losses, torch.float32)


@cache
def _slopes_of_scouts(kind: Kind, terminals: tuple[Terminal, ...]) -> Probe:
    """The same of the few paths that come first."""
    every, (count, steps) = _slopes(kind, terminals), paths(kind, terminals).shape
    rows = torch.arange(count * (steps - 1)).reshape(count, steps - 1)[list(_SCOUTS)].flatten()
    assert every.jacobian is not None
    values = {name: value[rows] for name, value in every.inputs.items()}
    return Probe(values, every.leaves, every.jacobian[rows], every.losses)


def _added_up(probe: Probe, formula: Formula, steps: int) -> Tensor:
    """What the derivative along each path adds up to, (P, T)."""
    _, slope = probe.gradient(formula.expression)
    fall = slope.reshape(-1, steps - 1) / (1 - steps)
    return torch.cat((torch.zeros(len(fall), 1), fall.cumsum(-1)), dim=-1)


def along(kind: Kind, formula: Formula) -> Tensor:
    """Losses (P, T) on the paths; where parts are held, what their derivative along the path adds up to."""
    ways = paths(kind, formula.terminals)
    if not formula.held:
        return ways.losses(formula)
    return _added_up(_slopes(kind, formula.terminals), formula, ways.shape[1])


def judged(kind: Kind, formula: Formula, everywhere: Callable[[], Verdict]) -> tuple[list[Verdict], bool]:
    """See Kind.course: a few paths first, then all of them, then the whole probe."""
    ways = paths(kind, formula.terminals)
    count, steps = ways.shape
    most = course.MAX_SHARE * count
    if formula.held:
        first = _added_up(_slopes_of_scouts(kind, formula.terminals), formula, steps)
    else:
        few = scouts(kind, formula.terminals)
        first = few(formula.expression).expand(len(_SCOUTS) * steps).reshape(-1, steps)
    found, turned = course.minimum(first, most, _WHERE)
    if not (found[-1].passed or turned):
        return found, False
    loss = along(kind, formula)
    found, turned = course.minimum(loss, most, _WHERE)
    if turned:
        opposite, _ = course.minimum(-loss, most, _WHERE)
        last = course.monotone(-loss, ways.rising, "IoU", formula.edition)
        if last.passed:
            return course.confirmed((opposite[-1], last), everywhere), True
    if found[-1].passed:
        found = course.confirmed((found[-1], course.monotone(loss, ways.rising, "IoU", formula.edition)), everywhere)
    return found, False
