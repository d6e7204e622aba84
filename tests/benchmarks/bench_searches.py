"""Searches at equal wall-clock: what each recommends, on held-out data, against the time it had.

A study names variants of a search. Every one of them searches on a core of its own, with nothing prepared, for the
minutes of the study, or a share of them, with several search seeds, as many at a time as there are workers. What each
would have recommended after some shares of that time is then trained with three seeds of its own, and
scored on images that took no part in the search.

`python tests/benchmarks/bench_searches.py ladders --minutes 6` goes on where it stopped; its facts lie in
results/ladders/, and only variants and seeds that these lack are searched.
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
from pathlib import Path
from typing import Any

from studies import STUDIES, TASK
from study_shown import drawn, printed

from autoloss.candidate import OWN
from autoloss.config import load
from autoloss.evaluator import build
from autoloss.search import ladder
from autoloss.search.results import mean_scores
from autoloss.store.run import Run
from detectors.training.short import TrainingFailedError

ROOT = Path(__file__).parents[2]
SEARCHES = ROOT / "configs" / "search"
SEEDS = (71, 72, 73)
ALWAYS = {"finale": None, "generations": 1000}


def searched(study: str, variant: str, seed: int, minutes: float) -> None:
    """A search, stopped after its time; one that was stopped before, or had another time or config, begins anew."""
    place, about = _place(study, variant, seed), STUDIES[study]
    base, changes = about.variants[variant]
    config = f"_base_ = {str(SEARCHES / base)!r}\nsearch = {ALWAYS | about.given | changes | {'seed': seed}!r}\n"
    seconds = 60 * minutes * about.stop(variant)
    if (place / "done.json").exists():
        done = json.loads((place / "done.json").read_text())
        if (done["seconds"], (place / "config.py").read_text()) == (seconds, config):
            return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "config.py").write_text(config)
    line = [sys.executable, "-m", "autoloss", "search", str(place / "config.py"), str(place / "run"), "--workers", "1"]
    environment = {**os.environ, "AUTOLOSS_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    begun = time.time()
    process = subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.communicate()
    else:
        raise SystemExit(f"{variant}, seed {seed}: the search ended before its time: {said[-1000:]}")
    (place / "done.json").write_text(json.dumps({"begun": begun, "seconds": seconds}))


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


def main() -> None:
    """Searches, judges, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, help="folder of the facts; results/STUDY")
    arguments = parser.parse_args()
    study, minutes = arguments.study, arguments.minutes
    about, results = STUDIES[study], arguments.results or ROOT / "results" / study
    results.mkdir(parents=True, exist_ok=True)
    facts = results / f"{study}.json"
    found: dict[str, Any] = json.loads(facts.read_text()) if facts.exists() else {"rows": []}
    rows = found["rows"]
    if rows and (kept := max(row["minutes"] for row in rows)) != minutes:
        sys.exit(f"{facts} holds searches of {kept:g} minutes; remove it to measure others")
    have = {(row["variant"], row["seed"]) for row in rows}
    missing = [one for one in itertools.product(about.variants, sorted(arguments.seeds)) if one not in have]
    if missing:
        with ThreadPoolExecutor(arguments.workers) as pool:  # each waits for a process
            longest = sorted(missing, key=lambda one: (-about.stop(one[0]), one[1]))
            running = [pool.submit(searched, study, name, seed, minutes) for name, seed in longest]
            for one in running:
                one.result()
        new = [
            recommended(study, name, seed, share, minutes)
            for name, seed in missing
            for share in about.shares
            if share <= about.stop(name)
        ]
        scores = judged(study, new, results / "held_out.json", arguments.workers)
        for row in new:
            of = scores[_key(row["losses"])]
            row |= {"mean": statistics.fmean(of), "sd": statistics.stdev(of)}
        order = {name: place for place, name in enumerate(about.variants)}
        rows = sorted(rows + new, key=lambda row: (order[row["variant"]], row["seed"], row["minutes"]))
        found = {"rows": rows, "own": scores[_key({})]}
        facts.write_text(json.dumps(found, indent=1))
    drawn(about, found["rows"], found["own"], results / f"{study}.png")
    printed(about, found)


if __name__ == "__main__":
    main()
