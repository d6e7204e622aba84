"""What is known of a class loss beside that it passed the gates."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from primitives import algebra
from primitives.algebra import Answer
from primitives.kinds import draws
from primitives.kinds.classification import curves, proofs
from primitives.kinds.classification.samples import width
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.verdict import Certificate

_PROOF_SIZE = 60  # nodes; larger formulas are sampled only, for algebra on them takes seconds
_LIMIT_SIZE = 24
_ENDS = ("as the target logit grows", "in every other column as its logit falls")
_END = 12.0
_GONE, _STAYS = 0.01, 0.5
"""Of the strongest pull: below it is gone, above it has not fallen."""
_W = tuple(k / 10 for k in range(1, 11))


def found(kind: Kind, formula: Formula, background: bool) -> list[Certificate]:
    """See Kind.certificates."""
    return [
        _optimum(kind, formula, background),
        _monotone(kind, formula, background),
        _convex(kind, formula, background),
        _proper(kind, formula, background),
        _noise(kind, formula, background),
        _tails(kind, formula, background),
    ]


def losses(kind: Kind, formula: Formula, x: Tensor, labels: Tensor, iou: Tensor) -> Tensor:
    """Losses (N,) at logits; what a head gives beside the IoU is in the middle of its interval."""
    given = {**draws.middle(formula.terminals, *x.shape), "iou": iou}
    inputs = kind.inputs(Sample(x, labels, given), formula.terminals)
    return kind.losses(formula.expression(inputs), inputs, formula.alpha)


def _limits(formula: Formula, background: bool) -> Answer[list[float]]:
    """Limits of a sigmoid loss at w = 1: of the target column as its logit grows, of another as its logit falls."""
    if background or not (formula.by_column and formula.quick) or formula.expression.size > _LIMIT_SIZE:
        return Answer(None)
    return algebra.ask(proofs.limits, formula.expression.tree, formula.positive)


def _optimum(kind: Kind, formula: Formula, background: bool) -> Certificate:
    found = _limits(formula, background)
    values = found.value
    if values and len(values) == len(_ENDS):
        text = " and ".join(f"{value:.6g} {where}" for value, where in zip(values, _ENDS, strict=True))
        numbers = dict(zip(("target", "other"), values, strict=True))
        return Certificate("optimum", f"at w = 1 the loss goes to {text}", algebra.PROVED, numbers)
    x = torch.full((1, width(background)), -20.0, dtype=torch.float64)
    x[0, 0] = 20.0
    value = float(losses(kind, formula, x, torch.zeros(1).long(), torch.ones(1))[0]) + 0.0
    statement = f"the loss of a certain, right answer at w = 1 is {value:.6g}"
    return Certificate("optimum", statement, found.otherwise("computed"), {"value": value})


def _logit_signs(formula: Formula, background: bool, order: int) -> Answer[list[int | None]]:
    """Proved signs of a derivative in the logit x = log t at w = 1: along the target, then along another."""
    if formula.held and order > 1:  # algebra would hold still what changes with the gradient
        return Answer(None)
    quick = formula.quick and (background or formula.by_column)
    if formula.expression.size > _PROOF_SIZE or not quick:
        return Answer(None)
    return algebra.ask(proofs.logit_signs, formula.expression.tree, formula.positive, background, order)


def _monotone(kind: Kind, formula: Formula, background: bool) -> Certificate:
    signs = _logit_signs(formula, background, 1)
    if signs.value == [-1, 1]:
        where = "three classes" if background else "every logit"
        return Certificate(
            "monotone", f"at w = 1 falls in the target logit, rises in others, for {where}", algebra.PROVED
        )
    target, other = curves.losses(kind, formula, background)
    right = torch.cat(((target[:, -1].diff() <= 0).flatten(), (other.diff() >= 0).flatten()))
    share = float(right.float().mean())
    return Certificate(
        "monotone",
        f"at w = 1 falls in the target logit and rises in others on {share:.1%} of steps",
        signs.otherwise(f"sampled on {len(right)}"),
        {"share": share},
    )


def _convex(kind: Kind, formula: Formula, background: bool) -> Certificate:
    signs = _logit_signs(formula, background, 2)
    if signs.value and all(sign in (0, 1) for sign in signs.value):
        return Certificate("convexity", "convex in each logit at w = 1", algebra.PROVED)
    target, other = curves.losses(kind, formula, background)
    along = torch.cat((target[:, -1], other))
    bends = (along.diff().diff() / along.diff().abs().amax(-1, keepdim=True).clamp(min=1e-30)).flatten()
    share = float((bends >= -1e-4).float().mean())
    statement = f"convex in each logit at w = 1 on {share:.1%} of the points"
    return Certificate("convexity", statement, signs.otherwise(f"sampled on {len(bends)}"), {"share": share})


def asked(kind: Kind, formula: Formula, background: bool) -> Mapping[float, float]:
    """Probability of the target class at which the loss of a positive is lowest, by w = 0.1 .. 1."""
    grid = torch.linspace(-10, 10, 401, dtype=torch.float64)
    found = {}
    for w in _W:
        x = torch.full((len(grid), width(background)), -1.0, dtype=torch.float64)
        x[:, 0] = grid
        labels, iou = torch.zeros(len(grid)).long(), torch.full((len(grid),), w, dtype=torch.float64)
        place = x[losses(kind, formula, x, labels, iou).argmin()]
        found[w] = float(place.softmax(-1)[0] if background else place.sigmoid()[0])
    return found


def _proper(kind: Kind, formula: Formula, background: bool) -> Certificate:
    found = asked(kind, formula, background)
    off = max(abs(p - w) for w, p in found.items())
    numbers = {"off": off, **{f"p({w:g})": p for w, p in found.items()}}
    if off < 0.02:
        statement = "asks for the probability w: a proper estimate of the IoU"
    elif min(found.values()) > 0.98:
        statement = "asks for probability 1 at every IoU"
    else:
        statement = "asks for probability " + ", ".join(f"{found[w]:.2f} at w = {w:g}" for w in (0.1, 0.5, 1.0))
    return Certificate("properness", statement, f"sampled on {len(found)} levels of w", numbers)


def _noise(kind: Kind, formula: Formula, background: bool) -> Certificate:
    """Ghosh et al. 2017, arXiv 1712.09482, theorem 1: a loss whose sum over all labels is constant ignores noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, width(background), generator=generator, dtype=torch.float64) * 2
    rows = [torch.full((len(x),), label) for label in range(width(background))]
    each = torch.stack([losses(kind, formula, x, labels, torch.ones(len(x))) for labels in rows])
    share = float(each.mean(0).std() / each.std().clamp(min=1e-30))
    symmetric = "symmetric, so robust to random labels" if share < 0.02 else "not symmetric"
    statement = f"{symmetric}: its mean over all labels varies {share:.2f} times as much as the loss"
    return Certificate("label noise", statement, f"sampled on {len(x)}", {"asymmetry": share})


def _tails(kind: Kind, formula: Formula, background: bool) -> Certificate:
    """The pull on the target logit where the answer is all wrong and all right, beside the strongest on the way."""
    grid = torch.linspace(-_END, _END, 97, dtype=torch.float64)
    x = torch.full((len(grid), width(background)), -1.0, dtype=torch.float64)
    x[:, 0] = grid
    x.requires_grad_()
    values = losses(kind, formula, x, torch.zeros(len(grid)).long(), torch.ones(len(grid)).double())
    pull = torch.autograd.grad(values.sum(), x)[0][:, 0].abs() if values.requires_grad else torch.zeros(len(grid))
    wrong, right = (float(pull[end] / pull.max().clamp(min=1e-30)) for end in (0, -1))
    hard = "vanishes on the hardest examples" if wrong < _GONE else "stays on the hardest examples"
    easy = "does not fall on the easiest: the loss has no lowest value" if right > _STAYS else "falls on the easiest"
    statement = f"its pull {hard} ({wrong:.2g} of the strongest at logit {-_END:g}) and {easy} ({right:.2g})"
    return Certificate("tails", statement, f"sampled on {len(grid)}", {"wrong": wrong, "right": right})
