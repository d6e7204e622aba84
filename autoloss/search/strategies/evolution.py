"""Evolution: children of the best by tournament selection, crossover and mutation, with elitism."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoloss.candidate import Candidate, How, Loss, Origin
from autoloss.search.strategies import variation
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings
from primitives.forms.simplify import pruned


class Evolution:
    """Formulas from nothing until candidates stand, then their children; parents stay until better ones come.

    Parents breed without their dead parts: of `i/u + (e - e)` the child would inherit nodes that do nothing.

    Source: the loop of CSE-Autoloss (Liu et al., ICLR 2021, arXiv 2102.04700), with DEAP's operators.

    Args:
        settings: `slots` and `variation` of them.
    """

    def __init__(self, settings: Settings) -> None:
        self._slots, self._rules = settings.slots, settings.variation
        self._pool: list[Candidate] = []

    def tell(self, standing: Sequence[Candidate]) -> None:
        """Takes the best of those that may have children as parents."""
        self._pool = [candidate for candidate in standing if candidate.breeds][: self._rules.parents]

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """Losses of a child, or formulas from nothing where there are no parents."""
        slots = list(self._slots)
        if len(slots) > 1 and rng.random() >= self._rules.both:
            slots = [rng.choice(slots)]
        parents = self._parents(rng)
        losses = dict(parents[0].losses) if parents else {}
        losses.update({slot: self._vary(rng, slot, parents, gates) for slot in slots})
        how = (How.RANDOM, How.MUTATION, How.CROSSOVER)[len(parents)]
        return Draft(losses, Origin(how, tuple(parent.number for parent in parents), tuple(slots)))

    def _parents(self, rng: random.Random) -> list[Candidate]:
        if not self._pool:
            return []
        first = _tournament(rng, self._pool, self._rules.tournament)
        others = [candidate for candidate in self._pool if candidate is not first]
        if others and rng.random() < self._rules.crossover:
            return [first, _tournament(rng, others, self._rules.tournament)]
        return [first]

    def _vary(self, rng: random.Random, slot: str, parents: Sequence[Candidate], gates: Gates) -> Loss:
        """A new formula for one slot that passes the gates."""
        grammar, extended = gates.grammars[slot], self._rules.extended
        theirs = [parent.losses.get(slot, gates.own[slot]) for parent in parents]
        trees = [pruned(loss.expression, grammar) for loss in theirs]
        alpha = theirs[0].alpha if theirs else self._slots[slot].alpha
        while True:
            if not trees:
                proposal = variation.random_formula(grammar, extended=extended)
            elif len(trees) == 2 and rng.random() < 0.8:
                proposal = variation.crossed(trees[0], trees[1], grammar, extended=extended)
            else:
                # A crossover of near relatives often gives the parent back; a mutation gets it off the spot.
                proposal = variation.mutated(trees[0], grammar, extended=extended)
            loss = gates.loss(slot, proposal, alpha, trees[0] if trees else None)
            if loss is not None:
                return loss


def _tournament(rng: random.Random, pool: Sequence[Candidate], size: int) -> Candidate:
    """The best of some drawn from a pool that is sorted, best first."""
    return pool[min(rng.randrange(len(pool)) for _ in range(size))]
