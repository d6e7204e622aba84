"""Comparison: several runs beside each other on one page: seeds, strategies or data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from autoloss.report.leaderboard import Row, Score
from autoloss.report.page import facts
from autoloss.report.page.answer import Difference
from autoloss.report.page.inline import svg
from autoloss.report.page.page import rendered
from autoloss.report.page.pictures import interval
from autoloss.report.page.shown import Shown, losses
from autoloss.report.page.told import Told
from autoloss.report.plots import run_plots
from autoloss.store.run import Run
from primitives.errors import InputError
from primitives.text.printable import printable

_MOST = 12
"""Runs on a page: more lines than that nobody tells apart."""


@dataclass(frozen=True)
class Compared:
    """A run among others.

    Args:
        name: short, of its own among them.
        told: what it tells.
        colour: of its line, as the page names it.
        winner: its best loss found; None for none.
        losses: of the winner.
        rung: at which it was scored best.
        own: score of the detector's own loss there.
        first: difference from the own loss; None where there is none.
    """

    name: str
    told: Told
    colour: str
    winner: Row | None
    losses: list[Shown]
    rung: str
    own: Score | None
    first: Difference | None


def of_folders(folders: Sequence[Path]) -> str:
    """The page of several runs.

    Args:
        folders: their directories.

    Raises:
        InputError: too many, or one of them cannot be read.
    """
    if len(folders) > _MOST:
        raise InputError(f"{len(folders)} runs are too many for one page; at most {_MOST}")
    several = []
    for name, folder in zip(_names(folders), folders, strict=True):
        with Run.open(folder) as run:
            several.append((name, Told.of(run)))
    runs = [_compared(name, told, place) for place, (name, told) in enumerate(several)]
    return rendered(
        "comparison.html",
        live="",
        title=f"{len(runs)} searches beside each other",
        runs=runs,
        differs=list(_differs(runs)),
        curves=_curves(runs),
        forest=_forest(runs),
        metrics=sorted({one.told.board.metric for one in runs}),
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path; the whole where two have the same."""
    last = [folder.resolve().name for folder in folders]
    whole = [name if last.count(name) == 1 else str(folder) for name, folder in zip(last, folders, strict=True)]
    return [printable(name, 60) for name in whole]


def _compared(name: str, told: Told, place: int) -> Compared:
    winner, own = told.winner, told.board.own
    rung = told.top_rung(winner) if winner else ""
    number = winner.candidate.number if winner else None
    first = told.answer.first(number)
    return Compared(
        name,
        told,
        run_plots.LINES[place % len(run_plots.LINES)],
        winner,
        losses(winner.candidate.losses, short=True) if winner else [],
        rung,
        own.scores.get(rung) if own else None,
        first if first and first.finalist == number else None,
    )


def _curves(runs: Sequence[Compared]) -> Markup | str:
    lines = []
    for one in runs:
        own = one.told.scores.get(0)
        born = facts.generations(one.told.candidates, one.told.scores)
        if born and own is not None:
            rows = [(part.number, [100 * (s - own) for s in part.scores], 100 * (part.best - own)) for part in born]
            lines.append((one.name, rows))
    if not lines:
        return ""
    says = "points over the own loss by generation: " + ", ".join(f"{name} {rows[-1][2]:+.1f}" for name, rows in lines)
    return svg(lambda: run_plots.several_by_generation(lines), "curves", says)


def _forest(runs: Sequence[Compared]) -> Markup | str:
    rows = [interval(one.name, one.first) for one in runs if one.first is not None]
    metric = "the score" if len({one.told.board.metric for one in runs}) > 1 else runs[0].told.board.metric
    return svg(lambda: run_plots.forest(rows, metric), "forest", "best found over the own loss") if rows else ""


def _differs(runs: Sequence[Compared]) -> Iterator[tuple[str, list[str]]]:
    """Settings that are not the same in all, and their values."""
    flat = [dict(_flat(one.told.board.kept)) for one in runs]
    for key in dict.fromkeys(key for one in flat for key in one):
        values = [one.get(key, "") for one in flat]
        if len(set(values)) > 1:
            yield printable(key, 120), [printable(value, 200) for value in values]


def _flat(found: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _flat(value, f"{place}.{key}" if place else str(key))
    elif isinstance(found, list) and any(isinstance(one, Mapping) for one in found):
        for number, value in enumerate(found):
            yield from _flat(value, f"{place}[{number}]")
    else:
        yield place, str(found)
