"""Objective: scores of candidates that are trained on several set-ups, over the own loss's on each; pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from autoloss.candidate import OWN, Evaluation
from autoloss.workers.several import part


def relative(evaluations: Iterable[Evaluation], objective: str | None) -> list[Evaluation]:
    """Evaluations with what a candidate scores over all set-ups, beside the own loss.

    Formula: score / score of the own loss with the same set-up, rung and seed; of these the mean, or the worst. By
    `rank` who has the k-th best mean rank, among all with the same rung and seed, has the k-th best mean.

    Args:
        evaluations: of some rungs. Those whose own loss has not ended yet are left out.
        objective: `mean`, `worst` or `rank`; None where there is one set-up, whose scores stay as they are.
    """
    given = list(evaluations)
    if objective is None:
        return given
    own = {(one.rung, one.seed): parts(one.metrics) for one in given if one.candidate == OWN and one.score is not None}
    found: list[Evaluation] = []
    ratios: dict[int, list[float]] = {}
    for one in given:
        mine = parts(one.metrics)
        if one.score is None or not mine:  # it failed or runs, or no set-up was asked
            found.append(one)
        elif standard := own.get((one.rung, one.seed)):
            ratios[len(found)] = [score / base for score, base in zip(mine, standard, strict=True)]
            found.append(one)
    scores = {place: min(row) if objective == "worst" else statistics.fmean(row) for place, row in ratios.items()}
    if objective == "rank":
        scores = _ranked(found, ratios, scores)
    return [replace(one, score=scores[place]) if place in scores else one for place, one in enumerate(found)]


def _ranked(
    evaluations: Sequence[Evaluation], ratios: Mapping[int, list[float]], means: Mapping[int, float]
) -> dict[int, float]:
    """Means given out anew in the order of mean ranks, so that what is a share of the own loss's score stays one."""
    groups: dict[tuple[str, int], list[int]] = {}
    for place in ratios:
        groups.setdefault((evaluations[place].rung, evaluations[place].seed), []).append(place)
    found: dict[int, float] = {}
    for places in groups.values():
        ranks = stats.rankdata(np.array([ratios[place] for place in places]), axis=0).mean(axis=1)
        order = np.arange(1, len(places) + 1)
        values = np.interp(stats.rankdata(ranks.round(9)), order, sorted(means[place] for place in places))
        found |= dict(zip(places, map(float, values), strict=True))
    return found


def parts(metrics: Mapping[str, float]) -> list[float]:
    """Scores of the set-ups, in order; empty where there was one."""
    found: list[float] = []
    while (score := metrics.get(part(len(found), "score"))) is not None:
        found.append(score)
    return found
