"""Tuning: the numbers of the best candidates: weight and alpha of every loss, and the constants of its formula."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from autoloss.candidate import Candidate, How, Loss, Origin
from autoloss.search.strategies import variation
from autoloss.search.strategies.breeding import Breeding, whole
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.settings import Settings
from primitives.expression import Expression
from primitives.forms.simplify import pruned

_SIZES = tuple(2 ** (0.5**halving) for halving in range(4))
"""Of the steps; identities tell weights apart by two digits."""

_Place = int | Literal["weight", "alpha"]


class _Step(NamedTuple):
    """A number of a candidate times a factor: the weight, the odds of alpha, or one of the formula, by its node."""

    one: Candidate
    slot: str
    place: _Place
    factor: float


class Tuning:
    """Pattern search: every number of the best times 2 and 1/2, then 1.4 and 1/1.4, 1.2, 1.1; then those of the next.

    Who was tuned takes the place of the candidate it comes from only where it is better by more than the noise; what
    was tried already is not tried again, so steps shrink only where the larger ones gain nothing.

    Source: Hooke and Jeeves 1961, JACM 8(2), in the logarithm; the noise of paired seeds as in `Standing.noise`.

    Args:
        settings: `slots` and `variation` of them.
        best: how many candidates are tuned side by side.
        slots: that change; None for all.
    """

    def __init__(self, settings: Settings, best: int = 3, slots: Sequence[str] | None = None) -> None:
        self._breeding, self._best = Breeding(settings, slots), whole("best", best)
        self._tuned: list[list[Candidate]] = []

    def tell(self, standing: Standing) -> None:
        """Takes the best, without those that lead their parents by noise alone."""
        bases = list({one.number: one for one in (base(one, standing) for one in standing.breeding)}.values())
        self._tuned = [bases[: self._best], *([one] for one in bases[self._best :])]

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """The next step that was not tried; formulas from nothing where nobody stands."""
        drafts = (self._draft(step, gates) for step in self._steps(gates))
        found = next((draft for draft in drafts if draft is not None and gates.new(draft.losses)), None)
        return found or self._breeding.child(rng, gates, ())

    def _steps(self, gates: Gates) -> Iterator[_Step]:
        """Of all numbers of those that are tuned side by side, larger steps first."""
        for together, size in itertools.product(self._tuned, _SIZES):
            for one, slot in itertools.product(together, self._breeding.slots):
                for place in _places(_loss(one, slot, gates), _formula(one, slot, gates)):
                    yield from (_Step(one, slot, place, factor) for factor in (size, 1 / size))

    def _draft(self, step: _Step, gates: Gates) -> Draft | None:
        """A candidate after a step; None where a gate refuses it."""
        one, slot = step.one, step.slot
        before, formula = _loss(one, slot, gates), _formula(one, slot, gates)
        loss: Loss | None
        if step.place == "weight":
            loss, what = before.times(step.factor), f"weight x {step.factor:.3g}"
        elif step.place == "alpha":
            assert before.alpha is not None
            odds = step.factor * before.alpha / (1 - before.alpha)
            alpha = float(f"{odds / (1 + odds):.2g}")
            if alpha in (0, before.alpha, 1):
                return None
            loss = gates.loss(slot, formula, alpha, factor=gates.factor(slot, before))
            what = f"alpha {before.alpha:g} to {alpha:g}"
        else:
            number = variation.numbers(formula)[step.place]
            after = variation.rounded(number * step.factor)
            changed, what = formula.replace(step.place, Expression(after)), f"{number:g} to {after:g}"
            if after == number:
                return None
            loss = gates.loss(slot, changed, before.alpha, formula, gates.factor(slot, before))
        if loss is None:
            return None
        return Draft({**one.losses, slot: loss}, Origin(How.TUNING, (one.number,), (slot,), (what,)))


def base(one: Candidate, standing: Standing) -> Candidate:
    """A candidate, or of one that was tuned the latest before it that is not beaten beyond the noise.

    Args:
        one: that stands.
        standing: all that stand.
    """
    there = {other.number: other for other in standing}
    while one.origin.how is How.TUNING and (parent := there.get(one.parents[0])) and not standing.beats(one, parent):
        one = parent
    return one


def _formula(one: Candidate, slot: str, gates: Gates) -> Expression:
    return pruned(_loss(one, slot, gates).expression, gates.grammars[slot])


def _loss(one: Candidate, slot: str, gates: Gates) -> Loss:
    return one.losses.get(slot, gates.own[slot])


def _places(loss: Loss, formula: Expression) -> list[_Place]:
    """What there is to tune of a loss."""
    alpha: list[_Place] = [] if loss.alpha is None else ["alpha"]
    return ["weight", *alpha, *variation.numbers(formula)]
