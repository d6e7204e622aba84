"""Chart: measurements as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from autoloss.search.fidelity import RungFidelity
from primitives.errors import InputError
from primitives.text.printable import printable


def fidelity(found: Sequence[RungFidelity], file: Path) -> None:
    """Writes a panel per rung: every loss by its score there and at the truth.

    Args:
        found: of `fidelity.analysed`.
        file: PNG, SVG or PDF by its ending.

    Raises:
        InputError: the file cannot be written.
    """
    columns = min(len(found), 3)
    rows = math.ceil(len(found) / columns)
    figure = Figure(figsize=(4 * columns, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, rung in zip(panels, found, strict=False):
        pairs = [(max(score, 0.0), truth) for score, truth in rung.scores.values()]
        panel.scatter(*zip(*pairs, strict=True), s=14, alpha=0.7)
        if 0 in rung.scores:
            panel.scatter(*rung.scores[0], s=40, marker="x", color="tab:red", label="the detector's own loss")
            panel.legend(fontsize=7)
        rho, low, high = rung.agreement["all"].spearman
        name = printable(rung.rung, 60).replace("$", r"\$")  # which would begin a formula
        panel.set_title(f"{name}: {rho:.2f} [{low:.2f}, {high:.2f}], {rung.seconds:.1f} s", fontsize=9)
        panel.set_xlabel("score at the rung", fontsize=8)
        panel.set_ylabel("score of the truth", fontsize=8)
        panel.grid(alpha=0.3)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    save(figure, file)


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
