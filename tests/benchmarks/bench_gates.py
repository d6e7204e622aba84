"""Random candidates through all gates and the simulation per second, on one core, beside a plain implementation.

`python tests/benchmarks/bench_gates.py [COUNT] [PLAIN]`: COUNT formulas through the gates, the first PLAIN of them also
the plain way: DEAP's interpreter (gp.compile), values and gradients by autograd on the full probe for every formula,
and the simulation of each that passes on its own and to its end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import cache

import torch
from deap import gp
from rich.console import Console
from rich.table import Table
from torch import Tensor

from autoloss.gates import path_checks, paths, pipeline, probes, simulation
from autoloss.gates.equivalence import identity
from autoloss.search.funnel import run_funnel
from autoloss.search.variation import random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.features import box_features, per_sample
from primitives.grammar import Grammar
from primitives.operators import OPERATORS, Operator


def interpreter(grammar: Grammar) -> gp.PrimitiveSet:
    """DEAP's view of a grammar, the inputs being arguments of the compiled function."""
    names = [terminal.name for terminal in grammar.terminals]
    view = gp.PrimitiveSet("plain", len(names))
    view.renameArguments(**{f"ARG{k}": name for k, name in enumerate(names)})
    for name in grammar.operators:
        view.addPrimitive(OPERATORS[name].tensor, OPERATORS[name].arity, name=name)
    return view


def nodes(expression: Expression, view: gp.PrimitiveSet) -> list[gp.Primitive | gp.Terminal]:
    """The formula as DEAP keeps trees; a constant is a one-element tensor, for operators take tensors."""
    found: list[gp.Primitive | gp.Terminal] = []
    for node in expression.walk():
        if isinstance(node.head, Operator):
            found.append(view.mapping[node.head.name])
        elif isinstance(node.head, str):
            found.append(view.mapping[node.head])
        else:
            name = f"c{node.head:g}".replace(".", "_")
            view.context[name] = torch.tensor([node.head])
            found.append(gp.Terminal(name, True, object))
    return found


Places = list[tuple[Tensor, Callable[[Tensor], Mapping[str, Tensor]]]]


@cache
def box_places(grammar: Grammar) -> Places:
    """The predicted boxes of the full probe, and how inputs come from them."""
    pixels, extended = grammar.name == "box_pixels", grammar.name == "box_extended"
    pairs = (probes.whole_boxes(), probes.shifted_boxes(256, 8, 512, 2), paths.path_boxes())

    def features(target: Tensor) -> Callable[[Tensor], Mapping[str, Tensor]]:
        return lambda pred: box_features(pred, target, pixels=pixels, extended=extended)

    flat = [[boxes.reshape(-1, 4).float() for boxes in pair] for pair in pairs]
    return [(pred, features(target)) for pred, target in flat]


@cache
def class_places(grammar: Grammar) -> Places:
    """The logits of the full probe, and how inputs come from them."""
    rows = (probes.whole(grammar).inputs, probes.typical(grammar).inputs, paths.class_curves(grammar).inputs)

    def features(fixed: Mapping[str, Tensor]) -> Callable[[Tensor], Mapping[str, Tensor]]:
        return lambda x: {**fixed, "x": x}

    return [(fixed["x"], features(fixed)) for fixed in rows]


def plainly(expression: Expression, grammar: Grammar, view: gp.PrimitiveSet, alpha: float | None) -> bool:
    """Whether the formula passes, all probes evaluated whatever it is."""
    run = gp.compile(gp.PrimitiveTree(nodes(expression, view)), view)
    boxes = grammar.slot == "loss_bbox"
    good, values = pipeline.structure(expression, grammar).passed, []
    for pred, fixed in (box_places if boxes else class_places)(grammar):
        place = pred.detach().requires_grad_()
        inputs = fixed(place)
        value = run(*(inputs[terminal.name] for terminal in grammar.terminals))
        loss = per_sample(value, inputs, alpha)
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss.sum(), place)
            good = good and bool(torch.isfinite(gradient).all())
        good = good and bool(torch.isfinite(loss).all())
        values.append(loss.detach())
    if boxes:
        ways = paths.box_paths(grammar)
        loss = values[-1].reshape(ways.shape)
        found, turned = path_checks.box_minimum(loss, path_checks.MAX_SHARE * len(loss))
        mono = path_checks.box_monotone(-loss if turned else loss, ways)
        good = good and (found[-1].passed or turned) and mono.passed
    else:
        curves = paths.class_curves(grammar)
        count = curves.target[0] * curves.target[1] * curves.target[2]
        target, other = values[-1][:count].reshape(curves.target), values[-1][count:].reshape(curves.other)
        looked = (path_checks.class_curves(sign * target, sign * other)[-1].passed for sign in (1, -1))
        good = good and any(looked)
    if not (good and identity(expression, grammar, alpha)[0]):
        return False
    outcome = simulation.descend(expression, grammar, alpha).numbers
    return all(outcome[name] >= least for name, least in simulation.THRESHOLDS.items() if name in outcome)


def measure(name: str, count: int, plain: int) -> tuple[float, float, float, float]:
    """Formulas a second with and without drawing them, milliseconds for one that passes, and plain ones a second."""
    rules, alpha = GRAMMARS[name], 0.25 if name == "sigmoid" else None
    known = [known for known in KNOWN.values() if known.grammar == name]
    run_funnel(rules, 1_000, 1, alpha)  # makes the probes
    found = run_funnel(rules, count, 0, alpha)
    passing = []
    for one in known * 5:
        begin = time.perf_counter()
        pipeline.judge(one.expression, rules, one.alpha)
        passing.append(time.perf_counter() - begin)
    view = interpreter(rules)
    with seeded("funnel", name, 0):
        formulas = [random_formula(rules) for _ in range(plain)]
    begin = time.perf_counter()
    for formula in formulas:
        plainly(formula, rules, view, alpha)
    slow = plain / (time.perf_counter() - begin)
    judging = found.proposed / (sum(found.seconds.values()) - found.seconds["drawing"])
    return found.rate, judging, 1e3 * sorted(passing)[len(passing) // 2], slow


def main() -> None:
    """Prints a row per grammar."""
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    plain = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    table = Table(title=f"{count:,} random formulas through all gates, one core", title_justify="left")
    table.add_column("grammar")
    for title in ("drawn and judged / s", "judged / s", "ms for a known loss", "plain: judged / s", "times faster"):
        table.add_column(title, justify="right")
    for name in GRAMMARS:
        rate, judging, passing, slow = measure(name, count, plain)
        table.add_row(
            name, f"{rate:,.0f}", f"{judging:,.0f}", f"{passing:.1f}", f"{slow:,.0f}", f"{judging / slow:.1f}"
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
