"""Certificates: what is known of a loss beside that it passed: reported and kept, never a reason to refuse it.

Each says how it is known: proved by algebra on the whole domain, computed at a point, or sampled on so many cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sympy
import torch

from autoloss.gates import equivalence, paths, probes
from autoloss.gates.simulation import THRESHOLDS, descend
from autoloss.gates.simulation_inputs import sampled_boxes
from primitives import algebra
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
        how: `proved`, `computed`, or `sampled on N`.
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


@algebra.unless_stuck
def _perfect(expression: Expression, grammar: Grammar) -> sympy.Expr | None:
    """Value of a formula in pixels where the boxes are equal, of area A."""
    if not _plain(expression):
        return None
    area = sympy.Symbol("A", positive=True)
    value = algebra.columns(expression, grammar.terminals)[0].subs({one.symbol(): area for one in grammar.terminals})
    return sympy.simplify(value)


def _box_optimum(expression: Expression, grammar: Grammar) -> Certificate:
    """Areas count in units of the target's, so all perfect boxes are one case, or in pixels."""
    if grammar.name == "box_pixels":
        value = _perfect(expression, grammar)
        if value is not None and value.free_symbols:
            text = f"{value}, A being the target's area in square pixels"
            return Certificate("optimum", f"the loss of a perfect box is {text}", algebra.PROVED)
    sizes = torch.tensor([64.0**2 if grammar.name == "box_pixels" else 1.0], dtype=torch.float64)
    inputs = {terminal.name: sizes * (terminal.name not in ("d", "v")) for terminal in grammar.terminals}
    number = float(expression(inputs)) + 0.0
    where = " of 64 px" if grammar.name == "box_pixels" else ""
    return Certificate("optimum", f"the loss of a perfect box{where} is {number:.6g}", "computed", {"value": number})


@algebra.unless_stuck
def _box_slopes(expression: Expression, grammar: Grammar) -> list[str] | None:
    """In which areas a formula is proved to rise or fall where i < u < e."""
    if grammar.name == "box_extended" or expression.size > _PROOF_SIZE or not _plain(expression):
        return None
    i, p, q = sympy.symbols("i p q", positive=True)
    domain = {_symbol("u"): i + p, _symbol("e"): i + p + q, _symbol("i"): i}
    formula, proved = algebra.columns(expression, grammar.terminals)[0], []
    for name, area in (("i", "intersection"), ("u", "union"), ("e", "enclosing area")):
        slope = algebra.sign(sympy.diff(formula, _symbol(name)).subs(domain))
        if slope and name in expression.names:
            proved.append(f"{'rises' if slope > 0 else 'falls'} with the {area}")
    return proved


def _box_monotone(expression: Expression, grammar: Grammar) -> Certificate:
    proved = _box_slopes(expression, grammar)
    if proved:
        return Certificate("monotone", f"{', '.join(proved)}, the others fixed, where i < u < e", algebra.PROVED)
    ways = paths.box_paths(grammar)
    loss = expression(ways.inputs).expand(ways.rising.numel() + len(ways.rising)).reshape(ways.shape)
    share = float(((loss[:, 1:] <= loss[:, :-1]) | ~ways.rising).float().mean())
    return Certificate(
        "monotone",
        f"does not rise on {share:.1%} of the steps of boxes that gain IoU",
        f"sampled on {ways.rising.numel():,}",
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


@algebra.unless_stuck
def _limits(expression: Expression, grammar: Grammar) -> list[float] | None:
    """Limits of a sigmoid loss at w = 1: of the target column as its logit grows, of another as its logit falls."""
    if grammar.name != "sigmoid" or not _plain(expression) or expression.size > _LIMIT_SIZE:
        return None
    ends = zip(_logit_formulas(expression, grammar), (sympy.oo, sympy.Integer(0)), strict=True)
    limits = [algebra.limit(formula, t, place) for (formula, t), place in ends]
    return [float(found) for found in limits if found is not None and found.is_number and found.is_real]


def _class_optimum(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    values = _limits(expression, grammar)
    if values and len(values) == len(_ENDS):
        text = " and ".join(f"{value:.6g} {where}" for value, where in zip(values, _ENDS, strict=True))
        numbers = dict(zip(("target", "other"), values, strict=True))
        return Certificate("optimum", f"at w = 1 the loss goes to {text}", algebra.PROVED, numbers)
    x = torch.full((1, 4 if grammar.name == "sigmoid" else 5), -20.0, dtype=torch.float64)
    x[0, 0] = 20.0
    inputs = class_features(x, torch.zeros(1).long(), torch.ones(1), use_sigmoid=grammar.name == "sigmoid")
    value = float(per_sample(expression(inputs), inputs, alpha)[0]) + 0.0
    statement = f"the loss of a certain, right answer at w = 1 is {value:.6g}"
    return Certificate("optimum", statement, "computed", {"value": value})


def _logit_formulas(expression: Expression, grammar: Grammar) -> list[tuple[sympy.Expr, sympy.Symbol]]:
    """The loss at w = 1 over t = e^x > 0: along the target logit, then along another."""
    if grammar.name == "sigmoid":
        t = sympy.Symbol("t", positive=True)
        column = algebra.columns(expression, grammar.terminals)[0]
        if any(node.text.startswith(("softmax", "dot")) for node in expression.walk()):
            return []
        names = [_symbol(name) for name in ("y", "w", "x")]
        return [(column.subs(dict(zip(names, (hit, hit, sympy.log(t)), strict=True))), t) for hit in (1, 0)]
    classes, ts = 3, sympy.symbols("t:3", positive=True)
    values: dict[sympy.Symbol, sympy.Expr] = {}
    for k in range(classes):
        at = {"x": sympy.log(ts[k]), "y": sympy.Integer(k == 0), "w": sympy.Integer(1)}
        values.update({sympy.Symbol(f"{name}_{k}", real=True): value for name, value in at.items()})
    parts = algebra.columns(expression, grammar.terminals, classes)
    total = sympy.Add(*parts).subs(values)
    return [(total, ts[0]), (total, ts[1])]


@algebra.unless_stuck
def _logit_signs(expression: Expression, grammar: Grammar, order: int) -> list[int | None] | None:
    """Proved signs of a derivative in the logit x = log t at w = 1: along the target, then along another."""
    if expression.size > _PROOF_SIZE or not _plain(expression):
        return None
    signs = []
    for formula, t in _logit_formulas(expression, grammar):
        slope = formula
        for _ in range(order):
            slope = t * sympy.diff(slope, t)
        signs.append(algebra.sign(slope))
    return signs


def _class_monotone(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    if _logit_signs(expression, grammar, 1) == [-1, 1]:
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
        f"sampled on {len(right)}",
        {"share": share},
    )


def _convex(expression: Expression, grammar: Grammar, alpha: float | None) -> Certificate:
    signs = _logit_signs(expression, grammar, 2)
    if signs and all(sign in (0, 1) for sign in signs):
        return Certificate("convexity", "convex in each logit at w = 1", algebra.PROVED)
    target, other = paths.curve_losses(expression, grammar, alpha)
    curves = torch.cat((target[:, -1], other))
    bends = (curves.diff().diff() / curves.diff().abs().amax(-1, keepdim=True).clamp(min=1e-30)).flatten()
    share = float((bends >= -1e-4).float().mean())
    statement = f"convex in each logit at w = 1 on {share:.1%} of the points"
    return Certificate("convexity", statement, f"sampled on {len(bends)}", {"share": share})


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


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, positive=True) if name in "iue" else sympy.Symbol(name, real=True)
