"""Verdict: what the scores of known losses say of a search: pure functions of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from autoloss.candidate import OWN, Kind
from autoloss.search import fidelity
from autoloss.search.headroom.known import LEARNT, SECONDS
from autoloss.search.results import TRAINS
from autoloss.search.selection.objective import relative
from autoloss.store.run import Run
from autoloss.values import LEVEL, POWER
from primitives.errors import InputError

_MOST_SEEDS = 1000
_WORTH = 0.02
"""A gain that a search may be paid for: where none as large can be, losses are saturated."""


@dataclass(frozen=True)
class Scored:
    """A loss and its scores.

    Args:
        number: of the candidate.
        name: what it is, for people.
        kind: the detector's own, a known loss, or the own with another weight.
        scores: of each seed.
        mean: of them.
        deviation: their standard deviation.
        trains: whether every score is `TRAINS` of the own loss's mean at least.
        chance: that noise alone would make the best of as many losses as there are look so much better than the own
            one (Dunnett's test); None for the own one and those that do not train.
    """

    number: int
    name: str
    kind: str
    scores: tuple[float, ...]
    mean: float
    deviation: float
    trains: bool
    chance: float | None = None


@dataclass(frozen=True)
class Headroom:
    """What known losses say of a search.

    Args:
        rung: at which they were trained.
        metric: what the scores are.
        seeds: of the trainings; every loss has been trained with the same.
        losses: that were trained, best first.
        failed: names of those of which a training failed.
        noise: standard deviation of the scores of one loss over seeds, pooled over all that train.
        spread: best mean less worst, of those that train.
        own: the detector's own loss.
        tuned: the best of the own loss and its other weights.
        best: the best known loss.
        smallest: least difference of two losses that so many seeds show, by their number.
        needed: seeds that would show the gain of the best known loss over the own one; None where it has none.
        seconds: least and most that the search would take here; empty where that is not known.
        verdict: in a sentence.
        ranks: how the search's cheap rungs rank these losses beside the last one: Spearman's correlation and its 95 %
            interval, by rung; of those at which all have been.
    """

    rung: str
    metric: str
    seeds: tuple[int, ...]
    losses: tuple[Scored, ...]
    failed: tuple[str, ...]
    noise: float
    spread: float
    own: Scored
    tuned: Scored
    best: Scored
    smallest: dict[int, float]
    needed: int | None
    seconds: tuple[float, ...]
    verdict: str
    ranks: dict[str, tuple[float, float, float]]


def smallest_difference(noise: float, seeds: int, freedom: int) -> float:
    """The least true difference of two losses that a comparison of their means shows with the chance `POWER`.

    Formula: (t(1 - LEVEL / 2) + t(POWER)) noise sqrt(2 / seeds), t the quantiles of Student's distribution with the
    degrees of freedom of the noise.

    Args:
        noise: standard deviation over seeds.
        seeds: trainings of each of the two.
        freedom: degrees of freedom that the noise was estimated with.

    Source: Bloom 1995, Evaluation Review 19(5), minimum detectable effects.
    """
    return float(stats.t.ppf([1 - LEVEL / 2, POWER], freedom).sum()) * noise * math.sqrt(2 / seeds)


def analysed(run: Run) -> Headroom:
    """What a measurement says, as far as it has come: of the seeds with which every loss has been trained.

    Raises:
        InputError: these are fewer than two, no known loss trains, or the run is a search.
    """
    rung = run.settings.ladder[-1]
    evaluations = relative(run.evaluations(rung.name), run.settings.objective)
    candidates = {one.number: one for one in run.candidates()}
    if any(one.kind is Kind.FOUND for one in candidates.values()):
        raise InputError(f"{run.directory} holds a search, no measurement of headroom; `autoloss show` reads it")
    ended = {seed: {e.candidate for e in evaluations if e.seed == seed and e.ended} for seed in rung.seeds}
    seeds = tuple(seed for seed in rung.seeds if candidates and ended[seed] == candidates.keys())
    if len(seeds) < 2:
        total = len(candidates) * len(rung.seeds)
        done = sum(map(len, ended.values()))
        raise InputError(f"{run.directory}: {done} of {total} trainings are done; needed: all losses with two seeds")
    found: dict[int, dict[int, float]] = {number: {} for number in candidates}
    for e in evaluations:
        if e.score is not None and e.seed in seeds:
            found[e.candidate][e.seed] = e.score
    whole = {number: [scores[seed] for seed in seeds] for number, scores in found.items() if len(scores) == len(seeds)}
    if OWN not in whole:
        raise InputError(f"{run.directory}: the detector's own loss failed, so there is nothing to compare with")
    failed = tuple(str(candidates[number].origin) for number in candidates if number not in whole)
    floor = TRAINS * statistics.fmean(whole[OWN])
    scored = {
        number: Scored(
            number,
            str(candidates[number].origin),
            candidates[number].kind.value,
            tuple(scores),
            statistics.fmean(scores),
            statistics.stdev(scores),
            number == OWN or min(scores) >= floor,
        )
        for number, scores in whole.items()
    }
    description = run.description
    return judged(
        list(scored.values()),
        seeds,
        rung.name,
        str(description.get("metric", "mAP")),
        failed,
        tuple(description.get(SECONDS, ())),
        _ranks(run) if seeds == tuple(rung.seeds) and len(whole) >= fidelity.LEAST else {},
    )


def _ranks(run: Run) -> dict[str, tuple[float, float, float]]:
    if len(run.settings.ladder) < 2:
        return {}
    everything = len(run.candidates())
    return {
        one.rung: one.agreement["all"].spearman
        for one in fidelity.analysed(run)
        if "all" in one.agreement and len(one.scores) == everything
    }


def judged(
    losses: Sequence[Scored],
    seeds: tuple[int, ...],
    rung: str,
    metric: str = "mAP",
    failed: tuple[str, ...] = (),
    seconds: tuple[float, ...] = (),
    ranks: Mapping[str, tuple[float, float, float]] | None = None,
) -> Headroom:
    """What scores say of a search.

    Args:
        losses: the detector's own, known ones and controls, each with a score for each seed.
        seeds: of the scores.
        rung, metric, failed, seconds, ranks: as of `Headroom`.

    Raises:
        InputError: no known loss trains.
    """
    losses = _against_own(losses)
    ranked = tuple(sorted(losses, key=lambda one: (-one.mean, one.number)))
    training = [one for one in ranked if one.trains]
    own = next(one for one in losses if one.number == OWN)
    tuned = next(one for one in training if one.kind != Kind.KNOWN.value)
    best = next((one for one in training if one.kind == Kind.KNOWN.value), None)
    if best is None:
        raise InputError("no known loss scores half as much as the detector's own: look at the weights of its slots")
    noise = math.sqrt(statistics.fmean(one.deviation**2 for one in training))
    freedom = len(training) * (len(seeds) - 1)
    smallest = {n: smallest_difference(noise, n, freedom) for n in sorted({2, 3, 5, 10, len(seeds)})}
    return Headroom(
        rung,
        metric,
        seeds,
        ranked,
        failed,
        noise,
        training[0].mean - training[-1].mean,
        own,
        tuned,
        best,
        smallest,
        _needed(best.mean - own.mean, noise, freedom),
        seconds,
        _sentence(best, own, tuned, noise, len(seeds), freedom, _differ(training)),
        dict(ranks or {}),
    )


def _against_own(losses: Sequence[Scored]) -> list[Scored]:
    """The losses with their chances; together, so that the best of many has to be better than one alone.

    Source: Dunnett 1955, JASA 50(272), by SciPy.
    """
    own = next(one for one in losses if one.number == OWN)
    others = [one for one in losses if one.trains and one.number != OWN]
    if not others or not any(one.deviation for one in (own, *others)):
        return list(losses)
    samples = [np.asarray(one.scores) for one in others]
    test = stats.dunnett(
        *samples, control=np.asarray(own.scores), alternative="greater", random_state=np.random.default_rng(0)
    )
    chances = {one.number: float(chance) for one, chance in zip(others, test.pvalue, strict=True)}
    return [Scored(**{**one.__dict__, "chance": chances.get(one.number)}) for one in losses]


def _needed(gain: float, noise: float, freedom: int) -> int | None:
    if gain <= 0:
        return None
    return next((n for n in range(2, _MOST_SEEDS) if smallest_difference(noise, n, freedom) <= gain), None)


def _differ(losses: Sequence[Scored]) -> bool:
    """Whether any of them differs from the others by more than noise (Fisher's analysis of variance)."""
    if not any(one.deviation for one in losses):
        return len({one.mean for one in losses}) > 1
    return len(losses) > 1 and float(stats.f_oneway(*(one.scores for one in losses)).pvalue) < LEVEL


def _sentence(best: Scored, own: Scored, tuned: Scored, noise: float, seeds: int, freedom: int, differ: bool) -> str:
    gain, over = best.mean - own.mean, best.mean - tuned.mean
    if (most := max(best.mean, tuned.mean)) < LEARNT:
        return (
            f"too early to tell: the best of these losses scores {_points(most)}, so the detector has hardly learnt; "
            "train longer (--cfg-options search.finale.rung.task.iterations=N), or on larger images"
        )
    shows = smallest_difference(noise, seeds, freedom)
    beats = best.chance is not None and best.chance < LEVEL
    # One comparison of two means with the pooled noise; that of the best known loss with the own one is Dunnett's.
    error = noise * math.sqrt(2 / seeds)
    clear = error > 0 and float(stats.t.sf(over / error, freedom)) < LEVEL
    seen = f"{seeds} seeds show {_points(shows)} or more"
    if beats and clear:
        beside = "" if tuned is own else f", {100 * over:.1f} over it with a tuned weight"
        return (
            f"known losses differ by {_points(gain)} (the best over the own one{beside}) and seeds by "
            f"{100 * noise:.1f}: a search can pay"
        )
    if beats:
        return (
            f"the best known loss gains {_points(gain)}, but the own one with another weight gains "
            f"{_points(tuned.mean - own.mean)} ({seen}): tune weights first; a search must beat that"
        )
    if tuned.number != OWN and tuned.chance is not None and tuned.chance < LEVEL:
        return (
            f"the own loss with another weight gains {_points(tuned.mean - own.mean)} and no known loss more: "
            f"tune weights first ({seen})"
        )
    highest = gain + float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    if highest >= _WORTH and gain <= 0:
        return (
            f"undecided: no known loss is seen to gain (the best {100 * gain:+.1f} points, {100 * highest:+.1f} at "
            "most); more seeds would tell before a search is paid for"
        )
    if highest >= _WORTH:
        return (
            f"undecided: the best known loss gains {_points(gain)} and {seen}; more seeds would tell before a "
            "search is paid for"
        )
    what = "no known loss beats the own one by more than the noise" if differ else "all known losses within the noise"
    return f"saturated: {what} (the best {100 * gain:+.1f} points, {100 * highest:+.1f} at most)"


def _points(difference: float) -> str:
    return f"{100 * difference:.1f} points"
