"""Audit as a step: whether what a search found is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from autoloss.audit.contestants import BEST_KNOWN, EQUAL, OWN_LOSS, OWN_TUNED
from autoloss.audit.document import FOLDER, write
from autoloss.audit.measure import measure
from autoloss.audit.plan import LEAST_SEEDS, MOST_SEEDS, apart, planned, same_slots
from autoloss.audit.tuning import LEAST as LEAST_TRIALS
from autoloss.audit.verdict import Audit, Comparison, analysed
from autoloss.config import load
from autoloss.evaluator import Auditable
from autoloss.pipeline.kinds.kind import Costs, Kind, Outcome, Work, alike, keep_table, spread
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.report.audit.table import table
from autoloss.report.live import Screen
from autoloss.report.plots import audit_plot
from autoloss.search.cost_model import MachineCosts
from autoloss.settings import Settings
from autoloss.store.run import Run
from autoloss.workers.simulation_rung import Evaluators
from primitives.errors import InputError
from primitives.text.printable import printable

_CONTESTANTS = 8
"""Three finalists, and the controls but for a random search."""


def held(
    run: Path,
    directory: Path,
    on: Mapping[str, Settings],
    seeds: int | Sequence[int] | None,
    random: Path | None,
    headroom: Path | None,
    trials: int | None,
    workers: Mapping[str, Any],
    console: Console,
    most: int | None = None,
) -> Audit:
    """Holds what is missing of an audit, with the progress on the screen, and writes its files.

    Args:
        run: of the search.
        directory: of the audit.
        on, seeds, trials, workers: as of `planned`.
        random, headroom: directories, as of `planned`.
        console: for progress.
        most: seeds that there is room for; fewer than planned.
    """
    with ExitStack() as opened:
        search = opened.enter_context(Run.open(run))
        others = [None if path is None else opened.enter_context(Run.open(path)) for path in (random, headroom)]

        def plan(count: int | Sequence[int] | None) -> Any:
            return planned(
                search, seeds=count, on=on, random=others[0], headroom=others[1], trials=trials, workers=workers
            )

        found = plan(seeds)
        if most is not None and len(found.seeds) > most:
            found = dataclasses.replace(plan(most), why="as many as the budget has room for")
    console.print(f"{len(found.seeds)} seeds: {found.why}")
    measure(found, directory, lambda settings: Screen(settings, console))
    audit = analysed(directory)
    audit_plot.draw(audit, directory / "forest.png")
    keep_table(directory, table(audit))
    write(audit, directory)
    return audit


def _inputs(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    section = step.section
    on = {name: there.identity() for name, there in elsewhere(step.section.on, pipeline.beside).items()}
    return {"of": step.search, "seeds": section.seeds, "trials": section.trials, "random": section.random, "on": on}


def elsewhere(configs: Iterable[str], beside: Sequence[str | Path] = ()) -> dict[str, Settings]:
    """Other search configs that an audit is held on, too, by their names.

    Raises:
        InputError: two have one name, or one is no search config.
    """
    found: dict[str, Settings] = {}
    for config in configs:
        name = Path(config).stem
        if name in found:
            raise InputError(f"on: two configs are called {printable(name, 80)!r}; give one another name")
        found[name] = load(config, beside=beside)
    return found


def _check(pipeline: Pipeline, step: Step) -> None:
    """Refuses an audit that could not be held here or elsewhere; that would show after hours of search."""
    search = pipeline.settings(pipeline.step(step.search))
    if step.section.random is not None:
        _check_same(search, pipeline.settings(pipeline.step(step.section.random)), step.section.random)
    alone = apart(search)
    places = {f"{step.search}-{place}" if place > 1 else step.search: one for place, one in enumerate(alone, 1)}
    for name, there in elsewhere(step.section.on, pipeline.beside).items():
        if name in places:
            raise InputError(f"on: {printable(name, 80)!r} is a set-up of the search; give the config another name")
        places[name] = same_slots(name, search, there)
    for there in places.values():
        evaluators, tasks = Evaluators(there.evaluator_spec, there.stand_ins), [there.rungs[-1].task]
        if isinstance(evaluators.trained, Auditable):
            tasks = [dict(evaluators.trained.audit_task(tasks[0], balanced)) for balanced in (False, True)]
        evaluators.prepare({slot: rules.grammar for slot, rules in there.slots.items()}, tasks)


def _check_same(ours: Settings, theirs: Settings, name: str) -> None:
    """Refuses a random search whose losses could not be compared; arguments: settings of both, its name."""
    for key in EQUAL:
        if ours.identity()[key] != theirs.identity()[key]:
            raise InputError(f"random: {name} has another search.{key}, so its losses cannot be compared")


def _took(work: Work) -> dict[str, Any]:
    search = work.entry(work.step.search)
    random, headroom = work.step.section.random, _headroom(work)
    return {
        "run": search.gave["run"],
        "losses": search.gave["losses"],
        **({} if random is None else {"random": work.entry(random).gave["run"]}),
        **({} if random is None else {"losses of random": work.entry(random).gave["losses"]}),
        "headroom": headroom,
        **({} if headroom is None else {"figures of headroom": work.entry(headroom).figures}),
    }


def _headroom(work: Work) -> str | None:
    """The last measurement before it of the same set-up, whose best known loss is then a control."""
    return next(reversed(alike(work.pipeline, work.step.search, work.step.before["headroom"])), None)


def _costs(pipeline: Pipeline, step: Step, costs: MachineCosts) -> Costs:
    settings = pipeline.settings(pipeline.step(step.search))
    last = settings.rungs[-1]
    trials = step.section.trials or LEAST_TRIALS
    each = sum(costs.costs[rung.name].seconds(1, 1) * len(rung.every_seed) for rung in settings.ladder)
    tuning = spread(2 * len(settings.slots) * trials, each, costs)
    seed = costs.costs[last.name].seconds(1, 1)
    if settings.finale:
        raced = sum(count * len(seeds) for count, seeds in settings.finale.rounds())
        tuning += spread(2 * (raced + len(last.every_seed)), seed, costs)
    counts = [step.section.seeds] if step.section.seeds else range(LEAST_SEEDS, MOST_SEEDS + 1)
    places = max(len(settings.evaluators), 1) + len(step.section.on)
    return {count: tuning + spread(_CONTESTANTS * count * places, seed, costs) for count in counts}


def _run(work: Work) -> Outcome:
    section, took = work.step.section, _took(work)
    run = work.folder / took["run"]
    settings = work.pipeline.settings(work.pipeline.step(work.step.search))
    who = {key: getattr(settings, key) for key in ("workers", "isolate", "limits", "ray")}
    if (given := work.pipeline.workers(section)) is not None:
        who["workers"] = given
    random, headroom = (None if name is None else work.folder / name for name in (took.get("random"), took["headroom"]))
    found = held(
        run,
        run / FOLDER,
        elsewhere(work.step.section.on, work.pipeline.beside),
        section.seeds,
        random,
        headroom,
        section.trials,
        who,
        work.console,
        work.amount,
    )
    place = found.places[0]
    winner = next(one.candidate for one in place.contenders if not one.control)
    rows = {one.control: one for one in place.comparisons if one.finalist == winner}
    figures = {
        **_figures(rows.get(OWN_LOSS), ""),
        **_figures(rows.get(OWN_TUNED), "_over_tuned"),
        "noise": place.noise,
        "smallest": place.smallest,
        "seeds": float(len(found.seeds)),
    }
    tuned = next((dict(one.factors) for one in place.contenders if one.control == OWN_TUNED), {})
    gave = {"run": took["run"], "audit": f"{took['run']}/{FOLDER}", "candidate": winner, "tuned": tuned}
    return Outcome(figures, gave, _told(winner, rows, len(found.seeds)))


def _told(winner: int | None, rows: Mapping[str, Comparison], seeds: int) -> str:
    """What is to be known at once; the whole paragraph stands in the table beside the run."""
    shown = (
        f"{100 * row.difference:+.1f} ({100 * row.low:+.1f} to {100 * row.high:+.1f}) over the {control}"
        for control in (OWN_LOSS, OWN_TUNED, BEST_KNOWN)
        if (row := rows.get(control))
    )
    return f"#{winner} {', '.join(shown)}, in points, with 95 % intervals, over {seeds} new seeds"


def _figures(row: Comparison | None, after: str) -> dict[str, float | None]:
    names = {"gain": "difference", "low": "low", "high": "high", "p_better": "p_better", "holm": "holm"}
    return {f"{name}{after}": None if row is None else float(getattr(row, field)) for name, field in names.items()}


_OVER = {
    "gain": "mean score of what is recommended less that of the own loss",
    "low": "end of its 95 % interval",
    "high": "other end",
    "p_better": "probability that what is recommended is better",
    "holm": "chance of such a difference where there is none, corrected for the number of finalists",
}
KIND = Kind(
    figures={
        **_OVER,
        **{f"{name}_over_tuned": f"{what}, against the own loss with tuned weights" for name, what in _OVER.items()},
        "noise": "standard deviation of the scores of one loss over seeds",
        "smallest": "least true difference that is mostly seen",
        "seeds": "of every loss",
    },
    inputs=_inputs,
    took=_took,
    costs=_costs,
    run=_run,
    measured=lambda pipeline, step: pipeline.settings(pipeline.step(step.search)),
    needs=("headroom", "search"),
    amount="seeds",
    files=lambda step: [f"{step.search}/{FOLDER}"],
    check=_check,
)
