"""Random candidates through all gates per second, on one core: drawing a formula and judging it.

`python tests/benchmarks/bench_gates.py [COUNT]`
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import torch
from rich.console import Console
from rich.table import Table

from autoloss import gates
from autoloss.variation import random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN


def measure(name: str, count: int) -> tuple[float, float, Counter[str]]:
    """Formulas drawn and judged per second, milliseconds for one that passes everything, and where they ended."""
    rules = GRAMMARS[name]
    alpha = 0.25 if name == "sigmoid" else None
    known = next(known for known in KNOWN.values() if known.grammar == name)
    gates.judge(known.expression, rules, alpha)  # makes the probes
    ends: Counter[str] = Counter()
    with seeded("benchmark", name):
        begin = time.perf_counter()
        for _ in range(count):
            judgement = gates.judge(random_formula(rules), rules, alpha)
            ends["passed" if judgement.passed else judgement.verdicts[-1].gate] += 1
        seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    for _ in range(100):
        gates.judge(known.expression, rules, alpha)
    return count / seconds, (time.perf_counter() - begin) * 10, ends


def main() -> None:
    """Prints a row per grammar."""
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    table = Table(title=f"{count:,} random formulas through all gates, one core", title_justify="left")
    for title in ("grammar", "formulas / s", "ms for a known loss", "passed", *gates_in_order()):
        table.add_column(title, justify="left" if title == "grammar" else "right")
    for name in GRAMMARS:
        rate, passing, ends = measure(name, count)
        shares = [f"{ends[gate] / count:.2%}" for gate in ("passed", *gates_in_order())]
        table.add_row(name, f"{rate:,.0f}", f"{passing:.2f}", *shares)
    Console(width=120).print(table)


def gates_in_order() -> tuple[str, ...]:
    """The gates that refuse a single formula."""
    return ("structure", "gradient", "finite", "minimum", "monotone")


if __name__ == "__main__":
    main()
