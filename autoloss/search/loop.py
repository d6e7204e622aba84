"""Discover: the loop from settings to a ranked list; the only orchestration."""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from autoloss.candidate import Candidate, Crash, Evaluation, Kind, State
from autoloss.evaluator import build
from autoloss.search import ladder
from autoloss.search.evolution import OWN, Search, stand_ins
from autoloss.search.interrupts import GRACE, Interrupts
from autoloss.settings import Rung, Settings
from autoloss.store.run import Run
from autoloss.workers import executors
from autoloss.workers.limits import Limited, Limits, WorkerError, WorkerState, limits
from autoloss.workers.memory import lacks_memory, out_of_memory, what_to_lower
from primitives.errors import InputError

_log = logging.getLogger(__name__)
_TRIES = 2
"""Workers that may be lost with a candidate before it counts as failed."""


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
        workers: what each of them does.
        latest: evaluation that ended last.
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


class _BudgetEnded(Exception):  # noqa: N818  no error
    """Nothing more may be begun."""


@dataclass(frozen=True)
class _Work:
    """Candidates that are evaluated together, with a seed."""

    group: tuple[int, ...]
    seed: int

    def __str__(self) -> str:
        first, last = self.group[0], self.group[-1]
        who = f"candidate {first}" if first == last else f"candidates {first} to {last}"
        return f"{who}, seed {self.seed}"


def discover(settings: Settings, run: Run, watch: Watcher = lambda _: None) -> str:
    """Runs a search to its end or to that of its budget, from wherever the run stands.

    Args:
        settings: of the search; `settings.identity()` is what the run was created with.
        run: holds what is done already.
        watch: sees the progress.

    Returns:
        Which budget ended it; empty when the search is done.

    Raises:
        InputError: the set-up cannot work: the evaluator, its data, or the detector's own loss fails; a disk is full.
        KeyboardInterrupt: someone stopped it; what ended within seconds is kept.
    """
    prepared(settings, run)
    ended = ""
    with looping(settings, run, watch) as loop:
        try:
            loop.run_all()
        except _BudgetEnded as budget:
            ended = str(budget)
        finally:
            loop.tell_time()
    if ended or run.value("ended"):
        run.agreed("ended", ended, anew=True)
    return ended


@contextmanager
def looping(settings: Settings, run: Run, watch: Watcher) -> Iterator[Loop]:
    """A loop with workers, which are let go at the end, however it comes."""
    with Interrupts() as interrupts:
        executor = executors.make(settings)
        loop = Loop(settings, run, watch, executor, interrupts)
        try:
            yield loop
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
        executor.shutdown(cancel_futures=True)  # a budget that ends leaves what would take long


def prepared(settings: Settings, run: Run) -> None:
    """Makes or checks the evaluator's data and tasks, and readies the run to go on; errors as of `discover`."""
    grammars = {name: slot.grammar for name, slot in settings.slots.items()}
    executors.check_room(settings)
    evaluator = build(settings.evaluator)
    evaluator.prepare(grammars, [rung.task for rung in settings.rungs if not rung.descends])
    run.describe(evaluator.describe())
    run.forget_running()


class Loop:
    """Generations and evaluations of a run, as far as they are not done.

    Args:
        settings: of the search.
        run: holds what is done already.
        watch: sees the progress.
        executor: its workers hold the evaluator.
        interrupts: whether someone asked to stop.
    """

    def __init__(
        self, settings: Settings, run: Run, watch: Watcher, executor: executors.Workers, interrupts: Interrupts
    ) -> None:
        self.settings, self.store, self.watch, self.executor = settings, run, watch, executor
        self.interrupts, self._begin, self._status = interrupts, time.perf_counter(), 0.0
        self._clock = self._begin
        self._known: dict[str, list[Evaluation]] = {}
        self._begun: set[tuple[int, int]] = set()
        self.candidates = {candidate.number: candidate for candidate in run.candidates()}
        self.search = Search(settings, self.candidates.values())
        self.ranking = settings.ladder[-1]
        self._spent = run.totals().get("seconds", 0.0)
        self._count = sum(evaluation.state is not State.RUNNING for evaluation in run.evaluations())
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

        def proposing(more: int, less: int) -> None:
            self.interrupts.check()
            self._check_budget()
            self._show(born=born + more, refused=refused + less, running="proposing")

        self._check_budget()
        birth = self.search.ask(generation, proposing)
        self.store.born(birth.candidates, birth.refusals)
        self.candidates.update({candidate.number: candidate for candidate in birth.candidates})
        self._show(born=born + len(birth.candidates), refused=refused + len(birth.refusals))
        _tell("generation born", generation=generation, born=len(birth.candidates), refused=len(birth.refusals))
        return [candidate.number for candidate in birth.candidates]

    def _climb(self, numbers: list[int]) -> None:
        """Leads a generation up the ladder."""
        passed: list[dict[int, float]] = []
        for rung in self.settings.ladder:
            self.evaluate(numbers, rung)
            scores = mean_scores(self._ended(rung.name), rung.seeds)
            here = {number: scores[number] for number in numbers if number in scores}
            # What was given is measured at every rung: what is found must be better than that.
            given = [number for number in here if self.candidates[number].kind is not Kind.FOUND]
            found = {number: score for number, score in here.items() if number not in given}
            numbers = [*given, *ladder.promoted(found, scores[OWN], rung.keep, passed, rung.ranks)]
            passed += [here] if rung.ranks else []

    def standing(self) -> list[int]:
        """Candidates that climbed the whole ladder, best mean rank first."""
        rungs = [rung for rung in self.settings.ladder if rung.ranks or rung is self.ranking]
        return ladder.mean_ranked([mean_scores(self._ended(rung.name), rung.seeds) for rung in rungs])

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
        ended = {(e.candidate, e.seed) for e in self._ended(rung.name)}
        missing = {(n, seed) for n in numbers for seed in rung.seeds} - ended
        total = len(numbers) * len(rung.seeds)
        self._show(stage=rung.name, done=total - len(missing), total=total, running="")
        todo = deque(self._works(numbers, rung, missing))
        pending: dict[Future[list[Evaluation]], _Work] = {}
        if todo:
            self._check_budget()
            self._warm(rung, sorted({work.seed for work in todo}))
        self._begun = set()
        until = float("inf")
        while todo or pending:
            while todo and len(pending) < self.executor.width and not self._stopping(pending.values()):
                work = todo.popleft()
                if not any((number, work.seed) in missing for number in work.group):
                    continue  # failed with another seed
                for number in work.group:
                    self._begin_one(number, rung, work.seed, missing)
                self._show(running=str(work))
                _tell("evaluation started", rung=rung.name, seed=work.seed, candidates=work.group)
                pending[self._submit(work, rung)] = work
            if self._stopping(pending.values()):
                until = min(until, time.monotonic() + GRACE) if self._out_of_time() else until
                if not pending or time.monotonic() > until:
                    self.interrupts.check()
                    raise _BudgetEnded(self._reason())
            for future in wait(pending, timeout=1, return_when=FIRST_COMPLETED).done:
                todo.extendleft(reversed(self._taken(future, pending.pop(future), rung, missing)))
            self._tell_status()
        if self._begun:
            self._tell_status(at_once=True)

    def _begin_one(self, number: int, rung: Rung, seed: int, missing: set[tuple[int, int]]) -> None:
        """Marks an evaluation as running, once."""
        if (number, seed) in missing and (number, seed) not in self._begun:
            self.store.started(number, rung.name, seed)
            self._begun.add((number, seed))

    def _works(self, numbers: Sequence[int], rung: Rung, missing: set[tuple[int, int]]) -> list[_Work]:
        """What is to be evaluated, in order.

        Who stands beside whom does not depend on what is done already, so neither do the scores.
        """
        order = sorted(numbers)
        groups = [tuple(order[index : index + rung.batch]) for index in range(0, len(order), rung.batch)]
        apart = {(c.candidates, c.seed) for c in self.store.crashes() if c.rung == rung.name and c.apart}
        works = []
        for work in (_Work(group, seed) for seed in rung.seeds for group in groups):
            left = [number for number in work.group if (number, work.seed) in missing]
            alone = (work.group, work.seed) in apart
            works += [_Work((number,), work.seed) for number in left] if alone else [work] if left else []
        return works

    def _taken(
        self, future: Future[list[Evaluation]], work: _Work, rung: Rung, missing: set[tuple[int, int]]
    ) -> list[_Work]:
        """Keeps what came of a work; gives what is to be done next because a worker was lost."""
        again: list[_Work] = []
        try:
            ended = future.result()
        except WorkerError as error:
            if self.interrupts.asked:  # whoever stops the search may have stopped its workers, too
                return [work]
            ended, again = self._lost(error, work, rung, missing)
        for evaluation in ended:
            if (evaluation.candidate, evaluation.seed) in missing:
                _check_own(evaluation, rung)
                self.store.finished(evaluation)
                missing.discard((evaluation.candidate, evaluation.seed))
                self._ended(rung.name).append(evaluation)
                self._count += 1
                self.tell_time()
                self._show(done=self.progress.done + 1, latest=evaluation)
                _tell("evaluation ended", **{**evaluation.__dict__, "state": evaluation.state.value})
        return again

    def _lost(
        self, error: WorkerError, work: _Work, rung: Rung, missing: set[tuple[int, int]]
    ) -> tuple[list[Evaluation], list[_Work]]:
        """What follows from a lost worker: the same again, one by one, or a failed evaluation.

        A group is tried again as it was, so that who stands beside whom stays; only when that is lost too, or when a
        limit was reached, its candidates go on one by one, and the one to blame fails alone, with every seed.
        """
        mine = (rung.name, work.seed, work.group)
        many = len(work.group) > 1
        before = [crash for crash in self.store.crashes() if (crash.rung, crash.candidates) == (rung.name, work.group)]
        tries = 1 + sum(crash.seed == work.seed or not many for crash in before)
        apart = many and (error.hopeless or tries >= _TRIES)
        self.store.crashed(Crash(*mine, apart, error.cause, time.time()))
        _tell("worker lost", rung=rung.name, seed=work.seed, candidates=work.group, cause=error.cause)
        if apart:
            return [], [_Work((number,), work.seed) for number in work.group if (number, work.seed) in missing]
        if many or tries < _TRIES:
            return [], [work]
        reason = f"{error.cause} ({tries} times)"
        number, now = work.group[0], time.time()
        seeds = [seed for seed in rung.seeds if (number, seed) in missing]
        for seed in seeds:
            self._begin_one(number, rung, seed, missing)
        return [Evaluation(number, rung.name, seed, State.FAILED, error=reason, ended=now) for seed in seeds], []

    def _ended(self, rung: str) -> list[Evaluation]:
        """Evaluations of a rung that have ended, read once."""
        if rung not in self._known:
            self._known[rung] = [e for e in self.store.evaluations(rung) if e.state is not State.RUNNING]
        return self._known[rung]

    def _stopping(self, running: Iterable[_Work]) -> bool:
        """Whether nothing more may begin."""
        return self.interrupts.asked or bool(self._reason(sum(len(work.group) for work in running)))

    def _reason(self, running: int = 0) -> str:
        """Which budget is spent once what runs has ended; empty when none is."""
        most = self.settings.budget.evaluations
        if most is not None and self._count + running >= most:
            return f"the budget of {most:,} evaluations"
        return f"the budget of {self.settings.budget.time:.0f} s" if self._out_of_time() else ""

    def _out_of_time(self) -> bool:
        most = self.settings.budget.time
        return most is not None and self._spent + time.perf_counter() - self._begin >= most

    def _check_budget(self) -> None:
        if self._reason():
            raise _BudgetEnded(self._reason())

    def tell_time(self) -> None:
        """Keeps the seconds that went by since it was called last."""
        now = time.perf_counter()
        self.store.note("seconds", now - self._clock)
        self._clock = now

    def _tell_status(self, at_once: bool = False) -> None:
        """Lets those who look from outside see what the workers do, once a second."""
        if at_once or time.monotonic() - self._status > 1:
            self._status, workers = time.monotonic(), tuple(self.executor.workers())
            self.store.agreed("workers", json.dumps([worker.__dict__ for worker in workers]), anew=True)
            self._show(workers=workers)

    def _warm(self, rung: Rung, seeds: Sequence[int]) -> None:
        """Lets a worker make what the evaluations of a rung share."""
        if rung.descends or not seeds:
            return
        begin = time.perf_counter()
        self._show(running="what all candidates share")
        for seed in seeds:
            try:
                self._make(rung, seed)
            except WorkerError as error:
                _tell("worker lost", rung=rung.name, seed=seed, candidates=(), cause=error.cause)
                try:
                    self._make(rung, seed)
                except WorkerError as again:
                    what = f"what the candidates of rung {rung.name!r} share could not be made"
                    raise InputError(f"{what}, so the set-up is wrong: {again} ({_TRIES} times)") from None
        self.store.note("shared", time.perf_counter() - begin)

    def _make(self, rung: Rung, seed: int) -> None:
        """Waits for it, until someone asks to stop or the time is up."""
        until, future = math.inf, self.executor.submit(executors.warm, rung, seed)
        while not wait([future], timeout=1).done:
            self._tell_status()
            if self._out_of_time():
                until = min(until, time.monotonic() + GRACE)
            if time.monotonic() > until:
                raise _BudgetEnded(self._reason())
        future.result()

    def _submit(self, work: _Work, rung: Rung) -> Future[list[Evaluation]]:
        candidates = [self.candidates[number] for number in work.group]
        limits, name = partial(self._limits, rung, len(work.group)), f"{rung.name}: {work}"
        if rung.descends:
            own = stand_ins(self.settings)
            return self.executor.submit(Limited(executors.descend, limits, name), candidates, rung, work.seed, own)
        shared = partial(executors.warm, rung, work.seed)
        return self.executor.submit(Limited(executors.evaluate, limits, name, shared), candidates, rung, work.seed)

    def _limits(self, rung: Rung, together: int) -> Limits:
        """What candidates may take together as far as it is known now."""
        fixed = self.settings.limits
        given = Limits(fixed.time or math.inf, fixed.memory * 1e9 if fixed.memory else math.inf)
        done = [e for e in self._ended(rung.name) if e.score is not None]
        return limits([e.seconds for e in done], [e.memory for e in done], together, self.executor.share, given)

    def _show(self, **changes: object) -> None:
        scores = mean_scores(self._ended(self.ranking.name), self.ranking.seeds)
        top = [number for number in self.standing() if number != OWN]
        best = (self.candidates[top[0]], scores[top[0]]) if top else None
        self.progress = replace(self.progress, own=scores.get(OWN), best=best, **changes)  # type: ignore[arg-type]
        self.progress = replace(self.progress, left=self._left())
        self.watch(self.progress)

    def _left(self) -> float | None:
        """Seconds to go if every candidate climbs the whole ladder; the finale is taken to cost what ranking does."""
        settings, generation, left = self.settings, self.progress.generation, 0.0
        for index, rung in enumerate(settings.ladder):
            spent = [e.seconds for e in self._ended(rung.name) if e.state is not State.RUNNING]
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
        return left / self.executor.width


def _tell(event: str, **facts: object) -> None:
    _log.info(event, extra={"facts": facts})


def _check_own(evaluation: Evaluation, rung: Rung) -> None:
    """Ends the search when the detector's own loss fails; nothing is kept of it, so it is tried again."""
    if evaluation.candidate == OWN and evaluation.state is State.FAILED:
        if lacks_memory(evaluation.error or ""):
            raise InputError(
                f"rung {rung.name!r} with the detector's own loss: {out_of_memory(evaluation.error or '')}; "
                f"{what_to_lower(rung.batch)}"
            )
        raise InputError(
            f"the detector's own loss failed at rung {rung.name!r}, so the set-up is wrong, not a candidate: "
            f"{evaluation.error}"
        )
