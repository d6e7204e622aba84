"""Chart: measurements as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from autoloss.candidate import OWN, Kind
from autoloss.report.plots.style import COLOURS, NOISE, styled, zoom_pairs
from autoloss.search.fidelity import RungFidelity
from primitives.errors import InputError
from primitives.text.printable import printable


def fidelity(found: Sequence[RungFidelity], file: Path) -> None:
    """Writes a panel per rung: the better losses by their scores there and at the truth.

    Args:
        found: of `fidelity.analysed`.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    columns = min(len(found), 3)
    rows = math.ceil(len(found) / columns)
    with styled():
        figure = Figure(figsize=(4 * columns, 3.6 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for panel, rung in zip(panels, found, strict=False):
            _rung(panel, rung)
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        save(figure, file)


def _rung(panel: Any, rung: RungFidelity) -> None:
    """Every loss of the better part, the own one marked, and how far noise reaches."""
    pairs = {number: (max(score, 0.0), truth) for number, (score, truth) in rung.scores.items()}
    if any(rung.errors):
        reach = [1.96 * one if one else None for one in rung.errors]
        columns = zip(*pairs.values(), strict=True)
        panel.errorbar(
            *columns,
            xerr=reach[0],
            yerr=reach[1],
            fmt="none",
            color=NOISE,
            alpha=0.5,
            linewidth=1,
            label="95 % interval of a loss's mean",
        )
    others = [pair for number, pair in pairs.items() if number != OWN]
    if others:
        panel.scatter(*zip(*others, strict=True), s=20, color=COLOURS[Kind.FOUND], linewidths=0, zorder=3)
    if OWN in pairs:
        own = "the detector's own loss"
        panel.scatter(*pairs[OWN], s=60, marker="X", color=COLOURS[Kind.OWN], label=own, zorder=4)
    hidden = zoom_pairs(panel, list(pairs.values()), pairs.get(OWN))
    rho, low, high = rung.agreement["all"].spearman
    name = printable(rung.rung, 60)
    panel.set_title(f"{name}: rank correlation {rho:.2f} [{low:.2f}, {high:.2f}]", fontsize=8.5)
    less = f"; {hidden} of {len(pairs)} outside" if hidden else ""
    panel.set_xlabel(f"score at the rung, {rung.seconds:.1f} s a loss{less}")
    panel.set_ylabel("score of the truth")
    panel.legend(loc="best", fontsize=7)


def save(figure: Figure, file: Path, dpi: int = 120) -> None:
    """Writes a figure.

    Raises:
        InputError: the file cannot be written.
    """
    check_file(file)
    try:
        figure.savefig(file, dpi=dpi)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the picture {str(file)!r}: {error}") from None


def check_file(file: Path) -> None:
    """Refuses, before anything is computed, a file that no picture can be written to.

    Raises:
        InputError: a folder, no or another ending, which matplotlib would add or take for another file, or no folder.
    """
    kinds = Figure().canvas.get_supported_filetypes()
    if file.is_dir():
        why = "it is a folder; name a file in it"
    elif file.suffix[1:].lower() not in kinds:
        why = "its ending says no format; choices: .png, .svg, .pdf and " + ", ".join(
            f".{kind}" for kind in sorted(kinds) if kind not in ("png", "svg", "pdf")
        )
    elif not file.parent.is_dir():
        why = f"there is no folder {str(file.parent)!r}"
    else:
        return
    raise InputError(f"cannot write the picture {str(file)!r}: {why}")
