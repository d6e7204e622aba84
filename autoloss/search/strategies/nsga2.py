"""NSGA-II: evolution of two objectives at once, the score and the size of the formulas."""

from __future__ import annotations

import random
from collections.abc import Sequence

from deap import base, tools

from autoloss.candidate import Candidate
from autoloss.search.strategies.breeding import Breeding
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings


class _Fitness(base.Fitness):  # type: ignore[misc]
    """More score, fewer nodes."""

    weights = (1.0, -1.0)


class _Individual:
    """A candidate as DEAP sorts it."""

    def __init__(self, candidate: Candidate, score: float, size: int) -> None:
        self.candidate, self.fitness = candidate, _Fitness((score, size))


class NSGA2:
    """Children of whom no other is both better and shorter; of these first who is far from the others.

    Source: Deb, Pratap, Agarwal and Meyarivan 2002, IEEE TEC 6(2); sorted by DEAP.

    Args:
        settings: `slots` and `variation` of them; tournaments are of two.
        slots: that change; None for all.
    """

    def __init__(self, settings: Settings, slots: Sequence[str] | None = None) -> None:
        self._breeding = Breeding(settings, slots, tournament=2)
        self._parents, self._own = settings.variation.parents, settings.stand_ins
        self._pool: Sequence[Candidate] = ()

    def tell(self, standing: Standing) -> None:
        """Takes as parents who survives, in the order of the crowded comparison."""
        all_of_them = [_Individual(one, standing.score(one), self._size(one)) for one in standing.breeding]
        fronts: list[_Individual] = []
        for front in tools.sortNondominated(all_of_them, self._parents) if all_of_them else []:
            tools.emo.assignCrowdingDist(front)
            fronts += sorted(front, key=lambda one: (-one.fitness.crowding_dist, one.candidate.number))
        self._pool = [one.candidate for one in fronts[: self._parents]]

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """Losses of a child, or formulas from nothing where there are no parents."""
        return self._breeding.child(rng, gates, self._pool)

    def _size(self, one: Candidate) -> int:
        """Nodes of all formulas; a slot left out counts as the known loss that stands for its own."""
        return sum(one.losses.get(slot, own).expression.size for slot, own in self._own.items())
