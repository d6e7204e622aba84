"""Audit plot: a forest of differences with their intervals."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from autoloss.audit.contestants import CONTROLS
from autoloss.audit.verdict import Audit
from autoloss.candidate import Kind
from autoloss.report.plots.fidelity_plot import save
from autoloss.report.plots.style import COLOURS, INK, MORE, NOISE, styled
from autoloss.values import LEVEL
from primitives.text.printable import printable

_COLOURS = (COLOURS[Kind.FOUND], *MORE)
"""Of finalists, by rank."""
_APART = 0.22


@styled()
def draw(found: Audit, file: Path) -> None:
    """Writes a panel for each set-up, a row for each control, and a line for each finalist.

    Args:
        found: of `verdict.analysed`.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    controls = [name for name in CONTROLS if any(one.control == name for one in found.comparisons)]
    finalists = list(dict.fromkeys(one.finalist for one in found.comparisons))
    count = len(found.places)
    figure = Figure(figsize=(4.4 + 3.4 * count, 1.9 + 0.5 * max(len(controls), 1)), layout="constrained")
    panels = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for panel, place in zip(panels, found.places, strict=True):
        panel.axvline(0, color=INK, linewidth=0.8)
        if place.smallest is not None:
            panel.axvspan(-100 * place.smallest, 100 * place.smallest, color=NOISE, alpha=0.2, linewidth=0)
        for one in place.comparisons:
            rank = finalists.index(one.finalist)
            height = controls.index(one.control) + _APART * (rank - (len(finalists) - 1) / 2)
            mean, low, high = (100 * value for value in (one.difference, one.low, one.high))
            panel.errorbar(
                mean,
                height,
                xerr=[[mean - low], [high - mean]],
                fmt="o",
                markersize=5,
                markerfacecolor=_COLOURS[rank] if one.holm < LEVEL else "white",
                color=_COLOURS[rank],
                capsize=2.5,
                linewidth=1.4,
            )
        panel.set_title(printable(place.on, 40))
        panel.set_xlabel(f"points of {printable(place.metric, 30)} over the control")
        panel.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(controls)), controls)
    panels[0].invert_yaxis()
    handles = [panels[0].plot([], [], "o", color=_COLOURS[rank], label=f"#{n}")[0] for rank, n in enumerate(finalists)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(finalists) or 1)
    figure.suptitle(
        "Finalists less controls, 95 % intervals; filled: shown, after Holm's correction; grey: mostly goes unseen",
        fontsize=8.5,
    )
    save(figure, file)
