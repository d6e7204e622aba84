"""Profiling: what the parts of a search cost on this machine, by doing a little of each with the real evaluator."""

from __future__ import annotations

import itertools
import logging
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autoloss.candidate import OWN, Candidate, Evaluation, Kind, Refusal, State
from autoloss.evaluator import Measurable, class_of
from autoloss.rungs.rung import Rung
from autoloss.search.cost_model import Cost, MachineCosts, Parts, project
from autoloss.search.population import Birth, Population
from autoloss.search.progress import Forecast
from autoloss.search.selection.visits import reaching
from autoloss.settings import Settings
from autoloss.store.file import FILE
from autoloss.store.run import Run
from autoloss.workers import executors
from autoloss.workers.limits import Limited, Limits, WorkerError, current_limits
from autoloss.workers.memory import forget_peak, lacks_memory, out_of_memory, peak_of_device, what_to_lower
from autoloss.workers.simulation_rung import Evaluators
from primitives.errors import InputError
from primitives.system import scratch

_log = logging.getLogger(__name__)
_ROWS = 20
"""Evaluations whose size in a run file is measured."""
_SHORT, _UNSURE = 0.5, 0.15
"""Seconds for each thing that a forecast measures, and the share by which it may be wrong."""
Watch = Callable[[str, int, int], None]
"""Called with what is measured now, its number from 0, and how many there are."""


@dataclass(frozen=True)
class Proposed:
    """A sample of proposals that went through the gates.

    Args:
        candidates: the given ones, and some that were found.
        refusals: on the way to them.
        births: seconds to find one, from nothing and from parents.
    """

    candidates: list[Candidate]
    refusals: list[Refusal]
    births: tuple[float, float]


def measure_costs(settings: Settings, seconds: float, watch: Watch = lambda *_: None) -> MachineCosts:
    """Does a little of everything that a search does, with as many workers at once as the config asks for.

    Args:
        settings: of the search; evaluations are measured on this machine, also where it names a cluster.
        seconds: about so many for each thing that is measured.
        watch: sees the progress.

    Raises:
        InputError: the evaluator cannot be measured, the set-up cannot work, or there is no memory for a rung.
    """
    settings = settings.model_copy(update={"ray": None})
    steps = itertools.count()

    def now(what: str) -> None:
        watch(what, next(steps), 3 + 2 * len(settings.rungs))

    now("data")
    slots = {name: slot.grammar for name, slot in settings.slots.items()}
    tasks = [rung.task for rung in settings.rungs]
    executors.check_room(settings)
    begun = time.perf_counter()
    evaluators = Evaluators(settings.evaluator_spec, settings.stand_ins)
    _check_measurable(evaluators)
    evaluators.prepare(slots, tasks)
    begin = time.perf_counter() - begun
    now("proposals and gates")
    sample = proposed(settings, seconds)
    now("workers")
    workers = executors.make(settings)
    try:
        begun = time.perf_counter()
        for future in [workers.submit(ready, slots, tasks) for _ in range(workers.width)]:
            future.result()
        start = time.perf_counter() - begun
        costs, data = rung_costs(settings, workers, sample.candidates, seconds, now)
    finally:
        workers.shutdown(cancel_futures=True)
    gpus = torch.cuda.device_count()
    devices = min(workers.width, gpus) or workers.width
    name = torch.cuda.get_device_name() if gpus else "cpu"
    sizes = (*run_bytes(settings, sample), data)
    return MachineCosts(name, devices, workers.width // devices, begin, start, sample.births, costs, *sizes)


def forecast(settings: Settings, workers: executors.Workers) -> Forecast | None:
    """A short measurement by the workers of a search before they begin.

    Args:
        settings: of the search.
        workers: of this machine.

    Returns:
        None where it cannot be measured: by an evaluator without the methods, on a cluster, or because something is
        wrong, which the search will say.
    """
    if settings.ray is not None or not issubclass(class_of(settings.evaluator_spec), Measurable):
        return None
    begin = time.perf_counter()
    try:
        sample = proposed(settings, 2 * _SHORT)
        costs, _ = rung_costs(settings, workers, sample.candidates, _SHORT)
    except InputError as error:
        _log.debug("no forecast: %s", error)
        return None
    spent = time.perf_counter() - begin
    devices = min(workers.width, torch.cuda.device_count()) or workers.width
    measured = MachineCosts("", devices, workers.width // devices, spent, 0.0, sample.births, costs)
    walls = [project(settings, measured, reaching(settings, passing)).wall[devices] for passing in (False, True)]
    each = {rung.name: costs[rung.name].seconds(rung.batch, rung.batch) / rung.batch for rung in settings.rungs}
    return Forecast(walls[0] * (1 - _UNSURE), walls[1] * (1 + _UNSURE), each)


def rung_costs(
    settings: Settings,
    workers: executors.Workers,
    candidates: Sequence[Candidate],
    seconds: float,
    now: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Cost], float]:
    """Cost of every rung by its name, and bytes of prepared data.

    Args:
        settings: of the search.
        workers: measure, all at once.
        candidates: to measure with, the detector's own loss among them.
        seconds: about so many for each thing that is measured.
        now: is told what that is.

    Raises:
        InputError: see `measure_costs`.
    """
    costs, data = {}, 0.0
    for rung in settings.rungs:
        with scratch.folder() as folder:
            profiler = _RungProfiler(settings, rung, workers, candidates, seconds, folder)
            now(f"{rung.name}: what candidates share")
            shared = profiler.shared()
            now(f"{rung.name}: evaluations")
            costs[rung.name], more = profiler.cost(shared)
            data = max(data, more)
    return costs, data


def _check_measurable(evaluators: Evaluators) -> None:
    if not isinstance(evaluators.trained, Measurable):
        raise InputError(
            f"search.evaluator: {type(evaluators.trained).__name__} cannot be measured; give it the methods 'measure' "
            "and 'measure_shared' of Measurable in autoloss/evaluator.py"
        )


def _check_told(names: Collection[str], method: str) -> None:
    lacks = [name for name in ("fixed", "iteration", "evaluate", "iterations") if name not in names]
    if lacks:
        raise InputError(f"the evaluator's `{method}` does not give {', '.join(lacks)}; see Measurable")


@dataclass(frozen=True)
class _RungProfiler:
    """Measures one rung."""

    settings: Settings
    rung: Rung
    workers: executors.Workers
    candidates: Sequence[Candidate]
    seconds: float
    folder: str

    def shared(self) -> Mapping[str, float]:
        """What candidates share, by one worker, as in a search; empty where there is nothing."""
        future = self.workers.submit(self._limited(measure_shared), self.rung, self.seconds, self.folder)
        try:
            found = self._result(future)
            if found:
                _check_told(found, "measure_shared")
            return found
        except InputError:
            raise
        except Exception as error:
            what = f"what the candidates of rung {self.rung.name!r} share could not be made"
            raise InputError(f"{what}, so the set-up is wrong: {error}") from None

    def cost(self, shared: Mapping[str, float]) -> tuple[Cost, float]:
        """Cost of the rung, and bytes of prepared data."""
        one = self._mean(1)
        group = self._mean(self.rung.batch) if self.rung.batch > 1 else one
        loaded = shared.get("memory_more", 0.0)  # which all of them hold
        memory = max(shared.get("memory", 0.0), one["memory"] + loaded, group["memory"] + loaded)
        cost = Cost(
            _parts(one),
            _parts(group),
            int(one["iterations"]),
            _parts(shared) if shared else None,
            int(shared.get("iterations", 0)),
            shared.get("load", 0.0),
            memory,
            shared.get("bytes", 0.0),
        )
        return cost, one.get("bytes_data", 0.0)

    def _mean(self, count: int) -> dict[str, float]:
        """Costs of a group of so many candidates, another group in each worker, all workers at once."""
        # Alone only those that were given: what is found may fail, and then costs less.
        among = [one for one in self.candidates if count > 1 or self.rung.descends or one.kind is not Kind.FOUND]
        groups = [
            [among[(count * worker + place) % len(among)] for place in range(count)]
            for worker in range(self.workers.width)
        ]
        futures = [self._submit(group) for group in groups]
        found = [self._told(future, group) for future, group in zip(futures, groups, strict=True)]
        names = set.intersection(*(set(one) for one in found))
        _check_told(names, "measure")
        return {
            name: max(one[name] for one in found)
            if name in ("memory", "bytes_data")
            else statistics.fmean(one[name] for one in found)
            for name in names
        }

    def _submit(self, group: Sequence[Candidate]) -> Future[dict[str, float]]:
        seconds = self.seconds / min(2, self.rung.batch)
        return self.workers.submit(self._limited(measure_group), list(group), self.rung, seconds, self.folder)

    def _told(self, future: Future[dict[str, float]], group: Sequence[Candidate]) -> dict[str, float]:
        """What a worker measured; the detector's own loss takes the place of one that fails."""
        try:
            return self._result(future)
        except InputError:
            raise
        except Exception as error:
            if all(one.number == OWN for one in group):
                raise InputError(
                    f"the detector's own loss failed at rung {self.rung.name!r}, so the set-up is wrong: {error}"
                ) from None
            names = ", ".join(str(one.number) for one in group)
            template = "measuring rung %r with candidates %s failed (%s); the detector's own loss takes their place"
            _log.warning(template, self.rung.name, names, error)
            group = [one for one in self.candidates if one.number == OWN] * len(group)
            return self._told(self._submit(group), group)

    def _result(self, future: Future[dict[str, float]]) -> dict[str, float]:
        try:
            return future.result()
        except InputError:
            raise
        except Exception as error:
            if lacks_memory(error if not isinstance(error, WorkerError) else str(error)):
                raise InputError(
                    f"rung {self.rung.name!r}: {out_of_memory(error)}; {what_to_lower(self.rung.batch)}"
                ) from None
            raise

    def _limited(self, call: Callable[..., Any]) -> Limited:
        fixed = self.settings.limits.memory
        given = Limits(memory=fixed * 1e9 if fixed else float("inf"))
        most = current_limits([], [], self.rung.batch, self.workers.share, given)
        return Limited(call, lambda: most, f"measuring {self.rung.name}")


def _parts(found: Mapping[str, float]) -> Parts:
    return Parts(found["fixed"], found["iteration"], found["evaluate"])


def ready(slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
    """Lets a worker load what it needs before its first evaluation."""
    executors.held().prepare(slots, tasks)


def measure_shared(rung: Rung, seconds: float, folder: str) -> dict[str, float]:
    """In a worker: see `Measurable`; with `memory`, the bytes that it takes."""
    evaluator = executors.held().of(rung.task)
    assert isinstance(evaluator, Measurable)
    forget_peak()
    found = dict(evaluator.measure_shared(rung.task, seconds, folder))
    return {**found, "memory": peak_of_device() + found.get("memory_more", 0.0)} if found else {}


def measure_group(candidates: Sequence[Candidate], rung: Rung, seconds: float, folder: str) -> dict[str, float]:
    """In a worker: the same of candidates side by side."""
    forget_peak()
    evaluator = executors.held().of(rung.task)
    assert isinstance(evaluator, Measurable)
    found = dict(evaluator.measure([one.spec() for one in candidates], rung.task, seconds, folder))
    return {**found, "memory": peak_of_device() + found.get("memory_more", 0.0)}


def proposed(settings: Settings, seconds: float) -> Proposed:
    """Candidates that a search would find, half the time from nothing, as in its first generation, half from parents.

    Raises:
        InputError: no formula passes the gates.
    """
    population = Population(settings.model_copy(update={"births": 1}))
    whole = Birth()
    spent: list[float] = []
    for generation in range(min(2, settings.generations)):
        begun, count = time.perf_counter(), 0
        while count == 0 or (time.perf_counter() - begun < seconds / 2 and count < settings.births):
            birth = population.ask(0 if not whole.candidates else 1)
            whole.candidates += birth.candidates
            whole.refusals += birth.refusals
            count += 1
        spent.append((time.perf_counter() - begun) / count)
        population.tell([candidate.number for candidate in whole.candidates])
        _log.debug("generation %d: %d found", generation, count)
    return Proposed(whole.candidates, whole.refusals, (spent[0], spent[-1]))


def run_bytes(settings: Settings, sample: Proposed) -> tuple[float, float]:
    """Bytes of a run file for a candidate found, refusals included, and for an evaluation."""
    rung = settings.ladder[-1]
    metrics = dict.fromkeys(("score", "mAP", "mAP_50", "mAP_75", "loss", "seconds_train", "seconds_eval"), 1 / 3)
    sizes = []
    with scratch.folder() as folder:
        for part in range(3):
            with Run.create(Path(folder) / "run", settings.identity()) as run:
                if part == 1:
                    run.born(sample.candidates, sample.refusals)
                for seed in range(_ROWS if part == 2 else 0):
                    run.started(OWN, rung.name, seed)
                    run.finished(Evaluation(OWN, rung.name, seed, State.DONE, 1 / 3, metrics, None, 1 / 3, time.time()))
            sizes.append((Path(folder) / "run" / FILE).stat().st_size)
    found = sum(candidate.kind is Kind.FOUND for candidate in sample.candidates)
    return (sizes[1] - sizes[0]) / found, (sizes[2] - sizes[1]) / _ROWS
