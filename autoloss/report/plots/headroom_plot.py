"""Headroom plot: every training of known losses beside the own one."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from autoloss.report.plots.fidelity_plot import save
from autoloss.search.headroom.verdict import Headroom
from primitives.text.printable import printable

_COLOURS = {"own": "tab:red", "control": "tab:orange", "known": "tab:blue"}


def draw(found: Headroom, file: Path) -> None:
    """Writes a row per loss with a dot per seed, and a band of the differences from the own one that are noise.

    Args:
        found: of `verdict.analysed`.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    losses = [one for one in reversed(found.losses) if one.trains]
    figure = Figure(figsize=(8, 1.6 + 0.26 * len(losses)), layout="constrained")
    panel = figure.subplots()
    least = found.smallest[len(found.seeds)]
    panel.axvspan(found.own.mean - least, found.own.mean + least, color="tab:gray", alpha=0.2)
    panel.axvline(found.own.mean, color="tab:gray", linewidth=0.8)
    for place, one in enumerate(losses):
        colour = _COLOURS[one.kind]
        panel.scatter(one.scores, [place] * len(one.scores), s=12, alpha=0.5, color=colour)
        panel.scatter([one.mean], [place], s=50, marker="|", color=colour)
    names = [printable(one.name, 70).replace("$", r"\$") for one in losses]  # a $ would begin a formula
    panel.set_yticks(range(len(losses)), names, fontsize=7)
    panel.set_xlabel(f"{printable(found.metric)}; grey: within {100 * least:.1f} points of the own loss", fontsize=8)
    panel.grid(axis="x", alpha=0.3)
    save(figure, file)
