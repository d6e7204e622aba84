"""Random search: formulas from nothing, through the same gates and up the same ladder; what others must beat."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoloss.search.strategies.breeding import Breeding
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings


class RandomSearch:
    """Formulas from nothing, whatever stands.

    Args:
        settings: `slots` and `variation` of them.
        slots: that change; None for all.
    """

    def __init__(self, settings: Settings, slots: Sequence[str] | None = None) -> None:
        self._breeding = Breeding(settings, slots)

    def tell(self, standing: Standing) -> None:
        """Takes nothing."""

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """Formulas from nothing."""
        return self._breeding.child(rng, gates, ())
