"""What is known of a box loss beside that it passed the gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch

from primitives import algebra
from primitives.algebra import Answer
from primitives.kinds import draws
from primitives.kinds.box import paths, proofs, samples, simulation
from primitives.kinds.box.pair import AREAS, PIXELS, SHAPES
from primitives.kinds.box.simulation import BoxField
from primitives.kinds.field import Descend
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.probe import Probe
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Certificate

_PROOF_SIZE = 60  # nodes; larger formulas are sampled only, for algebra on them takes seconds
_SIDE = 64.0
_STILL = 1e-3  # of the mean gradient: below it a gradient has vanished


def found(kind: Kind, formula: Formula, descend: Descend) -> list[Certificate]:
    """See Kind.certificates."""
    return [
        _resolution(kind, formula, descend),
        _optimum(kind, formula),
        _monotone(kind, formula),
        _disjoint(kind, formula),
    ]


def in_pixels(terminals: Sequence[Terminal]) -> bool:
    """Whether areas count in square pixels."""
    return bool(set(terminals) & set(PIXELS))


@cache
def _scaled(kind: Kind, terminals: tuple[Terminal, ...], factor: float) -> Probe:
    return kind.probe(kind.given(samples.scaled(factor), terminals), terminals, torch.float64)


@cache
def _apart(kind: Kind, terminals: tuple[Terminal, ...]) -> Probe:
    return kind.probe(kind.given(samples.disjoint(), terminals), terminals, torch.float64)


def _resolution(kind: Kind, formula: Formula, descend: Descend) -> Certificate:
    if not in_pixels(formula.terminals):
        return Certificate("scale", "the same at every image resolution: it reads ratios of areas only", algebra.PROVED)
    gradients = [
        _scaled(kind, formula.terminals, factor).gradient(formula.expression)[1] for factor in (0.25, 1.0, 4.0)
    ]
    cosines = torch.stack([torch.cosine_similarity(gradients[1], other) for other in (gradients[0], gradients[2])])
    growth = float(gradients[2].norm(dim=-1).mean() / gradients[0].norm(dim=-1).mean().clamp(min=1e-30))
    numbers = {"mean": float(cosines.mean()), "worst": float(cosines.min()), "growth": growth}
    what = "does not change" if numbers["worst"] > 0.999 else "changes"
    verdicts = []
    for factor in (0.25, 4.0):
        boxes = simulation.sampled()
        field = BoxField(kind, formula.terminals, replace(boxes, target=factor * boxes.target))
        outcome = descend(field).numbers
        numbers[f"iou at {factor:g}"] = outcome["iou"]
        passes = all(outcome[name] >= least for name, least in kind.thresholds.items())
        verdicts.append(f"{'converges' if passes else 'does not converge'} at {factor:g} times the resolution")
    statement = (
        f"{' and '.join(verdicts)}; the direction of its gradient {what} between them: "
        f"cosine {numbers['mean']:.3f} on average, {numbers['worst']:.3f} at worst; its length grows {growth:.3g} times"
    )
    return Certificate("scale", statement, f"sampled on {cosines.numel()}", numbers)


def _optimum(kind: Kind, formula: Formula) -> Certificate:
    """Areas count in units of the target's, so all perfect boxes are one case, or in pixels."""
    pixels = in_pixels(formula.terminals)
    proved: Answer[str] = Answer(None)
    if pixels and formula.quick:
        proved = algebra.ask(proofs.perfect, formula.expression.tree, formula.positive)
    if proved.value:
        text = f"{proved.value}, A being the target's area in square pixels"
        return Certificate("optimum", f"the loss of a perfect box is {text}", algebra.PROVED)
    square = torch.tensor([[0.0, 0.0, _SIDE, _SIDE]], dtype=torch.float64)
    perfect = kind.inputs(Sample(square, square, draws.middle(formula.terminals, 1)), formula.terminals)
    exact = {one.name: _at_target(one, perfect[one.name]) for one in formula.terminals}
    number = float(formula.expression(exact)) + 0.0
    where = " of 64 px" if pixels else ""
    statement = f"the loss of a perfect box{where} is {number:.6g}"
    return Certificate("optimum", statement, proved.otherwise("computed"), {"value": number})


def _at_target(terminal: Terminal, computed: torch.Tensor) -> torch.Tensor:
    """An input where a box of 64 px is right, without what protects areas; what is given is in its middle."""
    known = {**dict.fromkeys(SHAPES, 0.0), **dict.fromkeys(AREAS, 1.0), **dict.fromkeys(PIXELS, _SIDE**2)}
    return torch.tensor([known[terminal]], dtype=torch.float64) if terminal in known else computed


_AREAS = ("intersection", "union", "enclosing area")


def _slopes(formula: Formula) -> Answer[dict[str, int | None]]:
    """Proved signs of the slopes in the areas where i < u < e."""
    if formula.terminals not in (AREAS, PIXELS) or formula.expression.size > _PROOF_SIZE or not formula.quick:
        return Answer(None)
    areas = tuple(terminal.name for terminal in formula.terminals)
    return algebra.ask(proofs.slopes, formula.expression.tree, formula.positive, areas)


def _monotone(kind: Kind, formula: Formula) -> Certificate:
    slopes = _slopes(formula)
    proved = [
        f"{'rises' if slope > 0 else 'falls'} with the {area}"
        for (name, slope), area in zip((slopes.value or {}).items(), _AREAS, strict=False)
        if slope and name in formula.expression.names
    ]
    if proved:
        return Certificate("monotone", f"{', '.join(proved)}, the others fixed, where i < u < e", algebra.PROVED)
    ways = paths.paths(kind, formula.terminals)
    loss = paths.along(kind, formula)
    share = float(((loss[:, 1:] <= loss[:, :-1]) | ~ways.rising).float().mean())
    return Certificate(
        "monotone",
        f"does not rise on {share:.1%} of the steps of boxes that gain IoU",
        slopes.otherwise(f"sampled on {ways.rising.numel():,}"),
        {"share": share},
    )


def _disjoint(kind: Kind, formula: Formula) -> Certificate:
    _, gradient = _apart(kind, formula.terminals).gradient(formula.expression)
    _, near = kind.typical(formula.terminals).gradient(formula.expression)
    length, usual = gradient.norm(dim=-1), near.norm(dim=-1).mean()
    gone = float((length < _STILL * usual).float().mean())
    grows = float((gradient[:, 2:].sum(-1) < -_STILL * usual).float().mean())
    numbers = {"vanishes": gone, "enlarges": grows}
    if gone == 1:
        statement = "its gradient vanishes: boxes that do not touch their target stay where they are"
    else:
        statement = f"its gradient vanishes on {gone:.0%} of pairs and rewards a larger predicted box on {grows:.0%}"
    return Certificate("disjoint boxes", statement, f"sampled on {len(length)}", numbers)
