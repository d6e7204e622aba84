"""Evolution: children of the best by tournament selection, crossover and mutation, with elitism."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoloss.candidate import Candidate
from autoloss.search.strategies.breeding import Breeding
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings


class Evolution:
    """Formulas from nothing until candidates stand, then their children; parents stay until better ones come.

    Source: the loop of CSE-Autoloss (Liu et al., ICLR 2021, arXiv 2102.04700).

    Args:
        settings: `slots` and `variation` of them.
        slots: that change; None for all.
    """

    def __init__(self, settings: Settings, slots: Sequence[str] | None = None) -> None:
        self._breeding = Breeding(settings, slots)
        self._parents = settings.variation.parents
        self._pool: Sequence[Candidate] = ()

    def tell(self, standing: Standing) -> None:
        """Takes the best of those that may have children as parents."""
        self._pool = standing.breeding[: self._parents]

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """Losses of a child, or formulas from nothing where there are no parents."""
        return self._breeding.child(rng, gates, self._pool)
