"""Discover: the loop from settings to a ranked list; the only orchestration."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from autoloss import executors, ladder
from autoloss.candidate import Candidate, Evaluation, Kind, Loss, State
from autoloss.evaluator import build
from autoloss.run import Run
from autoloss.search import OWN, Search
from autoloss.settings import Rung, Settings
from primitives.catalog import known_loss
from primitives.errors import InputError


@dataclass(frozen=True)
class Progress:
    """Where a search is.

    Args:
        generation: number of the present generation, from 0; `generations` while the finale runs.
        stage: `gates` or the name of a rung.
        done: evaluations of this stage that have ended.
        total: evaluations of this stage.
        running: what is being trained.
        born: candidates so far.
        refused: proposals refused so far.
        own: score of the detector's own loss at the rung that ranks.
        best: best candidate so far and its score there.
        left: seconds that what is still to do will take at most, once every rung was timed.
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


class Watcher(Protocol):
    """Whoever wants to see the progress."""

    def __call__(self, progress: Progress) -> None:
        """Called after every change."""


def mean_scores(evaluations: Iterable[Evaluation], seeds: Sequence[int]) -> dict[int, float]:
    """Mean score of each candidate that finished with every seed."""
    scores: dict[int, list[float]] = {}
    for evaluation in evaluations:
        if evaluation.score is not None and evaluation.seed in seeds:
            scores.setdefault(evaluation.candidate, []).append(evaluation.score)
    return {number: statistics.fmean(found) for number, found in scores.items() if len(found) == len(seeds)}


def discover(settings: Settings, run: Run, watch: Watcher = lambda _: None) -> None:
    """Runs a search to its end, from wherever the run stands.

    Args:
        settings: of the search; `settings.identity()` is what the run was created with.
        run: holds what is done already.
        watch: sees the progress.

    Raises:
        InputError: the set-up cannot work: the evaluator, its data, or the detector's own loss fails.
    """
    prepared(settings, run)
    with executors.make(settings.workers, settings.evaluator) as executor, _clocked(run):
        Loop(settings, run, watch, executor).run_all()


def prepared(settings: Settings, run: Run) -> None:
    """Makes or checks the evaluator's data and tasks, and readies the run to go on; errors as of `discover`."""
    rungs = [*settings.ladder, *([settings.finale.rung] if settings.finale else [])]
    grammars = {name: slot.grammar for name, slot in settings.slots.items()}
    evaluator = build(settings.evaluator)
    evaluator.prepare(grammars, [rung.task for rung in rungs if not rung.descends])
    run.describe(evaluator.describe())
    run.forget_running()


@contextmanager
def _clocked(run: Run) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        run.note("seconds", time.perf_counter() - begin)


class Loop:
    """Generations and evaluations of a run, as far as they are not done.

    Args:
        settings: of the search.
        run: holds what is done already.
        watch: sees the progress.
        executor: its workers hold the evaluator.
    """

    def __init__(self, settings: Settings, run: Run, watch: Watcher, executor: Executor) -> None:
        self.settings, self.store, self.watch, self.executor = settings, run, watch, executor
        self.candidates = {candidate.number: candidate for candidate in run.candidates()}
        self.search = Search(settings, self.candidates.values())
        self.ranking = settings.ladder[-1]
        self.width = executors.count(settings.workers)
        refused = sum(run.refused_by_gate().values())
        self.progress = Progress(born=len(self.candidates), refused=refused)

    def run_all(self) -> None:
        """The whole search."""
        for generation in range(self.settings.generations):
            self._show(generation=generation, stage="gates", done=0, total=0, running="")
            self._climb(self.generation(generation))
            self.search.tell(self.standing())
        if self.settings.finale:
            self._show(generation=self.settings.generations, stage=self.settings.finale.rung.name, done=0, total=0)
            self.evaluate(self.finalists(), self.settings.finale.rung)

    def generation(self, generation: int) -> list[int]:
        """Numbers of a generation's candidates, born now unless the run has them."""
        numbers = [number for number, candidate in self.candidates.items() if candidate.generation == generation]
        if numbers:
            return numbers
        born, refused = self.progress.born, self.progress.refused
        birth = self.search.ask(
            generation, lambda more, less: self._show(born=born + more, refused=refused + less, running="proposing")
        )
        self.store.born(birth.candidates, birth.refusals)
        self.candidates.update({candidate.number: candidate for candidate in birth.candidates})
        self._show(born=born + len(birth.candidates), refused=refused + len(birth.refusals))
        return [candidate.number for candidate in birth.candidates]

    def _climb(self, numbers: list[int]) -> None:
        """Leads a generation up the ladder."""
        passed: list[dict[int, float]] = []
        for rung in self.settings.ladder:
            self.evaluate(numbers, rung)
            scores = mean_scores(self.store.evaluations(rung.name), rung.seeds)
            here = {number: scores[number] for number in numbers if number in scores}
            # What was given is measured at every rung: what is found must be better than that.
            given = [number for number in here if self.candidates[number].kind is not Kind.FOUND]
            found = {number: score for number, score in here.items() if number not in given}
            numbers = [*given, *ladder.promoted(found, scores[OWN], rung.keep, passed, rung.ranks)]
            passed += [here] if rung.ranks else []

    def standing(self) -> list[int]:
        """Candidates that climbed the whole ladder, best mean rank first."""
        rungs = [rung for rung in self.settings.ladder if rung.ranks or rung is self.ranking]
        return ladder.mean_ranked([mean_scores(self.store.evaluations(rung.name), rung.seeds) for rung in rungs])

    def finalists(self) -> list[int]:
        """The detector's own loss, the known losses that the config names, the best control, and the best found."""
        finale = self.settings.finale
        if finale is None:
            return []
        standing = self.standing()
        controls = [n for n in standing if self.candidates[n].kind is Kind.CONTROL]
        found = [n for n in standing if self.candidates[n].kind is Kind.FOUND]
        return [OWN, *(index + 1 for index in finale.known), *controls[:1], *found[: finale.count]]

    def evaluate(self, numbers: Sequence[int], rung: Rung) -> None:
        """Trains what has not been trained at this rung; a failure of the own loss ends the search."""
        ended = {(e.candidate, e.seed) for e in self.store.evaluations(rung.name)}
        missing = {(n, seed) for n in numbers for seed in rung.seeds} - ended
        total = len(numbers) * len(rung.seeds)
        self._show(stage=rung.name, done=total - len(missing), total=total, running="")
        # Who stands beside whom does not depend on what is done already, so neither do the scores.
        order = sorted(numbers)
        groups = [order[index : index + rung.batch] for index in range(0, len(order), rung.batch)]
        todo = [(group, seed) for seed in rung.seeds for group in groups if any((n, seed) in missing for n in group)]
        pending: set[Future[list[Evaluation]]] = set()
        try:
            self._warm(rung, sorted({seed for _, seed in todo}))
            while todo or pending:
                while todo and len(pending) < self.width:
                    group, seed = todo.pop(0)
                    for number in group:
                        if (number, seed) in missing:
                            self.store.started(number, rung.name, seed)
                    name = f"candidate {group[0]}" if len(group) == 1 else f"candidates {group[0]} to {group[-1]}"
                    self._show(running=f"{name}, seed {seed}")
                    pending.add(self._submit([self.candidates[number] for number in group], rung, seed))
                ready = wait(pending, return_when=FIRST_COMPLETED).done
                pending -= ready
                for evaluation in (evaluation for future in ready for evaluation in future.result()):
                    if (evaluation.candidate, evaluation.seed) in missing:
                        _check_own(evaluation)
                        self.store.finished(evaluation)
                        self._show(done=self.progress.done + 1)
        except BrokenProcessPool:
            raise InputError(
                "a worker process died (out of memory, or killed); what finished is kept, "
                "the same command goes on from there"
            ) from None

    def _warm(self, rung: Rung, seeds: Sequence[int]) -> None:
        """Lets a worker make what the evaluations of a rung share."""
        if rung.descends or not seeds:
            return
        begin = time.perf_counter()
        self._show(running="what all candidates share")
        for future in [self.executor.submit(executors.warm, rung, seed) for seed in seeds]:
            future.result()
        self.store.note("shared", time.perf_counter() - begin)

    def _submit(self, candidates: Sequence[Candidate], rung: Rung, seed: int) -> Future[list[Evaluation]]:
        if rung.descends:
            own = {}
            for slot, rules in self.settings.slots.items():
                known = known_loss(rules.like)
                own[slot] = Loss(known.expression.text, known.grammar, 1.0, known.alpha)
            return self.executor.submit(executors.descend, candidates, rung, seed, own)
        return self.executor.submit(executors.evaluate, candidates, rung, seed)

    def _show(self, **changes: object) -> None:
        scores = mean_scores(self.store.evaluations(self.ranking.name), self.ranking.seeds)
        top = [number for number in self.standing() if number != OWN]
        best = (self.candidates[top[0]], scores[top[0]]) if top else None
        self.progress = replace(self.progress, own=scores.get(OWN), best=best, **changes)  # type: ignore[arg-type]
        self.progress = replace(self.progress, left=self._left())
        self.watch(self.progress)

    def _left(self) -> float | None:
        """Seconds to go if every candidate climbs the whole ladder; the finale is taken to cost what ranking does."""
        settings, generation, left = self.settings, self.progress.generation, 0.0
        for index, rung in enumerate(settings.ladder):
            spent = [e.seconds for e in self.store.evaluations(rung.name) if e.state is not State.RUNNING]
            if not spent:
                return None
            count = max(settings.generations - generation - 1, 0) * settings.births * len(rung.seeds)
            if generation < settings.generations:
                names = [other.name for other in settings.ladder]
                here = names.index(self.progress.stage) if self.progress.stage in names else -1
                ahead = settings.births * len(rung.seeds) if index > here else 0
                count += self.progress.total - self.progress.done if index == here else ahead
            left += count * statistics.fmean(spent)
        if settings.finale:
            finale = settings.finale
            total = (1 + len(finale.known) + finale.count) * len(finale.rung.seeds)
            done = self.progress.done if generation == settings.generations else 0
            left += (total - done) * statistics.fmean(spent)
        return left / self.width


def _check_own(evaluation: Evaluation) -> None:
    """Ends the search when the detector's own loss fails; nothing is kept of it, so it is tried again."""
    if evaluation.candidate == OWN and evaluation.state is State.FAILED:
        raise InputError(
            f"the detector's own loss failed at rung {evaluation.rung!r}, so the set-up is wrong, not a candidate: "
            f"{evaluation.error}"
        )
