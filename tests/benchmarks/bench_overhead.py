"""Share of a run's time that is not training or evaluation of detectors.

`python tests/benchmarks/bench_overhead.py RUN [WORKERS]`; WORKERS is the number the run had, 2 unless said. The run
must have gone through without a stop.
"""

from __future__ import annotations

import sys

from rich.console import Console

from autoloss.candidate import Evaluation
from autoloss.store.run import Run


def covered(evaluations: list[Evaluation]) -> float:
    """Seconds during which at least one evaluation ran."""
    total, until = 0.0, 0.0
    for begin, end in sorted((e.ended - e.seconds, e.ended) for e in evaluations):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def main() -> None:
    """Prints the shares."""
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    with Run.open(sys.argv[1]) as run:
        wall, shared, evaluations = run.seconds, run.shared_seconds, run.evaluations()
    spent = sum(evaluation.seconds for evaluation in evaluations)
    console = Console(width=120, highlight=False)
    console.print(f"{sys.argv[1]}: {wall:.0f} s on {workers} workers, {len(evaluations)} evaluations")
    busy = covered(evaluations) + shared
    console.print(f"wall-clock for what candidates share, pretraining above all:   {shared / wall:.1%}")
    console.print(f"wall-clock in which no detector was trained or evaluated:      {1 - busy / wall:.1%}")
    console.print(f"worker time beside evaluations, waiting for others included:   {1 - spent / wall / workers:.1%}")


if __name__ == "__main__":
    main()
