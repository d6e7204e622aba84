"""Results: the evaluations of a run that have ended, and who stands where by them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from autoloss.candidate import OWN, Evaluation, State
from autoloss.rungs.rung import Rung
from autoloss.search.ladder import mean_ranked
from autoloss.search.selection import noise
from autoloss.search.selection.noise import Noise
from autoloss.search.selection.objective import relative
from autoloss.settings import Settings
from autoloss.store.run import Run

TRAINS = 0.5
"""Share of the own loss's score below which a loss has not trained; its scatter says nothing of noise."""


def mean_scores(evaluations: Iterable[Evaluation], seeds: Sequence[int]) -> dict[int, float]:
    """Mean score of each candidate that finished with every seed."""
    scores: dict[int, list[float]] = {}
    for evaluation in evaluations:
        if evaluation.score is not None and evaluation.seed in seeds:
            scores.setdefault(evaluation.candidate, []).append(evaluation.score)
    return {number: statistics.fmean(found) for number, found in scores.items() if len(found) == len(seeds)}


def rung_scores(evaluations: Iterable[Evaluation], rung: Rung, given: int) -> dict[int, float]:
    """Score of each candidate that finished at a rung with every seed that all have; more seeds of some are levelled.

    Args:
        evaluations: of the rung.
        rung: that it is.
        given: candidates with numbers below it have all seeds; see `Settings.given`.
    """
    if not rung.keep.more_seeds:
        return mean_scores(evaluations, rung.seeds)
    scores = noise.by_seed(evaluations)
    least = least_trained(scores)
    trained = [number for number, mine in scores.items() if min(mine.values()) >= least]
    return noise.level_scores(scores, rung.seeds, [number for number in trained if number < given])


def least_trained(scores: Mapping[int, Mapping[int, float]]) -> float:
    """Score with a seed below which a loss has not trained: half of the mean of the own loss's."""
    own = scores.get(OWN)
    return TRAINS * statistics.fmean(own.values()) if own else -math.inf


def rung_noise(evaluations: Iterable[Evaluation]) -> Noise | None:
    """Noise of a rung, of the losses that trained; None where no two seeds tell it."""
    scores = noise.by_seed(evaluations)
    return noise.noise(scores, least_trained(scores))


def standing(settings: Settings, scores: Callable[[Rung], Mapping[int, float]]) -> list[int]:
    """Candidates that climbed the whole ladder, best mean rank first.

    Args:
        settings: of the search.
        scores: of a rung.
    """
    return mean_ranked([scores(rung) for rung in ranking_rungs(settings)])


def ranking_rungs(settings: Settings) -> list[Rung]:
    """The rungs of the ladder whose scores count; the last one's do."""
    *below, last = settings.ladder
    return [*(rung for rung in below if rung.ranks), last]


def collapsed(evaluations: Sequence[Evaluation], check: Rung) -> set[int]:
    """Candidates that failed at a check, or fell below what it asks for.

    Args:
        evaluations: of it.
        check: the rung that it is.
    """
    scores = mean_scores(evaluations, check.seeds)
    least = (check.keep.of_own or 0) * scores.get(OWN, 0)
    failed = {one.candidate for one in evaluations if one.state is State.FAILED}
    return failed | {number for number, score in scores.items() if score < least}


class Results:
    """Evaluations that have ended, each rung read once.

    Args:
        run: holds what ended before.
        settings: of the search.
    """

    def __init__(self, run: Run, settings: Settings) -> None:
        self._run, self._settings = run, settings
        self._ended: dict[str, list[Evaluation]] = {}
        self.count = sum(evaluation.state is not State.RUNNING for evaluation in run.evaluations())

    def ended(self, rung: Rung) -> list[Evaluation]:
        """Those of a rung."""
        if rung.name not in self._ended:
            found = self._run.evaluations(rung.name)
            self._ended[rung.name] = [one for one in found if one.state is not State.RUNNING]
        return self._ended[rung.name]

    def add(self, evaluation: Evaluation, rung: Rung) -> None:
        """Keeps one that ends now, here and in the run."""
        self._run.finished(evaluation)
        self.ended(rung).append(replace(evaluation, contributions=""))
        self.count += 1

    def scores(self, rung: Rung, among: Collection[int] | None = None) -> dict[int, float]:
        """Score of each candidate that finished at a rung; see `rung_scores` and `scored`."""
        return rung_scores(self.scored(rung, among), rung, self._settings.given)

    def scored(self, rung: Rung, among: Collection[int] | None = None) -> list[Evaluation]:
        """Those of a rung with the scores that count; see `relative`.

        Args:
            rung: that it is.
            among: candidates that are compared; None for all. Only a rank depends on it.
        """
        ended = self.ended(rung)
        return relative(
            ended if among is None else [one for one in ended if one.candidate in among], self._settings.objective
        )

    def standing(self) -> list[int]:
        """Candidates that climbed the whole ladder, best mean rank first."""
        return standing(self._settings, self.scores)

    def ranking(self) -> list[dict[int, list[float]]]:
        """Scores at every rung that ranks, one a seed, of the candidates that finished there with every seed."""
        found: list[dict[int, list[float]]] = []
        for rung in ranking_rungs(self._settings):
            scores = {(one.candidate, one.seed): one.score for one in self.scored(rung) if one.score is not None}
            numbers = self.scores(rung)
            found.append({number: [scores[number, seed] for seed in rung.seeds] for number in numbers})
        return found
