"""Refinement: the smallest changes of the best: one node, one number, one weight."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoloss.candidate import Candidate, How, Loss, Origin
from autoloss.search.strategies import variation
from autoloss.search.strategies.breeding import Breeding, picked
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings
from primitives.expression import Expression
from primitives.forms.simplify import pruned

_NODE, _NUMBER, _WEIGHT = 0.5, 0.25, 0.25
"""Shares of the changes."""


class Refinement:
    """Local search: whoever is changed is drawn as a parent of evolution is, and one thing about it changes.

    Args:
        settings: `slots` and `variation` of them.
        slots: that change; None for all.
    """

    def __init__(self, settings: Settings, slots: Sequence[str] | None = None) -> None:
        self._breeding, self._rules = Breeding(settings, slots), settings.variation
        self._pool: Sequence[Candidate] = ()

    def tell(self, standing: Standing) -> None:
        """Takes the best of those that may have children."""
        self._pool = standing.breeding[: self._rules.parents]

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """Losses of one of the best with one change, or formulas from nothing where there are none."""
        if not self._pool:
            return self._breeding.child(rng, gates, ())
        while True:
            one = picked(rng, self._pool, self._rules.tournament)
            slot = rng.choice(self._breeding.slots)
            loss, what = self._changed(rng, slot, one.losses.get(slot, gates.own[slot]), gates)
            if loss is not None:
                return Draft({**one.losses, slot: loss}, Origin(How.REFINEMENT, (one.number,), (slot,), (what,)))

    def _changed(self, rng: random.Random, slot: str, loss: Loss, gates: Gates) -> tuple[Loss | None, str]:
        """A loss after one change, if the gates let it pass, and what that is."""
        formula = pruned(loss.expression, gates.grammars[slot])
        places = variation.numbers(formula)
        (kind,) = rng.choices(("node", "number", "weight"), (_NODE, _NUMBER if places else 0.0, _WEIGHT))
        if kind == "weight":
            factor = variation.rounded(variation.any_factor())
            return loss.times(factor), f"weight x {factor:g}"
        if kind == "number":
            place = rng.choice(list(places))
            number = variation.rounded(places[place] * variation.any_factor())
            child, what = formula.replace(place, Expression(number)), f"{places[place]:g} to {number:g}"
        else:
            child, what = variation.neighbour(formula, gates.grammars[slot], extended=self._rules.extended)
        return gates.loss(slot, child, loss.alpha, formula, gates.factor(slot, loss)), what
