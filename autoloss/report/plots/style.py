"""Style: what all pictures share: one colour for one loss, titles that say what is seen, few lines, no clutter.

Source of the colours, which people with any colour blindness tell apart: Okabe and Ito 2008, "Color Universal Design".
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib

from autoloss.candidate import Kind

COLOURS = {Kind.FOUND: "#0072b2", Kind.OWN: "#d55e00", Kind.KNOWN: "#009e73", Kind.CONTROL: "#cc79a7"}
"""Of a loss, by where it comes from."""
MORE = ("#e69f00", "#56b4e9", "#f0e442")
"""Of what is no loss, or one more of them."""
INK, NOISE = "#1c1c1c", "#8c8c8c"
"""Of text and axes; of what is within the noise, and of the many among which few are looked at."""
DASHES = ("-", "--", ":")
"""Of lines that belong to one loss."""

_SHOWN = 0.45
"""Share of the values, the best, that a picture zooms into."""
_FEW = 8
"""So many are shown in any case."""

_RULES: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": NOISE,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.parse_math": False,  # a $ in a name begins no formula
}


@contextmanager
def styled(**more: Any) -> Iterator[None]:
    """Figures that are made and written in here look alike; a letter that the font lacks is a box, without a word."""
    rules: Any = {**_RULES, **more}
    with matplotlib.rc_context(rules), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        yield


def zoom(values: Sequence[float], also: float | None = None) -> tuple[float, float]:
    """Limits around the better ones; what trains badly or not at all would press them into a corner.

    Args:
        values: along an axis.
        also: a value that is shown in any case.
    """
    ordered = sorted(values, reverse=True)
    shown = ordered[: max(math.ceil(_SHOWN * len(ordered)), _FEW)]
    return around([*shown, *([] if also is None else [also])])


def zoom_pairs(axes: Any, pairs: Sequence[tuple[float, float]], also: tuple[float, float] | None = None) -> int:
    """Limits of both axes around the better ones by the second value; gives how many of them all are not shown.

    Args:
        axes: to set.
        pairs: places of the points.
        also: one that is shown in any case.
    """
    ordered = sorted(pairs, key=lambda pair: -pair[1])
    shown = [*ordered[: max(math.ceil(_SHOWN * len(ordered)), _FEW)], *([] if also is None else [also])]
    (left, right), (bottom, top) = (around(column) for column in zip(*shown, strict=True))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    return sum(not (left <= x <= right and bottom <= y <= top) for x, y in pairs)


def around(values: Sequence[float]) -> tuple[float, float]:
    """Limits with an edge."""
    edge = 0.08 * max(max(values) - min(values), 1e-3)
    return min(values) - edge, max(values) + edge
