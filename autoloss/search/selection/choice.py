"""Choice: score against size: the Pareto front, and the one candidate that is recommended; pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoloss.search.selection.noise import Noise, Scores


@dataclass(frozen=True)
class Choice:
    """The candidate that is recommended.

    Args:
        candidate: its number.
        best: number of the best one.
        rung: whose scores decide.
        error: standard error of a difference of two there; None where noise is not known.
    """

    candidate: int
    best: int
    rung: str
    error: float | None = None

    @property
    def rule(self) -> str:
        """Why it is this one, in a sentence."""
        if self.error is None:
            return f"the best found at {self.rung}; no two seeds tell the noise, so none is taken for as good"
        near = f"within one standard error ({self.error:.3f}) of the best"
        if self.candidate == self.best:
            return f"the best found at {self.rung}; none {near} is shorter"
        return f"the shortest found {near}, {self.best}, at {self.rung}"


def front(scores: Mapping[int, float], sizes: Mapping[int, int]) -> list[int]:
    """The Pareto front: candidates that no other one beats in score without being larger, smallest first.

    Args:
        scores: higher is better.
        sizes: nodes of all formulas.
    """
    found: list[int] = []
    for number in sorted(scores, key=lambda one: (sizes[one], -scores[one], one)):
        if not found or scores[number] > scores[found[-1]]:
            found.append(number)
    return found


def recommended(
    order: Sequence[int], sizes: Mapping[int, int], scores: Scores, rung: str, noise: Noise | None
) -> Choice | None:
    """The shortest within one standard error of the best; of equally short ones the better.

    Args:
        order: candidates, best first.
        sizes: nodes of all formulas.
        scores: at the rung that decides; only who has every seed of the best may take its place.
        rung: its name.
        noise: of it; None where it is not known.

    Returns:
        None where the best one has no score there.

    Source: one-standard-error rule, Breiman, Friedman, Olshen and Stone 1984, Classification and Regression Trees.
    """
    if not order or order[0] not in scores:
        return None
    best = order[0]
    if noise is None:
        return Choice(best, best, rung)
    seeds = scores[best]
    error = noise.error(len(seeds))
    near = [
        number
        for number in order
        if scores.get(number, {}).keys() >= seeds.keys()
        and statistics.fmean(seeds[seed] - scores[number][seed] for seed in seeds) <= error
    ]
    return Choice(min(near, key=lambda number: (sizes[number], order.index(number))), best, rung, error)
