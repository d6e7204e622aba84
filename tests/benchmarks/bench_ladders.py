"""Two ladders at equal wall-clock: the default one and the paper's, best so far on held-out data against time.

Both search at the same time on a core each, with nothing prepared, for the same minutes and several search seeds. What
each would have recommended after a quarter, a half, three quarters and all of that time is then trained for 1,200
iterations with three seeds of its own and scored on images that took no part in the search.

`python tests/benchmarks/bench_ladders.py --minutes 8` goes on where it stopped; its facts lie in results/ladders/.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from autoloss.candidate import OWN
from autoloss.config import load
from autoloss.evaluator import build
from autoloss.search import ladder
from autoloss.search.results import mean_scores
from autoloss.store.run import Run

ROOT = Path(__file__).parents[2]
SHARES = (0.25, 0.5, 0.75, 1.0)
TASK = {"iterations": 1200, "train_on": "train", "evaluate_on": "test"}
SEEDS = (71, 72, 73)


@dataclass(frozen=True)
class Way:
    """A way to search: a config, and what is changed of it."""

    config: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two ways to search.

    Args:
        name: of its folders in runs/ and results/.
        word: for what differs.
        ways: by name.
    """

    name: str
    word: str
    ways: Mapping[str, Way]

    @property
    def results(self) -> Path:
        """Where its facts lie."""
        return ROOT / "results" / self.name

    def place(self, name: str, seed: int) -> Path:
        """Where a search lies."""
        return ROOT / "runs" / self.name / f"{name}_{seed}"


LADDERS = Comparison(
    "ladders",
    "ladder",
    {"default": Way("configs/search/digits_fcos.py"), "paper": Way("configs/search/paper_ladder.py")},
)


def searched(of: Comparison, seed: int, minutes: float) -> None:
    """Both searches of a seed, side by side, stopped after the time."""
    places = {name: of.place(name, seed) for name in of.ways}
    if all((place / "begun").exists() for place in places.values()):
        return
    running = []
    for name, place in places.items():
        way = of.ways[name]
        options = [f"search.seed={seed}", "search.finale=None", "search.generations=1000", *way.options]
        line = [sys.executable, "-m", "autoloss", "search", way.config, str(place / "run"), "--workers", "1"]
        environment = {**os.environ, "AUTOLOSS_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
        place.mkdir(parents=True, exist_ok=True)
        begun = time.time()
        process = subprocess.Popen(
            [*line, "--cfg-options", *options], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
        )
        running.append((process, place, begun))
    for process, _, begun in running:
        try:
            process.wait(max(0.0, begun + 60 * minutes - time.time()))
            raise SystemExit("a search ended before its time")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    for process, place, begun in running:
        process.wait()
        (place / "begun").write_text(str(begun))


def recommended(of: Comparison, name: str, seed: int, share: float, minutes: float) -> dict[str, Any]:
    """What a search stood at after a share of its time: the best by mean rank, and how many it had scored."""
    place = of.place(name, seed)
    until = float((place / "begun").read_text()) + 60 * minutes * share
    rungs = load(ROOT / of.ways[name].config, of.ways[name].options).ladder
    with Run.open(place / "run") as run:
        candidates = {one.number: one for one in run.candidates()}
        ended = {rung.name: [e for e in run.evaluations(rung.name) if e.ended <= until] for rung in rungs}
    scores = [mean_scores(ended[rung.name], rung.seeds) for rung in rungs if rung.ranks or rung is rungs[-1]]
    standing = ladder.mean_ranked(scores)
    best = candidates[standing[0] if standing else OWN]
    return {
        of.word: name,
        "seed": seed,
        "minutes": minutes * share,
        "candidates": len({e.candidate for e in ended[rungs[0].name]}),
        "recommends": str(best.origin),
        "losses": best.spec(),
    }


def held_out(config: str, losses: dict[str, Any], seed: int) -> float:
    """mAP on held-out images after a long training."""
    import torch

    torch.set_num_threads(1)
    return float(build(load(ROOT / config).evaluator).evaluate(losses, TASK, seed)["score"])


def judged(of: Comparison, rows: list[dict[str, Any]], workers: int) -> dict[str, list[float]]:
    """Held-out scores of every distinct recommendation and of the detector's own loss, by their formulas."""
    file = of.results / "held_out.json"
    score = partial(held_out, next(iter(of.ways.values())).config)
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    wanted = {_key(losses): losses for losses in [{}, *(row["losses"] for row in rows)]}
    with ProcessPoolExecutor(workers) as pool:
        missing = [key for key in wanted if key not in known]
        futures = {key: [pool.submit(score, wanted[key], seed) for seed in SEEDS] for key in missing}
        for key, parts in futures.items():
            known[key] = [part.result() for part in parts]
            file.write_text(json.dumps(known, indent=1))
    return known


def _key(losses: dict[str, Any]) -> str:
    return json.dumps(losses, sort_keys=True)


def drawn(of: Comparison, rows: list[dict[str, Any]], own: list[float]) -> None:
    """Best so far on held-out data against time, the mean and every search."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    panel = figure.subplots()
    for name, colour in zip(of.ways, ("tab:blue", "tab:orange"), strict=True):
        mine = [row for row in rows if row[of.word] == name]
        times = sorted({row["minutes"] for row in mine})
        for seed in sorted({row["seed"] for row in mine}):
            panel.plot(times, [row["mean"] for row in mine if row["seed"] == seed], color=colour, alpha=0.3, lw=1)
        means = [statistics.fmean(row["mean"] for row in mine if row["minutes"] == t) for t in times]
        panel.plot(times, means, color=colour, marker="o", label=f"{name} {of.word}, mean of the searches")
    panel.axhline(statistics.fmean(own), color="grey", ls="--", label="the detector's own loss")
    panel.set_xlabel("minutes of search on one core")
    panel.set_ylabel("mAP of what it recommends, held out")
    panel.legend(fontsize=8)
    panel.grid(alpha=0.3)
    figure.savefig(of.results / f"{of.name}.png", dpi=120)


def compare(of: Comparison, about: str | None) -> None:
    """Searches, judges, and prints."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    of.results.mkdir(parents=True, exist_ok=True)
    facts = of.results / f"{of.name}.json"
    if facts.exists():
        found = json.loads(facts.read_text())
        kept = (max(row["minutes"] for row in found["rows"]), sorted({row["seed"] for row in found["rows"]}))
        if kept != (arguments.minutes, sorted(arguments.seeds)):
            sys.exit(f"{facts} holds {kept[0]:g} minutes with seeds {kept[1]}; remove it to measure others")
    else:
        for seed in arguments.seeds:
            searched(of, seed, arguments.minutes)
        rows = [
            recommended(of, name, seed, share, arguments.minutes)
            for name in of.ways
            for seed in arguments.seeds
            for share in SHARES
        ]
        scores = judged(of, rows, workers=2)
        for row in rows:
            of = scores[_key(row["losses"])]
            row |= {"mean": statistics.fmean(of), "sd": statistics.stdev(of)}
        found = {"rows": rows, "own": scores[_key({})]}
        facts.write_text(json.dumps(found, indent=1))
    drawn(of, found["rows"], found["own"])
    title = f"What two {of.word}s recommend after the same time, on held-out images"
    table = Table(title=title, title_justify="left")
    for name in (of.word, "search seed", "minutes", "scored", "recommends", "mAP held out"):
        table.add_column(name, justify="left" if name in (of.word, "recommends") else "right")
    for row in found["rows"]:
        cells = (row[of.word], str(row["seed"]), f"{row['minutes']:g}", str(row["candidates"]), row["recommends"])
        table.add_row(*cells, f"{row['mean']:.3f} ± {row['sd']:.3f}", end_section=row["minutes"] == max(
            one["minutes"] for one in found["rows"]
        ))  # fmt: skip
    console = Console(width=120)
    console.print(table)
    own = found["own"]
    console.print(f"the detector's own loss: {statistics.fmean(own):.3f} ± {statistics.stdev(own):.3f}")
    for name in of.ways:
        last = [row["mean"] for row in found["rows"] if row[of.word] == name]
        final = last[len(SHARES) - 1 :: len(SHARES)]
        console.print(f"{name} {of.word} at the end: {statistics.fmean(final):.3f} ± {statistics.stdev(final):.3f}")


if __name__ == "__main__":
    compare(LADDERS, __doc__)
