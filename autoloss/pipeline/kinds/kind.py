"""Kind: what a pipeline asks of a kind of step, what a step is given, and what it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from autoloss.candidate import Loss
from autoloss.gates.identities import Identities
from autoloss.pipeline.index import Entry, Index
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.report.terminal import Plain
from autoloss.search.cost_model import MachineCosts
from autoloss.settings import Settings

TABLE = "table.txt"


@dataclass(frozen=True)
class Work:
    """A step that is to be done.

    Args:
        pipeline: that it is of.
        step: itself.
        index: what the steps before it gave.
        folder: of the pipeline.
        console: for progress.
        amount: seeds or generations that a budget has room for; None for what its section says.
        seconds: of all its sessions, of a budget; None for no end.
    """

    pipeline: Pipeline
    step: Step
    index: Index
    folder: Path
    console: Console
    amount: int | None = None
    seconds: float | None = None

    @property
    def place(self) -> Path:
        """The folder of the step."""
        return self.folder / self.step.name

    def entry(self, name: str) -> Entry:
        """What became of another step."""
        return self.index.steps[name]


@dataclass(frozen=True)
class Outcome:
    """What a step leaves.

    Args:
        figures: that it tells; None for one that it cannot.
        gave: plain values for the steps after it, paths as they are in the folder.
        told: what came of it, in a line.
        short: it ended before its end, because of its budget.
    """

    figures: Mapping[str, float | None]
    gave: Mapping[str, Any]
    told: str
    short: bool = False


Costs = Mapping[int, float]
"""Seconds for each amount (seeds, generations) that a step may have, least first."""


@dataclass(frozen=True)
class Kind:
    """A kind of step.

    Args:
        figures: what it tells, by their names.
        inputs: what must be the same when a step goes on.
        took: what it takes of the steps before it, as plain values.
        costs: what it costs, from what its search's parts do.
        run: does it, or goes on with it.
        measured: settings whose parts say what it costs; None where it trains nothing.
        needs: kinds of steps before it that it reads.
        amount: what `costs` counts.
        files: what of the folder is this step's alone, beside its own.
        check: refuses, before anything runs, what the step could not do; it may read the data.
    """

    figures: Mapping[str, str]
    inputs: Callable[[Pipeline, Step], dict[str, Any]]
    took: Callable[[Work], dict[str, Any]]
    costs: Callable[[Pipeline, Step, MachineCosts], Costs]
    run: Callable[[Work], Outcome]
    measured: Callable[[Pipeline, Step], Settings | None]
    needs: Sequence[str] = ()
    amount: str = ""
    files: Callable[[Step], Sequence[str]] = field(default=lambda step: [step.name])
    check: Callable[[Pipeline, Step], None] = field(default=lambda *_: None)


def alike(pipeline: Pipeline, name: str, others: Sequence[str]) -> list[str]:
    """Of other steps with a search config those of the set-up of one, in their order; arguments: by their names."""
    keys = ("evaluator", "evaluators", "slots")
    ours = pipeline.settings(pipeline.step(name)).identity()
    theirs = {other: pipeline.settings(pipeline.step(other)).identity() for other in others}
    return [other for other, found in theirs.items() if all(ours[key] == found[key] for key in keys)]


def weighted(settings: Settings, losses: Mapping[str, Loss]) -> dict[str, dict[str, Any]]:
    """Losses of a set-up as `init` of a search takes them."""
    usual = Identities(settings.slots, settings.stand_ins, settings.calibrate)
    return {
        slot: {"formula": loss.expression.text, "alpha": loss.alpha, "times": usual.factor(slot, loss)}
        for slot, loss in losses.items()
    }


def keep_table(folder: Path, *tables: RenderableType) -> None:
    """Leaves tables as text in a folder."""
    with (folder / TABLE).open("w", encoding="utf-8") as file:
        for table in tables:
            Plain(file=file, width=120).print(table)


def spread(trainings: int, seconds: float, measured: MachineCosts) -> float:
    """Wall-clock of trainings that are spread over the workers here."""
    workers = measured.devices * measured.side_by_side
    return math.ceil(trainings / workers) * seconds
