"""Fidelity: how well cheap rungs rank: the same losses at every rung of a ladder and at a long training, the truth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from autoloss.candidate import OWN, Candidate, Kind, Origin, State
from autoloss.rungs.rung import Rung
from autoloss.search.population import Population
from autoloss.search.progress import Watcher
from autoloss.search.results import mean_scores, rung_noise
from autoloss.search.runner import prepare, running
from autoloss.search.selection.objective import relative
from autoloss.settings import Budget, Settings
from autoloss.store.run import Run
from primitives.catalog import slots
from primitives.errors import InputError

FREE = ("ladder", "finale")
"""Settings that may change when a measurement goes on: rungs come and go, what was measured at others stays."""
KINDS = ("all", "top", *slots().values(), "pairs")
"""Kinds of losses that agreement is told of; `top` is the better half by the truth."""
LEAST = 4
"""Losses that agreement is told of, at least."""
RESAMPLES = 2000
"""Populations drawn with replacement for an interval."""

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Agreement:
    """How well a rung ranks some of the losses.

    Args:
        losses: how many were scored at both.
        spearman: rank correlation with the truth, and its 95 % bootstrap interval over losses.
        kendall: tau-b, the same way.
        kept: share of the best quarter by the truth that stands in the rung's better half.
    """

    losses: int
    spearman: tuple[float, float, float]
    kendall: tuple[float, float, float]
    kept: float


@dataclass(frozen=True)
class RungFidelity:
    """A rung beside the truth.

    Args:
        rung: its name.
        seconds: of a candidate, over all its seeds.
        seeds: how many.
        agreement: by kind of loss, one of KINDS.
        scores: (rung, truth) of every candidate that has both.
        failed: candidates without a score at the rung.
        errors: standard errors of a loss's mean at the rung and at the truth, pooled over losses; None of one seed.
    """

    rung: str
    seconds: float
    seeds: int
    agreement: Mapping[str, Agreement]
    scores: Mapping[int, tuple[float, float]]
    failed: int
    errors: tuple[float | None, float | None] = (None, None)


def measure_fidelity(
    settings: Settings, run: Run, population: Sequence[Candidate] = (), watch: Watcher = lambda _: None
) -> None:
    """Trains every loss at every rung of the ladder, and at the finale's rung, which counts as the truth.

    Args:
        settings: of a search; its first generation, with the known losses and controls, is the population.
        run: holds what is done already; made with `FREE` settings.
        population: other losses, which take the place of the first generation.
        watch: sees the progress.

    Raises:
        InputError: no finale, or the set-up cannot work.
    """
    settings = settings.model_copy(update={"budget": Budget()})  # it is for searches
    prepare(settings, run)
    same_tasks(run, rungs(settings))
    if not run.candidates():
        run.born(population or Population(settings).ask(0).candidates, [])
    elif population and [one.losses for one in population] != [one.losses for one in run.candidates()]:
        raise InputError(f"{run.directory} holds measurements of other losses; name another directory")
    with running(settings, run, watch) as runner:
        for rung in rungs(settings):
            runner.evaluate(list(runner.candidates), rung)


def same_tasks(run: Run, measured: Sequence[Rung]) -> None:
    """Refuses a rung whose name stands for something else in the run.

    Args:
        run: of a measurement.
        measured: rungs at which it goes on.

    Raises:
        InputError: one was measured with another task.
    """
    for rung in measured:
        now = rung.model_dump(mode="json", include={"task", "batch"})
        if not run.evaluations(rung.name) or not run.measured_task(rung.name):
            run.keep_measured_task(rung.name, now)
        elif run.measured_task(rung.name) != now:
            raise InputError(
                f"{run.directory}: rung {rung.name!r} was measured with another task; give this one another name"
            )


def rungs(settings: Settings) -> list[Rung]:
    """The rungs that are measured, and the truth last.

    Raises:
        InputError: the config has no finale.
    """
    if settings.finale is None:
        raise InputError("fidelity needs search.finale: its rung is the training that cheaper rungs are compared with")
    return [*settings.ladder, settings.finale.rung]


def late(search: Run, count: int) -> list[Candidate]:
    """The detector's own loss and the last losses that a search found, numbered anew.

    Args:
        search: the run.
        count: how many.

    Raises:
        InputError: it found fewer.
    """
    all_of_them = search.candidates()
    found = [candidate for candidate in all_of_them if candidate.kind is Kind.FOUND][-count:]
    if len(found) < count:
        raise InputError(f"{search.directory} found {len(found)} losses, {count} were asked for")
    first = next(candidate for candidate in all_of_them if candidate.number == OWN)
    return [
        first,
        *(
            replace(one, number=number, generation=0, parents=(), origin=_origin_elsewhere(one))
            for number, one in enumerate(found, start=1)
        ),
    ]


def _origin_elsewhere(one: Candidate) -> Origin:
    """The origin of a candidate of another search."""
    return replace(one.origin, numbers=(one.number, *one.origin.numbers))


def analysed(run: Run) -> list[RungFidelity]:
    """Every rung of a measurement beside the last, the truth; a loss that failed at a rung is below all others there.

    A rung at which fewer than `LEAST` losses have been is left out.

    Args:
        run: of a measurement of fidelity, or of headroom.

    Raises:
        InputError: the truth is not there yet.
    """
    finale = run.settings.finale
    *ladder, truth = [*run.settings.ladder, *([finale.rung] if finale else [])]
    wanted = _means(run, truth)
    if len(wanted) < LEAST:
        raise InputError(f"{run.directory}: {len(wanted)} losses have been trained at {truth.name!r}; needed: {LEAST}")
    kinds = {candidate.number: _kind(candidate) for candidate in run.candidates()}
    found = []
    for rung in ladder:
        scores = _means(run, rung)
        ended = scores.keys() | {e.candidate for e in run.evaluations(rung.name) if e.state is State.FAILED}
        pairs = {n: (scores.get(n, -1.0), wanted[n]) for n in sorted(ended & wanted.keys())}
        agreement = {}
        top = sorted(pairs, key=lambda number: -pairs[number][1])[: (len(pairs) + 1) // 2]
        for kind in KINDS:
            chosen = top if kind == "top" else [number for number in pairs if kind in ("all", kinds[number])]
            mine = [pairs[number] for number in chosen]
            if len(mine) >= LEAST:
                agreement[kind] = agreed(np.asarray(mine))
        if "all" not in agreement:  # of a rung that came later it may be that few have been trained yet
            continue
        seconds = _seconds(run, rung)
        failed = len(ended - scores.keys())
        errors = (_standard_error(run, rung), _standard_error(run, truth))
        found.append(RungFidelity(rung.name, seconds, len(rung.seeds), agreement, pairs, failed, errors))
    return found


def agreed(pairs: Numbers) -> Agreement:
    """Agreement of two columns of scores (N, 2): of a rung, and the truth.

    Source: bootstrap percentile intervals: Efron 1979, Annals of Statistics 7(1).
    """
    count = len(pairs)
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    times = np.stack([np.bincount(sample, minlength=count) for sample in drawn])
    found = []
    for statistic in (spearman, kendall):
        values = statistic(pairs, times)
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, (2.5, 97.5)) if len(values) else (math.nan, math.nan)
        found.append((float(statistic(pairs, np.ones((1, count)))[0]), float(low), float(high)))
    best = np.argsort(-pairs[:, 1], kind="stable")[: max(1, len(pairs) // 4)]
    half = np.argsort(-pairs[:, 0], kind="stable")[: (len(pairs) + 1) // 2]
    return Agreement(len(pairs), found[0], found[1], len({*best.tolist()} & {*half.tolist()}) / len(best))


def spearman(pairs: Numbers, times: Numbers) -> Numbers:
    """Rank correlation of two columns (N, 2) in every resample, whose row of `times` (R, N) counts each pair.

    Returns:
        (R,); NaN where one column is constant, as it is in some small resamples.
    """
    # Twice a rank's distance from the mean rank is how many stand below less how many stand above.
    first, second = (times @ signs for signs in _signs(pairs))
    return _ratio(times * first * second, times * first**2, times * second**2)


def kendall(pairs: Numbers, times: Numbers) -> Numbers:
    """Kendall's tau-b of two columns in every resample; arguments and result as of `spearman`."""
    first, second = _signs(pairs)
    return _ratio(*(times * (times @ product) for product in (first * second, first**2, second**2)))


def _signs(pairs: Numbers) -> tuple[Numbers, Numbers]:
    """Of each column: 1 where the row's element stands below the column's, -1 above, 0 beside it; (N, N) each."""
    first, second = (np.sign(column - column[:, None]) for column in pairs.T)
    return first, second


def _ratio(both: Numbers, first: Numbers, second: Numbers) -> Numbers:
    """Sum of each row of `both` by the roots of the others' sums; never 1.0000000002."""
    with np.errstate(invalid="ignore"):
        ratio: Numbers = both.sum(1) / np.sqrt(first.sum(1)) / np.sqrt(second.sum(1))
    return np.clip(ratio, -1, 1)


def _kind(candidate: Candidate) -> str:
    if len(candidate.losses) == 1:
        return slots()[next(iter(candidate.losses))]
    return "pairs" if candidate.losses else "own"


def _means(run: Run, rung: Rung) -> dict[int, float]:
    return mean_scores(relative(run.evaluations(rung.name), run.settings.objective), rung.seeds)


def _standard_error(run: Run, rung: Rung) -> float | None:
    """Of a loss's mean over seeds, without what a seed does to all losses."""
    known = rung_noise(relative(run.evaluations(rung.name), run.settings.objective))
    return known.deviation / math.sqrt(len(rung.seeds)) if known else None


def _seconds(run: Run, rung: Rung) -> float:
    """Of a candidate that finished, all seeds."""
    spent = [e.seconds for e in run.evaluations(rung.name) if e.score is not None]
    return statistics.fmean(spent) * len(rung.seeds) if spent else float("nan")
