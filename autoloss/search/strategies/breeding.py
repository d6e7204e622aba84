"""Breeding: losses of a child of two parents or of one, or from nothing where there are none."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoloss.candidate import Candidate, How, Loss, Origin
from autoloss.search.strategies import variation
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings
from primitives.forms.simplify import pruned


class Breeding:
    """Children by tournament, crossover and mutation.

    Parents breed without their dead parts: of `i/u + (e - e)` the child would inherit nodes that do nothing. A loss
    whose weight was tuned hands its factor on.

    Source: the operators of CSE-Autoloss (Liu et al., ICLR 2021, arXiv 2102.04700), which are DEAP's.

    Args:
        settings: `slots` and `variation` of them.
        slots: that change; None for all.
        tournament: candidates drawn for a parent, and
        crossover: share of children with two parents, in place of those of the settings.
    """

    def __init__(
        self,
        settings: Settings,
        slots: Sequence[str] | None = None,
        tournament: int | None = None,
        crossover: float | None = None,
    ) -> None:
        self._slots, self._rules = settings.slots, settings.variation
        self.slots = chosen(settings, slots)
        self._tournament = self._rules.tournament if tournament is None else tournament
        self._crossover = self._rules.crossover if crossover is None else crossover

    def child(self, rng: random.Random, gates: Gates, pool: Sequence[Candidate]) -> Draft:
        """Losses of a child of a pool that is sorted, best first; formulas from nothing where it is empty."""
        slots = list(self.slots)
        if len(slots) > 1 and rng.random() >= self._rules.both:
            slots = [rng.choice(slots)]
        parents = self._parents(rng, pool)
        losses = dict(parents[0].losses) if parents else {}
        losses.update({slot: self._vary(rng, slot, parents, gates) for slot in slots})
        how = (How.RANDOM, How.MUTATION, How.CROSSOVER)[len(parents)]
        return Draft(losses, Origin(how, tuple(parent.number for parent in parents), tuple(slots)))

    def _parents(self, rng: random.Random, pool: Sequence[Candidate]) -> list[Candidate]:
        if not pool:
            return []
        first = picked(rng, pool, self._tournament)
        others = [candidate for candidate in pool if candidate is not first]
        if others and rng.random() < self._crossover:
            return [first, picked(rng, others, self._tournament)]
        return [first]

    def _vary(self, rng: random.Random, slot: str, parents: Sequence[Candidate], gates: Gates) -> Loss:
        """A new formula for one slot that passes the gates."""
        grammar, extended = gates.grammars[slot], self._rules.extended
        theirs = [parent.losses.get(slot, gates.own[slot]) for parent in parents]
        trees = [pruned(loss.expression, grammar) for loss in theirs]
        alpha = theirs[0].alpha if theirs else self._slots[slot].alpha
        factor = gates.factor(slot, theirs[0]) if theirs else 1.0
        while True:
            if not trees:
                proposal = variation.random_formula(grammar, extended=extended)
            elif len(trees) == 2 and rng.random() < 0.8:
                proposal = variation.crossed(trees[0], trees[1], grammar, extended=extended)
            else:
                # A crossover of near relatives often gives the parent back; a mutation gets it off the spot.
                proposal = variation.mutated(trees[0], grammar, extended=extended)
            loss = gates.loss(slot, proposal, alpha, trees[0] if trees else None, factor)
            if loss is not None:
                return loss


def picked(rng: random.Random, pool: Sequence[Candidate], size: int) -> Candidate:
    """The best of some drawn from a pool that is sorted, best first."""
    return pool[min(rng.randrange(len(pool)) for _ in range(size))]


def chosen(settings: Settings, slots: Sequence[str] | None) -> tuple[str, ...]:
    """Slots that a strategy of the config changes.

    Args:
        settings: of the search.
        slots: as the config has them; None for all.

    Raises:
        TypeError: they are none of the search.
    """
    free = tuple(slot for slot in settings.slots if slot not in settings.fixed)
    if slots is None:
        return free
    given = tuple(slots) if isinstance(slots, (list, tuple)) else ()
    if not given or not set(map(str, given)) <= set(free) or len(set(map(str, given))) < len(given):
        raise TypeError(f"slots is a list of those that the search may change, {', '.join(free)}, got {slots!r:.100}")
    return given


def whole(name: str, given: object) -> int:
    """A number of candidates that the config gives to a strategy.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise TypeError(f"{name} is a whole number from 1, got {given!r:.100}")
    return given
