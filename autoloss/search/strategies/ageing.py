"""Ageing: evolution in which parents die of age, not of better ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoloss.candidate import Candidate
from autoloss.search.strategies.breeding import Breeding, whole
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings


class Ageing:
    """Mutations of the best of a sample of the youngest: a lucky score is forgotten unless its children repeat it.

    Those that a rung stops are not born into the population, so it holds the youngest that climbed the whole ladder.

    Source: regularised evolution, Real, Aggarwal, Huang and Le 2019, arXiv 1802.01548, algorithm 1.

    Args:
        settings: `slots` and `variation` of them.
        population: how many of the youngest live.
        sample: of them that are drawn for a parent, the best of them wins.
        slots: that change; None for all.
    """

    def __init__(
        self, settings: Settings, population: int = 32, sample: int = 8, slots: Sequence[str] | None = None
    ) -> None:
        self._breeding = Breeding(settings, slots, tournament=whole("sample", sample), crossover=0.0)
        self._population = whole("population", population)
        self._pool: Sequence[Candidate] = ()

    def tell(self, standing: Standing) -> None:
        """Takes the youngest, best first."""
        youngest = sorted(one.number for one in standing.breeding)[-self._population :]
        self._pool = [one for one in standing.breeding if one.number in youngest]

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """Losses of a child, or formulas from nothing where nobody lives."""
        return self._breeding.child(rng, gates, self._pool)
