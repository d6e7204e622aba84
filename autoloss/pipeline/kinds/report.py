"""Report as a step: a page of every search, and one that has them beside each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoloss.pipeline.kinds.kind import Costs, Kind, Outcome, Work
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.report.detections import making
from autoloss.report.leaderboard import Leaderboard
from autoloss.report.page import comparison, page, pictures
from autoloss.report.page.told import Told
from autoloss.report.page.written import write
from autoloss.search.cost_model import MachineCosts
from autoloss.store.run import Run

SECONDS = 10.0
"""About so many a page."""


def written(
    run: Path,
    file: Path,
    force: bool = False,
    drawn: Path | None = None,
    seen: Callable[[str], None] | None = None,
) -> int:
    """Writes the page of a run; gives its bytes.

    Args:
        run: directory.
        file: to write.
        force: write over a file that is no such page.
        drawn: folder for the pictures as PNG.
        seen: told of the trainings that show what detectors find, which are made where they are missing; None: none is.
    """
    with Run.open(run) as opened:
        if seen is not None:
            making.make(opened, Leaderboard.of(opened), seen)
        told = Told.of(opened)
    text = page.page(told)
    if drawn is not None:
        pictures.write(told, drawn)
    write(text, file, force)
    return len(text.encode())


def compared(runs: list[Path], file: Path, force: bool = False) -> int:
    """Writes the page of several runs; gives its bytes."""
    text = comparison.of_folders(runs)
    write(text, file, force)
    return len(text.encode())


def _inputs(_: Pipeline, step: Step) -> dict[str, Any]:
    return {"of": list(step.before["search"])}


def _took(work: Work) -> dict[str, Any]:
    steps = [*work.step.before["search"], *work.step.before["audit"]]
    return {name: work.entry(name).figures for name in steps if work.entry(name).state == "done"}


def _costs(_: Pipeline, step: Step, __: MachineCosts) -> Costs:
    return {1: SECONDS * (1 + len(step.before["search"]))}


def _run(work: Work) -> Outcome:
    work.place.mkdir(parents=True, exist_ok=True)
    runs = {name: work.folder / work.entry(name).gave["run"] for name in work.step.before["search"]}
    pages = {name: work.place / f"{name}.html" for name in runs}
    sizes = [written(runs[name], file) for name, file in pages.items()]
    if len(runs) > 1:
        pages["comparison"] = work.place / "comparison.html"
        sizes.append(compared(list(runs.values()), pages["comparison"]))
    gave = {"pages": {name: f"{work.step.name}/{file.name}" for name, file in pages.items()}}
    return Outcome({"pages": float(len(sizes))}, gave, f"{len(sizes)} pages, {sum(sizes) / 1e6:.1f} MB")


KIND = Kind(
    figures={"pages": "that were written"},
    inputs=_inputs,
    took=_took,
    costs=_costs,
    run=_run,
    measured=lambda *_: None,
    needs=("search", "audit"),
)
