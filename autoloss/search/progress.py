"""Progress: where a search is, for whoever watches."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from autoloss.candidate import OWN, Candidate, Evaluation
from autoloss.rungs.finale import Finale
from autoloss.rungs.rung import Rung
from autoloss.search.results import Results
from autoloss.search.selection.visits import final, kept
from autoloss.settings import Settings
from autoloss.workers.executors import Workers
from autoloss.workers.limits import WorkerState

MEASURING = "how long it will take"
"""The stage before the first generation, where the search is measured."""


@dataclass(frozen=True)
class Forecast:
    """What a search will take.

    Args:
        least: seconds, if nothing that is found climbs beyond the first rung.
        most: seconds, if all that is found climbs as far as it may.
        evaluations: seconds of one evaluation, by the name of the rung.
    """

    least: float
    most: float
    evaluations: Mapping[str, float]


@dataclass(frozen=True)
class Progress:
    """Where a search is.

    Args:
        generation: number of the present generation, from 0; `generations` while the finale runs.
        stage: `gates`, `MEASURING` or the name of a rung.
        done: evaluations of this stage that have ended.
        total: evaluations of this stage.
        running: what is being trained.
        born: candidates so far.
        refused: proposals refused so far.
        own: score of the detector's own loss at the rung that ranks.
        best: best candidate so far and its score there.
        left: seconds that what is still to do will take at most, once every rung was timed.
        workers: what each of them does.
        latest: evaluation that ended last.
        forecast: what the search was measured to take before it began.
        metric: what the scores are.
    """

    generation: int = 0
    stage: str = "gates"
    done: int = 0
    total: int = 0
    running: str = ""
    born: int = 0
    refused: int = 0
    own: float | None = None
    best: tuple[Candidate, float] | None = None
    left: float | None = None
    workers: tuple[WorkerState, ...] = ()
    latest: Evaluation | None = None
    forecast: Forecast | None = None
    metric: str = "mAP"


class Watcher(Protocol):
    """Whoever wants to see the progress."""

    def __call__(self, progress: Progress) -> None:
        """Called after every change."""


class Reporter:
    """Tells a watcher what changes.

    Args:
        settings: of the search.
        candidates: so far, by number; whoever adds to them says so.
        results: what has ended.
        refused: proposals so far.
        workers: evaluate, as many at a time as they are.
        watch: is told.
        metric: what the scores are.
    """

    def __init__(
        self,
        settings: Settings,
        candidates: Mapping[int, Candidate],
        results: Results,
        refused: int,
        workers: Workers,
        watch: Watcher,
        metric: str = "mAP",
    ) -> None:
        self._settings, self._candidates, self._results = settings, candidates, results
        self._workers, self._watch = workers, watch
        self.now = Progress(born=len(candidates), refused=refused, metric=metric)

    def tell(self, **changes: Any) -> None:
        """Tells what changed; the scores and the time left follow from the results."""
        scores = self._results.scores(self._settings.ladder[-1])
        top = next((number for number in self._results.standing() if number != OWN), None)
        best = None if top is None else (self._candidates[top], scores[top])
        self.now = replace(self.now, own=scores.get(OWN), best=best, **changes)
        self.now = replace(self.now, left=self._left())
        self._watch(self.now)

    def _left(self) -> float | None:
        """Seconds to go if everybody climbs as far as cuts to a number let them, as rungs were timed or measured."""
        settings, now = self._settings, self.now
        names = [rung.name for rung in settings.ladder]
        here = names.index(now.stage) if now.stage in names else -1
        todo: dict[str, int] = {}
        found, given = settings.births, 0 if now.generation else settings.given
        for index, rung in enumerate(settings.ladder):
            seeds = len(rung.every_seed)
            count = max(settings.generations - now.generation - 1, 0) * found * seeds
            if now.generation < settings.generations:
                ahead = (given + found) * seeds if index > here else 0
                count += now.total - now.done if index == here else ahead
            todo[rung.name] = count
            found = kept(rung, found, passing=True)
        if settings.finale:
            todo |= self._in_finale(settings.finale)
        left = 0.0
        for rung in settings.rungs:
            each = self._seconds(rung)
            if each is None and rung in settings.ladder:
                return None
            last = self._seconds(settings.ladder[-1]) if each is None else each
            left += todo[rung.name] * (last or 0.0)  # without a measurement a finale is taken to cost what ranking does
        return left / self._workers.width

    def _in_finale(self, finale: Finale) -> dict[str, int]:
        """Evaluations of the finale that are still to do, by rung, if nobody collapses at its check."""
        settings, line = self._settings, finale.count
        if self.now.generation == settings.generations:
            line = sum(number >= settings.given for number in self._results.standing())
        visits = final(settings, finale, line)
        if finale.check and self.now.stage == finale.rung.name:  # it is over
            visits[finale.check.name] = []
        todo = {name: sum(visit.losses * visit.seeds for visit in mine) for name, mine in visits.items()}
        return {rung.name: max(todo.get(rung.name, 0) - len(self._results.ended(rung)), 0) for rung in finale.rungs}

    def _seconds(self, rung: Rung) -> float | None:
        """Of an evaluation at a rung; None where none has ended and none was measured."""
        spent = [evaluation.seconds for evaluation in self._results.ended(rung)]
        if spent:
            return statistics.fmean(spent)
        return self.now.forecast.evaluations[rung.name] if self.now.forecast else None
