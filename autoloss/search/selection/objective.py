"""Objective: scores of candidates that are trained on several set-ups, over the own loss's on each; pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import replace

from autoloss.candidate import OWN, Evaluation
from autoloss.workers.several import part


def relative(evaluations: Iterable[Evaluation], objective: str | None) -> list[Evaluation]:
    """Evaluations with the mean, or the worst, over set-ups of what a candidate scores there over the own loss.

    Formula: score / score of the own loss with the same set-up, rung and seed.

    Args:
        evaluations: of some rungs. Those whose own loss has not ended yet are left out.
        objective: `mean` or `worst`; None where there is one set-up, whose scores stay as they are.
    """
    given = list(evaluations)
    if objective is None:
        return given
    own = {(one.rung, one.seed): parts(one.metrics) for one in given if one.candidate == OWN and one.score is not None}
    found = []
    for one in given:
        mine = parts(one.metrics)
        if one.score is None or not mine:  # it failed or runs, or no set-up was asked
            found.append(one)
        elif standard := own.get((one.rung, one.seed)):
            ratios = [score / base for score, base in zip(mine, standard, strict=True)]
            found.append(replace(one, score=min(ratios) if objective == "worst" else statistics.fmean(ratios)))
    return found


def parts(metrics: Mapping[str, float]) -> list[float]:
    """Scores of the set-ups, in order; empty where there was one."""
    found: list[float] = []
    while (score := metrics.get(part(len(found), "score"))) is not None:
        found.append(score)
    return found
