"""Picture: what a loss does, drawn beside a known one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from autoloss.gates import probes
from autoloss.gates.certificates import asked
from autoloss.gates.simulation import descend
from autoloss.gates.simulation_inputs import FARTHEST, all_boxes
from autoloss.report.fidelity_plot import save
from primitives.expression import Expression
from primitives.features import class_features, pairwise_iou, per_sample
from primitives.grammar import Grammar

BESIDE = {"box": "giou", "box_pixels": "giou", "box_extended": "diou", "softmax": "cross_entropy", "sigmoid": "focal"}
"""Known loss to draw beside a formula of each grammar."""
_W = (0.2, 0.6, 1.0)
_COLOURS = ("tab:blue", "tab:orange", "tab:green")


@dataclass(frozen=True)
class Drawn:
    """A loss to draw.

    Args:
        title: for the legend.
        expression: the formula.
        grammar: of it.
        alpha: weight of the target column of a sigmoid loss.
    """

    title: str
    expression: Expression
    grammar: Grammar
    alpha: float | None = None


def draw(mine: Drawn, other: Drawn, file: Path) -> None:
    """Writes one picture of four panels: loss, gradient, descent, and what becomes of far boxes or is asked of w.

    Losses and gradients are scaled to mean gradient norm 1 on the typical probe.

    Args:
        mine: the loss, drawn solid.
        other: a known loss of the same slot, drawn dashed.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels: Any = figure.subplots(2, 2).flatten()
    boxes = mine.grammar.slot == "loss_bbox"
    for loss, line in ((other, "--"), (mine, "-")):
        (_box_panels if boxes else _class_panels)(panels, loss, line)
    for panel in panels:
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    text = str(mine.expression)
    figure.suptitle(text if len(text) <= 130 else f"{text[:127]}...", fontsize=9)
    save(figure, file)


def _scale(loss: Drawn) -> float:
    """Mean gradient norm; 1 where the loss has no gradient to scale by."""
    norm = float(probes.typical(loss.grammar).gradient(loss.expression, loss.alpha)[1].norm(dim=-1).mean())
    return norm if 0 < norm < math.inf else 1.0


def _box_panels(panels: Any, loss: Drawn, line: str) -> None:
    scale = _scale(loss)
    for colour, (name, shift, stretch) in zip(_COLOURS, _PATHS, strict=True):
        pred, target, way = _path(shift, stretch)
        values, gradient = probes.pairs(loss.grammar, pred, target).gradient(loss.expression)
        iou = pairwise_iou(pred, target)
        label = f"{loss.title}: {name}"
        values = values.expand(iou.shape)
        panels[0].plot(iou, (values - values[-1]) / scale, line, color=colour, label=label)
        panels[1].plot(way, gradient.norm(dim=-1) / scale, line, color=colour, label=label)
    panels[0].set(xlabel="IoU on the way of a box onto its target", ylabel="loss above that of a perfect box")
    panels[1].set(xlabel="distance to the target, or log of its scale", ylabel="length of the gradient")
    curve = descend(loss.expression, loss.grammar).curve
    panels[2].plot(curve, line, color=_COLOURS[0], label=f"{loss.title}: overlapping at the start")
    panels[2].set(xlabel="step of the descent of free boxes", ylabel="mean IoU", ylim=(0, 1.02))
    boxes = all_boxes()
    final = descend(loss.expression, loss.grammar, boxes=boxes).final
    places = torch.tensor(sorted(set(boxes.distance.tolist())))
    means = [float(final[boxes.distance == place].mean()) for place in places]
    panels[3].plot(places, means, line, color=_COLOURS[0], label=loss.title)
    panels[3].set(
        xlabel=f"distance at the start in sizes of the target (all {len(final):,} pairs)",
        ylabel="mean IoU after the descent",
        xlim=(0, FARTHEST),
        ylim=(0, 1.02),
    )


_PATHS = (("shifted", 1.5, 0.0), ("too large", 0.0, 1.2), ("too small", 0.0, -1.2))


def _path(shift: float, stretch: float) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted and target boxes (N, 4) of a path onto a target of 64 px, and the distance (N,)."""
    way = torch.linspace(1, 0, 101, dtype=torch.float64)[:, None]
    centre = 500 + way * shift * torch.tensor([64.0, 0.0], dtype=torch.float64)
    half = 32 * (way * stretch).exp()
    target = torch.tensor([[468.0, 468.0, 532.0, 532.0]], dtype=torch.float64).expand(101, 4)
    return torch.cat((centre - half, centre + half), dim=-1), target, way[:, 0] * max(shift, abs(stretch))


def _class_panels(panels: Any, loss: Drawn, line: str) -> None:
    scale = _scale(loss)
    use_sigmoid = loss.grammar.name == "sigmoid"
    reads_w = "w" in loss.expression.names
    for colour, w in zip(_COLOURS, _W, strict=True):
        if w != 1 and not reads_w:
            continue
        grid = torch.linspace(-8, 8, 161, dtype=torch.float64)
        x = torch.full((len(grid), 4 if use_sigmoid else 5), -1.0, dtype=torch.float64)
        x[:, 0] = grid
        x.requires_grad_()
        iou = torch.full((len(grid),), w, dtype=torch.float64)
        inputs = class_features(x, torch.zeros(len(grid)).long(), iou, use_sigmoid=use_sigmoid)
        values = per_sample(loss.expression(inputs), inputs, loss.alpha)
        gradient = torch.autograd.grad(values.sum(), x)[0] if values.requires_grad else torch.zeros_like(x)
        label = f"{loss.title}: w = {w:g}" if reads_w else loss.title
        panels[0].plot(grid, (values - values.min()).detach() / scale, line, color=colour, label=label)
        panels[1].plot(grid, gradient[:, 0] / scale, line, color=colour, label=label)
    panels[0].set(xlabel="target logit of a positive, the others at -1", ylabel="loss above its lowest")
    panels[1].set(xlabel="target logit of a positive, the others at -1", ylabel="gradient in the target logit")
    curve = descend(loss.expression, loss.grammar, loss.alpha).curve
    panels[2].plot(curve, line, color=_COLOURS[0], label=loss.title)
    panels[2].set(xlabel="step of the descent of free logits", ylabel="mean probability of the target class")
    found = asked(loss.expression, loss.grammar, loss.alpha)
    panels[3].plot(list(found), list(found.values()), line, marker="o", color=_COLOURS[0], label=loss.title)
    panels[3].set(xlabel="IoU of the predicted box, w", ylabel="probability asked for", xlim=(0, 1.03), ylim=(0, 1.03))
