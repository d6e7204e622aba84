"""Headroom as a step: what known losses gain, before a search is paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from autoloss.pipeline.kinds.kind import Costs, Kind, Outcome, Work, keep_table, weighted
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.report import headroom_table
from autoloss.report.live import Screen
from autoloss.search.cost_model import MachineCosts, project
from autoloss.search.headroom import known, verdict
from autoloss.search.headroom.verdict import Headroom
from autoloss.settings import Settings
from autoloss.store.run import Run

LEAST_SEEDS = 2


def measured(
    search: Settings, directory: Path, seeds: int | None, texts: Mapping[str, Sequence[str]], console: Console
) -> Headroom:
    """Measures what is missing, with the progress on the screen.

    Args:
        search: that would be paid for.
        directory: of the measurement.
        seeds: of each loss; None for those of the last rung, at least 3.
        texts: losses beside the known ones, by slot.
        console: for progress.
    """
    settings, others = known.of_known(search, seeds), known.of_texts(search, texts)
    with Run.create(directory, settings.identity(), known.FREE) as store:
        with Screen(settings, console) as screen:
            known.measure(search, settings, store, others, screen)
        return verdict.analysed(store)


def _inputs(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    texts = {slot: given for slot, given in step.section.texts.items() if given}
    return {"search": pipeline.settings(step).identity(), "seeds": step.section.seeds, **texts}


def _costs(pipeline: Pipeline, step: Step, costs: MachineCosts) -> Costs:
    search = pipeline.settings(step)
    most = len(known.of_known(search, step.section.seeds).ladder[-1].seeds)
    return {
        seeds: project(known.of_known(search, seeds), costs, devices=()).wall[costs.devices]
        for seeds in range(min(LEAST_SEEDS, most), most + 1)
    }


def _run(work: Work) -> Outcome:
    seeds = work.step.section.seeds if work.amount is None else work.amount
    found = measured(work.pipeline.settings(work.step), work.place, seeds, work.step.section.texts, work.console)
    keep_table(work.place, headroom_table.table(found))
    figures = {
        "spread": found.spread,
        "noise": found.noise,
        "own": found.own.mean,
        "tuned": found.tuned.mean,
        "best": found.best.mean,
        "gain": found.best.mean - found.own.mean,
        "gain_over_tuned": found.best.mean - found.tuned.mean,
        "chance": found.best.chance,
        "seeds": float(len(found.seeds)),
    }
    return Outcome(figures, {"run": work.step.name, "hands": _hands(work, found)}, found.verdict)


def _hands(work: Work, found: Headroom) -> dict[str, dict[str, Any]]:
    """What scored best, a known loss or the own one with another weight, where it gains more than seeds differ by."""
    best = next(one for one in found.losses if one.trains)
    if best.mean - found.own.mean <= found.noise:
        return {}
    with Run.open(work.place) as run:
        losses = next(one.losses for one in run.candidates() if one.number == best.number)
    return weighted(work.pipeline.settings(work.step), losses)


KIND = Kind(
    figures={
        "spread": "best less worst mean score of the losses that train",
        "noise": "standard deviation of the scores of one loss over seeds",
        "own": "mean score of the detector's own loss",
        "tuned": "of the own loss with its best weight",
        "best": "of the best known loss",
        "gain": "best less own",
        "gain_over_tuned": "best less tuned",
        "chance": "that noise makes the best known loss look so much better",
        "seeds": "of every loss",
    },
    inputs=_inputs,
    took=lambda _: {},
    costs=_costs,
    run=_run,
    measured=lambda pipeline, step: pipeline.settings(step),
    amount="seeds",
)
