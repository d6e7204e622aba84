"""What a study of searches found: a table, the sentences below it, and a picture."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy import stats
from studies import Study

from autoloss.candidate import Kind
from autoloss.report.plots.run_plots import LINES
from autoloss.report.plots.style import COLOURS, NOISE, styled
from autoloss.search.selection.noise import Difference, difference
from autoloss.values import LEVEL

_COLOURS = [colour for colour in LINES if colour != COLOURS[Kind.OWN]]
"""Of variants; the own loss has its own."""


def _mean(scores: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
    return f"{statistics.fmean(scores):.3f}{spread}"


@styled()
def drawn(study: Study, rows: Sequence[dict[str, Any]], own: Sequence[float], file: Path) -> None:
    """What is recommended, on held-out data, by every search, and their mean: against time, or at the end alone."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    line: dict[str, Any] = {"color": COLOURS[Kind.OWN], "ls": "--", "label": "the detector's own loss"}
    if len(study.shares) > 1:
        _against_time(panel, study, rows)
        panel.axhline(statistics.fmean(own), **line)
    else:
        _at_the_end(panel, study, rows)
        panel.axvline(statistics.fmean(own), **line)
    panel.set_title(study.question)
    panel.legend()
    figure.savefig(file, dpi=120)


def _against_time(panel: Axes, study: Study, rows: Sequence[dict[str, Any]]) -> None:
    for name, colour in zip(study.variants, itertools.cycle(_COLOURS)):
        curve = _curve(rows, name)
        every = [[row["mean"] for row in rows if (row["variant"], row["minutes"]) == (name, time)] for time in curve]
        low, high = [min(of) for of in every], [max(of) for of in every]
        panel.fill_between(list(curve), low, high, color=colour, alpha=0.2, lw=0)
        panel.plot(list(curve), list(curve.values()), color=colour, marker="o", label=f"{name}, mean of the searches")
    if study.target:
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:.3g}")
    panel.set_xlabel("minutes of search on one core")
    panel.set_ylabel("mAP of what it recommends, held out")


def _at_the_end(panel: Axes, study: Study, rows: Sequence[dict[str, Any]]) -> None:
    for place, name in enumerate(study.variants):
        scores = [row["mean"] for row in rows if row["variant"] == name]
        panel.scatter(scores, [place] * len(scores), color=NOISE, label="" if place else "a search")
        panel.scatter(statistics.fmean(scores), place, color=COLOURS[Kind.FOUND], label="" if place else "their mean")
    panel.set_yticks(range(len(study.variants)), list(study.variants))
    panel.invert_yaxis()
    panel.set_xlabel("mAP of what it recommends, held out")


def printed(study: Study, found: dict[str, Any]) -> None:
    """Every recommendation from when it stood, and what stands at the end."""
    rows, curves = found["rows"], {name: _curve(found["rows"], name) for name in study.variants}
    title = f"What searches recommend, and from which minute on: {study.question}"
    table = Table(title=title, title_justify="left")
    for name in ("variant", "search seed", "minute", "scored", "recommends", "mAP held out"):
        table.add_column(name, justify="left" if name in ("variant", "recommends") else "right")
    for (name, seed), mine in itertools.groupby(rows, key=lambda row: (row["variant"], row["seed"])):
        new = [next(same) for _, same in itertools.groupby(mine, key=lambda row: row["losses"])]
        for row in new:
            cells = (name, str(seed), f"{row['minutes']:.3g}", str(row["candidates"]), row["recommends"])
            whole = row is new[-1] and (len(study.shares) > 1 or seed == rows[-1]["seed"])
            table.add_row(*cells, f"{row['mean']:.3f} ± {row['sd']:.3f}", end_section=whole)
    console = Console(width=120)
    console.print(table)
    console.print(f"the detector's own loss: {_mean(found['own'])} over training seeds")
    ends = {name: {row["seed"]: row["mean"] for row in rows if row["variant"] == name} for name in curves}  # the last
    first = next(iter(ends))
    for name, end in ends.items():
        beside = ""
        if name != first and not study.target:
            told = difference(end, ends[first])
            beside = f", {told.mean:+.3f} beside {first} (95 %: {told.low:+.3f} to {told.high:+.3f})" if told else ""
        console.print(
            f"{name}, after {max(curves[name]):.3g} minutes: {_mean(list(end.values()))} over search seeds{beside}"
        )
    for line in _times(study, rows, found["own"]) if study.target else ():
        console.print(line)


def _times(study: Study, rows: Sequence[dict[str, Any]], own: Sequence[float]) -> Iterator[str]:
    """How much sooner than the target a search gains over the own loss and is as good as the target is at its end."""
    curves = {name: _curve(rows, name) for name in study.variants}
    last, end = list(curves[study.target].items())[-1]
    gains = {name: _gains(rows, name, own) for name in curves}
    first = {
        name: next((time for time, gain in gains[name].items() if gain.low > 0 and curves[name][time] >= end), None)
        for name in curves
    }
    for name, minutes in first.items():
        gain = gains[name][minutes or max(gains[name])]
        told = f"{gain.mean:+.3f} over the detector's own loss (95 %: {gain.low:+.3f} to {gain.high:+.3f})"
        if minutes is None:
            yield f"{name} gains not in {max(gains[name]):.3g} minutes: {told}"
            continue
        slow = first[study.target]
        sooner = f", {'about' if slow else 'more than'} {(slow or last) / minutes:.2g} times sooner"
        yield f"{name} gains after {minutes:.3g} minutes: {told}{sooner if name != study.target else ''}"
    step = study.shares[-1] / study.shares[-2]
    yield "a gain is one whose interval lies above zero: Welch's, searches beside training seeds of the own loss"
    yield f"searches were asked at times {step:.2g} apart, so no time is closer than by that factor"


def _gains(rows: Sequence[dict[str, Any]], variant: str, own: Sequence[float]) -> dict[float, Difference]:
    """Of the searches over the own loss, by minutes; without an interval where no search has another loss yet."""
    found = {}
    for time, mean in _curve(rows, variant).items():
        scores = [row["mean"] for row in rows if (row["variant"], row["minutes"]) == (variant, time)]
        ends = (-math.inf, math.inf)
        if len(scores) > 1 and len(own) > 1 and len(set(scores)) > 1:
            interval = stats.ttest_ind(scores, own, equal_var=False).confidence_interval(1 - LEVEL)
            ends = (float(interval.low), float(interval.high))
        found[time] = Difference(mean - statistics.fmean(own), *ends, len(scores))
    return found


def _curve(rows: Sequence[dict[str, Any]], variant: str) -> dict[float, float]:
    """Mean score over searches by minutes."""
    mine = [row for row in rows if row["variant"] == variant]
    times = sorted({row["minutes"] for row in mine})
    return {t: statistics.fmean(row["mean"] for row in mine if row["minutes"] == t) for t in times}
