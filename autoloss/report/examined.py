"""Examined: everything that a run holds of one of its candidates, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.candidate import Evaluation, State
from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard, Row
from autoloss.search.selection.objective import relative
from autoloss.store.run import Run
from autoloss.values import LONGEST_NAME
from primitives.errors import InputError
from primitives.text.printable import printable

_OTHER = ("score", "loss", "seconds_train", "seconds_eval")
"""Metrics that stand first, or that are no quality of the detections and stand last."""


@dataclass(frozen=True)
class Examined:
    """A candidate and its evaluations.

    Args:
        row: of the leaderboard.
        evaluations: by rung, lowest first, and seed.
        rungs: names, lowest first.
        metric: what the scores are.
    """

    row: Row
    evaluations: Sequence[Evaluation]
    rungs: Sequence[str]
    metric: str

    @classmethod
    def of(cls, found: Leaderboard, run: Run, number: int) -> Examined:
        """A candidate of a run.

        Raises:
            InputError: it has none of this number.
        """
        row = next((row for row in found.rows if row.candidate.number == number), None)
        if row is None:
            raise InputError(f"no candidate {number} in {run.directory}; it has 0 to {len(found.rows) - 1}")
        scored = relative(run.evaluations(), found.settings.objective)
        mine = [one for one in scored if one.candidate == number]
        names = [*found.rungs, *sorted({one.rung for one in mine} - set(found.rungs))]
        order = {rung: place for place, rung in enumerate(names)}
        return cls(row, sorted(mine, key=lambda one: (order[one.rung], one.seed)), names, found.metric)

    def plain_values(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        evaluations = [one.facts() for one in self.evaluations]
        return {**self.row.plain_values(), "metric": self.metric, "evaluations": evaluations}

    def table(self) -> RenderableType:
        """The losses, then a table of the metrics of each rung, a column for every seed."""
        one = self.row.candidate
        parents = f", of {', '.join(map(str, one.parents))}" if one.parents else ""
        head = f"Candidate {one.number}, generation {one.generation}{parents}: {tables.formulas(one)}"
        parts = [self._of_rung(rung) for rung in self.rungs if any(e.rung == rung for e in self.evaluations)]
        return Group(Text(head), *(parts or [Text("It was not trained.")]))

    def _of_rung(self, rung: str) -> RenderableType:
        mine = [one for one in self.evaluations if one.rung == rung]
        mean = f", {self.metric} {self.row.scores[rung]}" if rung in self.row.scores else ""
        title = printable(f"{rung[:LONGEST_NAME]}{mean}", None)
        table = Table(title=Text(title), title_justify="left", header_style="bold")
        table.add_column("")
        for one in mine:
            table.add_column(f"seed {one.seed}", justify="right")
        table.add_row(printable(f"score: {self.metric}"), *(_number(one.score) for one in mine), style="bold")
        names = list(dict.fromkeys(name for one in mine for name in one.metrics))
        for name in (*(name for name in names if name not in _OTHER), *(name for name in _OTHER[1:] if name in names)):
            table.add_row(Text(printable(name, 60)), *(_number(one.metrics.get(name)) for one in mine))
        table.add_row("seconds", *(f"{one.seconds:.1f}" for one in mine))
        failed = [Text(f"seed {one.seed}: {printable(one.error, 600)}", "red") for one in mine if one.error]
        running = [Text(f"seed {one.seed} is running") for one in mine if one.state is State.RUNNING]
        return Group(table, *failed, *running)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
