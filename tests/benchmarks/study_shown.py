"""What a study of searches found: a table, the sentences below it, and a picture."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from studies import Study

from autoloss.candidate import Kind
from autoloss.report.plots.run_plots import LINES
from autoloss.report.plots.style import COLOURS, NOISE, styled
from autoloss.search.selection.noise import difference

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
    line = {"color": COLOURS[Kind.OWN], "ls": "--", "label": "the detector's own loss"}
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
            table.add_row(*cells, f"{row['mean']:.3f} ± {row['sd']:.3f}", end_section=row is new[-1])
    console = Console(width=120)
    console.print(table)
    console.print(f"the detector's own loss: {_mean(found['own'])} over training seeds")
    ends = {name: {row["seed"]: row["mean"] for row in rows if row["variant"] == name} for name in curves}  # the last
    first = next(iter(ends))
    for name, end in ends.items():
        beside = ""
        if name != first and not study.target:
            told = difference(end, ends[first])
            beside = (
                f", {told.mean:+.3f} beside {first} (95 % interval {told.low:+.3f} to {told.high:+.3f})" if told else ""
            )
        console.print(
            f"{name}, after {max(curves[name]):.3g} minutes: {_mean(list(end.values()))} over search seeds{beside}"
        )
    for line in _times(study, rows, found["own"]) if study.target else ():
        console.print(line)


def _times(study: Study, rows: Sequence[dict[str, Any]], own: Sequence[float]) -> Iterator[str]:
    """How much sooner than the target a search is as good as that is at the end, or, if that is no gain, gains."""
    gain = statistics.fmean(own) + 2 * statistics.stdev(own)
    curves = {name: _curve(rows, name) for name in study.variants}
    end = max(curves[study.target])
    aim = max(curves[study.target][end], gain)
    slow = _reached(curves[study.target], aim)
    yield f"a gain over the own loss is {gain:.3f} (two standard deviations of its seeds)"
    for name, curve in curves.items():
        minutes = _reached(curve, aim)
        sooner = ""
        if minutes and name != study.target:
            sooner = f", {'about' if slow else 'more than'} {(slow or end) / minutes:.2g} times sooner"
        each = [_reached(_curve(rows, name, seed), aim) for seed in sorted({row["seed"] for row in rows})]
        alone = ", ".join(f"{one:.3g}" if one else "never" for one in each)
        told = f"after {minutes:.3g} of {max(curve):.3g} minutes" if minutes else f"not in {max(curve):.3g} minutes"
        yield f"{name} reaches {aim:.3f} {told}{sooner}; its searches, each: {alone}"
    step = study.shares[-1] / study.shares[-2]
    yield f"searches were asked at times {step:.2g} apart, so no time is closer than by that factor"


def _reached(curve: dict[float, float], aim: float) -> float | None:
    """When a curve is first as high as the aim; None where it never is."""
    return next((minutes for minutes, mean in curve.items() if mean >= aim), None)


def _curve(rows: Sequence[dict[str, Any]], variant: str, seed: int | None = None) -> dict[float, float]:
    """Mean score over searches by minutes, or that of one search."""
    mine = [row for row in rows if row["variant"] == variant and seed in (None, row["seed"])]
    times = sorted({row["minutes"] for row in mine})
    return {t: statistics.fmean(row["mean"] for row in mine if row["minutes"] == t) for t in times}
