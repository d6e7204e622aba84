"""Certificates: what is known of a loss beside that it passed: reported and kept, never a reason to refuse it.

Each says how it is known: proved by algebra on the whole domain, computed at a point, or sampled on so many cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from autoloss.gates import equivalence, paths, probes, proofs
from autoloss.gates.simulation import THRESHOLDS, descend
from autoloss.gates.simulation_inputs import sampled_boxes
from primitives import algebra
from primitives.algebra import Answer
from primitives.expression import Expression
from primitives.features import class_features, per_sample
from primitives.grammar import Grammar
from primitives.operators import Operator

_PROOF_SIZE = 60  # nodes; larger formulas are sampled only, for algebra on them takes seconds
_LIMIT_SIZE = 24
# Operators with which algebra is quick.
_PLAIN = frozenset(("add", "sub", "mul", "div", "neg", "exp", "log", "sigmoid", "softplus", "softmax", "dot"))
_ENDS = ("as the target logit grows", "in every other column as its logit falls")
_STILL = 1e-3  # of the mean gradient: below it a gradient has vanished
_W = tuple(k / 10 for k in range(1, 11))


@dataclass(frozen=True)
class Certificate:
    """One statement about a loss.

    Args:
        name: what it is about.
        statement: the finding, for people.
        how: `proved`, `computed`, or `sampled on N`; the latter say so where SymPy took too long for a proof.
        numbers: behind it.
    """

    name: str
    statement: str
    how: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def certify(expression: Expression, grammar: Grammar, alpha: float | None = None) -> tuple[Certificate, ...]:
    """All certificates of a formula that passed the gates.

    Args:
        expression: the formula, as the gates left it.
        grammar: of it.
        alpha: weight of the target column of a sigmoid loss.
    """
    smooth, kinships = _smooth(expression, grammar, alpha), equivalence.kin(expression, grammar, alpha)
    known = tuple(Certificate("known", f"{one.relation} ({one.known.source})", one.how) for one in kinships)
    if grammar.slot == "loss_bbox":
        makers = (_resolution, _box_optimum, _box_monotone, _disjoint)
        return (*known, *(make(expression, grammar) for make in makers), smooth)
    class_makers = (_class_optimum, _class_monotone, _convex, _proper, _noise)
    return (*known, *(make(expression, grammar, alpha) for make in class_makers), smooth)


def _resolution(expression: Expression, grammar: Grammar) -> Certificate:
    if grammar.name != "box_pixels":
        return Certificate("scale", "the same at every image resolution: it reads ratios of areas only", algebra.PROVED)
    gradients = [probes.scaled(grammar, factor).gradient(expression)[1] for factor in (0.25, 1.0, 4.0)]
    cosines = torch.stack([torch.cosine_similarity(gradients[1], other) for other in (gradients[0], gradients[2])])
    growth = float(gradients[2].norm(dim=-1).mean() / gradients[0].norm(dim=-1).mean().clamp(min=1e-30))
    numbers = {"mean": float(cosines.mean()), "worst": float(cosines.min()), "growth": growth}
    what = "does not change" if numbers["worst"] > 0.999 else "changes"
    verdicts = []
    for factor in (0.25, 4.0):
        boxes = sampled_boxes()
        outcome = descend(expression, grammar, boxes=replace(boxes, target=factor * boxes.target)).numbers
        numbers[f"iou at {factor:g}"] = outcome["iou"]
        passes = all(outcome[name] >= least for name, least in THRESHOLDS.items() if name in outcome)
        verdicts.append(f"{'converges' if passes else 'does not converge'} at {factor:g} times the resolution")
    statement = (
        f"{' and '.join(verdicts)}; the direction of its gradient {what} between them: "
        f"cosine {numbers['mean']:.3f} on average, {numbers['worst']:.3f} at worst; its length grows {growth:.3g} times"
    )
    return Certificate("scale", statement, f"sampled on {cosines.numel()}", numbers)


def _box_optimum(expression: Expression, grammar: Grammar) -> Certificate:
    """Areas count in units of the target's, so all perfect boxes are one case, or in pixels."""
    proved: Answer[str] = Answer(None)
    if grammar.name == "box_pixels" and _plain(expression):
        proved = algebra.ask(proofs.perfect, expression.tree, sorted(expression.names))
    if proved.value:
        text = f"{proved.value}, A being the target's area in square pixels"
        return Certificate("optimum", f"the loss of a perfect box is {text}", algebra.PROVED)
    sizes = torch.tensor([64.0**2 if grammar.name == "box_pixels" else 1.0], dtype=torch.float64)
    inputs = {terminal.name: sizes * (terminal.name not in ("d", "v")) for terminal in grammar.terminals}
    number = float(expression(inputs)) + 0.0
    where = " of 64 px" if grammar.name == "box_pixels" else ""
    return Certificate(
        "optimum", f"the loss of a perfect box{where} is {number:.6g}", proved.otherwise("computed"), {"value": number}
    )


_AREAS = {"i": "intersection", "u": "union", "e": "enclosing area"}


def _box_monotone(expression: Expression, grammar: Grammar) -> Certificate:
    slopes: Answer[dict[str, int | None]] = Answer(None)
    if grammar.name != "box_extended" and expression.size <= _PROOF_SIZE and _plain(expression):
        slopes = algebra.ask(proofs.box_slopes, expression.tree)
    proved = [
        f"{'rises' if slope > 0 else 'falls'} with the {_AREAS[name]}"
        for name, slope in (slopes.value or {}).items()
        if slope and name in expression.names
    ]
    if proved:
        return Certificate("monotone", f"{', '.join(proved)}, the others fixed, where i < u < e", algebra.PROVED)
    ways = paths.box_paths(grammar)
    loss = expression(ways.inputs).expand(ways.rising.numel() + len(ways.rising)).reshape(ways.shape)
    share = float(((loss[:, 1:] <= loss[:, :-1]) | ~ways.rising).float().mean())
    return Certificate(
        "monotone",
        f"does not rise on {share:.1%} of the steps of boxes that gain IoU",
        slopes.otherwise(f"sampled on {ways.rising.numel():,}"),
        {"share": share},
    )


def _disjoint(expression: Expression, grammar: Grammar) -> Certificate:
    probe = probes.disjoint(grammar)
    _, gradient = probe.gradient(expression)
    _, near = probes.typical(grammar).gradient(expression)
    length, usual = gradient.norm(dim=-1), near.norm(dim=-1).mean()
    gone = float((length < _STILL * usual).float().mean())
    grows = float((gradient[:, 2:].sum(-1) < -_STILL * usual).float().mean())
    numbers = {"vanishes": gone, "enlarges": grows}
    if gone == 1:
        statement = "its gradient vanishes: boxes that do not touch their target stay where they are"
    else:
        statement = f"its gradient vanishes on {gone:.0%} of pairs and rewards a larger predicted box on {grows:.0%}"
    return Certificate("disjoint boxes", statement, f"sampled on {len(length)}", numbers)


def _smooth(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    _, usual = probes.typical(grammar).gradient(expression, alpha)
    scale = float(usual.norm(dim=-1).mean())
    if not 0 < scale < math.inf:  # of a formula that was given, for the gates let none pass
        return Certificate("smoothness", f"its gradient is {scale:g} where a detector trains", "sampled on 256")
    largest = float(probes.whole(grammar).gradient(expression, alpha)[1].norm(dim=-1).max()) / scale
    first, second = probes.neighbours(grammar)
    change = (first.gradient(expression, alpha)[1] - second.gradient(expression, alpha)[1]).norm(dim=-1)
    jumps = float((change > 0.25 * scale).float().mean())
    statement = f"largest gradient {largest:.3g} times the mean; it jumps between {jumps:.1%} of close neighbours"
    numbers = {"largest": largest, "jumps": jumps}
    return Certificate("smoothness", statement, f"sampled on {len(change)}", numbers)


def _plain(expression: Expression) -> bool:
    """Whether what depends on the prediction is made of operators with which algebra is quick."""
    nodes = (node.head for node in expression.walk() if node.names & {"x", "i", "u", "e"})
    return all(head.name in _PLAIN for head in nodes if isinstance(head, Operator))


def _limits(expression: Expression, grammar: Grammar) -> Answer[list[float]]:
    if grammar.name != "sigmoid" or not _by_column(expression) or expression.size > _LIMIT_SIZE:
        return Answer(None)
    return algebra.ask(proofs.limits, expression.tree)


def _by_column(expression: Expression) -> bool:
    """Whether algebra is quick, and one column does not depend on the others."""
    apart = not any(isinstance(node.head, Operator) and node.head.class_axis for node in expression.walk())
    return apart and _plain(expression)


def _class_optimum(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    found = _limits(expression, grammar)
    values = found.value
    if values and len(values) == len(_ENDS):
        text = " and ".join(f"{value:.6g} {where}" for value, where in zip(values, _ENDS, strict=True))
        numbers = dict(zip(("target", "other"), values, strict=True))
        return Certificate("optimum", f"at w = 1 the loss goes to {text}", algebra.PROVED, numbers)
    x = torch.full((1, 4 if grammar.name == "sigmoid" else 5), -20.0, dtype=torch.float64)
    x[0, 0] = 20.0
    inputs = class_features(x, torch.zeros(1).long(), torch.ones(1), use_sigmoid=grammar.name == "sigmoid")
    value = float(per_sample(expression(inputs), inputs, alpha)[0]) + 0.0
    statement = f"the loss of a certain, right answer at w = 1 is {value:.6g}"
    return Certificate("optimum", statement, found.otherwise("computed"), {"value": value})


def _logit_signs(expression: Expression, grammar: Grammar, order: int) -> Answer[list[int | None]]:
    quick = _by_column(expression) if grammar.name == "sigmoid" else _plain(expression)
    if expression.size > _PROOF_SIZE or not quick:
        return Answer(None)
    return algebra.ask(proofs.logit_signs, expression.tree, grammar.name, order)


def _class_monotone(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    signs = _logit_signs(expression, grammar, 1)
    if signs.value == [-1, 1]:
        where = "three classes" if grammar.name == "softmax" else "every logit"
        return Certificate(
            "monotone", f"at w = 1 falls in the target logit, rises in others, for {where}", algebra.PROVED
        )
    target, other = paths.curve_losses(expression, grammar, alpha)
    right = torch.cat(((target[:, -1].diff() <= 0).flatten(), (other.diff() >= 0).flatten()))
    share = float(right.float().mean())
    return Certificate(
        "monotone",
        f"at w = 1 falls in the target logit and rises in others on {share:.1%} of steps",
        signs.otherwise(f"sampled on {len(right)}"),
        {"share": share},
    )


def _convex(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    signs = _logit_signs(expression, grammar, 2)
    if signs.value and all(sign in (0, 1) for sign in signs.value):
        return Certificate("convexity", "convex in each logit at w = 1", algebra.PROVED)
    target, other = paths.curve_losses(expression, grammar, alpha)
    curves = torch.cat((target[:, -1], other))
    bends = (curves.diff().diff() / curves.diff().abs().amax(-1, keepdim=True).clamp(min=1e-30)).flatten()
    share = float((bends >= -1e-4).float().mean())
    statement = f"convex in each logit at w = 1 on {share:.1%} of the points"
    return Certificate("convexity", statement, signs.otherwise(f"sampled on {len(bends)}"), {"share": share})


def asked(expression: Expression, grammar: Grammar, alpha: float | None = None) -> Mapping[float, float]:
    """Probability of the target class at which the loss of a positive is lowest, by w = 0.1 .. 1."""
    grid = torch.linspace(-10, 10, 401, dtype=torch.float64)
    width = 4 if grammar.name == "sigmoid" else 5
    found = {}
    for w in _W:
        x = torch.full((len(grid), width), -1.0, dtype=torch.float64)
        x[:, 0] = grid
        labels, iou = torch.zeros(len(grid)).long(), torch.full((len(grid),), w, dtype=torch.float64)
        inputs = class_features(x, labels, iou, use_sigmoid=grammar.name == "sigmoid")
        place = x[per_sample(expression(inputs), inputs, alpha).argmin()]
        found[w] = float(place.sigmoid()[0] if grammar.name == "sigmoid" else place.softmax(-1)[0])
    return found


def _proper(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    found = asked(expression, grammar, alpha)
    off = max(abs(p - w) for w, p in found.items())
    numbers = {"off": off, **{f"p({w:g})": p for w, p in found.items()}}
    if off < 0.02:
        statement = "asks for the probability w: a proper estimate of the IoU"
    elif min(found.values()) > 0.98:
        statement = "asks for probability 1 at every IoU"
    else:
        statement = "asks for probability " + ", ".join(f"{found[w]:.2f} at w = {w:g}" for w in (0.1, 0.5, 1.0))
    return Certificate("properness", statement, f"sampled on {len(found)} levels of w", numbers)


def _noise(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    """Ghosh et al. 2017, arXiv 1712.09482, theorem 1: a loss whose sum over all labels is constant ignores noise."""
    generator = torch.Generator().manual_seed(0)
    width = 4 if grammar.name == "sigmoid" else 5
    x = torch.randn(256, width, generator=generator, dtype=torch.float64) * 2
    losses = []
    for label in range(width):
        labels = torch.full((len(x),), label)
        inputs = class_features(x, labels, torch.ones(len(x)), use_sigmoid=grammar.name == "sigmoid")
        losses.append(per_sample(expression(inputs), inputs, alpha))
    each = torch.stack(losses)
    share = float(each.mean(0).std() / each.std().clamp(min=1e-30))
    kind = "symmetric, so robust to random labels" if share < 0.02 else "not symmetric"
    statement = f"{kind}: its mean over all labels varies {share:.2f} times as much as the loss"
    return Certificate("label noise", statement, f"sampled on {len(x)}", {"asymmetry": share})
