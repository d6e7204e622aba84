"""Plots of a run: scores by generation, score against size, rung against rung, differences; a figure each."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from autoloss.candidate import Kind
from autoloss.report.leaderboard import Counts
from autoloss.report.plots.style import COLOURS, DASHES, INK, MORE, zoom, zoom_pairs
from primitives.text.printable import printable

_SIZE = (5.0, 3.3)
"""Inches: read on a phone as it is, and two beside each other on a desk."""
_RASTER = 1000
"""Points above which a cloud is an image in the picture: as many elements would weigh a megabyte."""
LINES = (*COLOURS.values(), *MORE)
"""Of runs that stand beside each other."""


@dataclass(frozen=True)
class Interval:
    """A difference to be drawn.

    Args:
        title: of its row.
        value: in points.
        low: end of its interval, None without one.
        high: the other.
    """

    title: str
    value: float
    low: float | None
    high: float | None


def forest(rows: Sequence[Interval], metric: str) -> Figure:
    """Differences with their intervals, a row each, beside zero."""
    figure = Figure(figsize=(5.6, 0.8 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(reversed(rows)):
        if row.low is not None and row.high is not None:
            axes.plot((row.low, row.high), (place, place), color=COLOURS[Kind.FOUND], linewidth=2.5, alpha=0.55)
        axes.plot([row.value], [place], "o", color=COLOURS[Kind.FOUND], markersize=6)
    axes.set_yticks(range(len(rows)), [printable(row.title, 48) for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(f"points of {printable(metric, 40)}; right of 0 it is better")
    # Of the whole figure: names of rows are long, and leave the axes no room for a title.
    size, weight = rcParams["axes.titlesize"], rcParams["axes.titleweight"]
    figure.suptitle("The best found over others, with 95 % intervals", x=0.01, ha="left", size=size, weight=weight)
    axes.grid(axis="y", visible=False)
    return figure


def by_generation(
    found: Sequence[tuple[int, Sequence[float], float]], own: float | None, metric: str, colour: str = ""
) -> Figure:
    """Best, median and middle half of the scores of each generation.

    Args:
        found: generation, its scores, and the best so far.
        own: score of the detector's own loss.
        metric: of the scores.
        colour: of the lines.
    """
    figure, axes = _panel("Score by generation", "generation", metric)
    colour = colour or COLOURS[Kind.FOUND]
    number = [one for one, _, _ in found]
    quartiles = [np.percentile(np.asarray(scores), (25, 50, 75)) for _, scores, _ in found]
    low, middle, high = ([float(one[k]) for one in quartiles] for k in range(3))
    if len(found) > 1:
        axes.fill_between(number, low, high, color=colour, alpha=0.18, linewidth=0, label="middle half")
    axes.plot(number, middle, "--", marker="o", ms=3, color=colour, label="median")
    axes.plot(number, [best for _, _, best in found], marker="o", ms=4, color=colour, label="best so far")
    _own(axes, own)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(number[0] - 0.5, number[-1] + 0.5)
    lowest = min([*middle, *([own] if own is not None else [])])
    highest = max(max(best for _, _, best in found), own or 0)
    axes.set_ylim(lowest - 0.35 * max(highest - lowest, 0.005), highest + 0.12 * max(highest - lowest, 0.005))
    axes.legend(loc="lower right")
    return figure


def size_and_score(
    points: Mapping[int, tuple[int, float, Kind]], front: Sequence[int], own: float | None, metric: str
) -> Figure:
    """Score against size, with the line of those that nothing beats in both."""
    figure, axes = _panel("Score against size", "size: nodes of all formulas", metric)
    for kind, name in ((Kind.FOUND, "found"), (Kind.KNOWN, "known"), (Kind.CONTROL, "own, another weight")):
        mine = [(size, score) for size, score, one in points.values() if one is kind]
        if mine:
            many = len(mine) > _RASTER
            axes.scatter(
                *zip(*mine, strict=True),
                s=9 if many else 22,
                color=COLOURS[kind],
                alpha=0.5 if many else 0.8,
                linewidths=0,
                label=name,
                rasterized=many,
            )
    if front:
        axes.plot(
            *zip(*(points[number][:2] for number in front), strict=True),
            drawstyle="steps-post",
            color=INK,
            linewidth=1.2,
            marker="o",
            ms=4,
            mfc="none",
            label="front: nothing found is as good and shorter",
        )
    _own(axes, own)
    axes.set_ylim(zoom([score for _, score, _ in points.values()], own))
    axes.legend(loc="best", fontsize=7)
    return figure


def rungs(
    pairs: Mapping[int, tuple[float, float]], kinds: Mapping[int, Kind], names: tuple[str, str], metric: str
) -> Figure:
    """Scores at a cheap rung beside those at a dear one, zoomed into the better ones."""
    low, dear = (printable(name, 40) for name in names)
    figure, axes = _panel(f"{low} and {dear}: {correlation_text(list(pairs.values()))}", f"{metric} at {low}", "")
    axes.set_ylabel(f"{printable(metric, 40)} at {dear}")
    for kind in (Kind.FOUND, Kind.KNOWN, Kind.CONTROL, Kind.OWN):
        mine = [pair for number, pair in pairs.items() if kinds[number] is kind]
        if mine:
            mark = "X" if kind is Kind.OWN else "o"
            size = 60 if kind is Kind.OWN else 18
            name = "own loss" if kind is Kind.OWN else kind.value
            axes.scatter(
                *zip(*mine, strict=True),
                s=size,
                marker=mark,
                color=COLOURS[kind],
                alpha=0.7,
                label=name,
                rasterized=len(mine) > _RASTER,
            )
    own = next((pair for number, pair in pairs.items() if kinds[number] is Kind.OWN), None)
    hidden = zoom_pairs(axes, list(pairs.values()), own)
    if hidden:
        axes.text(0.02, 0.97, f"{hidden} of {len(pairs)} outside", transform=axes.transAxes, va="top", fontsize=7.5)
    axes.legend(loc="lower right", fontsize=7)
    return figure


def correlation(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float] | None:
    """Spearman's rank correlation with its 95 % interval; None of fewer than 5, or where a column is constant.

    Source: Bonett and Wright 2000, Psychometrika 65(1): Fisher's z with variance (1 + r^2 / 2) / (n - 3).
    """
    if len(pairs) < 5 or any(len(set(column)) < 2 for column in zip(*pairs, strict=True)):
        return None
    rho = float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
    if abs(rho) > 1 - 1e-12:
        return rho, rho, rho
    reach = float(stats.norm.ppf(0.975)) * math.sqrt((1 + rho**2 / 2) / (len(pairs) - 3))
    return rho, math.tanh(math.atanh(rho) - reach), math.tanh(math.atanh(rho) + reach)


def correlation_text(pairs: Sequence[tuple[float, float]]) -> str:
    """The same as text."""
    found = correlation(pairs)
    return (
        f"{len(pairs)} losses" if found is None else f"rank correlation {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]"
    )


def _panel(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=printable(xlabel, 60), ylabel=printable(ylabel, 40))
    axes.set_title(title)
    return figure, axes


def _own(axes: Any, own: float | None) -> None:
    if own is not None:
        axes.axhline(own, color=COLOURS[Kind.OWN], linewidth=1.4, label="the detector's own loss")


def several_by_generation(runs: Sequence[tuple[str, Sequence[tuple[int, Sequence[float], float]]]]) -> Figure:
    """Best so far and the middle half of each generation, of several runs, in points over their own loss.

    Args:
        runs: name, and of each generation its number, its scores and the best so far.
    """
    figure, axes = _panel(
        "Best so far, and the middle half of each generation", "generation", "points over the own loss"
    )
    figure.set_size_inches(7.0, 3.8)
    axes.axhline(0, color=INK, linewidth=1)
    for place, (name, found) in enumerate(runs):
        colour, dash = LINES[place % len(LINES)], DASHES[place // len(LINES) % len(DASHES)]
        number = [one for one, _, _ in found]
        low, high = ([float(np.percentile(np.asarray(s), share)) for _, s, _ in found] for share in (25, 75))
        axes.fill_between(number, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(number, [best for *_, best in found], dash, marker="o", ms=4, color=colour, label=printable(name, 40))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    best = [best for _, found in runs for *_, best in found]
    lowest = min([0.0, *best, *(statistics.median(scores) for _, found in runs for _, scores, _ in found)])
    edge = 0.1 * max(max(best) - lowest, 0.5)
    axes.set_ylim(lowest - edge, max([0.0, *best]) + edge)
    axes.legend(loc="lower right")
    return figure


def funnel(counts: Counts) -> Figure:
    """How many formulas are left after each gate and at each rung, on a scale of factors."""
    left, rows = counts.proposed, [("proposed", counts.proposed)]
    for gate, count in counts.refused.items():
        left -= count
        rows.append((f"after {gate}", left))
    rows += [(f"trained: {printable(rung, 40)}", count) for rung, count in counts.trained.items()]
    figure = Figure(figsize=(7.0, 0.9 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows) - 1, -1, -1)
    bars = axes.barh(places, [max(count, 0.5) for _, count in rows], left=0.5, color=COLOURS[Kind.FOUND])
    axes.bar_label(bars, [f" {count:,}" for _, count in rows], fontsize=8)
    axes.set_yticks(places, [name for name, _ in rows])
    axes.set(xscale="log", xlabel="formulas", xlim=(0.5, 5 * max(counts.proposed, 1)))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_title("From proposals to trainings, the given losses among these")
    axes.grid(axis="y", visible=False)
    return figure
