"""A run as an object: its leaderboard as rows, its losses as formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoloss.export import selection
from autoloss.gates.equivalence import recognised
from autoloss.notebook.formula import LossFormula
from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard, Row
from autoloss.store.run import Run


class OpenRun:
    """What a search left, or has left so far: every look reads the file anew.

    Args:
        path: directory of the run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with Run.open(self.path):  # a mistake is told at once
            pass

    def __repr__(self) -> str:
        return f"autoloss.open_run({str(self.path)!r})"

    @property
    def leaderboard(self) -> list[dict[str, Any]]:
        """A row per candidate, best first, of plain values under the same keys: `pandas.DataFrame` takes it.

        Scores stand under the names of the rungs, their standard deviations over seeds under `NAME sd`; formulas, in
        short, under the names of the slots.
        """
        with Run.open(self.path) as run:
            found = Leaderboard.of(run)
        slots = sorted({slot for row in found.rows for slot in row.candidate.losses})
        return [_row(row, slots, found.rungs) for row in found.rows]

    def best(self) -> dict[str, LossFormula]:
        """The losses by slot of the candidate that is recommended: the shortest as good as the best found.

        Raises:
            InputError: none has finished a training yet.
        """
        return self._losses(None)

    def losses(self, number: int) -> dict[str, LossFormula]:
        """The losses by slot of one candidate.

        Raises:
            InputError: no such candidate, or it is the detector's own loss.
        """
        return self._losses(number)

    def _losses(self, number: int | None) -> dict[str, LossFormula]:
        with Run.open(self.path) as run:
            (chosen,) = selection.of_run(run, number)
        return {
            slot: LossFormula(one.expression, one.grammar, one.alpha, one.loss_weight)
            for slot, one in chosen.losses.items()
        }


def _row(row: Row, slots: list[str], rungs: tuple[str, ...]) -> dict[str, Any]:
    one, scores = row.candidate, row.scores
    formulas: dict[str, Any] = {}
    for slot in slots:
        loss = one.losses.get(slot)
        known = recognised(loss) if loss else None
        formulas |= {slot: loss and tables.short(loss), f"{slot} known": known and known.title}
    means = {rung: scores[rung].mean if rung in scores else None for rung in rungs}
    spread = {f"{rung} sd": scores[rung].sd if rung in scores else None for rung in rungs}
    about = {"candidate": one.number, "kind": one.kind.value, "origin": str(one.origin), "generation": one.generation}
    return {**about, **formulas, "size": one.size, **means, **spread, "error": row.error}


def open_run(path: str | Path) -> OpenRun:
    """The run in a directory.

    Raises:
        InputError: there is none, or it is damaged.
    """
    return OpenRun(path)
