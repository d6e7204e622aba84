"""Preselection: a model of the scores, of what is known of a loss before it is trained, picks what is trained."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from autoloss.candidate import Candidate, Loss
from autoloss.gates.identities import Identities
from autoloss.gates.simulation import descend
from autoloss.settings import Settings
from primitives.catalog import GRAMMARS
from primitives.expression import Expression
from primitives.grammar import Grammar

_BINS = 12
"""Of the probe's samples, by the pull of the loss that is replaced: of how many the mean pull is looked at."""
_TREES = 100
_LEAF = 2


class Model:
    """Scores at the first rung that ranks, from the gradient profiles and simulations of a candidate's losses.

    Trees, for there are dozens of candidates and features of all scales; who fell before or at that rung counts as the
    worst that was seen there. It is trained anew for every generation, on the evaluations of the run alone.

    Source: extremely randomised trees, Geurts, Ernst and Wehenkel 2006, Machine Learning 63(1).

    Args:
        settings: of the search; without `preselection` it picks nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self._rules, self._seed = settings.preselection, settings.seed
        self._slots, self._own = settings.slots, settings.stand_ins
        self._identities = Identities(settings.slots, settings.stand_ins, settings.calibrate)
        self._scored: list[tuple[Mapping[str, Loss], float]] = []
        self._trees: Any = None

    def tell(self, candidates: Iterable[Candidate], rungs: Sequence[Mapping[int, Sequence[float]]]) -> None:
        """Takes what all candidates so far scored."""
        scores = {number: math.fsum(some) / len(some) for number, some in rungs[0].items()} if rungs else {}
        worst, self._trees = min(scores.values(), default=0.0), None
        known = [one for one in candidates if self._native(one.losses)] if scores and self._rules else []
        self._scored = [(one.losses, scores.get(one.number, worst)) for one in known]

    def more(self, rng: random.Random) -> int:
        """How many proposals beside the first it wants to see for a candidate."""
        if self._rules is None or len(self._scored) < self._rules.least or rng.random() < self._rules.random:
            return 0
        return self._rules.proposals - 1

    def predicted(self, proposals: Sequence[Mapping[str, Loss]]) -> list[float]:
        """Scores of several proposals, as far as it can tell."""
        if self._trees is None:
            from sklearn.ensemble import ExtraTreesRegressor  # which takes a second to import

            self._trees = ExtraTreesRegressor(_TREES, min_samples_leaf=_LEAF, random_state=self._seed)
            losses, scores = zip(*self._scored, strict=True)
            self._trees.fit([self._features(one) for one in losses], scores)
        return [float(score) for score in self._trees.predict([self._features(one) for one in proposals])]

    def _native(self, losses: Mapping[str, Loss]) -> bool:
        return all(GRAMMARS[self._slots[slot].grammar].holds(loss.grammar) for slot, loss in losses.items())

    def _features(self, losses: Mapping[str, Loss]) -> list[float]:
        """Of all slots; the known loss stands for a slot left out."""
        found: list[float] = []
        for slot, own in self._own.items():
            loss, grammar = losses.get(slot, own), GRAMMARS[self._slots[slot].grammar]
            found += [math.log(self._identities.factor(slot, loss)), float(loss.expression.size)]
            found += profile(loss.expression, loss.alpha, own.expression, own.alpha, grammar)
        return found


@cache
def profile(
    formula: Expression, alpha: float | None, own: Expression, own_alpha: float | None, grammar: Grammar
) -> tuple[float, ...]:
    """How a loss pulls where the one that it replaces pulls more and more, and how predictions descend under it.

    Args:
        formula: of the loss.
        alpha: weight of the target outside it.
        own: formula of the loss that it replaces.
        own_alpha: of that.
        grammar: of both.

    Returns:
        The mean length of the gradient, and its mean cosine with the other, in every bin of the typical probe's
        samples, and the numbers of the simulation.
    """
    probe = grammar.kind.typical(grammar.terminals)
    mine, other = (probe.gradient(*one)[1].flatten(1) for one in ((formula, alpha), (own, own_alpha)))
    lengths, pull = mine.norm(dim=1), other.norm(dim=1)
    cosines = torch.nn.functional.cosine_similarity(mine, other, dim=1)
    order = torch.argsort(pull, stable=True).chunk(_BINS)
    share = [float(lengths[some].mean() / lengths.mean()) for some in order]
    along = [float(cosines[some].mean()) for some in order]
    numbers = descend(formula, grammar, alpha).numbers
    return (*np.log10(np.clip(share, 1e-6, 1e6)).tolist(), *along, *(numbers[name] for name in sorted(numbers)))
