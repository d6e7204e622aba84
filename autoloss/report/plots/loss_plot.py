"""Picture: what a loss does, drawn beside a known one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from autoloss.gates.simulation import descend
from autoloss.report.plots.fidelity_plot import save
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.forms.infix import infix
from primitives.forms.simplify import simplified
from primitives.grammar import Grammar
from primitives.kinds.panel import Panel

_COLOURS = ("tab:blue", "tab:orange", "tab:green")


@dataclass(frozen=True)
class Drawn:
    """A loss to draw.

    Args:
        title: for the legend.
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula.
    """

    title: str
    expression: Expression
    grammar: Grammar
    alpha: float | None = None


def draw(mine: Drawn, other: Drawn, file: Path) -> None:
    """Writes the picture of two losses to a file.

    Args:
        mine: the loss, drawn solid.
        other: a known loss of the same kind or slot, drawn dashed.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    save(picture(mine, other), file)


def beside(mine: Drawn, name: str | None = None) -> Drawn:
    """The known loss that is drawn beside a loss, or the one of that name.

    Raises:
        InputError: no such loss, or one for another slot.
    """
    known = known_loss(name or mine.grammar.kind.beside(mine.grammar.terminals))
    rules = GRAMMARS[known.grammar]
    if rules.slot != mine.grammar.slot:
        raise InputError(f"--beside {known.name} is a loss for {rules.slot}")
    return Drawn(known.title, known.expression, rules, known.alpha)


def picture(mine: Drawn, other: Drawn) -> Figure:
    """The panels that the kind of two losses has, such as loss, gradient and descent; arguments as of `draw`.

    Losses and gradients are scaled to mean gradient norm 1 on the typical probe.
    """
    drawn = [(loss.title, style, _panels(loss)) for loss, style in ((other, "--"), (mine, "-"))]
    count = max(len(panels) for *_, panels in drawn)
    rows = math.ceil(count / 2)
    figure = Figure(figsize=(11, 4 * rows), layout="constrained")
    places: Any = figure.subplots(rows, 2, squeeze=False).flatten()
    for title, style, panels in drawn:
        for axes, panel in zip(places, panels, strict=False):
            _add(axes, panel, title, style)
    for axes in places[:count]:
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    for axes in places[count:]:
        axes.remove()
    text = infix(simplified(mine.expression, mine.grammar))
    figure.suptitle(text if len(text) <= 130 else f"{text[:127]}...", fontsize=9)
    return figure


def _panels(loss: Drawn) -> tuple[Panel, ...]:
    simulated = partial(descend, loss.expression, loss.grammar, loss.alpha)
    formula = loss.grammar.formula(loss.expression, loss.alpha)
    return loss.grammar.kind.panels(formula, _scale(loss), lambda field: simulated(field=field))


def _add(axes: Any, panel: Panel, title: str, style: str) -> None:
    for line in panel.lines:
        label, colour = f"{title}: {line.label}" if line.label else title, _COLOURS[line.colour % len(_COLOURS)]
        axes.plot(line.x, line.y, style, marker="o" if line.marked else None, color=colour, label=label)
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    if panel.xlim:
        axes.set_xlim(panel.xlim)
    if panel.ylim:
        axes.set_ylim(panel.ylim)


def _scale(loss: Drawn) -> float:
    """Mean gradient norm; 1 where the loss has no gradient to scale by."""
    probe = loss.grammar.kind.typical(loss.grammar.terminals)
    norm = float(probe.gradient(loss.expression, loss.alpha)[1].norm(dim=-1).mean())
    return norm if 0 < norm < math.inf else 1.0
