"""Train as a step: the winner of a search, the own loss and the own loss with tuned weights, trained whole."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from autoloss.audit.contestants import moved, scaled
from autoloss.candidate import Kind as CandidateKind
from autoloss.candidate import Loss
from autoloss.evaluator import BESIDE, EVALUATORS, build
from autoloss.export import elsewhere
from autoloss.pipeline.kinds.export import chosen
from autoloss.pipeline.kinds.export import took as took_of_export
from autoloss.pipeline.kinds.kind import Costs, Kind, Outcome, Work, keep_table, spread
from autoloss.pipeline.kinds.trainings import LENGTH, Trainings, data_of, detector_of, metric_of
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.pipeline.trained import NAMES, OWN, TUNED, WINNER
from autoloss.proposals.initial import OWN as KEPT
from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.cost_model import MachineCosts
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.errors import InputError
from primitives.system.names import reached

_SHORT = {"iterations": 1000, "train_on": "train", "evaluate_on": "val"}
"""What is measured of another detector where the search trains none; how long it is, its own schedule says."""
_BATCH = 8
"""Images an iteration, where an evaluator does not say."""
LEAST_SEEDS = 2
CHECK, CHECK_OWN = "detectors.foreseen:check", "detectors.foreseen:check_own"
"""Who refuses what could not be trained: another detector, the search's own."""
WHOLE = "detectors.tasks:whole"
"""Who says how a detector is trained whose small heads a rung trains."""
_FIRST = 1001
"""Seeds count up from here."""


def _inputs(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    names = ("detector", "iterations", "data", "seeds", "backbone", "cfg_options")
    detector_of(pipeline, step)  # it is there; where, depends on where the command runs
    section = {name: getattr(step.section, name) for name in names}
    return {"of": step.search, **section, **({"data": dict(pipeline.data)} if pipeline.data else {})}


def _check(pipeline: Pipeline, step: Step) -> None:
    """Refuses what would show only after the searches: a metric, a detector or data that cannot be."""
    settings, detector = pipeline.settings(pipeline.step(step.search)), detector_of(pipeline, step)
    own, section = settings.first_evaluator["type"] == EVALUATORS["detector"], step.section
    if detector is not None or own:
        metric_of(settings)
    if detector is not None:
        reached(CHECK)(
            detector,
            {slot: settings.slots[slot].grammar for slot in _filled(pipeline, step)},
            centerness_target=settings.first_evaluator.get("centerness_target"),
            data=data_of(pipeline, step),
            backbone=section.backbone,
            cfg_options=section.cfg_options,
        )
    elif not own and (section.backbone is not None or section.cfg_options):
        raise InputError("backbone and cfg_options change an mmdetection detector: name one by `detector`")
    elif section.backbone is not None or section.cfg_options:
        evaluator = build({**settings.first_evaluator, BESIDE: settings.evaluator_spec[BESIDE]})
        reached(CHECK_OWN)(evaluator, section.backbone, section.cfg_options)


def _filled(pipeline: Pipeline, step: Step) -> set[str]:
    """Slots of a search in which what it recommends may have a loss: it, or a search before it, fills them."""
    names = step.before["search"]
    before = [pipeline.settings(pipeline.step(name)) for name in names[: names.index(step.search) + 1]]
    filled = {slot for one in before for slot in one.slots if one.fixed.get(slot) != KEPT}
    return filled & before[-1].slots.keys()


def _took(work: Work) -> dict[str, Any]:
    return {**took_of_export(work), "losses": {who: spec for who, (_, spec) in _taking_part(work).items()}}


def _taking_part(work: Work) -> dict[str, tuple[str, dict[str, Any]]]:
    """Who is trained: what it is, for people, and its losses as plain values; on another detector at its scale."""
    one, settings = chosen(work), work.pipeline.settings(work.pipeline.step(work.step.search))
    detector = detector_of(work.pipeline, work.step)
    there = settings if detector is None else elsewhere.at(settings, detector, work.step.section.cfg_options)
    losses = one.losses if there is settings else moved(one.losses, settings, there)
    found = {WINNER: ("; ".join(map(tables.short, losses.values())), _spec(losses))}
    tuned = _tuned(work, settings, there)
    if tuned is not None:
        found[TUNED] = tuned
    return {**found, OWN: ("", {})}


def _tuned(work: Work, settings: Settings, there: Settings) -> tuple[str, dict[str, Any]] | None:
    """The own loss with the weights of an audit, else with those of the search's best control; None where 1 is best.

    Args:
        work: of the step.
        settings: of the search.
        there: the same at the scale of what is trained.
    """
    for name in work.step.before["audit"][::-1]:
        if work.pipeline.step(name).search == work.step.search:
            factors = {slot: factor for slot, factor in work.entry(name).gave["tuned"].items() if factor != 1}
            named = ", ".join(f"{slot} x {factor:g}" for slot, factor in factors.items())
            return (named, _spec(scaled(there, {}, factors))) if factors else None
    with Run.open(work.folder / work.entry(work.step.search).gave["run"]) as run:
        board = Leaderboard.of(run)
    controls = [row for row in board.given if row.candidate.kind is CandidateKind.CONTROL and row.scores]
    rung = next((name for name in reversed(board.rungs) if any(name in row.scores for row in controls)), None)
    if rung is None or board.own is None or rung not in board.own.scores:
        return None
    best = max((row for row in controls if rung in row.scores), key=lambda row: row.scores[rung].mean)
    if best.scores[rung].mean <= board.own.scores[rung].mean:
        return None
    losses = best.candidate.losses
    return str(best.candidate.origin), _spec(losses if there is settings else moved(losses, settings, there))


def _spec(losses: Mapping[str, Loss]) -> dict[str, Any]:
    return {slot: loss.spec() for slot, loss in losses.items()}


def _measured(pipeline: Pipeline, step: Step) -> Settings | None:
    """The last rung of the search, its detector trained whole; with another detector, that one's."""
    settings, detector = pipeline.settings(pipeline.step(step.search)), detector_of(pipeline, step)
    last, own = settings.rungs[-1], settings.first_evaluator["type"] == EVALUATORS["detector"]
    task = reached(WHOLE)(last.task) if own else last.task if detector is None else _SHORT
    rung = last if task == last.task else last.model_copy(update={"task": task, "batch": 1})
    if detector is None:
        return settings if rung is last else settings.model_copy(update={"ladder": [rung], "finale": None})
    kept = settings.first_evaluator if own else {}
    spec = {key: value for key, value in kept.items() if key not in ("size", "cfg_options")}
    spec |= {"type": EVALUATORS["detector"], "detector": detector, "data": data_of(pipeline, step) or spec.get("data")}
    changes = {"evaluator": spec, "evaluators": [], "objective": None, "ladder": [rung], "finale": None}
    return settings.model_copy(update=changes)


def _costs(pipeline: Pipeline, step: Step, costs: MachineCosts) -> Costs:
    settings = pipeline.settings(pipeline.step(step.search))
    cost, detector = costs.costs[settings.rungs[-1].name], detector_of(pipeline, step)
    iterations = float(step.section.iterations or cost.iterations)
    if detector is not None:
        count, batch = reached(LENGTH)(detector, data_of(pipeline, step), step.section.cfg_options)
        iterations = count * batch / settings.first_evaluator.get("batch_size", _BATCH)
    each = cost.one.seconds(math.ceil(iterations))
    return {count: spread(len(NAMES) * count, each, costs) for count in range(LEAST_SEEDS, step.section.seeds + 1)}


def _seeds(work: Work) -> Iterator[int]:
    """Seeds that took no part in the search or its audit."""
    run = work.folder / work.entry(work.step.search).gave["run"]
    used: set[int] = set()
    for folder in (run, *(path.parent for path in run.glob("*/*.sqlite"))):
        with Run.open(folder) as opened:
            used |= {one.seed for one in opened.evaluations()}
    return (seed for seed in itertools.count(_FIRST) if seed not in used)


def _run(work: Work) -> Outcome:
    begin, before = time.monotonic(), work.entry(work.step.name).seconds
    most = work.step.section.seeds if work.amount is None else work.amount
    seeds = list(itertools.islice(_seeds(work), most))
    trainings = Trainings(work, _taking_part(work))
    whole = seeds if work.seconds is None else seeds[:LEAST_SEEDS]
    with trainings.workers() as executor:
        trainings.train(executor, whole)
        while len(whole) < len(seeds) and work.seconds is not None and trainings.found(whole).against(OWN) is not None:
            spent = before + time.monotonic() - begin
            if spent * (len(whole) + 1) / len(whole) > work.seconds:
                break
            whole = seeds[: len(whole) + 1]
            trainings.train(executor, whole)
    found = trainings.found(whole)
    keep_table(work.place, found.table())
    (work.place / "train.json").write_text(json.dumps(found.plain_values(), indent=2) + "\n", encoding="utf-8")
    if found.against(OWN) is None:
        raise InputError(f"{found.said()}; the same command trains once more what failed")
    checkpoints = {f"{one.who}-seed{one.seed}": one.checkpoint for one in found.trainings if one.checkpoint}
    gave = {"table": f"{work.step.name}/table.txt", "checkpoints": checkpoints, "seeds": whole}
    return Outcome(found.figures(), gave, found.said(), len(whole) < work.step.section.seeds)


_OVER = {
    "gain": "mean score of what is recommended less that of the own loss",
    "low": "end of its 95 % interval",
    "high": "other end",
    "p_better": "probability that what is recommended is better",
}
KIND = Kind(
    figures={
        "winner": "mean score of what is recommended",
        "own": "of the own loss",
        "tuned": "of the own loss with tuned weights",
        **_OVER,
        **{f"{name}_over_tuned": f"{what}, against the own loss with tuned weights" for name, what in _OVER.items()},
        "seeds": "of every loss",
    },
    inputs=_inputs,
    took=_took,
    costs=_costs,
    run=_run,
    measured=_measured,
    needs=("search", "audit"),
    amount="seeds",
    check=_check,
)
