"""Trained: whole trainings of a winner and of what it must beat, with intervals: pure functions of their scores."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.audit.intervals import Difference, Scores, difference
from primitives.text.printable import printable

WINNER, TUNED, OWN = "winner", "tuned", "own"
NAMES = {WINNER: "what the search recommends", TUNED: "own loss with tuned weights", OWN: "the detector's own loss"}


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        who: a key of `NAMES`.
        seed: of weights and data order.
        score: None where it failed.
        error: why.
        checkpoint: in the folder of the pipeline; None where the evaluator keeps none.
    """

    who: str
    seed: int
    score: float | None
    error: str = ""
    checkpoint: str | None = None


@dataclass(frozen=True)
class Trained:
    """All trainings of a step.

    Args:
        metric: what the scores are.
        losses: what each is, for people, by the keys of `NAMES`.
        trainings: of each with the same seeds.
    """

    metric: str
    losses: Mapping[str, str]
    trainings: Sequence[Training]

    def scores(self, who: str) -> list[float] | None:
        """By seed; None where a training failed."""
        found = [one.score for one in self.trainings if one.who == who]
        whole = [score for score in found if score is not None]
        return whole if found and len(whole) == len(found) else None

    def failed(self, who: str) -> str:
        """Which training of it failed, and why; empty where none did."""
        found = [one for one in self.trainings if one.who == who and one.score is None]
        return f"{NAMES[who]}, seed {found[0].seed}: {found[0].error}" if found else ""

    def against(self, who: str) -> Difference | None:
        """The winner less another, paired by seed; None where one of them failed or was not trained."""
        mine, theirs = self.scores(WINNER), self.scores(who)
        return None if mine is None or theirs is None else difference(_of(mine), _of(theirs))

    @property
    def seeds(self) -> list[int]:
        """Of all trainings."""
        return list(dict.fromkeys(one.seed for one in self.trainings))

    def figures(self) -> dict[str, float | None]:
        """What conditions may read."""
        found: dict[str, float | None] = {"seeds": float(len(self.seeds))}
        for who in NAMES:
            scores = self.scores(who)
            found[who] = None if scores is None else statistics.fmean(scores)
        for after, one in (("", self.against(OWN)), ("_over_tuned", self.against(TUNED))):
            for name, value in (("gain", "mean"), ("low", "low"), ("high", "high"), ("p_better", "p_better")):
                found[f"{name}{after}"] = None if one is None else float(getattr(one, value))
        return found

    def plain_values(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "metric": self.metric,
            "seeds": self.seeds,
            "losses": dict(self.losses),
            "figures": self.figures(),
            "trainings": [asdict(one) for one in self.trainings],
        }

    def said(self) -> str:
        """What came of it, in a sentence."""
        one = self.against(OWN)
        if one is None:
            return f"nothing to compare: {self.failed(WINNER) or self.failed(OWN)}"
        parts = [f"{NAMES[WINNER]} {_points(one)} over the own loss"]
        if (tuned := self.against(TUNED)) is not None:
            parts.append(f"{_points(tuned)} over the own loss with tuned weights")
        elif TUNED in self.losses:
            parts.append(f"nothing over {self.failed(TUNED)}")
        return f"{', '.join(parts)}, in points of {self.metric} over {len(self.seeds)} seeds"

    def table(self) -> RenderableType:
        """Everyone, and what the winner has over the others."""
        rows = Table(title=f"Whole trainings, {len(self.seeds)} seeds each", title_justify="left", header_style="bold")
        for name in ("", "loss"):
            rows.add_column(name)
        for name in (printable(self.metric), "winner over it", "95 % interval", "p(better)"):
            rows.add_column(name, justify="right", no_wrap=True)
        for who in (who for who in NAMES if who in self.losses):
            scores, over = self.scores(who), None if who == WINNER else self.against(who)
            score = "failed" if scores is None else f"{statistics.fmean(scores):.3f} ± {statistics.stdev(scores):.3f}"
            compared = ("", "", "")
            if over is not None:
                compared = (f"{100 * over.mean:+.1f}", _interval(over), f"{over.p_better:.3f}")
            rows.add_row(NAMES[who], printable(self.losses[who], 300), score, *compared, style="bold" * (who == WINNER))
        return Group(rows, Text("in points; intervals: paired over seeds, Student's", style="dim"))


def _of(scores: Sequence[float]) -> Scores:
    return Scores(np.array(scores))


def _interval(one: Difference) -> str:
    return f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"


def _points(one: Difference) -> str:
    return f"{100 * one.mean:+.1f} ({_interval(one)})"
