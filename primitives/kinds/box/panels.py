"""What a box loss does, drawn: on the way of a box onto its target, and to free boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from primitives.kinds import draws
from primitives.kinds.box import simulation
from primitives.kinds.box.pair import aligned_iou
from primitives.kinds.box.simulation import FARTHEST, BoxField
from primitives.kinds.field import Descend
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.panel import Line, Panel
from primitives.kinds.sample import Sample

_PATHS = (("shifted", 1.5, 0.0), ("too large", 0.0, 1.2), ("too small", 0.0, -1.2))


def drawn(kind: Kind, formula: Formula, scale: float, descend: Descend) -> Iterator[Panel]:
    """See Kind.panels."""
    losses, gradients = [], []
    for colour, (name, shift, stretch) in enumerate(_PATHS):
        sample = replace(_path(shift, stretch), given=draws.middle(formula.terminals, 101))
        way = torch.linspace(1, 0, 101, dtype=torch.float64) * max(shift, abs(stretch))
        probe = kind.probe(sample, formula.terminals, torch.float64)
        values, gradient = probe.gradient(formula.expression)
        iou = aligned_iou(sample.pred, sample.target)
        values = values.expand(iou.shape)
        losses.append(Line(iou.tolist(), ((values - values[-1]) / scale).tolist(), name, colour))
        gradients.append(Line(way.tolist(), (gradient.norm(dim=-1) / scale).tolist(), name, colour))
    yield Panel("IoU on the way of a box onto its target", "loss above that of a perfect box", tuple(losses))
    yield Panel("distance to the target, or log of its scale", "length of the gradient", tuple(gradients))
    curve = descend(kind.field(formula.terminals)).curve
    yield Panel(
        "step of the descent of free boxes",
        "mean IoU",
        (Line(range(len(curve)), curve, "overlapping at the start"),),
        ylim=(0, 1.02),
    )
    boxes = simulation.every()
    final = descend(BoxField(kind, formula.terminals, boxes)).final
    places = sorted(set(boxes.distance.tolist()))
    means = [float(final[boxes.distance == place].mean()) for place in torch.tensor(places)]
    yield Panel(
        f"distance at the start in sizes of the target (all {len(final):,} pairs)",
        "mean IoU after the descent",
        (Line(places, means),),
        xlim=(0, FARTHEST),
        ylim=(0, 1.02),
    )


def _path(shift: float, stretch: float) -> Sample:
    """A path onto a target of 64 px."""
    way = torch.linspace(1, 0, 101, dtype=torch.float64)[:, None]
    centre = 500 + way * shift * torch.tensor([64.0, 0.0], dtype=torch.float64)
    half = 32 * (way * stretch).exp()
    target = torch.tensor([[468.0, 468.0, 532.0, 532.0]], dtype=torch.float64).expand(101, 4)
    return Sample(torch.cat((centre - half, centre + half), dim=-1), target)
