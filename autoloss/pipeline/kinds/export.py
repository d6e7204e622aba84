"""Export as a step: the loss that a search recommends, as folders that work without this toolkit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from autoloss.evaluator import BESIDE
from autoloss.export import folder as package
from autoloss.export import selection
from autoloss.export.selection import Export
from autoloss.export.target import target as known_target
from autoloss.pipeline.kinds.kind import Costs, Kind, Outcome, Work
from autoloss.pipeline.plan import Pipeline, Step, placed
from autoloss.search.cost_model import MachineCosts
from autoloss.store.run import Run
from primitives.errors import InputError

SECONDS = 20.0
"""About so many a target, most of them of a process that compares the file with the formula."""


def chosen(work: Work) -> Export:
    """What a search before it recommends, with what an audit says of it."""
    search = work.entry(work.step.search)
    with Run.open(work.folder / search.gave["run"]) as run:
        (one,) = selection.of_run(run, search.gave["candidate"])
    return one


def _inputs(_: Pipeline, step: Step) -> dict[str, Any]:
    with placed(f"{step.name}.to"):
        for name in step.section.to:
            known_target(name)
    return {"of": step.search, "to": list(step.section.to)}


def _check(pipeline: Pipeline, step: Step) -> None:
    """Refuses targets that the losses of the search could not be written for, by writing others for them."""
    settings = pipeline.settings(pipeline.step(step.search))
    rung, evaluator = settings.rungs[-1], {**settings.first_evaluator, BESIDE: settings.evaluator_spec[BESIDE]}
    setup = {"evaluator": evaluator, "task": rung.task, "seed": rung.seeds[0]}
    for name in step.section.to:
        package.check(name)
        package.texts(Export("Tried", settings.stand_ins, ["None is kept."], setup), name)


def took(work: Work) -> dict[str, Any]:
    """What stands in the index of the search, and of its audit."""
    search = work.entry(work.step.search)
    audits = [name for name in work.step.before["audit"] if work.pipeline.step(name).search == work.step.search]
    audited = {name: work.entry(name).figures for name in audits}
    return {**{name: search.gave[name] for name in ("run", "candidate", "losses")}, "audits": audited}


def _costs(_: Pipeline, step: Step, __: MachineCosts) -> Costs:
    return {1: SECONDS * len(step.section.to)}


def _run(work: Work) -> Outcome:
    one, folders = chosen(work), {}
    for name in work.step.section.to:
        place = work.place / name
        if place.exists():  # of a session that was killed before it could say so
            shutil.rmtree(place)
        folders[name] = _written(one, name, place)
    gave = {"folders": {name: f"{work.step.name}/{name}" for name in folders}, "files": folders}
    count = sum(map(len, folders.values()))
    return Outcome({"files": float(count)}, gave, f"{one.name} for {', '.join(folders)}, each equal to the formula")


def _written(one: Export, target: str, place: Path) -> list[str]:
    try:
        return [path.name for path in package.write(one, target, place)]
    except package.ExportError as error:
        raise InputError(str(error)) from None


KIND = Kind(
    figures={"files": "that were written"},
    inputs=_inputs,
    took=took,
    costs=_costs,
    run=_run,
    measured=lambda *_: None,
    needs=("search", "audit"),
    check=_check,
)
