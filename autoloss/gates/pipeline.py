"""Pipeline: the gates, judgements of a formula without a detector, cheapest first; the first refusal ends it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from autoloss.gates import equivalence
from autoloss.gates.distinct import GATE, Distinct
from autoloss.gates.simulation import STEPS, descend_all
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.field import Descent
from primitives.kinds.kind import BESIDE
from primitives.kinds.verdict import Verdict
from primitives.operators import OPERATORS

MAX_AT_TARGET = 1_000
"""Largest gradient beside the target, in mean gradients; known losses have up to 50 (IoU to the power of 5)."""
_NONE = Distinct()


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


class Trial:
    """One formula before the gates: what they find out on the way is found once.

    Args:
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula.
        seen: what is not to come again.
        turns: whether it is negated where it runs the wrong way round.
    """

    def __init__(
        self,
        expression: Expression,
        grammar: Grammar,
        alpha: float | None = None,
        seen: Distinct = _NONE,
        turns: bool = True,
    ) -> None:
        self.given, self.grammar, self.alpha, self.seen, self.turns = expression, grammar, alpha, seen, turns
        self.runs_wrong = self.negated = False

    @property
    def expression(self) -> Expression:
        """The formula, negated where it was found to run the wrong way round."""
        return Expression(OPERATORS["neg"], (self.given,)) if self.negated else self.given

    @cached_property
    def course(self) -> list[Verdict]:
        """Finite, minimum and monotone up to the first refusal, in which order the kind finds cheapest."""
        verdicts, negated = self.grammar.kind.course(
            self.grammar.formula(self.given, self.alpha), self._finite_everywhere
        )
        self.runs_wrong, self.negated = negated, negated and self.turns
        return verdicts

    def on_course(self, gate: str) -> Verdict:
        """What the course says; a gate behind one that refused, and was left out, is passed.

        Of a formula that runs the wrong way round and is not turned the course is that of its negative.
        """
        found = next((one for one in self.course if one.gate == gate), Verdict(gate, True, "not looked at"))
        if found.passed and gate == "monotone" and self.runs_wrong and not self.turns:
            return Verdict(gate, False, "the loss rises where predictions get better")
        return found

    def _finite_everywhere(self) -> Verdict:
        kind = self.grammar.kind
        inputs = kind.whole(self.grammar.terminals).inputs
        return _finite(kind.losses(self.given(inputs), inputs, self.alpha), inputs, "value")

    @cached_property
    def direction(self) -> tuple[str, float]:
        """Identity and mean gradient norm."""
        return equivalence.identity(self.expression, self.grammar, self.alpha)


def structure(trial: Trial) -> Verdict:
    """The formula reads the prediction, and whatever else its kind asks for."""
    names = trial.given.names
    reads = ", ".join(sorted(names))
    if not names & trial.grammar.predicted:
        return Verdict("structure", False, f"reads {reads}, which no prediction changes")
    complaint = trial.grammar.kind.complaint(names)
    return Verdict("structure", not complaint, complaint or f"reads {reads}")


def finite(trial: Trial) -> Verdict:
    """Its values are finite."""
    return trial.on_course("finite")


def minimum(trial: Trial) -> Verdict:
    """They are lowest where the prediction is right."""
    return trial.on_course("minimum")


def monotone(trial: Trial) -> Verdict:
    """They fall on the way there."""
    return trial.on_course("monotone")


def gradient(trial: Trial) -> Verdict:
    """Finite, not zero everywhere on the whole probe, and no explosion where the prediction is right."""
    probe = trial.grammar.kind.whole(trial.grammar.terminals)
    _, slope = probe.gradient(trial.expression, trial.alpha)
    whole = _finite(slope, probe.inputs, "gradient")
    if not whole.passed:
        return Verdict("gradient", False, whole.reason, whole.numbers)
    length, (_, norm) = slope.norm(dim=-1), trial.direction
    alive = int((length > 0).sum())
    numbers = {"alive": alive / len(length), "largest": float(length.max())}
    if not (alive and norm):
        where = f"on all {len(length)} samples" if not alive else "where a detector in training is"
        return Verdict("gradient", False, f"zero {where}", numbers)
    numbers["at target"] = float(length[-BESIDE:].max()) / norm
    if not numbers["at target"] <= MAX_AT_TARGET:
        reason = f"{numbers['at target']:.3g} times the usual next to the target, at most {MAX_AT_TARGET:,} is allowed"
        return Verdict("gradient", False, reason, numbers)
    beside = f"{numbers['at target']:.2g} times the usual next to the target"
    reason = f"finite, not zero on {alive} of {len(length)} samples, {beside}"
    return Verdict("gradient", True, reason, numbers)


def distinct(trial: Trial) -> Verdict:
    """Its gradient is not that of a formula before; a pass says which known loss it is."""
    identity, _ = trial.direction
    known = equivalence.recognise(identity, trial.grammar)
    reason = f"its gradient is that of {known.title}" if known else "no known loss has its gradient"
    return trial.seen.verdict(identity, reason)


GATES: tuple[Callable[[Trial], Verdict], ...] = (structure, finite, minimum, monotone, gradient, distinct)
"""Every gate but the last, `converges`, which takes many formulas at once; see `converged`."""


def judge(
    expression: Expression,
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] | None = None,
    seen: Distinct = _NONE,
    names: Collection[str] | None = None,
) -> Judgement:
    """Leads a formula through the gates: structure, finite, minimum, monotone, gradient, distinct, converges.

    Args:
        expression: the formula.
        grammar: of it.
        alpha: weight of the target outside the formula.
        thresholds: least numbers of the simulation; None for those of the kind.
        seen: what is not to come again.
        names: of the gates that judge, None for all.
    """
    judgement = sifted(expression, grammar, alpha, seen, names)
    return converged([judgement], grammar, alpha, thresholds)[0] if names is None or "converges" in names else judgement


def sifted(
    expression: Expression,
    grammar: Grammar,
    alpha: float | None = None,
    seen: Distinct = _NONE,
    names: Collection[str] | None = None,
) -> Judgement:
    """Leads a formula through all gates but the last, `converges`."""
    # Who does not look which way it runs does not turn it round.
    trial, verdicts = Trial(expression, grammar, alpha, seen, turns=names is None or "minimum" in names), []
    for gate in GATES:
        if names is None or gate.__name__ in names:
            verdicts.append(gate(trial))
            if not verdicts[-1].passed:
                break
    known = trial.direction if not verdicts or verdicts[-1].passed or verdicts[-1].gate == GATE else ("", 0.0)
    return Judgement(trial.expression, tuple(verdicts), trial.negated, *known)


def converged(
    judgements: Sequence[Judgement],
    grammar: Grammar,
    alpha: float | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> list[Judgement]:
    """Leads those that passed every gate so far through the last one, all in one tensor program."""
    least = grammar.asked(grammar.kind.thresholds if thresholds is None else thresholds)
    left = [judgement for judgement in judgements if judgement.passed]
    outcomes = iter(descend_all([one.expression for one in left], grammar, alpha, least) if left else [])
    return [
        replace(one, verdicts=(*one.verdicts, converges(next(outcomes), grammar, least))) if one.passed else one
        for one in judgements
    ]


def converges(outcome: Descent, grammar: Grammar, thresholds: Mapping[str, float]) -> Verdict:
    """Free predictions descended under the formula alone come to rest where they should."""
    texts = {one.name: one.text for one in grammar.kind.outcomes}
    numbers = {**outcome.numbers, "steps": float(outcome.steps)}
    low = [
        f"{texts[name]} {numbers[name]:.2f}, at least {least:g} is asked"
        for name, least in thresholds.items()
        if name in texts and not numbers[name] >= least
    ]
    after = f"after {outcome.steps} of {STEPS} steps"
    if low:
        why = f" ({outcome.broken})" if outcome.broken else ""
        return Verdict("converges", False, f"{after}: {'; '.join(low)}{why}", numbers)
    reached = ", ".join(f"{texts[name]} {value:.2f}" for name, value in outcome.numbers.items())
    return Verdict("converges", True, f"{after}: {reached}", numbers)


def _finite(values: Tensor, inputs: Mapping[str, Tensor], what: str) -> Verdict:
    bad = ~torch.isfinite(values).reshape(len(values), -1).all(-1)
    if not bool(bad.any()):
        return Verdict("finite", True, f"finite on all {len(values):,} samples")
    count, row = int(bad.sum()), int(bad.nonzero()[0])
    where = ", ".join(f"{name}={_at(value, row)}" for name, value in inputs.items())
    reason = f"{what} is not finite on {count} of {len(bad):,} samples, first at {where}"
    return Verdict("finite", False, reason, {"bad": count / len(bad)})


def _at(value: Tensor, row: int) -> str:
    return f"{float(value[row]):.4g}" if value.dim() == 1 else f"[{' '.join(f'{v:.3g}' for v in value[row].tolist())}]"
