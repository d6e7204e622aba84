"""Calibration: the weight that gives a formula the gradient norm of the loss it replaces."""

from __future__ import annotations

from functools import cache

from autoloss.candidate import Loss
from autoloss.gates import equivalence
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.grammar import Grammar


def calibrated(expression: Expression, grammar: Grammar, alpha: float | None, like: str, weight: float = 1.0) -> Loss:
    """The formula with the mean gradient norm of a known loss, on boxes or logits as a detector meets them.

    Args:
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula.
        like: name of the known loss.
        weight: loss_weight of that loss.

    Raises:
        InputError: the formula has no gradient, or one that is not finite.
    """
    return weighted(expression, grammar, alpha, equivalence.identity(expression, grammar, alpha)[1], like, weight)


def weighted(
    expression: Expression, grammar: Grammar, alpha: float | None, norm: float, like: str, weight: float = 1.0
) -> Loss:
    """The same of a formula whose mean gradient norm is known."""
    if not norm:
        raise InputError(f"{expression} has no finite gradient to weight it by; autoloss check says why")
    return Loss(expression, grammar, float(f"{weight * _norm(like) / norm:.6g}"), alpha)


@cache
def _norm(like: str) -> float:
    known = known_loss(like)
    return equivalence.identity(known.expression, GRAMMARS[known.grammar], known.alpha)[1]
