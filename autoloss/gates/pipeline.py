"""Gates: cheap judgements of a formula without a detector, cheapest first; the first refusal ends the story."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from autoloss.candidate import Verdict
from autoloss.gates import path_checks, paths, probes
from autoloss.gates.equivalence import identity
from autoloss.gates.simulation import STEPS, THRESHOLDS, Descent, descend_all
from primitives.expression import Expression
from primitives.features import per_sample
from primitives.grammar import Grammar
from primitives.operators import OPERATORS

MAX_AT_TARGET = 1_000
"""Largest gradient beside the target, in mean gradients; known losses have up to 50 (IoU to the power of 5)."""
_REMEMBERED = 5_000  # values of sub-expressions, 1.4 kB each


@dataclass(frozen=True)
class Judgement:
    """All verdicts on one formula up to the first refusal.

    Args:
        expression: the formula that was judged; negated where the loss ran the wrong way round.
        verdicts: in the order of the gates.
        negated: whether it was.
        identity: direction of its gradient; empty where a gate before `distinct` refused.
        norm: mean gradient norm on the typical probe; 0 where a gate before `distinct` refused.
    """

    expression: Expression
    verdicts: tuple[Verdict, ...]
    negated: bool = False
    identity: str = ""
    norm: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether no gate refused."""
        return all(verdict.passed for verdict in self.verdicts)


def judge(
    expression: Expression,
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] = THRESHOLDS,
    seen: Container[str] = (),
) -> Judgement:
    """Leads a formula through the gates: structure, finite, minimum, monotone, gradient, distinct, converges.

    Args:
        expression: the formula.
        grammar: of it.
        alpha: weight of the target column of a sigmoid loss.
        thresholds: least numbers of the descent.
        seen: identities that are not to come again; a pass of `distinct` is not among the verdicts.
    """
    return converged([sifted(expression, grammar, alpha, seen)], grammar, alpha, thresholds)[0]


def sifted(
    expression: Expression, grammar: Grammar, alpha: float | None = None, seen: Container[str] = ()
) -> Judgement:
    """Leads a formula through all gates but the last, `converges`."""
    verdicts, negated = [structure(expression, grammar)], False
    if verdicts[-1].passed:
        look = _box_values if grammar.slot == "loss_bbox" else _class_values
        found, negated = look(expression, grammar, alpha)
        verdicts.extend(found)
    if negated:
        expression = Expression(OPERATORS["neg"], (expression,))
    if not verdicts[-1].passed:
        return Judgement(expression, tuple(verdicts), negated)
    name, norm = identity(expression, grammar, alpha)
    verdicts.append(_gradient(expression, grammar, alpha, norm))
    if not verdicts[-1].passed:
        return Judgement(expression, tuple(verdicts), negated)
    if name in seen:
        verdicts.append(Verdict("distinct", False, "its gradient is that of an earlier formula"))
    return Judgement(expression, tuple(verdicts), negated, name, norm)


def converged(
    judgements: Sequence[Judgement],
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] = THRESHOLDS,
) -> list[Judgement]:
    """Leads those that passed every gate so far through the last one, all in one tensor program."""
    left = [judgement for judgement in judgements if judgement.passed]
    outcomes = iter(descend_all([one.expression for one in left], grammar, alpha, thresholds) if left else [])
    return [
        replace(one, verdicts=(*one.verdicts, _converges(next(outcomes), thresholds))) if one.passed else one
        for one in judgements
    ]


def structure(expression: Expression, grammar: Grammar) -> Verdict:
    """The formula reads the prediction, and a class formula its target."""
    reads = sorted(expression.names)
    if not expression.names & grammar.predicted:
        return Verdict("structure", False, f"reads {', '.join(reads)}, which no prediction changes")
    if grammar.slot == "loss_cls" and not expression.names & {"y", "w"}:
        return Verdict("structure", False, "reads no target: y or w")
    return Verdict("structure", True, f"reads {', '.join(reads)}")


def _box_values(expression: Expression, grammar: Grammar, alpha: float | None) -> tuple[list[Verdict], bool]:
    """Finite, minimum and monotone up to the first refusal, and whether the loss runs the wrong way round."""
    ways = paths.box_paths(grammar)
    count, steps = ways.shape
    most = path_checks.MAX_SHARE * count
    scouts = paths.scouts(grammar)
    first = _remembered(expression, grammar, scouts).expand_as(scouts["i"]).reshape(-1, steps)
    found, turned = path_checks.box_minimum(first, most)
    if not (found[-1].passed or turned):
        return found, False
    loss = expression(ways.inputs).expand(count * steps).reshape(count, steps)
    found, turned = path_checks.box_minimum(loss, most)
    if turned:
        opposite, _ = path_checks.box_minimum(-loss, most)
        last = path_checks.box_monotone(-loss, ways)
        if last.passed:
            return _all_finite(expression, grammar, alpha, opposite[-1], last), True
    if found[-1].passed:
        found = _all_finite(expression, grammar, alpha, found[-1], path_checks.box_monotone(loss, ways))
    return found, False


def _class_values(expression: Expression, grammar: Grammar, alpha: float | None) -> tuple[list[Verdict], bool]:
    """The same for a class formula; the ends of the curves are enough to refuse most."""
    inputs = paths.ends(grammar)
    ends = per_sample(_remembered(expression, grammar, inputs), inputs, alpha)
    found = path_checks.class_ends(ends.reshape(2, -1, 2))
    if found:
        return found, False
    target, other = paths.curve_losses(expression, grammar, alpha)
    looked = path_checks.class_curves(target, other)
    negated = not looked[-1].passed and path_checks.class_curves(-target, -other)[-1].passed
    if negated:
        looked = path_checks.class_curves(-target, -other)
    return _all_finite(expression, grammar, alpha, *looked), negated


def _all_finite(expression: Expression, grammar: Grammar, alpha: float | None, *after: Verdict) -> list[Verdict]:
    """Finite on the whole probe, and the verdicts that come after it."""
    inputs = probes.whole(grammar).inputs
    verdict = _finite(per_sample(expression(inputs), inputs, alpha), inputs, "value")
    return [verdict, *after] if verdict.passed else [verdict]


@cache
def _memo(grammar: Grammar) -> dict[str, Tensor]:  # noqa: ARG001  one for each grammar
    return {}


def _remembered(expression: Expression, grammar: Grammar, inputs: Mapping[str, Tensor]) -> Tensor:
    """Values on the inputs on which every formula of a grammar is looked at first."""
    memo = _memo(grammar)
    if len(memo) > _REMEMBERED:
        memo.clear()
    return expression(inputs, memo)


def _finite(values: Tensor, inputs: Mapping[str, Tensor], what: str) -> Verdict:
    bad = ~torch.isfinite(values).reshape(len(values), -1).all(-1)
    if not bool(bad.any()):
        return Verdict("finite", True, f"finite on all {len(values):,} samples")
    count, row = int(bad.sum()), int(bad.nonzero()[0])
    where = ", ".join(f"{name}={_at(value, row)}" for name, value in inputs.items())
    reason = f"{what} is not finite on {count} of {len(bad):,} samples, first at {where}"
    return Verdict("finite", False, reason, {"bad": count / len(bad)})


def _gradient(expression: Expression, grammar: Grammar, alpha: float | None, norm: float) -> Verdict:
    """Finite, not zero everywhere on the whole probe, and no explosion where the prediction is right."""
    probe = probes.whole(grammar)
    _, gradient = probe.gradient(expression, alpha)
    finite = _finite(gradient, probe.inputs, "gradient")
    if not finite.passed:
        return Verdict("gradient", False, finite.reason, finite.numbers)
    length = gradient.norm(dim=-1)
    alive = int((length > 0).sum())
    numbers = {"alive": alive / len(length), "largest": float(length.max())}
    if not (alive and norm):
        where = f"on all {len(length)} samples" if not alive else "where a detector in training is"
        return Verdict("gradient", False, f"zero {where}", numbers)
    numbers["at target"] = float(length[-probes.BESIDE :].max()) / norm
    if not numbers["at target"] <= MAX_AT_TARGET:
        reason = f"{numbers['at target']:.3g} times the usual next to the target, at most {MAX_AT_TARGET:,} is allowed"
        return Verdict("gradient", False, reason, numbers)
    beside = f"{numbers['at target']:.2g} times the usual next to the target"
    reason = f"finite, not zero on {alive} of {len(length)} samples, {beside}"
    return Verdict("gradient", True, reason, numbers)


def _converges(outcome: Descent, thresholds: Mapping[str, float]) -> Verdict:
    """Free boxes and logits descended under the formula alone come to rest where they should."""
    numbers = {**outcome.numbers, "steps": float(outcome.steps)}
    low = [
        f"{_OUTCOMES[name]} {numbers[name]:.2f}, at least {least:g} is asked"
        for name, least in thresholds.items()
        if name in numbers and not numbers[name] >= least
    ]
    after = f"after {outcome.steps} of {STEPS} steps"
    if low:
        why = f" ({outcome.broken})" if outcome.broken else ""
        return Verdict("converges", False, f"{after}: {'; '.join(low)}{why}", numbers)
    reached = ", ".join(f"{_OUTCOMES[name]} {value:.2f}" for name, value in outcome.numbers.items())
    return Verdict("converges", True, f"{after}: {reached}", numbers)


_OUTCOMES = {
    "iou": "mean IoU",
    "arrived": "share that arrived",
    "disjoint": "share of disjoint ones that arrived",
    "accuracy": "accuracy",
    "rank": "rank correlation with IoU",
    "ap": "AP",
}


def _at(value: Tensor, row: int) -> str:
    return f"{float(value[row]):.4g}" if value.dim() == 1 else f"[{' '.join(f'{v:.3g}' for v in value[row].tolist())}]"
