"""What `autoloss estimate` says a search costs, and what the search then costs: minutes each, one after the other.

`python tests/benchmarks/bench_estimate.py [NAME ...]`; without names the reduced searches. Other work on the machine
changes both, and not always alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from autoloss.config import load
from autoloss.search.cost_model import Cost, MachineCosts, Parts, project
from autoloss.search.selection.visits import Visit
from autoloss.store.run import Run

_FROZEN = [f"search.ladder.{rung}.task.pretrain=300" for rung in (0, 1)]
_FINALE = ["search.finale.rung.seeds=[2]", "search.finale.count=2"]
SEARCHES = {
    "digits_fcos, reduced": (
        "configs/search/digits_fcos.py",
        ["search.generations=2", "search.births=10", *_FROZEN, *_FINALE, "search.finale.rung.task.iterations=300"],
    ),
    "digits_faster_rcnn, reduced": (
        "configs/search/digits_faster_rcnn.py",
        ["search.generations=2", "search.births=6", *_FROZEN, *_FINALE, "search.finale.rung.task.iterations=200"],
    ),
    "digits_fcos": ("configs/search/digits_fcos.py", []),
    "digits_faster_rcnn": ("configs/search/digits_faster_rcnn.py", []),
}


def autoloss(environment: dict[str, str], *arguments: str) -> tuple[str, float]:
    """What a command prints, and the seconds it took."""
    begin = time.perf_counter()
    line = [sys.executable, "-m", "autoloss", *arguments]
    done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout, time.perf_counter() - begin


def measured(found: dict[str, Any]) -> MachineCosts:
    """What `--json` says was measured."""
    costs = {}
    for name, cost in found["costs"].items():
        parts = {key: cost[key] and Parts(**cost[key]) for key in ("one", "group", "shared")}
        costs[name] = Cost(**{**cost, **parts})
    return MachineCosts(**{**found, "costs": costs, "births": tuple(found["births"])})


def compare(name: str, console: Console) -> None:
    """Prints both."""
    config, options = SEARCHES[name]
    given = ["--cfg-options", *options] if options else []
    settings = load(config, options)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "AUTOLOSS_CACHE": f"{folder}/cache"}
        text, took = autoloss(environment, "estimate", config, "--json", *given)
        _, wall = autoloss(environment, "search", config, f"{folder}/run", *given)
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        with Run.open(f"{folder}/run") as run:
            evaluations, shared, candidates = run.evaluations(), run.shared_seconds, run.candidates()
    found = json.loads(text)
    born = {candidate.number: candidate.generation for candidate in candidates}
    came: dict[str, list[Visit]] = {}
    for rung in settings.rungs:
        seeds = Counter(e.candidate for e in evaluations if e.rung == rung.name)
        together = Counter((born[number] if rung in settings.ladder else 0, many) for number, many in seeds.items())
        came[rung.name] = [Visit(losses, many) for (_, many), losses in sorted(together.items())]
    basis = measured(found["measured"])
    here = found["devices here"]
    known = project(settings, basis, came)
    table = Table(title=f"{name}, {here} workers; estimated in {took:.0f} s", title_justify="left")
    for column in ("", "trainings at most", "done", "their seconds, projected", "measured"):
        table.add_column(column, justify="right" if column else "left")
    most = {stage["name"]: stage for stage in found["stages"]}
    for stage in known.stages:
        mine = [e for e in evaluations if e.rung == stage.name]
        if not mine:
            continue
        cost = basis.costs[stage.name]
        rung = next(one for one in settings.rungs if one.name == stage.name)
        once = cost.sharing * len(rung.every_seed) + 2 * cost.load * sum(visit.seeds for visit in came[stage.name])
        theirs = (most[stage.name]["evaluations"], len(mine), stage.work - once, sum(e.seconds for e in mine))
        table.add_row(stage.name, *(f"{one:.0f}" for one in theirs))
    projected = sum(len(rung.every_seed) * basis.costs[rung.name].sharing for rung in settings.ladder)
    table.add_row("what candidates share", "", "", f"{projected:.0f}", f"{shared:.0f}")
    console.print(table)
    bounds = [found["seconds"][key][str(here)] for key in ("at most", "at least")]
    console.print(f"projected: at most {bounds[0]:.0f} s, at least {bounds[1]:.0f} s; measured {wall:.0f} s")
    off = known.wall[here] / wall - 1
    console.print(
        f"projected for the trainings that took place: {known.wall[here]:.0f} s, off by {off:+.0%} (aim: 25 %)"
    )
    console.print(f"disk: projected at most {found['bytes'] / 1e6:.0f} MB, measured {disk / 1e6:.0f} MB\n")


def main() -> None:
    """Prints a table per search."""
    console = Console(width=120, highlight=False)
    load = os.getloadavg()[0]
    console.print(f"{os.cpu_count()} cores; load average before: {load:.1f}\n")
    for name in sys.argv[1:] or list(SEARCHES)[:2]:
        compare(name, console)


if __name__ == "__main__":
    main()
