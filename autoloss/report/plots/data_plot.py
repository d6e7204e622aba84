"""Data picture: the box sizes and classes of a data set, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from autoloss.candidate import Kind
from autoloss.report.plots.fidelity_plot import save
from autoloss.report.plots.style import COLOURS, styled
from primitives.text.printable import printable

_BARS = 25


@styled()
def draw(found: Mapping[str, Any], file: Path) -> None:
    """Writes three panels: how large boxes are, how wide and high, and of which classes.

    Args:
        found: as `detectors.data.check.checked` gives it.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    figure = Figure(figsize=(14, 4.4), layout="constrained")
    sizes, shapes, classes = figure.subplots(1, 3)
    edges = np.asarray(found["histogram"]["edges"])
    sizes.stairs(found["histogram"]["side"], edges, fill=True, alpha=0.8, color=COLOURS[Kind.FOUND])
    for side in (32, 96):  # COCO's areas, of a square
        sizes.axvline(side, color=COLOURS[Kind.OWN], linewidth=1)
    for name, side in (("small", 14), ("medium", 55), ("large", 220)):
        sizes.text(side, 1.0, name, transform=sizes.get_xaxis_transform(), va="bottom", ha="center", fontsize=8)
    sizes.set(xscale="log", xlabel="square root of width x height, px", ylabel="boxes")
    sizes.set_title("How large boxes are", pad=18)
    sizes.set_xlim(1, max(500, edges[-1]))
    grid = np.asarray(found["histogram"]["width by height"]).T
    shown = np.where(grid > 0, grid, np.nan)
    mesh = shapes.pcolormesh(edges, edges, shown, norm=LogNorm(vmin=1, vmax=max(10, grid.max())))
    figure.colorbar(mesh, ax=shapes, label="boxes", format="%d")
    shapes.set(xscale="log", yscale="log", xlabel="width, px", ylabel="height, px", aspect="equal")
    shapes.set_title("How wide and high boxes are")
    rows = sorted(found["classes"], key=lambda row: -row["boxes"])[:_BARS][::-1]
    classes.barh(range(len(rows)), [row["boxes"] for row in rows], color=COLOURS[Kind.FOUND])
    classes.set_yticks(range(len(rows)), [printable(row["name"], 40) for row in rows], fontsize=7)
    more = len(found["classes"]) - len(rows)
    classes.set_xlabel("boxes")
    classes.set_title(f"Boxes by class ({more} more)" if more else "Boxes by class")
    if rows and rows[-1]["boxes"] > 100 * max(rows[0]["boxes"], 1):
        classes.set_xscale("log")
    for axis in (sizes.xaxis, shapes.xaxis, shapes.yaxis):
        axis.set_major_formatter("{x:g}")
    save(figure, file, dpi=110)
