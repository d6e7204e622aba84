"""Headroom plot: every training of known losses beside the own one."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from autoloss.candidate import Kind
from autoloss.report.plots.fidelity_plot import save
from autoloss.report.plots.style import COLOURS, NOISE, styled
from autoloss.search.headroom.verdict import Headroom
from primitives.text.printable import printable

_KINDS = {kind.value: kind for kind in Kind}


def draw(found: Headroom, file: Path) -> None:
    """Writes a row per loss with a dot per seed, and a band of the differences from the own one that are noise.

    Args:
        found: of `verdict.analysed`.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    losses = [one for one in reversed(found.losses) if one.trains]
    least = found.smallest[len(found.seeds)]
    with styled():
        figure = Figure(figsize=(8, 1.7 + 0.26 * len(losses)), layout="constrained")
        panel = figure.subplots()
        panel.axvspan(found.own.mean - least, found.own.mean + least, color=NOISE, alpha=0.2, linewidth=0)
        panel.axvline(found.own.mean, color=COLOURS[Kind.OWN], linewidth=1)
        for place, one in enumerate(losses):
            colour = COLOURS[_KINDS.get(one.kind, Kind.FOUND)]
            panel.scatter(one.scores, [place] * len(one.scores), s=14, alpha=0.5, color=colour, linewidths=0)
            panel.scatter([one.mean], [place], s=60, marker="|", color=colour)
        panel.set_yticks(range(len(losses)), [printable(one.name, 70) for one in losses], fontsize=7)
        figure.suptitle(
            "Every training of the known losses, and the means", x=0.01, ha="left", fontsize=10, weight="bold"
        )
        panel.set_xlabel(f"{printable(found.metric)}; grey: within {100 * least:.1f} points of the own loss")
        panel.grid(axis="y", visible=False)
        save(figure, file)
