"""Random candidates through all gates and the simulation per second of one core, beside a plain implementation.

`python tests/benchmarks/bench_gates.py [COUNT] [PLAIN]`: COUNT formulas through the gates, the first PLAIN of them also
the plain way: DEAP's interpreter (gp.compile), values and gradients by autograd on the full probe for every formula,
and the simulation of each that passes on its own and to its end.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import torch
from deap import gp
from rich.console import Console
from rich.table import Table
from torch import Tensor

from autoloss.gates import pipeline, simulation
from autoloss.gates.equivalence import identity
from autoloss.search.funnel import run_funnel
from autoloss.search.strategies.variation import random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds import course
from primitives.kinds.box import paths
from primitives.kinds.box.kind import BOX
from primitives.kinds.classification import curves
from primitives.kinds.classification.kind import SOFTMAX
from primitives.kinds.sample import Sample
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
def places(grammar: Grammar) -> Places:
    """The predictions of the full probe, and how inputs come from them."""
    kind = grammar.kind
    samples = [kind.whole_sample(), kind.typical_sample()]
    if kind is BOX:
        pred, target = (boxes.reshape(-1, 4) for boxes in paths.boxes())
        samples.append(Sample(pred, target))

        def features(sample: Sample) -> Callable[[Tensor], Mapping[str, Tensor]]:
            return lambda pred: grammar.inputs(replace(sample, pred=pred))

        told = [kind.given(one, grammar.terminals) for one in samples]
        flat = [replace(one, pred=one.pred.float(), target=one.target.float()) for one in told]
        return [(one.pred, features(one)) for one in flat]
    rows = [kind.whole(grammar.terminals).inputs, kind.typical(grammar.terminals).inputs, along(grammar).inputs]

    def moved(fixed: Mapping[str, Tensor]) -> Callable[[Tensor], Mapping[str, Tensor]]:
        return lambda x: {**fixed, "x": x}

    return [(fixed["x"], moved(fixed)) for fixed in rows]


def along(grammar: Grammar) -> curves.Curves:
    """The curves of a class grammar."""
    return curves.curves(grammar.kind, grammar.terminals, grammar.kind is SOFTMAX, grammar.edition)


def plainly(expression: Expression, grammar: Grammar, view: gp.PrimitiveSet, alpha: float | None) -> bool:
    """Whether the formula passes, all probes evaluated whatever it is."""
    run = gp.compile(gp.PrimitiveTree(nodes(expression, view)), view)
    good, values = pipeline.structure(pipeline.Trial(expression, grammar, alpha)).passed, []
    for pred, fixed in places(grammar):
        place = pred.detach().requires_grad_()
        inputs = fixed(place)
        value = run(*(inputs[terminal.name] for terminal in grammar.terminals))
        loss = grammar.kind.losses(value, inputs, alpha)
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss.sum(), place)
            good = good and bool(torch.isfinite(gradient).all())
        good = good and bool(torch.isfinite(loss).all())
        values.append(loss.detach())
    if grammar.kind is BOX:
        ways = paths.paths(BOX, grammar.terminals)
        loss = values[-1].reshape(ways.shape)
        found, turned = course.minimum(loss, course.MAX_SHARE * len(loss), "of a box")
        mono = course.monotone(-loss if turned else loss, ways.rising, "IoU", grammar.edition)
        good = good and (found[-1].passed or turned) and mono.passed
    else:
        shape = along(grammar)
        count = math.prod(shape.target)
        target, other = values[-1][:count].reshape(shape.target), values[-1][count:].reshape(shape.other)
        looked = (curves.along_curves(sign * target, sign * other, grammar.edition)[-1].passed for sign in (1, -1))
        good = good and any(looked)
    if not (good and identity(expression, grammar, alpha)[0]):
        return False
    outcome = simulation.descend(expression, grammar, alpha).numbers
    return all(outcome[name] >= least for name, least in grammar.asked(grammar.kind.thresholds).items())


def measure(name: str, count: int, plain: int) -> tuple[float, float, float, float]:
    """Formulas a second with and without drawing them, milliseconds for one that passes, and plain ones a second."""
    rules, alpha = GRAMMARS[name], 0.25 if name == "sigmoid" else None
    known = [known for known in KNOWN.values() if known.grammar == name]
    run_funnel(rules, 1_000, 1, alpha)  # makes the probes
    found = run_funnel(rules, count, 0, alpha)
    passing = []
    for one in known * 5:
        begin = time.thread_time()
        pipeline.judge(one.expression, rules, one.alpha)
        passing.append(time.thread_time() - begin)
    view = interpreter(rules)
    with seeded("funnel", name, 0):
        formulas = [random_formula(rules) for _ in range(plain)]
    begin = time.thread_time()
    for formula in formulas:
        plainly(formula, rules, view, alpha)
    slow = plain / (time.thread_time() - begin)
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
