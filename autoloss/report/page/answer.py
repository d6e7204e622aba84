"""Answer: the best loss beside what it must beat, as differences with intervals, of an audit or of the run itself."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from autoloss.audit import document
from autoloss.candidate import Evaluation
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.selection.noise import difference
from autoloss.values import LEVEL


class Difference(BaseModel):
    """How much better one loss scores than another, in parts of 1.

    Args:
        finalist: the one: number of a candidate, or a name.
        control: the other.
        on: data and detector; empty for those of the run.
        metric: of the scores.
        difference: of the mean scores.
        low: end of the 95 % interval; None where one seed gives none.
        high: the other end.
        p_better: chance that the one is better; None where nobody computed it.
        holm: chance of such a difference by noise alone, corrected for several finalists; None likewise.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    finalist: int | str
    control: str
    on: str = ""
    metric: str = "mAP"
    difference: float
    low: float | None = None
    high: float | None = None
    p_better: float | None = None
    holm: float | None = None

    @property
    def named(self) -> str:
        """The finalist as a page names it."""
        return f"#{self.finalist}" if isinstance(self.finalist, int) else self.finalist

    @property
    def verdict(self) -> str:
        """What the interval says."""
        if self.low is None or self.high is None:
            return "one seed: no interval"
        if self.holm is not None and self.holm >= LEVEL:
            return "within the noise"
        if self.low > 0:
            return "better, beyond the noise"
        return "worse, beyond the noise" if self.high < 0 else "within the noise"

    @property
    def better(self) -> bool:
        """Whether it is shown to be better; an audit corrects for how many finalists there are."""
        return self.verdict.startswith("better")


@dataclass(frozen=True)
class Answer:
    """What a run says of its best loss.

    Args:
        source: where the differences come from, as a sentence says it.
        audited: whether that is an audit.
        differences: first those from the detector's own loss.
        setup: of the audit, plain values; empty without one.
    """

    source: str
    audited: bool
    differences: tuple[Difference, ...]
    setup: Mapping[str, Any]

    def first(self, number: int | None) -> Difference | None:
        """What stands first of a candidate: its difference from the own loss; that of another where it has none."""
        mine = [one for one in self.differences if one.finalist == number]
        return next(iter(mine or self.differences), None)

    def beyond(self, number: int | None) -> str:
        """What a candidate is not shown to be better than, in a sentence; empty where it was compared with nothing."""
        mine = [one for one in self.differences if one.finalist == number]
        left = list(dict.fromkeys(one.control.partition(": ")[0] for one in mine if not one.better))
        if left:
            return f"Not shown to be better than {', '.join(left)}."
        return "Better than all it was compared with, beyond the noise." if mine else ""

    @property
    def noise(self) -> str:
        """How large differences must be to be seen, as an audit says it."""
        told = {"noise": "noise between seeds", "smallest_difference": "smallest difference that these seeds show"}
        parts = [f"{text} {100 * self.setup[key]:.1f} points" for key, text in told.items() if _number(self.setup, key)]
        return "; ".join(parts)


def _number(setup: Mapping[str, Any], key: str) -> bool:
    return isinstance(setup.get(key), (int, float)) and math.isfinite(setup[key])


def answer(found: Leaderboard, evaluations: Sequence[Evaluation], folder: Path) -> Answer:
    """The answer of a run: of its audit where there is one, else of the highest rung that its best loss reached.

    Raises:
        InputError: the audit cannot be read.
    """
    if (audit := document.read(folder)) is not None:
        told = f"the audit in {document.FOLDER}/, with seeds that took no part in the search"
        audited = tuple(Difference(**dataclasses.asdict(one)) for one in audit.comparisons)
        return Answer(told, True, audited, audit.setup.model_dump())
    if not found.picks():
        return Answer("", False, (), {})
    (best,) = found.picks()
    rung = next(name for name in reversed(found.rungs) if name in best.scores)
    scores = by_seed(evaluations, rung)
    mine = scores[best.candidate.number]
    rows = []
    for title, row in found.opponents(rung):
        other = scores[row.candidate.number]
        if mine.keys() & other.keys():
            gap, low, high = paired(mine, other)
            rows.append(
                Difference(
                    finalist=best.candidate.number,
                    control=title,
                    metric=found.metric,
                    difference=gap,
                    low=low,
                    high=high,
                )
            )
    finale = found.settings.finale is not None and found.settings.finale.rung.name == rung
    seeds = f"{len(mine)} seed{'s' if len(mine) > 1 else ''} each"
    told = (
        f"the finale, rung {rung!r}, {seeds}" if finale else f"rung {rung!r} of the search itself, {seeds}; no finale"
    )
    return Answer(told, False, tuple(rows), {})


def by_seed(evaluations: Sequence[Evaluation], rung: str) -> dict[int, dict[int, float]]:
    """Scores at a rung by candidate and seed."""
    found: dict[int, dict[int, float]] = {}
    for one in evaluations:
        if one.rung == rung and one.score is not None:
            found.setdefault(one.candidate, {})[one.seed] = one.score
    return found


def paired(mine: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float | None, float | None]:
    """Mean difference over the seeds that both have, and its 95 % interval; None of one seed.

    Args:
        mine: scores by seed.
        other: the same of the other loss.
    """
    told = difference(mine, other)
    if told is not None:
        return told.mean, told.low, told.high
    return statistics.fmean(mine[seed] - other[seed] for seed in mine.keys() & other.keys()), None, None
