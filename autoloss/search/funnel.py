"""Funnel: many random formulas of one grammar through all gates, counted and timed."""

from __future__ import annotations

import gc
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from autoloss.gates import pipeline
from autoloss.gates.distinct import GATE, Distinct
from autoloss.gates.equivalence import recognise
from autoloss.search.strategies.variation import random_formula, seeded
from primitives.catalog import KNOWN
from primitives.grammar import Grammar

PASSED = "passed"
_TOGETHER = 5_000  # formulas whose survivors are descended in one tensor program


@dataclass(frozen=True)
class Funnel:
    """What became of random formulas.

    Args:
        grammar: name of their grammar.
        seed: of the drawing.
        proposed: how many.
        ends: number of formulas by the gate that refused them, and `passed`.
        seconds: of a core, spent on the formulas that ended there, by the same names, and on `drawing` them.
        rediscovered: names of known losses of this grammar that were found.
        known: number of known losses of this grammar.
        passed: the first formulas that passed.
    """

    grammar: str
    seed: int
    proposed: int
    ends: dict[str, int]
    seconds: dict[str, float]
    rediscovered: tuple[str, ...]
    known: int
    passed: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Formulas drawn and judged per second of a core."""
        return self.proposed / max(sum(self.seconds.values()), 1e-9)


def run_funnel(
    grammar: Grammar,
    count: int,
    seed: int = 0,
    alpha: float | None = None,
    watch: Callable[[int, int], None] = lambda *_: None,
) -> Funnel:
    """Draws random formulas and leads them through the gates; of equal gradients only the first passes.

    Args:
        grammar: of the formulas.
        count: how many.
        seed: of the drawing.
        alpha: weight of the target outside the formulas.
        watch: called now and then with the numbers of formulas judged and passed so far.
    """
    ends: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    met: dict[str, str] = {}  # where a formula that comes again ends
    seen = Distinct()
    passed: list[str] = []
    with _left_alone(), seeded("funnel", grammar.name, seed):
        for start in range(0, count, _TOGETHER):
            survivors = []
            for _ in range(min(_TOGETHER, count - start)):
                begin = time.thread_time()
                formula = random_formula(grammar)
                drawn = time.thread_time()
                seconds["drawing"] += drawn - begin
                gate = met.get(formula.text)
                if gate is None:
                    judgement = pipeline.sifted(formula, grammar, alpha, seen)
                    if judgement.passed:
                        met[formula.text] = GATE
                        seen.add(judgement.identity)
                        survivors.append(judgement)
                        seconds["converges"] += time.thread_time() - drawn
                        continue
                    gate = met[formula.text] = judgement.verdicts[-1].gate
                ends[gate] += 1
                seconds[gate] += time.thread_time() - drawn
            begin = time.thread_time()
            for judgement in pipeline.converged(survivors, grammar, alpha):
                ends[PASSED if judgement.passed else judgement.verdicts[-1].gate] += 1
                if judgement.passed:
                    passed.append(str(judgement.expression))
            seconds["converges"] += time.thread_time() - begin
            watch(min(start + _TOGETHER, count), len(passed))
    known = [recognise(identity, grammar) for identity in seen.identities]
    found = tuple(sorted({loss.name for loss in known if loss is not None and loss.grammar == grammar.name}))
    total = sum(loss.grammar == grammar.name for loss in KNOWN.values())
    return Funnel(grammar.name, seed, count, dict(ends), dict(seconds), found, total, tuple(passed[:10]))


@contextmanager
def _left_alone() -> Iterator[None]:
    """Garbage collection need not go through torch and SymPy again and again."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
