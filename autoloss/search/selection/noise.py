"""Noise: what seeds do to scores, and what a difference is worth beside it; pure functions of scores by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from autoloss.candidate import Evaluation, State
from autoloss.values import LEVEL

Scores = Mapping[int, Mapping[int, float]]
"""Of each candidate, by seed."""


@dataclass(frozen=True)
class Noise:
    """How scores of one candidate scatter over seeds, apart from what a seed does to all candidates alike.

    Args:
        deviation: standard deviation.
        freedom: degrees of freedom it was estimated with.
    """

    deviation: float
    freedom: int

    def error(self, seeds: int) -> float:
        """Standard error of the difference of two candidates that have so many seeds in common."""
        return self.deviation * math.sqrt(2 / seeds)

    def margin(self, seeds: int) -> float:
        """What such a difference must exceed to be none of noise, at `LEVEL`, two-sided."""
        return float(stats.t.ppf(1 - LEVEL / 2, self.freedom)) * self.error(seeds)


@dataclass(frozen=True)
class Difference:
    """Of a candidate's scores to those of another with the same seeds.

    Args:
        mean: of the differences.
        low: end of the interval at 1 - `LEVEL`.
        high: the other end.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    seeds: int


def by_seed(evaluations: Iterable[Evaluation]) -> dict[int, dict[int, float]]:
    """Scores of the candidates of a rung that ended, but for those that failed with a seed."""
    found: dict[int, dict[int, float]] = {}
    failed = set()
    for one in evaluations:
        if one.score is not None:
            found.setdefault(one.candidate, {})[one.seed] = one.score
        elif one.state is State.FAILED:
            failed.add(one.candidate)
    return {number: scores for number, scores in found.items() if number not in failed}


def noise(scores: Scores, least: float = -math.inf) -> Noise | None:
    """The noise of a rung, pooled over all candidates that have several seeds; None where that is none.

    Formula: score = candidate + seed + residual, by least squares; the deviation is that of the residuals.

    Args:
        scores: of a rung.
        least: score with a seed below which a loss has not trained, so that its scatter says nothing.
    """
    several = [mine for mine in scores.values() if len(mine) > 1 and min(mine.values()) >= least]
    seeds = sorted(set().union(*several))
    values, design = [], []
    for mine in several:  # less the means of each candidate, whose effect is gone then (Frisch and Waugh 1933)
        rows, value = np.array([[seed == one for one in seeds] for seed in mine], float), np.array([*mine.values()])
        design.append(rows - rows.mean(0))
        values.append(value - value.mean())
    if not several:
        return None
    left, right = np.concatenate(design), np.concatenate(values)
    effects, _, rank, _ = np.linalg.lstsq(left, right, rcond=None)
    freedom = len(right) - len(several) - int(rank)
    if freedom < 1:
        return None
    return Noise(math.sqrt(float(((right - left @ effects) ** 2).sum()) / freedom), freedom)


def level_scores(scores: Scores, seeds: Iterable[int], standard: Iterable[int]) -> dict[int, float]:
    """Mean score of each candidate as if it had had the seeds that all have, whichever it had besides.

    Args:
        scores: of a rung.
        seeds: that all have; who lacks one has no score.
        standard: candidates with every seed: by how much these score better with a seed tells what the seed does.
    """
    common = list(seeds)
    standards = [scores[number] for number in standard if number in scores]
    every = set(common).union(*(mine.keys() for mine in scores.values()))
    standards = [mine for mine in standards if every <= mine.keys()]
    if not standards:  # the standards are still being trained
        every = set(common)
    gain = {
        seed: statistics.fmean(mine[seed] - statistics.fmean(mine[one] for one in common) for mine in standards)
        if standards
        else 0.0
        for seed in every
    }
    return {
        number: statistics.fmean(score - gain[seed] for seed, score in mine.items() if seed in every)
        for number, mine in scores.items()
        if all(seed in mine for seed in common)
    }


def difference(scores: Mapping[int, float], other: Mapping[int, float]) -> Difference | None:
    """Of the scores of two candidates by seed, paired; None where they have fewer than two seeds in common.

    Source: Student 1908, the paired t interval.
    """
    pairs = [score - other[seed] for seed, score in scores.items() if seed in other]
    if len(pairs) < 2:
        return None
    mean = statistics.fmean(pairs)
    error = statistics.stdev(pairs) / math.sqrt(len(pairs))
    reach = float(stats.t.ppf(1 - LEVEL / 2, len(pairs) - 1)) * error
    return Difference(mean, mean - reach, mean + reach, len(pairs))
