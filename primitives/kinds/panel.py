"""Panel: curves that show what a loss does, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve.

    Args:
        x: places.
        y: values.
        label: what it shows beside the loss's title; may be empty.
        colour: its number, from 0.
        marked: whether each place has a mark.
    """

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""
    colour: int = 0
    marked: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves over one axis.

    Args:
        xlabel: of the axis of places.
        ylabel: of the axis of values.
        lines: the curves.
        xlim: what is shown of the places; None for all.
        ylim: what is shown of the values; None for all.
    """

    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]
    xlim: Interval | None = None
    ylim: Interval | None = None
