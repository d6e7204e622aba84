"""What a class loss does, drawn: along the target logit, to free logits, and what it asks for."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from primitives.kinds.classification.certificates import asked, losses
from primitives.kinds.classification.samples import width
from primitives.kinds.classification.scores import W
from primitives.kinds.field import Descend
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.panel import Line, Panel

_W = (0.2, 0.6, 1.0)


def drawn(kind: Kind, formula: Formula, background: bool, scale: float, descend: Descend) -> Iterator[Panel]:
    """See Kind.panels."""
    heights, gradients = [], []
    reads_w = W.name in formula.expression.names
    for colour, w in enumerate(_W):
        if w != 1 and not reads_w:
            continue
        grid = torch.linspace(-8, 8, 161, dtype=torch.float64)
        x = torch.full((len(grid), width(background)), -1.0, dtype=torch.float64)
        x[:, 0] = grid
        x.requires_grad_()
        iou = torch.full((len(grid),), w, dtype=torch.float64)
        values = losses(kind, formula, x, torch.zeros(len(grid)).long(), iou)
        gradient = torch.autograd.grad(values.sum(), x)[0] if values.requires_grad else torch.zeros_like(x)
        label, places = f"w = {w:g}" if reads_w else "", grid.tolist()
        heights.append(Line(places, ((values - values.min()).detach() / scale).tolist(), label, colour))
        gradients.append(Line(places, (gradient[:, 0] / scale).tolist(), label, colour))
    logit = "target logit of a positive, the others at -1"
    yield Panel(logit, "loss above its lowest", tuple(heights))
    yield Panel(logit, "gradient in the target logit", tuple(gradients))
    curve = descend(kind.field(formula.terminals)).curve
    yield Panel(
        "step of the descent of free logits", "mean probability of the target class", (Line(range(len(curve)), curve),)
    )
    wanted = asked(kind, formula, background)
    yield Panel(
        "IoU of the predicted box, w",
        "probability asked for",
        (Line(list(wanted), list(wanted.values()), marked=True),),
        xlim=(0, 1.03),
        ylim=(0, 1.03),
    )
