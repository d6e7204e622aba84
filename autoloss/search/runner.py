"""Runner: evaluates candidates at one rung, as far as that is not done, with whatever workers there are."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

from autoloss.candidate import OWN, Crash, Evaluation, State
from autoloss.rungs.rung import Rung
from autoloss.search.progress import Reporter, Watcher
from autoloss.search.results import Results
from autoloss.search.selection.objective import parts
from autoloss.search.stopping import Interrupts, Stopping
from autoloss.settings import Settings
from autoloss.store.run import Run
from autoloss.store.same import check_same
from autoloss.workers import executors
from autoloss.workers.limits import Limited, Limits, WorkerError, current_limits
from autoloss.workers.memory import lacks_memory, out_of_memory, what_to_lower
from autoloss.workers.retries import TRIES
from autoloss.workers.simulation_rung import Evaluators
from primitives.errors import InputError

_log = logging.getLogger(__name__)


def prepare(settings: Settings, run: Run) -> None:
    """Makes or checks the evaluator's data and tasks, and readies the run to go on.

    Raises:
        InputError: the set-up cannot work: the evaluator, its data, or a task; a disk is full.
    """
    executors.check_room(settings)
    evaluators = Evaluators(settings.evaluator_spec, settings.stand_ins)
    evaluators.prepare({name: slot.grammar for name, slot in settings.slots.items()}, [r.task for r in settings.rungs])
    found = evaluators.trained.describe()
    if any(run.evaluations()):
        check_same(run.directory, run.description, found)
    run.describe(found)
    run.forget_running()


@contextmanager
def running(settings: Settings, run: Run, watch: Watcher = lambda _: None) -> Iterator[Runner]:
    """A runner with workers, which are let go at the end, however it comes; arguments as of `Runner`."""
    with Interrupts() as interrupts:
        executor = executors.make(settings)
        try:
            yield Runner(settings, run, watch, executor, interrupts)
        finally:
            executor.shutdown(cancel_futures=True)  # a budget that ends leaves what would take long


@dataclass(frozen=True)
class _Work:
    """Candidates that are evaluated together, with a seed."""

    group: tuple[int, ...]
    seed: int

    def __str__(self) -> str:
        first, last = self.group[0], self.group[-1]
        who = f"candidate {first}" if first == last else f"candidates {first} to {last}"
        return f"{who}, seed {self.seed}"


class Runner:
    """Evaluates candidates of a run at a rung.

    Args:
        settings: of the search.
        run: holds what is done already.
        watch: sees the progress.
        executor: its workers hold the evaluators.
        interrupts: whether someone asked to stop.
    """

    def __init__(
        self, settings: Settings, run: Run, watch: Watcher, executor: executors.Workers, interrupts: Interrupts
    ) -> None:
        self.settings, self.store, self.executor = settings, run, executor
        self.candidates = {candidate.number: candidate for candidate in run.candidates()}
        self.results = Results(run, settings)
        self.stopping = Stopping(interrupts, settings.budget, self.results, run)
        refused = sum(run.refused_by_gate().values())
        metric = str(run.description.get("metric", "mAP"))
        self.reporter = Reporter(settings, self.candidates, self.results, refused, executor, watch, metric)
        self._told = 0.0

    def evaluate(self, numbers: Sequence[int], rung: Rung) -> None:
        """Trains what has not been trained at this rung.

        Raises:
            InputError: the set-up is wrong: what candidates share, or the detector's own loss, fails; a disk is full.
            BudgetEnded: a budget is spent.
            KeyboardInterrupt: someone asked to stop; what ended within seconds is kept.
        """
        ended = {(e.candidate, e.seed) for e in self.results.ended(rung)}
        missing = {(n, seed) for n in numbers for seed in rung.seeds} - ended
        total = len(numbers) * len(rung.seeds)
        self.reporter.tell(stage=rung.name, done=total - len(missing), total=total, running="")
        todo = deque(self._works(numbers, rung, missing))
        if not todo:
            return
        self.stopping.check()
        self._share(rung, sorted({work.seed for work in todo}))
        begun: set[tuple[int, int]] = set()
        pending: dict[Future[list[Evaluation]], _Work] = {}
        while todo or pending:
            while todo and len(pending) < self.executor.width and not self._stops(pending.values()):
                work = todo.popleft()
                if any((number, work.seed) in missing for number in work.group):  # else failed with another seed
                    pending[self._begin(work, rung, missing, begun)] = work
            if not pending:
                self.stopping.check()
            self.stopping.check_overdue()
            for future in wait(pending, timeout=1, return_when=FIRST_COMPLETED).done:
                todo.extendleft(reversed(self._end(future, pending.pop(future), rung, missing, begun)))
            self._tell_workers()
        self._tell_workers(at_once=bool(begun))

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

    def _stops(self, running: Iterable[_Work]) -> bool:
        """Whether nothing more may begin."""
        return self.stopping.wanted(sum(len(work.group) for work in running))

    def _share(self, rung: Rung, seeds: Sequence[int]) -> None:
        """Lets one worker make what the evaluations of a rung share, before others only load it."""
        begin = time.perf_counter()
        self.reporter.tell(running="what all candidates share")
        for seed in seeds:
            for tries in range(1, TRIES + 1):
                try:
                    self._make_shared(rung, seed)
                    break
                except WorkerError as error:
                    tell("worker lost", rung=rung.name, seed=seed, candidates=(), cause=error.cause)
                    if tries == TRIES:
                        what = f"what the candidates of rung {rung.name!r} share could not be made"
                        raise InputError(f"{what}, so the set-up is wrong: {error} ({TRIES} times)") from None
        self.store.add_shared_seconds(time.perf_counter() - begin)

    def _make_shared(self, rung: Rung, seed: int) -> None:
        """Waits for it, until someone asks to stop or the time is up."""
        future = self.executor.submit(Limited(executors.warm, Limits, "what all candidates share"), rung, seed)
        while not wait([future], timeout=1).done:
            self._tell_workers()
            self.stopping.check_overdue()
        future.result()

    def _begin(
        self, work: _Work, rung: Rung, missing: set[tuple[int, int]], begun: set[tuple[int, int]]
    ) -> Future[list[Evaluation]]:
        """Hands work to a worker."""
        for number in work.group:
            self._mark(number, rung, work.seed, missing, begun)
        self.reporter.tell(running=str(work))
        tell("evaluation started", rung=rung.name, seed=work.seed, candidates=work.group)
        candidates = [self.candidates[number] for number in work.group]
        most, name = partial(self._limits, rung, len(work.group)), f"{rung.name}: {work}"
        limited = Limited(executors.evaluate, most, name, partial(executors.warm, rung, work.seed))
        return self.executor.submit(limited, candidates, rung, work.seed)

    def _mark(
        self, number: int, rung: Rung, seed: int, missing: set[tuple[int, int]], begun: set[tuple[int, int]]
    ) -> None:
        """Marks an evaluation as running, once."""
        if (number, seed) in missing and (number, seed) not in begun:
            self.store.started(number, rung.name, seed)
            begun.add((number, seed))

    def _limits(self, rung: Rung, together: int) -> Limits:
        """What candidates may take together as far as it is known now."""
        fixed = self.settings.limits
        given = Limits(fixed.time or math.inf, fixed.memory * 1e9 if fixed.memory else math.inf)
        done = [e for e in self.results.ended(rung) if e.score is not None]
        return current_limits([e.seconds for e in done], [e.memory for e in done], together, self.executor.share, given)

    def _end(
        self,
        future: Future[list[Evaluation]],
        work: _Work,
        rung: Rung,
        missing: set[tuple[int, int]],
        begun: set[tuple[int, int]],
    ) -> list[_Work]:
        """Keeps what came of a work; gives what is to be done next because a worker was lost."""
        again: list[_Work] = []
        try:
            ended = future.result()
        except WorkerError as error:
            if self.stopping.asked:  # whoever stops the search may have stopped its workers, too
                return [work]
            again = self._again(error, work, rung, missing)
            ended = [] if again else self._failed(error, work, rung, missing, begun)
        for evaluation in ended:
            if (evaluation.candidate, evaluation.seed) in missing:
                _check_own(evaluation, rung)
                self.results.add(evaluation, rung)
                missing.discard((evaluation.candidate, evaluation.seed))
                self.stopping.keep_time()
                self.reporter.tell(done=self.reporter.now.done + 1, latest=evaluation)
                tell("evaluation ended", **evaluation.facts())
        return again

    def _again(self, error: WorkerError, work: _Work, rung: Rung, missing: set[tuple[int, int]]) -> list[_Work]:
        """What follows from a lost worker: the same again, one by one, or nothing, which is a failed evaluation.

        A group is tried again as it was, so that who stands beside whom stays; only when that is lost too, or when a
        limit was reached, its candidates go on one by one, and the one to blame fails alone, with every seed.
        """
        many, tries = len(work.group) > 1, self._losses(work, rung) + 1
        apart = many and (error.hopeless or tries >= TRIES)
        self.store.crashed(Crash(rung.name, work.seed, work.group, apart, error.cause, time.time()))
        tell("worker lost", rung=rung.name, seed=work.seed, candidates=work.group, cause=error.cause)
        if apart:
            return [_Work((number,), work.seed) for number in work.group if (number, work.seed) in missing]
        return [work] if many or tries < TRIES else []

    def _losses(self, work: _Work, rung: Rung) -> int:
        """Workers that were lost with a group and its seed, or with a candidate alone and any seed."""
        mine = [one for one in self.store.crashes() if (one.rung, one.candidates) == (rung.name, work.group)]
        return sum(one.seed == work.seed or len(work.group) == 1 for one in mine)

    def _failed(
        self,
        error: WorkerError,
        work: _Work,
        rung: Rung,
        missing: set[tuple[int, int]],
        begun: set[tuple[int, int]],
    ) -> list[Evaluation]:
        """The evaluations of a candidate that lost every worker it was given: with every seed."""
        number, now = work.group[0], time.time()
        reason = f"{error.cause} ({self._losses(work, rung)} times)"
        seeds = [seed for seed in rung.seeds if (number, seed) in missing]
        for seed in seeds:
            self._mark(number, rung, seed, missing, begun)
        return [Evaluation(number, rung.name, seed, State.FAILED, error=reason, ended=now) for seed in seeds]

    def _tell_workers(self, at_once: bool = False) -> None:
        """Lets those who look from outside see what the workers do, once a second."""
        if at_once or time.monotonic() - self._told > 1:
            self._told, workers = time.monotonic(), tuple(self.executor.workers())
            self.store.tell_workers(map(asdict, workers))
            self.reporter.tell(workers=workers)


def tell(event: str, **facts: object) -> None:
    """Logs what happened."""
    _log.info(event, extra={"facts": facts})


def _check_own(evaluation: Evaluation, rung: Rung) -> None:
    """Ends the search when the detector's own loss fails; nothing is kept of it, so it is tried again."""
    if evaluation.candidate == OWN and any(score <= 0 for score in parts(evaluation.metrics)):
        shown = ", ".join(f"{score:g}" for score in parts(evaluation.metrics))
        raise InputError(
            f"rung {rung.name!r}: the detector's own loss scores {shown} with the evaluators; what is scored over it "
            "needs more than 0 with each"
        )
    if evaluation.candidate == OWN and evaluation.score is not None and evaluation.score < 0:
        raise InputError(
            f"rung {rung.name!r}: the detector's own loss scores {evaluation.score:g}; scores begin at 0, higher is "
            "better: give an mAP, an accuracy, or exp(-error)"
        )
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
