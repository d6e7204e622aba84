"""Search as a step: it begins with what the steps before it found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from autoloss.pipeline.kinds.kind import TABLE, Costs, Kind, Outcome, Work, alike, weighted
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.proposals.initial import Weighted
from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard, Row
from autoloss.report.live import Screen
from autoloss.report.terminal import Plain
from autoloss.search.cost_model import MachineCosts, project
from autoloss.search.loop import discover
from autoloss.search.population import Population
from autoloss.search.progress import Watcher
from autoloss.settings import FREE, Budget, Settings
from autoloss.store.run import Run
from autoloss.workers.simulation_rung import Evaluators
from primitives.errors import InputError
from primitives.text.printable import printable


def searched(
    settings: Settings,
    directory: Path,
    console: Console,
    watch: Watcher = lambda _: None,
) -> Leaderboard:
    """Runs a search, or goes on with it, with the progress on the screen.

    Args:
        settings: of it.
        directory: of the run.
        console: for progress.
        watch: sees it, too.
    """
    with Run.create(directory, settings.identity(), FREE) as store:
        with Screen(settings, console) as screen:

            def both(progress: Any) -> None:
                screen(progress)
                watch(progress)

            discover(settings, store, both, foretell=True)
        return Leaderboard.of(store)


def handed(work: Work) -> dict[str, dict[str, Any]]:
    """The losses that the steps before a search hand on, by slot: of each the last search's, else headroom's."""
    found: dict[str, dict[str, Any]] = {}
    measured = alike(work.pipeline, work.step.name, work.step.before["headroom"])
    for name in [*measured[-1:], *work.step.before["search"]]:
        found |= work.entry(name).gave.get("hands", {})
    return found


def _took(work: Work) -> dict[str, Any]:
    settings = work.pipeline.settings(work.step)
    return {"losses": {slot: loss for slot, loss in handed(work).items() if slot in settings.slots}}


def begun_with(settings: Settings, losses: Mapping[str, Mapping[str, Any]]) -> Settings:
    """A search that begins with losses, in place of its `init`; in slots that it does not search, they stay."""
    given = {slot: Weighted.model_validate(loss) for slot, loss in losses.items()}
    if not given:
        return settings
    kept = {slot: given.get(slot, loss) if loss == "own" else loss for slot, loss in settings.fixed.items()}
    return settings.model_copy(update={"init": [given], "fixed": kept})


def _inputs(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    return {"search": pipeline.settings(step).identity()}


def _check(pipeline: Pipeline, step: Step) -> None:
    """Refuses a set-up whose mistakes would show only after what comes before; the first one says them itself."""
    settings = pipeline.settings(step)
    Population(settings)  # refuses an `init` that is none
    names = [*step.before["headroom"], *step.before["search"]]
    before = [_setup(pipeline.settings(pipeline.step(name))) for name in names]
    if before and _setup(settings) not in before:
        evaluators = Evaluators(settings.evaluator_spec, settings.stand_ins)
        grammars = {slot: rules.grammar for slot, rules in settings.slots.items()}
        evaluators.prepare(grammars, [rung.task for rung in settings.rungs])


def _setup(settings: Settings) -> dict[str, Any]:
    """What an evaluator is prepared for."""
    found = settings.identity()
    return {key: found[key] for key in ("evaluator", "evaluators", "slots", "ladder", "finale")}


def _costs(pipeline: Pipeline, step: Step, costs: MachineCosts) -> Costs:
    settings = pipeline.settings(step)
    return {
        count: project(settings.model_copy(update={"generations": count}), costs, devices=()).wall[costs.devices]
        for count in range(1, settings.generations + 1)
    }


def _run(work: Work) -> Outcome:
    settings = begun_with(work.pipeline.settings(work.step), _took(work)["losses"])
    if work.amount is not None:
        settings = settings.model_copy(update={"generations": work.amount})
    if work.seconds is not None:
        settings = settings.model_copy(update={"budget": Budget(time=work.seconds)})
    board = searched(settings, work.place, work.console)
    with (work.place / TABLE).open("w", encoding="utf-8") as file:
        tables.ending(board, Plain(file=file, width=120))
    picked = board.picks()
    if not picked:
        raise InputError(_nothing(board, work))
    return _outcome(work, settings, board, picked[0])


def _nothing(board: Leaderboard, work: Work) -> str:
    """Why there is nothing to hand on, and what to do."""
    said = "nothing that the search found has finished a training"
    if not board.ended:
        return f"{said}; autoloss show {printable(work.place)} says why"
    remedy = "give the pipeline more --time" if work.seconds is not None else "give the search more"
    return f"{said} before its budget ended ({board.ended}); {remedy}, and it goes on"


def _outcome(work: Work, settings: Settings, board: Leaderboard, best: Row) -> Outcome:
    own = board.own
    rung = next(name for name in reversed(board.rungs) if name in best.scores and own and name in own.scores)
    assert own is not None
    scores = best.scores[rung].mean, own.scores[rung].mean
    gain = scores[0] - scores[1]
    losses = {slot: best.candidate.losses[slot] for slot in settings.slots if slot in best.candidate.losses}
    figures = {
        "own": scores[1],
        "best": scores[0],
        "gain": gain,
        "candidates": float(board.counts.passed),
        "size": float(best.candidate.size),
    }
    gave = {
        "run": work.step.name,
        "candidate": best.candidate.number,
        "losses": best.candidate.spec(),
        "hands": weighted(settings, losses) if gain > 0 else {},
    }
    formulas = "; ".join(tables.short(loss) for loss in losses.values())
    ended = f"; ended by {board.ended}" if board.ended else ""
    told = f"#{best.candidate.number} {formulas}: {scores[0]:.3f} at {rung!r}, own loss {scores[1]:.3f}{ended}"
    return Outcome(figures, gave, told, bool(board.ended))


KIND = Kind(
    figures={
        "own": "mean score of the detector's own loss at the last rung",
        "best": "of what is recommended",
        "gain": "best less own",
        "candidates": "that passed the gates",
        "size": "nodes of what is recommended",
    },
    inputs=_inputs,
    took=_took,
    costs=_costs,
    run=_run,
    measured=lambda pipeline, step: pipeline.settings(step),
    needs=("headroom", "search"),
    amount="generations",
    check=_check,
)
