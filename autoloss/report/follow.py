"""Follow: a run that another process works on, read from its file until that process is gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from autoloss.candidate import State
from autoloss.report.live import EVERY
from autoloss.search.selection.objective import relative
from autoloss.store.run import Run
from primitives.text.printable import printable


def follow(directory: Path, console: Console, every: float = 1.0) -> None:
    """Shows what a search does until it ends; in a terminal it redraws, elsewhere it prints a line per change.

    A line comes at least every 30 seconds.

    Args:
        directory: of the run.
        console: to draw on.
        every: seconds between two looks.

    Raises:
        InputError: there is no run.
    """
    live = Live(console=console, transient=True) if console.is_terminal else None
    if live:
        live.start()
    try:
        last, said = "", time.monotonic()
        while True:
            with Run.open(directory) as run:
                who = run.worked_on
                found = state(run)
            if live:
                live.update(drawing(found, who))
            elif (text := summary_line(found)) != last or time.monotonic() - said > EVERY - every:
                console.print(text, highlight=False, soft_wrap=True)
                last, said = text, time.monotonic()
            if not who:
                return
            time.sleep(every)
    finally:
        if live:
            live.stop()


def state(run: Run) -> dict[str, Any]:
    """What a run file tells of the present: counts by rung and state, the best scores, what each worker does."""
    settings = run.settings
    rungs: dict[str, dict[str, int]] = {}
    best: dict[str, float] = {}
    for evaluation in relative(run.evaluations(), settings.objective):
        counts = rungs.setdefault(evaluation.rung, {one.value: 0 for one in State})
        counts[evaluation.state.value] += 1
        if evaluation.score is not None:
            best[evaluation.rung] = max(best.get(evaluation.rung, evaluation.score), evaluation.score)
    candidates = run.candidates()
    return {
        "rungs": {rung.name: rungs[rung.name] for rung in settings.rungs if rung.name in rungs},
        "best": best,
        "candidates": len(candidates),
        "generation": max((one.generation for one in candidates), default=-1) + 1,
        "generations": settings.generations,
        "workers": run.workers(),
        "lost": len(run.crashes()),
    }


def summary_line(found: dict[str, Any]) -> str:
    """The state in a line."""
    parts = [_head(found)]
    for name, counts in found["rungs"].items():
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        best = f", best {found['best'][name]:.3f}" if name in found["best"] else ""
        parts.append(f"{printable(name, 60)}: {counts['done']} done{failed}, {counts['running']} running{best}")
    return "; ".join([*parts, *([f"{found['lost']} workers lost"] if found["lost"] else [])])


def _head(found: dict[str, Any]) -> str:
    return f"generation {found['generation']} of {found['generations']}; {found['candidates']} candidates"


def drawing(found: dict[str, Any], who: str) -> Group:
    """The state, with a row per rung and a row per worker."""
    rungs = Table(header_style="bold", title=_head(found), title_justify="left")
    for name in ("rung", "done", "failed", "running", "best score"):
        rungs.add_column(name, justify="left" if name == "rung" else "right")
    for name, counts in found["rungs"].items():
        best = f"{found['best'][name]:.3f}" if name in found["best"] else ""
        rungs.add_row(printable(name, 60), *(str(counts[one] or "") for one in ("done", "failed", "running")), best)
    table = Table(
        header_style="bold", title=f"searched by {printable(who)}" if who else "not searched now", title_justify="left"
    )
    for name in ("worker", "process", "does", "seconds", "GB", "lost"):
        table.add_column(name, justify="left" if name in ("worker", "does") else "right")
    for one in found["workers"] if who else []:
        since = f"{max(time.time() - one['since'], 0):.0f}"
        held = f"{one['memory'] / 1e9:.2f}" if one["memory"] else ""
        table.add_row(
            printable(one["name"]),
            str(one["pid"] or ""),
            printable(one["doing"] or "waits"),
            since,
            held,
            str(one["lost"] or ""),
        )
    return Group(rungs, table)
