"""Results: the evaluations of a run that have ended, and who stands where by them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from autoloss.candidate import Evaluation, State
from autoloss.search.ladder import mean_ranked
from autoloss.settings import Rung, Settings
from autoloss.store.run import Run


def mean_scores(evaluations: Iterable[Evaluation], seeds: Sequence[int]) -> dict[int, float]:
    """Mean score of each candidate that finished with every seed."""
    scores: dict[int, list[float]] = {}
    for evaluation in evaluations:
        if evaluation.score is not None and evaluation.seed in seeds:
            scores.setdefault(evaluation.candidate, []).append(evaluation.score)
    return {number: statistics.fmean(found) for number, found in scores.items() if len(found) == len(seeds)}


class Results:
    """Evaluations that have ended, each rung read once.

    Args:
        run: holds what ended before.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
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

    def scores(self, rung: Rung) -> dict[int, float]:
        """Mean score of each candidate that finished at a rung with every seed."""
        return mean_scores(self.ended(rung), rung.seeds)

    def standing(self, settings: Settings) -> list[int]:
        """Candidates that climbed the whole ladder, best mean rank first."""
        *below, last = settings.ladder
        return mean_ranked([self.scores(rung) for rung in (*(rung for rung in below if rung.ranks), last)])
