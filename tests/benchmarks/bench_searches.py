"""Searches at equal wall-clock: what each recommends, on held-out data, against the time it had.

A study names variants of a search. Every one of them searches on a core of its own, with nothing prepared, for the
minutes of the study, or a share of them, with several search seeds, as many at a time as there are workers. What each
would have recommended after some shares of that time is then trained with three seeds of its own, and
scored on images that took no part in the search.

`python tests/benchmarks/bench_searches.py ladders --minutes 6` goes on where it stopped; its facts lie in
results/ladders/.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from autoloss.candidate import GATES, OWN, Kind
from autoloss.config import load
from autoloss.evaluator import build
from autoloss.report.plots.run_plots import LINES
from autoloss.report.plots.style import COLOURS, styled
from autoloss.search import ladder
from autoloss.search.results import mean_scores
from autoloss.store.run import Run
from detectors.training.short import TrainingFailedError
from primitives.catalog import slots

ROOT = Path(__file__).parents[2]
SEARCHES = ROOT / "configs" / "search"
TASK = {"iterations": 1200, "train_on": "train", "evaluate_on": "test"}
SEEDS = (71, 72, 73)
_COLOURS = [colour for colour in LINES if colour != COLOURS[Kind.OWN]]
"""Of variants; the own loss has its own."""
ALWAYS = {"finale": None, "generations": 1000}


@dataclass(frozen=True)
class Study:
    """Variants of a search that are compared.

    Args:
        question: that it answers.
        config: whose data and detector judge.
        variants: a config's name, and what is changed in its `search`.
        given: changes in the `search` of every variant.
        shares: of the time after which a search is asked what it recommends.
        stops: share of the time at which a variant is stopped; the others have all of it.
        target: the variant whose last score the others are timed to, if any.
    """

    question: str
    config: str
    variants: dict[str, tuple[str, dict[str, Any]]]
    given: dict[str, Any] = field(default_factory=dict)
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    stops: dict[str, float] = field(default_factory=dict)
    target: str = ""

    def stop(self, variant: str) -> float:
        """Share of the time that a variant has."""
        return self.stops.get(variant, 1.0)


NOISY = "digits_noisy.py"
ALONE: dict[str, Any] = {"known": [], "controls": []}
"""Nothing but the own loss is given: what a search recommends it found."""
PAPER = {"slots": {slot: {"language": "paper"} for slot in slots()}, "variation": {"numbers": "constants"}}
IN_FULL = {"ladder": [{"name": "full", "task": {**TASK, "evaluate_on": "val"}, "seeds": [5]}]}
STUDIES = {
    "ladders": Study(
        "two ladders, on clean digits",
        "digits_fcos.py",
        {"default": ("digits_fcos.py", {}), "paper": ("paper_ladder.py", {})},
    ),
    "language": Study(
        "formulas of the paper's inputs, operators and constants beside those of all, on noisy digits",
        NOISY,
        {"all inputs": (NOISY, {}), "the paper's": (NOISY, PAPER)},
    ),
    "speedup": Study(
        "vanilla evolution beside the method, on noisy digits",
        NOISY,
        {
            "the method": (NOISY, {}),
            "vanilla": (NOISY, {"gates": ["structure", "finite"], "calibrate": False, **IN_FULL}),
        },
        ALONE,
        shares=tuple(2 ** (-half / 2) for half in range(10, -1, -1)),
        stops={"the method": 2**-1.5},
        target="vanilla",
    ),
    "ablation": Study(
        "the method without one of its parts, and with preselection, on noisy digits",
        NOISY,
        {
            "the method": (NOISY, {}),
            "no convergence properties": (NOISY, {"gates": ["structure", "finite", "distinct", "converges"]}),
            "no simulation": (NOISY, {"gates": [name for name in GATES if name != "converges"]}),
            "no check for duplicates": (NOISY, {"gates": [name for name in GATES if name != "distinct"]}),
            "no frozen rungs": (NOISY, IN_FULL),
            "no calibration": (NOISY, {"calibrate": False}),
            "with preselection": (NOISY, {"preselection": {"proposals": 4, "least": 20}}),
        },
        ALONE,
        shares=(1.0,),
    ),
}


def searched(study: str, variant: str, seed: int, minutes: float) -> None:
    """A search, stopped after its time; one that was stopped before, or had another time, begins anew."""
    place, about = _place(study, variant, seed), STUDIES[study]
    if (place / "done.json").exists() and json.loads((place / "done.json").read_text())["minutes"] == minutes:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    config, changes = about.variants[variant]
    (place / "config.py").write_text(
        f"_base_ = {str(SEARCHES / config)!r}\nsearch = {ALWAYS | about.given | changes | {'seed': seed}!r}\n"
    )
    line = [sys.executable, "-m", "autoloss", "search", str(place / "config.py"), str(place / "run"), "--workers", "1"]
    environment = {**os.environ, "AUTOLOSS_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    begun = time.time()
    process = subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=60 * minutes * about.stop(variant))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.communicate()
    else:
        raise SystemExit(f"{variant}, seed {seed}: the search ended before its time: {said[-1000:]}")
    (place / "done.json").write_text(json.dumps({"begun": begun, "minutes": minutes}))


def recommended(study: str, variant: str, seed: int, share: float, minutes: float) -> dict[str, Any]:
    """What a search stood at after a share of its time: the best by mean rank, and how many it had scored."""
    place = _place(study, variant, seed)
    until = json.loads((place / "done.json").read_text())["begun"] + 60 * minutes * share
    with Run.open(place / "run") as run:
        rungs = run.settings.ladder
        candidates = {one.number: one for one in run.candidates()}
        ended = {rung.name: [e for e in run.evaluations(rung.name) if 0 < e.ended <= until] for rung in rungs}
    scores = [mean_scores(ended[rung.name], rung.seeds) for rung in rungs if rung.ranks or rung is rungs[-1]]
    standing = ladder.mean_ranked(scores)
    best = candidates[standing[0] if standing else OWN]
    return {
        "variant": variant,
        "seed": seed,
        "minutes": minutes * share,
        "candidates": len({e.candidate for e in ended[rungs[0].name]}),
        "recommends": str(best.origin),
        "losses": best.spec(),
    }


def held_out(config: str, losses: dict[str, Any], seed: int) -> float:
    """mAP on held-out images after a long training; 0 of one that fails, as what a search recommends may."""
    import torch

    torch.set_num_threads(1)
    try:
        return float(build(load(SEARCHES / config).evaluator).evaluate(losses, TASK, seed)["score"])
    except TrainingFailedError:
        return 0.0


def judged(study: str, rows: Sequence[dict[str, Any]], file: Path, workers: int) -> dict[str, list[float]]:
    """Held-out scores of every distinct recommendation and of the detector's own loss, by their formulas."""
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    wanted = {_key(losses): losses for losses in [{}, *(row["losses"] for row in rows)]}
    config = STUDIES[study].config
    with ProcessPoolExecutor(workers) as pool:
        missing = [key for key in wanted if key not in known]
        futures = {key: [pool.submit(held_out, config, wanted[key], seed) for seed in SEEDS] for key in missing}
        for key, parts in futures.items():
            known[key] = [part.result() for part in parts]
            file.write_text(json.dumps(known, indent=1))
    return known


def _place(study: str, variant: str, seed: int) -> Path:
    return ROOT / "runs" / study / f"{variant.replace(' ', '_')}_{seed}"


def _key(losses: dict[str, Any]) -> str:
    return json.dumps(losses, sort_keys=True)


def _mean(scores: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
    return f"{statistics.fmean(scores):.3f}{spread}"


@styled()
def drawn(study: str, rows: Sequence[dict[str, Any]], own: Sequence[float], file: Path) -> None:
    """What is recommended, on held-out data, against time: the mean of the searches and a band over all of them."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    panel = figure.subplots()
    for name, colour in zip(STUDIES[study].variants, itertools.cycle(_COLOURS)):
        curve = _curve(rows, name)
        every = [[row["mean"] for row in rows if (row["variant"], row["minutes"]) == (name, time)] for time in curve]
        panel.fill_between(
            list(curve), [min(of) for of in every], [max(of) for of in every], color=colour, alpha=0.2, lw=0
        )
        panel.plot(list(curve), list(curve.values()), color=colour, marker="o", label=f"{name}, mean of the searches")
    panel.axhline(statistics.fmean(own), color=COLOURS[Kind.OWN], ls="--", label="the detector's own loss")
    panel.set_title(STUDIES[study].question)
    panel.set_xlabel("minutes of search on one core")
    panel.set_ylabel("mAP of what it recommends, held out")
    panel.legend()
    figure.savefig(file, dpi=120)


def printed(study: str, found: dict[str, Any]) -> None:
    """Every recommendation, and what stands at the end."""
    rows, curves = found["rows"], {name: _curve(found["rows"], name) for name in STUDIES[study].variants}
    title = f"What searches recommend after some time, on held-out images: {STUDIES[study].question}"
    table = Table(title=title, title_justify="left")
    for name in ("variant", "search seed", "minutes", "scored", "recommends", "mAP held out"):
        table.add_column(name, justify="left" if name in ("variant", "recommends") else "right")
    for row in rows:
        cells = (row["variant"], str(row["seed"]), f"{row['minutes']:.3g}", str(row["candidates"]), row["recommends"])
        table.add_row(
            *cells, f"{row['mean']:.3f} ± {row['sd']:.3f}", end_section=row["minutes"] == max(curves[row["variant"]])
        )
    console = Console(width=120)
    console.print(table)
    console.print(f"the detector's own loss: {_mean(found['own'])} over training seeds")
    for name, curve in curves.items():
        final = [row["mean"] for row in rows if row["variant"] == name and row["minutes"] == max(curve)]
        console.print(f"{name}, after {max(curve):g} minutes: {_mean(final)} over search seeds")
    if target := STUDIES[study].target:
        for line in _times(curves, target, found["own"]):
            console.print(line)


def _times(curves: dict[str, dict[float, float]], target: str, own: Sequence[float]) -> list[str]:
    """How much sooner than the target a search is as good as that is at the end, or, if that is no gain, gains."""
    end = max(curves[target])
    gain = statistics.fmean(own) + 2 * statistics.stdev(own)
    aim = max(curves[target][end], gain)
    when = {name: _reached(curve, aim) for name, curve in curves.items()}
    lines = [f"a gain over the own loss is {gain:.3f} (two standard deviations of its seeds)"]
    for name, minutes in when.items():
        reached = f"after {minutes:.3g} minutes" if minutes else f"not in {max(curves[name]):g} minutes"
        if minutes and name != target:
            reached += (
                f", {'about' if when[target] else 'more than'} {(when[target] or end) / minutes:.2g} times sooner"
            )
        lines.append(f"{name} reaches {aim:.3f} {reached}")
    return lines


def _reached(curve: dict[float, float], aim: float) -> float | None:
    """When a curve is as high as the aim and stays so; None where it never does."""
    below = [minutes for minutes, mean in curve.items() if mean < aim]
    return next((minutes for minutes in curve if not below or minutes > below[-1]), None)


def _curve(rows: Sequence[dict[str, Any]], variant: str) -> dict[float, float]:
    """Mean score over searches by minutes."""
    mine = [row for row in rows if row["variant"] == variant]
    times = sorted({row["minutes"] for row in mine})
    return {t: statistics.fmean(row["mean"] for row in mine if row["minutes"] == t) for t in times}


def main() -> None:
    """Searches, judges, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, help="folder of the facts; results/STUDY")
    arguments = parser.parse_args()
    study, seeds, minutes = arguments.study, sorted(arguments.seeds), arguments.minutes
    results = arguments.results or ROOT / "results" / study
    results.mkdir(parents=True, exist_ok=True)
    facts = results / f"{study}.json"
    if facts.exists():
        found = json.loads(facts.read_text())
        kept = (max(row["minutes"] for row in found["rows"]), sorted({row["seed"] for row in found["rows"]}))
        if kept != (minutes, seeds):
            sys.exit(f"{facts} holds {kept[0]:g} minutes with seeds {kept[1]}; remove it to measure others")
    else:
        variants = STUDIES[study].variants
        with ThreadPoolExecutor(arguments.workers) as pool:  # each waits for a process
            longest = sorted(itertools.product(seeds, variants), key=lambda one: -STUDIES[study].stop(one[1]))
            running = [pool.submit(searched, study, name, seed, minutes) for seed, name in longest]
            for one in running:
                one.result()
        rows = [
            recommended(study, name, seed, share, minutes)
            for name in variants
            for seed in seeds
            for share in STUDIES[study].shares
            if share <= STUDIES[study].stop(name)
        ]
        scores = judged(study, rows, results / "held_out.json", arguments.workers)
        for row in rows:
            of = scores[_key(row["losses"])]
            row |= {"mean": statistics.fmean(of), "sd": statistics.stdev(of)}
        found = {"rows": rows, "own": scores[_key({})]}
        facts.write_text(json.dumps(found, indent=1))
    drawn(study, found["rows"], found["own"], results / f"{study}.png")
    printed(study, found)


if __name__ == "__main__":
    main()
