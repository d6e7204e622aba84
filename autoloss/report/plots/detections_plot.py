"""Detections plot: images beside each other with what two losses find in them, as a picture for slides."""

from __future__ import annotations

import base64
import io

from matplotlib import image as pixels
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from autoloss.candidate import Kind
from autoloss.report.detections.seen import Mark, Pane, Seen, SeenSet
from autoloss.report.plots.style import COLOURS, MORE

_ABREAST = 2
"""Images in a row, each of them with a pane for every loss."""
_STYLES = {"object": ("white", ":", 0.8), "missed": (MORE[2], ":", 1.6), "right": (MORE[1], "-", 1.6)}
_WRONG = (COLOURS[Kind.OWN], "--", 1.6)


def detections(found: SeenSet) -> Figure:
    """The images of a data set."""
    losses = len(found.images[0].panes)
    rows, columns = -(-len(found.images) // _ABREAST), _ABREAST * losses
    figure = Figure(figsize=(2.6 * columns, 2.95 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for place, seen in enumerate(found.images):
        row, first = place // _ABREAST, place % _ABREAST * losses
        for pane, panel in zip(seen.panes, panels[row, first:], strict=False):
            _pane(panel, seen, pane)
            panel.set_title(f"{pane.title}: {pane.caption}", fontsize=8.5)
    figure.suptitle(
        "Solid: right.  Dashed, \u2717: wrong.  Yellow: missed.  White: an object that was found.", fontsize=9
    )
    return figure


def _pane(panel: Axes, seen: Seen, pane: Pane) -> None:
    width, height = float(seen.width), float(seen.height)
    kind, _, content = seen.source.partition(";base64,")
    picture = pixels.imread(io.BytesIO(base64.b64decode(content)), format=kind.rpartition("/")[2])
    panel.imshow(picture, extent=(0, width, height, 0), cmap="gray")
    for mark in pane.marks:
        _mark(panel, mark)
    panel.set(xlim=(0, width), ylim=(height, 0))


def _mark(panel: Axes, mark: Mark) -> None:
    colour, dashes, thick = _STYLES.get(mark.kind, _WRONG)
    x, y, width, height = map(float, mark.box)
    edge = [withStroke(linewidth=thick + 1.6, foreground="black", alpha=0.6)]
    panel.add_patch(
        Rectangle(
            (x, y), width, height, fill=False, edgecolor=colour, linestyle=dashes, linewidth=thick, path_effects=edge
        )
    )
    left, low = map(float, mark.at)
    bright = colour if mark.kind in _STYLES else MORE[0]
    text = panel.text(left, low, mark.text, fontsize=7, fontweight="bold", color=bright, clip_on=True)
    text.set_path_effects([withStroke(linewidth=2.2, foreground="black")])
