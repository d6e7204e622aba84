"""Evaluations per hour by number of workers, and what the loop itself costs.

`python tests/benchmarks/bench_scaling.py FOLDER [--workers 1 2 4 ...] [--parts training processes Ray]` writes
scaling.txt, scaling.png and scaling.json into FOLDER; what is left out is that of an earlier run there. Workers are
started and warmed before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from rich.console import Console
from rich.table import Table

from autoloss.candidate import Candidate, How, Kind, Loss, Origin
from autoloss.config import from_mapping
from autoloss.report.plots.style import MORE, NOISE, styled
from autoloss.rungs.rung import Rung
from autoloss.search.runner import running
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, known_loss

HERE = Path(__file__).parent
PARTS = ["training", "processes", "Ray"]
TRAINING = {
    "type": "detectors.evaluator:DetectorEvaluator",
    "detector": "configs/detectors/tiny_fcos.py",
    "data": {"type": "digits", "train": 200, "val": 20, "test": 8},
}

MEMORY = {"processes": 0.4e9, "Ray": 0.5e9}
"""Bytes of a worker that has imported PyTorch and the engine; with Ray its own process comes on top."""


class Sleeper:
    """An evaluator that takes time and no core."""

    waits = True

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def prepare(self, slots: Mapping[str, str], tasks: object) -> None:
        """Nothing to prepare."""

    def describe(self) -> dict[str, Any]:
        """Nothing is trained."""
        return {"detector": "none"}

    def evaluate(self, losses: object, rung: object, seed: int) -> dict[str, float]:
        """Sleeps, and says where."""
        time.sleep(self.seconds)
        return {"score": 0.5, "pid": os.getpid()}


def settings(evaluator: Mapping[str, Any], **changes: Any) -> Settings:
    """A search of which only the workers are used."""
    return from_mapping(
        {
            "slots": {"loss_bbox": {"grammar": "box", "like": "giou"}},
            "ladder": [{"name": "rung", "task": {"steps": 1}}],
            "evaluator": dict(evaluator),
            **changes,
        }
    )


def timed(rules: Settings, task: Mapping[str, Any], count: int) -> float:
    """Seconds that the loop takes for `count` evaluations with warm workers."""
    with tempfile.TemporaryDirectory() as folder, Run.create(Path(folder) / "run", rules.identity()) as run:
        losses, origin = {"loss_bbox": Loss(known_loss("giou").expression, GRAMMARS["box"])}, Origin(How.RANDOM)
        run.born([Candidate(number, Kind.FOUND, 0, losses, origin) for number in range(count)], [])
        with running(rules, run) as runner:
            while True:  # until every worker has had a task
                first = Rung(name=f"warm {time.monotonic()}", task=dict(task))
                runner.evaluate(range(min(count, 2 * runner.executor.width)), first)
                seen = {ended.metrics.get("pid", number) for number, ended in enumerate(run.evaluations(first.name))}
                if len(seen) >= runner.executor.width:
                    break
            begin = time.perf_counter()
            runner.evaluate(range(count), Rung(name="measured", task=dict(task)))
            return time.perf_counter() - begin


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """A Ray cluster on this machine that says it has so many cores; it does not look at memory, swap counts as well."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": workers, "_system_config": {"memory_monitor_refresh_ms": 0}}
    one = Cluster(initialize_head=True, head_node_args=node)
    try:
        yield one.address
    finally:
        one.shutdown()


def available_memory() -> float:
    """Bytes that are free now, swap too, for most of what a worker imported is not touched again."""
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(float(facts[name].split()[0]) for name in ("MemAvailable", "SwapFree")) * 1024


def sleeping(kind: str, seconds: float, numbers: list[int], rounds: int) -> dict[int, float]:
    """Efficiency by number of workers: the time that sleeping alone takes, over the time it took."""
    spec = {"type": "bench_scaling:Sleeper", "seconds": seconds}
    found = {}
    for workers in numbers:
        needed = workers * MEMORY[kind]
        if needed > available_memory():
            say = f"{kind}, {workers} workers: left out, they need {needed / 1e9:.0f} GB and fewer are free"
            print(say, file=sys.stderr)  # noqa: T201
            break
        if kind == "Ray":
            with cluster(workers) as address:
                took = timed(settings(spec, ray={"address": address}), {"steps": 1}, rounds * workers)
        else:
            took = timed(settings(spec, workers=workers), {"steps": 1}, rounds * workers)
        found[workers] = rounds * seconds / took
        print(f"{kind}, {workers} workers: {found[workers]:.2f}", file=sys.stderr)  # noqa: T201
    return found


def trained(count: int) -> dict[str, float]:
    """Evaluations an hour with 1 and 2 workers that train, and milliseconds of the loop itself for one."""
    task = {"iterations": 60, "train_on": "train", "evaluate_on": "val"}
    rates = {str(workers): 3600 * count / timed(settings(TRAINING, workers=workers), task, count) for workers in (1, 2)}
    many, nothing = 1000, settings({"type": "bench_scaling:Sleeper"}, workers=1, isolate=False)
    return {**rates, "loop": 1e3 * timed(nothing, {"steps": 1}, many) / many}


def main() -> None:
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1 << power for power in range(7)])
    parser.add_argument("--rounds", type=int, default=10, help="evaluations of each worker that sleeps")
    parser.add_argument("--train", type=int, default=24)
    parser.add_argument("--parts", nargs="*", default=PARTS, metavar="PART")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"unknown parts {sorted(unknown)}; choices: {', '.join(PARTS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    kept = given.folder / "scaling.json"
    facts: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    if missing := set(PARTS) - set(given.parts) - set(facts):
        parser.error(f"{given.folder} holds no earlier {', '.join(sorted(missing))}; measure them too")
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    for part in given.parts:
        if part == "training":
            measured: Mapping[Any, float] = trained(given.train)
            whole = ""
        else:
            among = " to ".join(map(str, sorted({min(given.workers), max(given.workers)})))
            measured = sleeping(part, given.seconds, given.workers, given.rounds)
            whole = f", {among} workers, {given.rounds} rounds"
        facts[part] = {**facts.get(part, {}), **{str(key): value for key, value in measured.items()}}
        facts.setdefault(f"where {part}", []).append(f"{cores} cores, load before: {load:.1f}{whole}")
        kept.write_text(json.dumps(facts, indent=1) + "\n")
    console = Console(width=120, record=True, highlight=False)
    for part in PARTS:
        console.print(f"{part}: {'; '.join(facts[f'where {part}'])}")
    training, kinds = facts["training"], PARTS[1:]
    for few in ("1", "2"):
        console.print(f"tiny FCOS, 60 iterations, {few} workers: {training[few]:,.0f} evaluations an hour")
    console.print(f"2 workers over 1: {training['2'] / training['1']:.2f} times (aim: 1.8)")
    console.print(f"the loop itself, one transaction per fact: {training['loop']:.2f} ms an evaluation")
    found = {kind: {int(workers): share for workers, share in facts[kind].items()} for kind in kinds}
    table = Table(title=f"Evaluations that sleep {given.seconds:g} s: efficiency", title_justify="left")
    for name in ("workers", *kinds, *(f"an hour, {kind}" for kind in kinds)):
        table.add_column(name, justify="right")
    for workers in sorted({number for kind in kinds for number in found[kind]}):
        shares = [found[kind].get(workers) for kind in kinds]
        hours = ["" if share is None else f"{3600 * workers * share / given.seconds:,.0f}" for share in shares]
        table.add_row(str(workers), *("" if share is None else f"{share:.2f}" for share in shares), *hours)
    console.print(table)
    text = console.export_text()
    (given.folder / "scaling.txt").write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    draw(found, given.seconds, given.folder / "scaling.png")


@styled()
def draw(found: Mapping[str, Mapping[int, float]], seconds: float, file: Path) -> None:
    """Efficiency over workers, a line per kind."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for (kind, shares), colour in zip(found.items(), MORE, strict=False):
        axes.plot(list(shares), list(shares.values()), marker="o", color=colour, label=kind)
    axes.axhline(0.9, color=NOISE, linewidth=1, linestyle="--", label="aim")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(next(iter(found.values()))))
    axes.get_xaxis().set_major_formatter(ScalarFormatter())
    axes.set(ylim=(0, 1.05), xlabel="workers", ylabel="share of their time that they evaluate")
    axes.set_title(f"How busy workers are kept by evaluations that sleep {seconds:g} s")
    axes.legend()
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    main()
