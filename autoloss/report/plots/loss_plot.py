"""Picture: what a loss does, drawn beside a known one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from autoloss.candidate import Kind
from autoloss.gates.simulation import descend
from autoloss.report.plots.fidelity_plot import save
from autoloss.report.plots.style import COLOURS, DASHES, MORE, styled
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.forms.infix import infix
from primitives.forms.simplify import simplified
from primitives.grammar import Grammar
from primitives.kinds.panel import Panel
from primitives.text.printable import printable


@dataclass(frozen=True)
class Drawn:
    """A loss to draw.

    Args:
        title: for the legend.
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula.
        kind: where it comes from, which says its colour.
    """

    title: str
    expression: Expression
    grammar: Grammar
    alpha: float | None = None
    kind: Kind = Kind.FOUND


def draw(mine: Drawn, other: Drawn, file: Path) -> None:
    """Writes the picture of two losses to a file.

    Args:
        mine: the loss.
        other: a known loss of the same kind or slot.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    with styled():
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
    return Drawn(known.title, known.expression, rules, known.alpha, Kind.KNOWN)


def picture(mine: Drawn, other: Drawn) -> Figure:
    """The panels that the kind of two losses has, such as loss, gradient and descent; arguments as of `draw`.

    Losses and gradients are scaled to mean gradient norm 1 on the typical probe.
    """
    drawn = [(loss, panels(loss)) for loss in (other, mine)]
    count = max(len(found) for _, found in drawn)
    rows = math.ceil(count / 2)
    figure = Figure(figsize=(10, 3.4 * rows + 0.5), layout="constrained")
    places: Any = figure.subplots(rows, 2, squeeze=False).flatten()
    for place, axes in enumerate(places[:count]):
        add(axes, [(loss, found[place]) for loss, found in drawn if place < len(found)])
    for axes in places[count:]:
        axes.remove()
    text = infix(simplified(mine.expression, mine.grammar))
    title = f"{printable(mine.title, 60)} beside {printable(other.title, 60)}"
    figure.suptitle(f"{title}\n{text if len(text) <= 110 else f'{text[:107]}...'}", fontsize=10, x=0.01, ha="left")
    return figure


def panels(loss: Drawn, count: int | None = None) -> tuple[Panel, ...]:
    """What a loss does, as data.

    Args:
        loss: the loss.
        count: so many panels, the first; the later ones take simulations.
    """
    simulated = partial(descend, loss.expression, loss.grammar, loss.alpha)
    formula = loss.grammar.formula(loss.expression, loss.alpha)
    found = loss.grammar.kind.panels(formula, _scale(loss), lambda field: simulated(field=field))
    return tuple(islice(found, count))


def add(axes: Any, drawn: Sequence[tuple[Drawn, Panel]]) -> None:
    """Draws the same panel of several losses: a colour is a loss, a dash what its line shows beside others of it."""
    known = 0
    for loss, panel in drawn:
        colour = COLOURS[loss.kind]
        if loss.kind is Kind.KNOWN:
            colour, known = (COLOURS[loss.kind], *MORE)[known], known + 1
        for line in panel.lines:
            label = ": ".join(filter(None, (printable(loss.title, 60), line.label)))
            dash = DASHES[line.colour % len(DASHES)] if len(panel.lines) > 1 else DASHES[0]
            axes.plot(line.x, line.y, dash, marker="o" if line.marked else None, ms=3, color=colour, label=label)
    panel = drawn[0][1]
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    axes.set_title(f"{panel.ylabel[:1].upper()}{panel.ylabel[1:]}")
    axes.set_ylabel("")
    if panel.xlim:
        axes.set_xlim(panel.xlim)
    if panel.ylim:
        axes.set_ylim(panel.ylim)
    axes.legend(fontsize=7)


def _scale(loss: Drawn) -> float:
    """Mean gradient norm; 1 where the loss has no gradient to scale by."""
    probe = loss.grammar.kind.typical(loss.grammar.terminals)
    norm = float(probe.gradient(loss.expression, loss.alpha)[1].norm(dim=-1).mean())
    return norm if 0 < norm < math.inf else 1.0
