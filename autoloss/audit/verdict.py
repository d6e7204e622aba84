"""Verdict: what an audit says: every finalist against every control, with intervals, at every place it was held."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoloss.audit.intervals import Difference, Scores, choices, difference, holm
from autoloss.audit.measure import AUDIT, ELSEWHERE
from autoloss.audit.rescoring import Numbers, images, rescored
from autoloss.candidate import Evaluation
from autoloss.evaluator import PER_IMAGE
from autoloss.store.run import Run
from primitives.errors import InputError

_SAME = 1e-9
"""A score and what its images make of it may differ by this; they are added up in another order."""


@dataclass(frozen=True)
class Contender:
    """A loss that took part.

    Args:
        control: its role, empty for a finalist.
        what: it is, for people.
        candidate: its number in the search, None for what is of no search.
        factors: of the weight of each slot, where they were tuned.
        scores: with every seed.
        failed: why a training failed; empty when none did.
    """

    control: str
    what: str
    candidate: int | None
    factors: Mapping[str, float]
    scores: tuple[float, ...]
    failed: str = ""

    @property
    def mean(self) -> float:
        """Of the scores."""
        return statistics.fmean(self.scores)

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores over seeds."""
        return statistics.stdev(self.scores)


@dataclass(frozen=True)
class Comparison:
    """A finalist against a control.

    Args:
        finalist: number in the search.
        control: one of `contestants.CONTROLS`.
        on: name of the set-up.
        metric: what the scores are.
        difference: of the finalist's mean score less the control's.
        low, high: 95 % interval of it, over seeds and images.
        p_better: probability that the finalist is better.
        holm: chance of so large a difference where there is none, corrected for the number of finalists.
    """

    finalist: int
    control: str
    on: str
    metric: str
    difference: float
    low: float
    high: float
    p_better: float
    holm: float


@dataclass(frozen=True)
class Place:
    """What an audit says of a detector and data.

    Args:
        on: name.
        metric: what the scores are.
        images: that were evaluated; 0 where the evaluator does not tell what each contributes: intervals are then
            over seeds alone.
        noise: standard deviation of the scores of one loss over seeds, pooled over all.
        smallest: the least true difference that these seeds and images show, the median of all comparisons; None where
            there are none.
        contenders: finalists first.
        comparisons: of them.
        seen: whether the search ranked its finalists on what is scored here.
        home: whether the weights of the controls were tuned here.
    """

    on: str
    metric: str
    images: int
    noise: float
    smallest: float | None
    contenders: tuple[Contender, ...]
    comparisons: tuple[Comparison, ...]
    seen: bool = False
    home: bool = True


@dataclass(frozen=True)
class Audit:
    """What an audit says.

    Args:
        search: name of the run.
        seeds: that every loss was trained with, none of which took part in the search.
        planned: why there are so many.
        trials: evaluations of each slot when weights were tuned.
        losses: of the finalists, by number, as plain values.
        places: the search's own set-up first.
    """

    search: str
    seeds: tuple[int, ...]
    planned: str
    trials: Mapping[str, int]
    losses: Mapping[int, Mapping[str, Any]]
    places: tuple[Place, ...]

    @property
    def comparisons(self) -> list[Comparison]:
        """Of all places."""
        return [one for place in self.places for one in place.comparisons]


def analysed(directory: Path) -> Audit:
    """What an audit says.

    Raises:
        InputError: there is none, or it is not done.
    """
    with Run.open(directory) as run:
        told = _told(run)
        seeds = tuple(_rung(run).seeds)
        places = [_place(run, told)]
    for name in told["elsewhere"]:
        with Run.open(directory / f"{ELSEWHERE}{name}") as run:
            places.append(_place(run, _told(run)))
    losses = {one["candidate"]: one["losses"] for one in told["finalists"]}
    return Audit(told["search"], seeds, told["planned"], told["trials"], losses, tuple(places))


def _told(run: Run) -> dict[str, Any]:
    found: dict[str, Any] | None = run.description.get(AUDIT)
    if found is None:
        raise InputError(f"{run.directory} holds no audit; `autoloss audit RUN` makes one of a search")
    if "contestants" not in found:
        raise InputError(f"{run.directory}: the audit is not done, weights are being tuned; the same command goes on")
    return found


def _rung(run: Run) -> Any:
    finale = run.settings.finale
    assert finale is not None
    return finale.rung


def _place(run: Run, told: Mapping[str, Any]) -> Place:
    seeds, metric = tuple(_rung(run).seeds), str(run.description.get("metric", "mAP"))
    ended = {(e.rung, e.candidate, e.seed): e for e in run.evaluations() if e.ended}
    wanted = {(row["rung"], row["number"], seed) for row in told["contestants"] for seed in seeds}
    if missing := wanted - ended.keys():
        raise InputError(
            f"{run.directory}: {len(wanted) - len(missing)} of {len(wanted)} trainings of the audit are done; the same "
            "command goes on"
        )
    contenders, scores = [], []
    drawn = _Drawn(run)
    for row in told["contestants"]:
        mine = [ended[row["rung"], row["number"], seed] for seed in seeds]
        failed = next((f"with seed {e.seed}: {e.error}" for e in mine if e.score is None), "")
        found = () if failed else tuple(e.score for e in mine if e.score is not None)
        contenders.append(Contender(row["control"], row["what"], row["candidate"], row["factors"], found, failed))
        scores.append(None if failed else drawn.scores(mine))
    pairs = list(zip(contenders, scores, strict=True))
    compared = _compared(pairs, told["on"], metric)
    whole = [one.deviation for one in contenders if one.scores]
    smallest = [found.smallest for _, found in compared]
    return Place(
        told["on"],
        metric,
        drawn.images,
        math.sqrt(statistics.fmean(deviation**2 for deviation in whole)),
        statistics.median(smallest) if smallest else None,
        tuple(contenders),
        tuple(row for row, _ in compared),
        bool(told.get("seen")),
        bool(told.get("home", re.fullmatch(rf"{re.escape(told['search'])}(-\d+)?", told["on"]))),
    )


class _Drawn:
    """The scores of a run for the same choices of its images, each evaluation computed once."""

    def __init__(self, run: Run) -> None:
        self._run, self._rungs = run, dict[str, dict[tuple[int, int], dict[str, Any]]]()
        self._choices: Numbers | None = None
        self._done: dict[tuple[str, int], Scores] = {}
        self.images = 0

    def scores(self, evaluations: Sequence[Evaluation]) -> Scores:
        """Of one candidate, with all seeds.

        Raises:
            InputError: what the images contribute does not make up the scores.
        """
        rung, number = evaluations[0].rung, evaluations[0].candidate
        if (rung, number) not in self._done:
            if rung not in self._rungs:
                self._rungs[rung] = self._run.contributions(rung)
            held = self._rungs[rung]
            plain = np.array([e.score for e in evaluations])
            if any((number, e.seed) not in held for e in evaluations):
                return Scores(plain)
            drawn = [self._drawn(e, held[number, e.seed]) for e in evaluations]
            self._done[rung, number] = Scores(plain, np.stack(drawn, axis=1), self.images)
        return self._done[rung, number]

    def _drawn(self, one: Evaluation, contributions: Mapping[str, Any]) -> Numbers:
        count = images(contributions)
        if self._choices is None:
            self.images, self._choices = count, choices(count)
        whole = float(rescored(contributions, np.ones((1, count), np.uint16))[0]) if count == self.images else math.nan
        if not abs(whole - (one.score or 0)) <= _SAME:
            raise InputError(
                f"{self._run.directory}: what the images contribute to candidate {one.candidate} with seed {one.seed} "
                f"makes {whole:.6f}, its score is {one.score:.6f}: the evaluator's `{PER_IMAGE}` is of another score"
            )
        return rescored(contributions, self._choices)


def _compared(
    pairs: Sequence[tuple[Contender, Scores | None]], on: str, metric: str
) -> list[tuple[Comparison, Difference]]:
    """Every finalist against every control that did not fail, control by control."""
    rows = []
    finalists = [(one, scores) for one, scores in pairs if not one.control and scores is not None]
    for control, theirs in pairs:
        if not control.control or theirs is None:
            continue
        found = [difference(scores, theirs) for _, scores in finalists]
        corrected = holm([one.p_value for one in found])
        for (finalist, _), one, chance in zip(finalists, found, corrected, strict=True):
            assert finalist.candidate is not None
            row = Comparison(
                finalist.candidate, control.control, on, metric, one.mean, one.low, one.high, one.p_better, chance
            )
            rows.append((row, one))
    return rows
