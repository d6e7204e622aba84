"""Gates: cheap judgements of a formula without a detector, cheapest first; the first refusal ends the story."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from autoloss import probes
from autoloss.candidate import Verdict
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.features import per_sample
from primitives.grammar import Grammar
from primitives.operators import OPERATORS

# A step against the rule counts only when it undoes this share of the path's whole fall: published losses have
# small bumps, and float32 has noise.
TOLERANCE = 0.05
# Paths or curves that may break the rule.
MAX_SHARE = 0.05


@dataclass(frozen=True)
class Judgement:
    """All verdicts on one formula up to the first refusal.

    Args:
        expression: the formula that was judged; negated where the loss ran the wrong way round.
        verdicts: in the order of the gates.
        negated: whether it was.
        identity: direction of its gradient; empty unless it passed.
        norm: mean gradient norm on the typical probe; 0 unless it passed.
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


def judge(expression: Expression, grammar: Grammar, alpha: float | None = None) -> Judgement:
    """Leads a formula through structure, gradient, finite, minimum and monotone.

    The sixth gate, distinct, belongs to a run: see `identity`.
    """
    verdicts = [structure(expression, grammar)]
    if not verdicts[-1].passed:
        return Judgement(expression, tuple(verdicts))
    probe = probes.whole(grammar)
    loss, gradient = probe.gradient(expression, alpha)
    for verdict in (_gradient(gradient), _finite(loss, gradient, probe)):
        verdicts.append(verdict)
        if not verdict.passed:
            return Judgement(expression, tuple(verdicts))
    look, loss = _box_look if grammar.slot == "loss_bbox" else _class_look, _on_paths(expression, grammar, alpha)
    seen, negated = look(loss, grammar), False
    if not seen[-1].passed:
        opposite = look(-loss, grammar)
        if opposite[-1].passed:
            expression, seen, negated = Expression(OPERATORS["neg"], (expression,)), opposite, True
    verdicts.extend(seen)
    if not verdicts[-1].passed:
        return Judgement(expression, tuple(verdicts))
    name, norm = identity(expression, grammar, alpha)
    return Judgement(expression, tuple(verdicts), negated, name, norm)


def structure(expression: Expression, grammar: Grammar) -> Verdict:
    """The formula reads the prediction, and a class formula its target."""
    reads = sorted(expression.names)
    if not expression.names & grammar.predicted:
        return Verdict("structure", False, f"reads {', '.join(reads)}, which no prediction changes")
    if grammar.slot == "loss_cls" and not expression.names & {"y", "w"}:
        return Verdict("structure", False, "reads no target: y or w")
    return Verdict("structure", True, f"reads {', '.join(reads)}")


def _gradient(gradient: Tensor) -> Verdict:
    rows = gradient.abs().amax(-1)
    alive = int((rows > 0).sum())  # NaN compares false
    if alive == 0 and not bool(torch.isnan(rows).any()):
        return Verdict("gradient", False, f"zero on all {len(rows)} samples", {"alive": 0.0})
    return Verdict("gradient", True, f"not zero on {alive} of {len(rows)} samples", {"alive": alive / len(rows)})


def _finite(loss: Tensor, gradient: Tensor, probe: probes.Probe) -> Verdict:
    bad_loss, bad_gradient = ~torch.isfinite(loss), ~torch.isfinite(gradient).all(-1)
    bad = bad_loss | bad_gradient
    if not bool(bad.any()):
        largest = float(gradient.abs().max())
        return Verdict("finite", True, f"largest gradient {largest:.3g}", {"largest": largest})
    count, row = int(bad.sum()), int(bad.nonzero()[0])
    where = ", ".join(f"{name}={_at(value, row)}" for name, value in probe.inputs.items())
    what = "value" if bool(bad_loss[row]) else "gradient"
    reason = f"{what} is not finite on {count} of {len(bad)} samples, first at {where}"
    return Verdict("finite", False, reason, {"bad": count / len(bad)})


def _at(value: Tensor, row: int) -> str:
    return f"{float(value[row]):.4g}" if value.dim() == 1 else f"[{' '.join(f'{v:.3g}' for v in value[row].tolist())}]"


def _against(steps: Tensor) -> Tensor:
    """Share of its way that each path (P, T) goes up, given its steps (P, T - 1): 0 falls, 1 rises all the way."""
    up, down = steps.clamp(min=0).sum(-1), (-steps).clamp(min=0).sum(-1)
    return up / (up + down).clamp(min=torch.finfo(steps.dtype).tiny)


def _noise(loss: Tensor) -> Tensor:
    """What float32 cannot tell from zero along each path (P, T), as (P, 1)."""
    return 8 * torch.finfo(torch.float32).eps * loss.abs().amax(-1, keepdim=True)


def _steps(loss: Tensor) -> Tensor:
    steps = loss[..., 1:] - loss[..., :-1]
    return torch.where(steps.abs() <= _noise(loss), torch.zeros_like(steps), steps)


def _on_paths(expression: Expression, grammar: Grammar, alpha: float | None) -> Tensor:
    """Losses along the paths of boxes, or along the curves of logits, flat."""
    inputs = (probes.box_paths if grammar.slot == "loss_bbox" else probes.class_curves)(grammar).inputs
    return per_sample(expression(inputs), inputs, alpha)


def _box_look(flat_loss: Tensor, grammar: Grammar) -> list[Verdict]:
    """Minimum and monotone along the paths of boxes onto their targets, up to the first refusal."""
    paths = probes.box_paths(grammar)
    loss = flat_loss.reshape(paths.shape)
    if not bool(torch.isfinite(loss).all()):
        return [Verdict("minimum", False, "not finite on the way of a box onto its target")]
    count = len(loss)
    span = loss.amax(-1) - loss.amin(-1)
    above = loss[:, -1] - loss.amin(-1) > TOLERANCE * span + _noise(loss)[:, 0]
    flat = span <= _noise(loss)[:, 0]
    missed, still = int(above.sum()), int(flat.sum())
    numbers = {"missed": missed / count, "flat": still / count}
    if missed > MAX_SHARE * count or still > MAX_SHARE * count:
        what = f"on {missed} of {count} paths, and it is flat on {still}"
        return [Verdict("minimum", False, f"the loss is not lowest at the target {what}", numbers)]
    verdict = Verdict("minimum", True, f"lowest at the target on {count - missed} of {count} paths", numbers)
    steps = torch.where(paths.rising, _steps(loss), torch.zeros_like(loss[:, 1:]))
    worst = _against(steps)
    rises = int((worst > TOLERANCE).sum())
    numbers = {"rises": rises / count, "worst": float(worst.max())}
    if rises > MAX_SHARE * count:
        return [verdict, Verdict("monotone", False, f"the loss rises with IoU on {rises} of {count} paths", numbers)]
    return [verdict, Verdict("monotone", True, f"falls as IoU rises on {count - rises} of {count} paths", numbers)]


def _class_look(loss: Tensor, grammar: Grammar) -> list[Verdict]:
    """Minimum: a target logit pulls, the others push; monotone: one valley that does not run backwards."""
    curves = probes.class_curves(grammar)
    if not bool(torch.isfinite(loss).all()):
        return [Verdict("minimum", False, "not finite along the logits")]
    rows = curves.target[0] * curves.target[1] * curves.target[2]
    target, other = loss[:rows].reshape(curves.target), loss[rows:].reshape(curves.other)
    first = _pull_and_push(target[:, -1], other)
    return [first, _one_valley(target)] if first.passed else [first]


def _pull_and_push(certain: Tensor, other: Tensor) -> Verdict:
    """At w = 1 the loss falls in the target logit; it rises in another logit, and more so for background."""
    fall, rise = -_steps(certain), _steps(other)
    bad_fall = (_against(-fall) > TOLERANCE) | (certain[:, 0] - certain[:, -1] <= _noise(certain)[:, 0])
    background = other[1::2]
    bad_rise = (_against(-rise) > TOLERANCE).sum() + (
        background[:, -1] - background[:, 0] <= _noise(background)[:, 0]
    ).sum()
    numbers = {"not falling": float(bad_fall.sum()), "not rising": float(bad_rise)}
    if bool(bad_fall.any()):
        reason = (
            f"the loss does not fall in the target logit on {int(bad_fall.sum())} of {len(certain)} curves at w = 1"
        )
        return Verdict("minimum", False, reason, numbers)
    if int(bad_rise) > 0:
        reason = f"the loss does not rise in the other logits on {int(bad_rise)} of {len(other)} curves"
        return Verdict("minimum", False, reason, numbers)
    return Verdict("minimum", True, "falls in the target logit, rises in the others", numbers)


def _one_valley(target: Tensor) -> Verdict:
    """Along the target logit there is one valley at every w, and its place does not move down as w grows."""
    place = target.argmin(-1)
    steps = _steps(target)
    after = torch.arange(steps.shape[-1]) >= place[..., None]
    wrong = torch.where(after, -steps, steps).clamp(min=0).sum(-1)
    bumpy = int((wrong > TOLERANCE * steps.abs().sum(-1)).sum())
    back = int((place[:, 1:] < place[:, :-1] - 1).sum())
    total, pairs = target[..., 0].numel(), place[:, 1:].numel()
    numbers = {"bumpy": bumpy / total, "backwards": back / pairs}
    if bumpy > MAX_SHARE * total:
        return Verdict(
            "monotone", False, f"more than one valley along the target logit on {bumpy} of {total} curves", numbers
        )
    if back > 0:
        reason = f"the valley moves down as w grows on {back} of {pairs} pairs of curves"
        return Verdict("monotone", False, reason, numbers)
    return Verdict("monotone", True, f"one valley on {total - bumpy} of {total} curves, moving up with w", numbers)


def identity(expression: Expression, grammar: Grammar, alpha: float | None = None) -> tuple[str, float]:
    """Direction of the gradient on the typical probe, as text, and the mean gradient norm.

    Losses that differ by a constant and a positive factor have one identity.
    """
    _, gradient = probes.typical(grammar).gradient(expression, alpha)
    norm = float(gradient.norm(dim=-1).mean())
    flat = gradient.flatten()
    length = float(flat.norm())
    if not (length > 0 and torch.isfinite(flat).all()):
        return "", 0.0
    shadow = (_directions(len(flat)) @ (flat / length)).mul(1e4).round().to(torch.int64)
    return hashlib.sha256(shadow.numpy().tobytes()).hexdigest()[:16], norm


@cache
def _directions(length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randn(8, length, generator=generator, dtype=torch.float64)


@cache
def _known_identities() -> dict[tuple[str, str], KnownLoss]:
    """Known losses by slot family and identity; box grammars share one, for boxes are boxes."""
    found: dict[tuple[str, str], KnownLoss] = {}
    for known in KNOWN.values():
        name, _ = identity(known.expression, GRAMMARS[known.grammar], known.alpha)
        found.setdefault((_family(known.grammar), name), known)
    return found


def _family(grammar: str) -> str:
    return "box" if GRAMMARS[grammar].slot == "loss_bbox" else grammar


def recognise(name: str, grammar: Grammar) -> KnownLoss | None:
    """The known loss with this identity, or None."""
    return _known_identities().get((_family(grammar.name), name))
